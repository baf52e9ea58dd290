"""Rule 21: a run is taken back, and done again, between every two services."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from calendarsync.sync.report import LATEST, RunReport
from tests.sync.helpers import done
from tests.testbed.desk import Desk
from tests.testbed.events import event

pytestmark = pytest.mark.rule(21)

WEEKLY = "RRULE:FREQ=WEEKLY;COUNT=4"
MOVED = (
    "BEGIN:VEVENT\r\nUID:week\r\nDTSTAMP:20260101T000000Z\r\nRECURRENCE-ID;TZID=Europe/Berlin:20260312T140000\r\n"
    "DTSTART;TZID=Europe/Berlin:20260313T160000\r\nDTEND;TZID=Europe/Berlin:20260313T170000\r\n"
    "SUMMARY:Moved\r\nEND:VEVENT\r\n"
)
PAIRS = [("google", "microsoft"), ("microsoft", "google"), ("radicale", "google"), ("radicale", "microsoft")]


def _week(extra: str = WEEKLY) -> str:
    whole = event("week", "20260305T140000", "20260305T150000", extra=extra)
    return whole.replace("END:VCALENDAR", f"{MOVED}END:VCALENDAR")


async def _undo(at: Desk, pair: str) -> RunReport:
    at.app.clock.advance(seconds=60)
    await at.app.change_pair(pair, status="paused")
    return await at.app.run(pair, undo=LATEST)


async def _sync(at: Desk, pair: str) -> RunReport:
    at.app.clock.advance(seconds=60)
    await at.app.change_pair(pair, status="active", quiet_until=None)
    return await at.app.sync(pair)


def _is_in_step(at: Desk) -> None:
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)


@pytest.mark.parametrize("between", PAIRS, ids="-".join, indirect=True)
async def test_created_taken_back_and_created_again(between: Desk) -> None:
    """Twice over: each time the former ids are dead where a service never frees them (rule 3)."""
    at = between
    at.put_a("one", event("one"))
    at.put_a("week", _week())
    theirs = event("theirs", "20260306T090000", "20260306T100000")
    at.put_b("theirs", theirs)
    pair = await at.pair(direction="a_to_b")
    for _ in range(2):
        created = (await _sync(at, pair)).events_created
        assert created >= 2
        _is_in_step(at)
        report = await _undo(at, pair)
        assert (report.status, report.events_deleted) == ("success", created), report
        assert at.copies_b() == []
        assert len(at.busy(at.b, copies=False)) == 1
    await _sync(at, pair)
    _is_in_step(at)
    assert (await _sync(at, pair)).operations == ()


@pytest.mark.parametrize("between", PAIRS, ids="-".join, indirect=True)
async def test_deleted_and_brought_back(between: Desk) -> None:
    at = between
    at.put_a("one", event("one", extra="STATUS:TENTATIVE"))
    at.put_a("week", _week(f"{WEEKLY}\nSTATUS:TENTATIVE"))
    pair = await at.pair(direction="a_to_b", sync_mode="full")
    await _sync(at, pair)
    before: Sequence[object] = at.busy(at.b, copies=True)
    assert before
    await at.app.change_pair(pair, options={"include_tentative": False})
    deleted = (await _sync(at, pair)).events_deleted
    assert deleted
    report = await _undo(at, pair)
    assert report.status == "success"
    assert at.busy(at.b, copies=True) == before
    await at.app.change_pair(pair, options={})
    assert {action for action, _ in done(await _sync(at, pair))} <= {"adopt", "update"}
    assert at.busy(at.b, copies=True) == before
    assert (await _sync(at, pair)).operations == ()
