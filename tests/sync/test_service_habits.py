"""Google and Microsoft as they may be: what fails there, and what they do where their pages are silent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sync.helpers import WEEKLY
from tests.sync.stories import fill, on, stamp
from tests.sync.test_services import both, keeper
from tests.testbed.desk import Desk
from tests.testbed.events import vcalendar, vevent
from tests.testbed.google_keeper import GoogleKeeper
from tests.testbed.microsoft import Fault as MicrosoftFault
from tests.testbed.microsoft_keeper import MicrosoftKeeper

FAULTS: dict[str, dict[str, Any]] = {
    "refused before": {"status": 503},
    "done, and not answered": {"status": 503, "after": True},
    "answers break off": {"torn": 60},
}


@pytest.mark.parametrize("fault", FAULTS)
@both
async def test_rule_3_what_goes_wrong_doubles_and_loses_nothing(between: Desk, fault: str) -> None:
    at = between
    fill(at, range(3, 9))
    at.put_a("series", vcalendar(vevent("series", extra=WEEKLY), _moved(11, 12)))
    pair = await at.pair(direction="a_to_b", sync_mode="full")
    broken = []
    for number in range(4):
        broken += _break(at, fault, number)
        await at.app.run(pair)
        at.app.clock.advance(minutes=10)
        _mend(at)
        at.put_a("3", on(3, title=f"Renamed {number}"))
    await at.app.sync(pair)
    assert sum(each.met for each in broken) > 1
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    assert len(at.copies_b()) == len(at.read(at.b)) == 7
    assert any("Renamed 3" in text for text in at.copies_b())
    assert (await at.app.sync(pair)).operations == ()


def _break(at: Desk, fault: str, number: int) -> list[Any]:
    """The next writes go wrong: some of them by themselves, or a whole batch."""
    google, microsoft = keeper(at, GoogleKeeper).model, keeper(at, MicrosoftKeeper).model
    whole = fault == "answers break off" or number > 1
    method = "batch" if whole else "events.patch" if number else "events.insert"
    write = {"path": "$batch"} if whole else {"path": "/events", "method": "PATCH" if number else "POST"}
    ordered = MicrosoftFault(**FAULTS[fault], **write, times=2)
    return [google.fail(**FAULTS[fault], method=method, times=2), microsoft.faults.order(ordered)]


def _mend(at: Desk) -> None:
    for kind in (GoogleKeeper, MicrosoftKeeper):
        keeper(at, kind).model.faults.clear()


HABITS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "exceptions are dropped": ({"retimed": "drop"}, {}),
    "exceptions are reset": ({"retimed": "reset"}, {}),
    "exceptions follow": ({"follow": True}, {}),
    "deleted events stay so": ({"revival": "refuse"}, {"transaction_after_delete": "refuse"}),
    "short pages": ({"page_limit": 3}, {"page_limit": 3}),
    "rows come twice": ({}, {"repeats": 5}),
    "series have no rows": ({}, {"masters": False}),
    "ids are not in delta": ({}, {"transaction_in_delta": False}),
    "changes come late": ({}, {"lag": 1}),
    "versions move on by themselves": ({}, {"churn": 2}),
}


def _moved(original: int, day: int, hour: int = 9, series: int = 9) -> str:
    named = f"RECURRENCE-ID;TZID=Europe/Berlin:{stamp(original, series)}"
    return vevent("series", stamp(day, hour), stamp(day, hour + 1), extra=named)


@pytest.mark.parametrize("habit", HABITS)
@both
async def test_rule_14_whatever_the_services_are_used_to(between: Desk, habit: str) -> None:
    at = between
    google, microsoft = HABITS[habit]
    _set(keeper(at, GoogleKeeper).model, google)
    _set(keeper(at, MicrosoftKeeper).model, microsoft)
    fill(at, range(3, 8))
    at.put_a("series", vcalendar(vevent("series", extra=WEEKLY), _moved(11, 12)))
    pair = await at.pair(direction="a_to_b", sync_mode="full")
    await _in_step(at, pair)
    at.put_a("3", on(3, title="Renamed"))
    at.delete(at.a, "5.ics")
    at.put_a("series", vcalendar(vevent("series", extra=WEEKLY), _moved(11, 13, 14), _moved(18, 19)))
    await _in_step(at, pair)
    shifted = vevent("series", stamp(4, 11), stamp(4, 12), extra=WEEKLY)
    at.put_a("series", vcalendar(shifted, _moved(11, 13, 14, series=11)))
    await _in_step(at, pair)


def _set(model: Any, habits: dict[str, Any]) -> None:
    for name, value in habits.items():
        setattr(model.habits, name, value)


async def _in_step(at: Desk, pair: str) -> None:
    for _ in range(3):  # what a service shows late is seen in the next run
        await at.app.sync(pair)
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    titles = {text.partition("SUMMARY:")[2].partition("\r\n")[0] for text in at.read(at.a).values()}
    assert titles == {text.partition("SUMMARY:")[2].partition("\r\n")[0] for text in at.copies_b()}
    assert (await at.app.sync(pair)).operations == ()
