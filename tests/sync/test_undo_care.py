"""Rule 21: an undo brings back no more than there was, and takes away nothing that is not the run's own."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from calendarsync.domain.link import Direction
from calendarsync.store import tables
from calendarsync.sync.report import LATEST, RunReport
from tests.sync.helpers import WEEKLY, delete_instance, done, only, second_account, starts, sync_anew
from tests.testbed.events import event
from tests.testbed.memory_desk import MemoryDesk

pytestmark = pytest.mark.rule(21)

TIMES = ("20260305T140000", "20260305T150000")
HOURLY = f"{WEEKLY}\nRDATE;VALUE=PERIOD:20260320T090000Z/PT1H"
"""No target holds it as a series."""

WEEKS = ["03-05 13:00", "03-12 13:00", "03-19 13:00", "03-26 13:00"]


async def _sync(at: MemoryDesk, pair: str) -> RunReport:
    at.app.clock.advance(seconds=60)
    return await sync_anew(at, pair)


async def _undo(at: MemoryDesk, pair: str, **given: object) -> RunReport:
    at.app.clock.advance(seconds=60)
    await at.app.change_pair(pair, status="paused")
    return await at.app.run(pair, undo=LATEST, **given)  # type: ignore[arg-type]


async def _wake(at: MemoryDesk, pair: str) -> RunReport:
    await at.app.change_pair(pair, status="active")
    return await _sync(at, pair)


def _week(extra: str = WEEKLY) -> str:
    return event("week", *TIMES, extra=extra)


@pytest.mark.rule(17)
async def test_an_instance_that_a_person_deleted_stays_away_from_the_series_that_comes_back(
    at_memory: MemoryDesk,
) -> None:
    at = at_memory
    at.store("a").put("week.ics", _week())
    pair = await at.pair(direction="a_to_b")
    await _sync(at, pair)
    at.store("a").put("week.ics", _week(HOURLY))
    await _sync(at, pair)
    gone = next(name for name, (_, data) in at.store("b").resources.items() if b"0312T" in data)
    at.store("b").delete(gone)
    assert ("skip", "copy_deleted_by_person") in done(await _sync(at, pair))
    at.store("a").put("week.ics", _week())
    report = await _undo(at, pair)
    assert report.status == "success"
    assert starts(at) == [WEEKS[0], *WEEKS[2:]]
    await _wake(at, pair)
    assert starts(at) == [WEEKS[0], *WEEKS[2:]]


@pytest.mark.rule(17)
async def test_an_instance_that_a_person_deleted_since_the_run_stays_away_after_it(
    at_memory: MemoryDesk,
) -> None:
    at = at_memory
    at.store("a").put("week.ics", _week())
    pair = await at.pair(direction="a_to_b")
    await _sync(at, pair)
    name, data = only(at)
    at.store("b").put(name, delete_instance(data, "20260312T140000"))
    assert (await _undo(at, pair)).events_deleted == 1
    await _wake(at, pair)
    assert starts(at) == [WEEKS[0], *WEEKS[2:]]


@pytest.mark.rule(17)
async def test_what_a_person_deleted_after_an_undo_is_not_brought_back_by_another(
    at_memory: MemoryDesk,
) -> None:
    at = at_memory
    for uid in ("one", "two"):
        at.store("a").put(f"{uid}.ics", event(uid, *TIMES, extra="STATUS:TENTATIVE"))
    pair = await at.pair(direction="a_to_b")
    await _sync(at, pair)
    await at.app.change_pair(pair, options={"include_tentative": False})
    assert (await _sync(at, pair)).events_deleted == 2
    assert (await _undo(at, pair)).events_created == 2
    at.store("b").delete(next(iter(at.store("b").resources)))
    assert done(await _undo(at, pair)) == [("skip", "copy_deleted_by_person")]
    assert len(at.store("b").resources) == 1


async def test_what_is_left_out_for_itself_stays_out_of_a_series_that_comes_back(
    at_memory: MemoryDesk,
) -> None:
    """The series went because it became tentative; one instance of it is cancelled, as it was before."""
    at = at_memory
    cancelled = (
        "BEGIN:VEVENT\nUID:week\nDTSTAMP:20260101T000000Z\nRECURRENCE-ID;TZID=Europe/Berlin:20260312T140000\n"
        "DTSTART;TZID=Europe/Berlin:20260312T140000\nDTEND;TZID=Europe/Berlin:20260312T150000\n"
        "STATUS:CANCELLED\nEND:VEVENT\n"
    )
    busy = _week().replace("END:VCALENDAR", f"{cancelled.replace(chr(10), chr(13) + chr(10))}END:VCALENDAR")
    at.store("a").put("week.ics", busy)
    pair = await at.pair(direction="a_to_b")
    await _sync(at, pair)
    assert starts(at) == [WEEKS[0], *WEEKS[2:]]
    at.store("a").put("week.ics", busy.replace("COUNT=4", "COUNT=4\r\nSTATUS:TENTATIVE"))
    await at.app.change_pair(pair, options={"include_tentative": False})
    assert (await _sync(at, pair)).events_deleted == 1
    assert (await _undo(at, pair)).events_created == 1
    assert starts(at) == [WEEKS[0], *WEEKS[2:]]


async def test_where_the_former_copy_cannot_be_made_the_new_ones_stay(at_memory: MemoryDesk) -> None:
    """Before the run its event was shown, and so it is after the undo."""
    at = at_memory
    at.store("a").put("week.ics", _week())
    pair = await at.pair(direction="a_to_b")
    await _sync(at, pair)
    at.store("a").put("week.ics", _week(HOURLY))
    await _sync(at, pair)
    shown = starts(at)
    report = await _undo(at, pair)
    assert (report.events_created, report.events_deleted) == (0, 0)
    assert set(done(report)) == {("skip", "form_not_possible")}
    assert starts(at) == shown


async def test_a_direction_that_was_given_up_is_taken_back_as_well(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one", *TIMES))
    at.store("b").put("two.ics", event("two", "20260306T140000", "20260306T150000"))
    pair = await at.pair()
    await _sync(at, pair)
    await at.app.change_pair(pair, direction="a_to_b")
    assert done(await _sync(at, pair)) == [("delete", "direction_changed")]
    dry = await at.app.run(pair, undo=LATEST, dry_run=True)
    assert done(dry) == [("create", "undone")]
    assert (await _undo(at, pair)).events_created == 1
    assert starts(at, "a") == ["03-06 13:00"]
    assert done(await _wake(at, pair)) == [("delete", "direction_changed")]


@pytest.mark.rule(2)
async def test_copies_that_travel_on_no_more_are_not_copied_by_an_undo(at_memory: MemoryDesk) -> None:
    at = at_memory
    await at.add("c")
    at.store("a").put("one.ics", event("one", *TIMES))
    first = await at.pair(direction="a_to_b")
    onward = await at.pair("b", "c", direction="a_to_b", relay=True)
    await _sync(at, first)
    assert (await _sync(at, onward)).events_created == 1
    await at.app.change_pair(onward, options={"relay": False})
    assert (await _sync(at, onward)).events_deleted == 1
    assert done(await _undo(at, onward)) == [("skip", "source_is_copy")]
    assert at.store("c").resources == {}


@pytest.mark.rule(2)
async def test_copies_that_travel_on_are_taken_back_and_come_again(at_memory: MemoryDesk) -> None:
    at = at_memory
    await at.add("c")
    at.store("a").put("one.ics", event("one", *TIMES))
    first = await at.pair(direction="a_to_b")
    onward = await at.pair("b", "c", direction="a_to_b", relay=True)
    await _sync(at, first)
    await _sync(at, onward)
    assert (await _undo(at, onward)).events_deleted == 1
    assert len(at.store("b").resources) == 1
    assert (await _wake(at, onward)).events_created == 1
    await _undo(at, first)
    assert (await _sync(at, onward)).events_deleted == 1
    assert (at.store("b").resources, at.store("c").resources) == ({}, {})


@pytest.mark.rule(5)
async def test_a_meeting_that_the_target_shows_itself_is_not_shown_twice(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one", *TIMES))
    pair = await at.pair(direction="a_to_b")
    await _sync(at, pair)
    at.store("b").put("theirs.ics", event("one", *TIMES))
    assert (await _sync(at, pair)).events_deleted == 1
    assert done(await _undo(at, pair)) == [("skip", "same_meeting")]
    assert set(at.store("b").resources) == {"theirs.ics"}


@pytest.mark.rule(3)
async def test_what_another_pair_took_over_is_neither_taken_away_nor_doubled(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one", *TIMES))
    mine = await at.pair(direction="a_to_b")
    await _sync(at, mine)
    theirs = await at.app.pair(*await second_account(at), direction="a_to_b")
    assert done(await _sync(at, theirs)) == [("skip", "copied_already")]
    await at.app.change_pair(mine, options={"include_tentative": False, "title_excludes": []})
    at.store("a").put("one.ics", event("one", *TIMES, extra="STATUS:TENTATIVE"))
    assert (await _sync(at, mine)).events_deleted == 1
    assert (await _sync(at, theirs)).events_created == 1
    assert done(await _undo(at, mine)) == []
    assert starts(at) == [WEEKS[0]]
    async with at.app.db.read() as db:
        assert (await db.execute(select(tables.links.c.pair_id))).scalars().all() == [theirs]


async def test_edits_that_a_run_carried_into_events_are_listed(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one", *TIMES).replace("ORGANIZER", "X-ORGANIZER"))
    pair = await at.pair(direction="a_to_b", sync_mode="full", on_copy_edited="propagate")
    await _sync(at, pair)
    name, data = only(at)
    at.store("b").put(name, data.replace(b"T140000", b"T160000").replace(b"T150000", b"T170000"))
    assert ("propagate", "copy_edited") in done(await _sync(at, pair))
    report = await _undo(at, pair)
    assert done(report) == [("skip", "contents_not_held")]
    assert [each.direction for each in report.operations] == [Direction.A_TO_B]
    assert starts(at) == ["03-05 15:00"]


@pytest.mark.rule(9)
@pytest.mark.parametrize(
    ("filters", "now"),
    [
        pytest.param({"private_events": "skip"}, "CLASS:PRIVATE", id="of private events"),
        pytest.param({"title_excludes": ["secret"]}, "CLASS:PUBLIC", id="by a filter"),
    ],
)
async def test_words_that_the_rules_keep_out_do_not_come_back(
    at_memory: MemoryDesk, filters: dict[str, object], now: str
) -> None:
    """The event's new title has never stood in the target, and an undo does not put it there."""
    at = at_memory
    at.store("a").put("one.ics", event("one", *TIMES, title="Lunch", extra="CLASS:PUBLIC"))
    pair = await at.pair(direction="a_to_b", sync_mode="full", **filters)
    await _sync(at, pair)
    assert b"SUMMARY:Lunch" in only(at)[1]
    at.store("a").put("one.ics", event("one", *TIMES, title="Secret", extra=now))
    assert (await _sync(at, pair)).events_deleted == 1
    assert (await _undo(at, pair)).events_created == 1
    assert starts(at) == [WEEKS[0]]
    assert b"Secret" not in only(at)[1]
