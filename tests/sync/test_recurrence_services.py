"""Series as Google's and Microsoft's own programs leave them behind, on the models of both (rules 12 to 14)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sync.conftest import OTHERS
from tests.sync.helpers import WEEKLY
from tests.sync.stories import stamp
from tests.sync.test_services import keeper
from tests.testbed.desk import Desk
from tests.testbed.events import event, vcalendar, vevent
from tests.testbed.google import Model
from tests.testbed.google_keeper import GoogleKeeper

FROM_GOOGLE = [("google", "radicale"), ("google", "microsoft")]
FROM_MICROSOFT = [("microsoft", "radicale"), ("microsoft", "google")]


def _at(text: str) -> dict[str, str]:
    return {"dateTime": f"2026-{text}:00", "timeZone": "Europe/Berlin"}


def _weekly(start: str, end: str, rule: str, title: str = "Planning") -> dict[str, Any]:
    return {
        "summary": title,
        "start": _at(start),
        "end": _at(end),
        "recurrence": [rule],
        "status": "confirmed",
    }


async def _settled(at: Desk, pair: str, writes: int) -> None:
    report = await at.app.sync(pair)
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    assert report.events_created + report.events_updated + report.events_deleted <= writes
    assert (await at.app.sync(pair)).operations == ()


@pytest.mark.rule(12)
@pytest.mark.rule(13)
@pytest.mark.rule(14)
@pytest.mark.parametrize("moved_along", [True, False])
@pytest.mark.parametrize("between", FROM_GOOGLE, ids="-".join, indirect=True)
async def test_google_splits_a_series_twice(between: Desk, *, moved_along: bool) -> None:
    """The new series is named `…_R` and its start, its instances by the old root; both have UIDs of their own.

    What was changed singly behind the split goes to the new series, or stays and hangs in the air.
    """
    at = between
    model: Model = keeper(at, GoogleKeeper).model
    at.put_a("series", vcalendar(vevent("series", extra="RRULE:FREQ=WEEKLY"), _override(25, 26)))
    pair = await at.pair(direction="a_to_b", sync_mode="full", future_days=120)
    await at.app.sync(pair)
    rows = model.events(at.a)
    (root,) = [name for name, row in rows.items() if row.get("recurrence")]
    (changed,) = [name for name, row in rows.items() if row.get("recurringEventId")]
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)

    model.put(at.a, {"recurrence": ["RRULE:FREQ=WEEKLY;UNTIL=20260317T225959Z"]}, root)
    first = f"{root}_R20260318T080000"
    split = _weekly("03-18T11:00", "03-18T12:00", "RRULE:FREQ=WEEKLY", "Planning, later")
    model.put(at.a, {**split, "iCalUID": f"{first}@google.com"}, first)
    writes = 2
    if moved_along:
        model.delete(at.a, changed)
        exception = {
            "recurringEventId": first,
            "originalStartTime": _at("03-25T11:00"),
            "iCalUID": f"{first}@google.com",
            "summary": "Planning, moved",
            "status": "confirmed",
            "start": _at("03-26T14:00"),
            "end": _at("03-26T15:00"),
        }
        model.put(at.a, exception, f"{root}_20260325T100000Z")
    else:
        writes += 1  # no series can hold it any more
    await _settled(at, pair, writes)

    second = f"{root}_R20260401T090000"
    model.put(at.a, {"recurrence": ["RRULE:FREQ=WEEKLY;UNTIL=20260331T215959Z"]}, first)
    model.put(
        at.a,
        {**_weekly("04-01T16:00", "04-01T17:00", "RRULE:FREQ=WEEKLY"), "iCalUID": f"{second}@google.com"},
        second,
    )
    await _settled(at, pair, 2)
    assert any("Planning\\, later" in text or "Planning, later" in text for text in at.copies_b())


def _override(original: int, day: int, hour: int = 14) -> str:
    named = f"RECURRENCE-ID;TZID=Europe/Berlin:{stamp(original)}"
    return vevent("series", stamp(day, hour), stamp(day, hour + 1), extra=named)


@pytest.mark.rule(12)
@pytest.mark.rule(13)
@pytest.mark.rule(14)
@pytest.mark.parametrize("between", FROM_MICROSOFT, ids="-".join, indirect=True)
async def test_outlook_splits_a_series(between: Desk) -> None:
    """The old series ends with the day before, the new one has a global object id of its own and no exceptions."""
    at = between
    at.put_a(
        "series", vcalendar(vevent("series", extra="RRULE:FREQ=WEEKLY"), _override(11, 12), _override(25, 26))
    )
    pair = await at.pair(direction="a_to_b", sync_mode="full", future_days=120)
    await at.app.sync(pair)
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    ended = vevent("series", extra="RRULE:FREQ=WEEKLY;UNTIL=20260317T080000Z")
    at.put_a("series", vcalendar(ended, _override(11, 12)))
    at.put_a("later", event("later", stamp(18, 11), stamp(18, 12), extra="RRULE:FREQ=WEEKLY"))
    await _settled(at, pair, 2)
    at.delete(at.a, "later.ics")
    await _settled(at, pair, 1)


@pytest.mark.rule(13)
@pytest.mark.rule(14)
@pytest.mark.parametrize("between", [*FROM_GOOGLE, ("radicale", "google")], ids="-".join, indirect=True)
async def test_invitations_to_instances_come_before_the_one_to_their_series(between: Desk) -> None:
    at = between
    pair = await at.pair(direction="a_to_b")
    at.put_a("series", vcalendar(_override(18, 19)))
    await _settled(at, pair, 1)
    at.put_a("series", vcalendar(_override(18, 20)))
    await _settled(at, pair, 1)
    at.put_a("series", vcalendar(vevent("series", extra=WEEKLY), _override(18, 20)))
    await _settled(at, pair, 2)
    at.put_a("series", vcalendar(vevent("series", extra=WEEKLY), _override(18, 18)))
    await _settled(at, pair, 1)


GAP = "RECURRENCE-ID;TZID=Europe/Berlin:20260329T023000\n"


@pytest.mark.rule(13)
@pytest.mark.rule(14)
@pytest.mark.parametrize(("change", "left"), [("", 15), ("STATUS:CANCELLED", 14)], ids=["moved", "cancelled"])
@pytest.mark.parametrize("between", OTHERS, ids="-".join, indirect=True)
async def test_an_instance_in_the_gap_of_the_clocks(between: Desk, change: str, left: int) -> None:
    """Daily at half past two in Berlin: no clock shows that on 29 March."""
    at = between
    daily = vevent("series", "20260320T023000", "20260320T030000", extra="RRULE:FREQ=DAILY;COUNT=15")
    at.put_a("series", vcalendar(daily))
    pair = await at.pair(direction="a_to_b")
    await _settled(at, pair, 1)
    assert len(at.busy(at.b, copies=True)) == 15
    noon = vevent("series", "20260329T120000", "20260329T123000", extra=f"{GAP}{change}")
    at.put_a("series", vcalendar(daily, noon))
    await _settled(at, pair, 1)
    slots = at.busy(at.b, copies=True)
    assert len(slots) == left
    assert ("2026-03-29 01:30", "2026-03-29 02:00") not in slots
    assert len(at.copies_b()) == 1
