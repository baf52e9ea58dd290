"""Series between every two of Google, Microsoft and CalDAV (rules 12 to 14): each holds others.

What the CalDAV servers do among themselves is in `test_recurrence`.
"""

from __future__ import annotations

from itertools import product

import pytest

from tests.sync.conftest import OTHERS, SERVICES
from tests.sync.helpers import done
from tests.sync.stories import stamp
from tests.sync.test_recurrence import OVERRIDES, SERIES, WEEKLY
from tests.testbed.desk import Desk
from tests.testbed.events import event, vcalendar, vevent

KINDS = {
    **{kind: vcalendar(vevent("series", extra=WEEKLY), override) for kind, override in OVERRIDES.items()},
    **SERIES,
}
NOT_THERE = {
    "google": {"floating", "nominal duration", "this and following"},
    "microsoft": {"floating", "nominal duration", "this and following", "rdates", "hourly"},
    "radicale": set[str](),
}
"""What nobody has in such a calendar."""

BEGINS_LATER = {("microsoft", "by set position")}
"""Where a series begins with the first instance that its rule gives, not with its start."""

COPIES = {
    "all day": {"microsoft": 2},
    "rdates": {"microsoft": 4},
    "nominal duration": {"google": 3, "microsoft": 3},
    "by set position": dict.fromkeys(SERVICES, 6),
    "hourly": dict.fromkeys(SERVICES, 12),
    "this and following": dict.fromkeys(SERVICES, 6),
}
"""How many copies there are in a calendar there, where it is not one."""


@pytest.mark.parametrize(
    ("between", "kind"),
    [
        pytest.param(pair, kind, id=f"{'-'.join(pair)}-{kind}")
        for pair, kind in product(OTHERS, KINDS)
        if kind not in NOT_THERE[pair[0]]
    ],
    indirect=["between"],
)
async def test_rules_12_to_14_a_series_is_busy_there_as_it_is_here(
    between: Desk, kind: str, request: pytest.FixtureRequest
) -> None:
    at = between
    at.put_a("series", KINDS[kind])
    pair = await at.pair(future_days=440)
    report = await at.app.sync(pair)
    here, there = request.node.callspec.params["between"]
    expected = 1 if (here, kind) in BEGINS_LATER else COPIES.get(kind, {}).get(there, 1)
    assert report.events_created == expected
    sources = at.busy(at.a, copies=False)
    if kind == "declined":
        sources = [slot for slot in sources if "2026-03-11" not in slot[0]]
    assert at.busy(at.b, copies=True) == sources
    assert len(sources) > 1
    assert done(await at.app.sync(pair)) == []


def _moved(day: int, hour: int = 15) -> str:
    named = f"RECURRENCE-ID;TZID=Europe/Berlin:{stamp(11)}"
    return vevent("series", stamp(day, hour), stamp(day, hour + 1), extra=named)


@pytest.mark.parametrize(
    "between", [pair for pair in OTHERS if pair[0] != "microsoft"], ids="-".join, indirect=True
)
async def test_rules_12_and_13_an_instance_goes_past_the_next_and_comes_back(between: Desk) -> None:
    at = between
    master = vevent("series", extra=f"{WEEKLY};COUNT=5")
    pair = await at.pair(direction="a_to_b")
    for overrides in ((), (_moved(12),), (_moved(19),), (_moved(20),), (_moved(11),), (_moved(26),)):
        at.put_a("series", vcalendar(master, *overrides))
        await at.app.sync(pair)
        assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
        assert done(await at.app.sync(pair)) == []


@pytest.mark.parametrize(
    "between", [pair for pair in OTHERS if pair[0] != "microsoft"], ids="-".join, indirect=True
)
async def test_rule_12_another_form_replaces_the_old_one(between: Desk) -> None:
    at = between
    weekly = event("series", extra=f"{WEEKLY};COUNT=5")
    at.put_a("series", weekly)
    pair = await at.pair()
    await at.app.sync(pair)
    at.put_a("series", event("series", extra=f"{WEEKLY};COUNT=5\nEXRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=2"))
    report = await at.app.sync(pair)
    assert (report.events_created, report.events_deleted) == (3, 1)
    actions = [operation.action for operation in report.operations]
    assert actions == ["create"] * 3 + ["delete"], "the new form is complete before the old one goes"
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    at.put_a("series", weekly)
    await at.app.sync(pair)
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    assert len(at.copies_b()) == 1


@pytest.mark.parametrize("between", OTHERS, ids="-".join, indirect=True)
async def test_rule_13_an_override_without_its_master(between: Desk) -> None:
    at = between
    at.put_a("invited", vcalendar(OVERRIDES["moved"]))
    pair = await at.pair()
    await at.app.sync(pair)
    assert at.busy(at.b, copies=True) == [("2026-03-12 14:00", "2026-03-12 15:00")]
    at.put_a("invited", vcalendar(vevent("series", extra=WEEKLY), OVERRIDES["moved"]))
    await at.app.sync(pair)
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    assert len(at.copies_b()) == 1
