"""Rule 21: a pair's last run is taken back, and the pair rests."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, select

from calendarsync.store import tables
from calendarsync.sync.report import LATEST, RunReport
from tests.sync.helpers import WEEKLY, done, empty_unnamed, fill, only, starts, sync_anew
from tests.testbed.events import event
from tests.testbed.memory_desk import MemoryDesk

pytestmark = pytest.mark.rule(21)


async def _sync(at: MemoryDesk, pair: str) -> RunReport:
    """A run at a time of its own: the last one is told by its time."""
    at.app.clock.advance(seconds=60)
    return await at.app.sync(pair)


async def _undo(at: MemoryDesk, pair: str, **given: object) -> RunReport:
    at.app.clock.advance(seconds=60)
    await at.app.change_pair(pair, status="paused")
    return await at.app.run(pair, undo=LATEST, **given)  # type: ignore[arg-type]


async def _wake(at: MemoryDesk, pair: str) -> RunReport:
    await at.app.change_pair(pair, status="active", quiet_until=None)
    return await _sync(at, pair)


async def test_what_the_last_run_created_goes_and_nothing_else(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("old.ics", event("old"))
    pair = await at.pair()
    first = await _sync(at, pair)
    kept = starts(at)
    fill(at, 12)
    at.store("b").put("theirs.ics", event("theirs", "20260306T090000", "20260306T100000"))
    last = await _sync(at, pair)
    assert (first.events_created, last.events_created) == (1, 13)
    report = await _undo(at, pair)
    assert (report.status, report.undid, report.events_deleted) == ("success", last.sync_id, 13)
    assert {reason for _, reason in done(report)} == {"undone"}
    assert starts(at) == kept
    assert len(at.store("a").resources) == 13, "sources stay"
    assert "theirs.ics" in at.store("b").resources
    assert (await at.app.row(tables.pairs, pair)).status == "paused"


async def test_what_the_last_run_deleted_comes_back(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one", extra="STATUS:TENTATIVE"))
    at.store("a").put("week.ics", event("week", "20260305T140000", "20260305T150000", extra=WEEKLY))
    at.store("a").put("gone.ics", event("gone", "20260306T140000", "20260306T150000"))
    pair = await at.pair(direction="a_to_b")
    await _sync(at, pair)
    before = starts(at)
    await at.app.change_pair(pair, options={"include_tentative": False})
    at.store("a").put(
        "week.ics",
        event("week", "20260305T140000", "20260305T150000", extra=f"{WEEKLY}\nSTATUS:CANCELLED"),
    )
    at.store("a").delete("gone.ics")
    assert (await _sync(at, pair)).events_deleted == 3
    report = await _undo(at, pair)
    assert report.events_created == 2
    assert [each for each in done(report) if each[0] == "skip"] == [("skip", "source_gone")]
    assert starts(at) == [start for start in before if start != "03-06 13:00"]
    again = await _undo(at, pair)
    assert (again.events_created, again.events_deleted) == (0, 0)


async def test_a_form_that_changed_is_changed_back(at_memory: MemoryDesk) -> None:
    """The series went for single instances, which the undo takes away again."""
    at = at_memory
    at.store("a").put("week.ics", event("week", extra=WEEKLY))
    pair = await at.pair(direction="a_to_b")
    await _sync(at, pair)
    before = starts(at)
    hourly = event("week", extra=f"{WEEKLY}\nRDATE;VALUE=PERIOD:20260320T090000Z/PT1H")
    at.store("a").put("week.ics", hourly)
    await _sync(at, pair)
    assert len(at.store("b").resources) > 1
    at.store("a").put("week.ics", event("week", extra=WEEKLY))
    report = await _undo(at, pair)
    assert report.status == "success"
    assert starts(at) == before
    assert done(await _wake(at, pair)) == []


async def test_contents_that_were_replaced_cannot_be_brought_back(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    pair = await at.pair(direction="a_to_b")
    await _sync(at, pair)
    at.store("a").put("one.ics", event("one", "20260304T110000", "20260304T120000"))
    await _sync(at, pair)
    moved = starts(at)
    report = await _undo(at, pair)
    assert done(report) == [("skip", "contents_not_held")]
    assert starts(at) == moved


async def test_runs_that_wrote_nothing_are_passed_over(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    pair = await at.pair(direction="a_to_b")
    wrote = await _sync(at, pair)
    await sync_anew(at, pair)
    report = await _undo(at, pair)
    assert report.undid == wrote.sync_id
    assert at.store("b").resources == {}


async def test_after_resuming_all_is_done_again_and_the_rest_is_silence(at_memory: MemoryDesk) -> None:
    at = at_memory
    fill(at, 3)
    pair = await at.pair(direction="a_to_b")
    await _sync(at, pair)
    await _undo(at, pair)
    assert (await _wake(at, pair)).events_created == 3
    assert done(await sync_anew(at, pair)) == []


async def test_a_dry_run_names_what_it_would_do_and_does_nothing(at_memory: MemoryDesk) -> None:
    at = at_memory
    fill(at, 3)
    pair = await at.pair(direction="a_to_b")
    await _sync(at, pair)
    report = await at.app.run(pair, undo=LATEST, dry_run=True)
    assert done(report) == [("delete", "undone")] * 3
    assert len(at.store("b").resources) == 3
    assert (await at.app.row(tables.pairs, pair)).status == "active"


async def test_an_event_that_took_the_place_of_a_copy_is_left(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    pair = await at.pair(direction="a_to_b")
    await _sync(at, pair)
    name, data = only(at)
    lines = [line for line in data.replace(b"\r\n ", b"").split(b"\r\n") if b"X-CALENDARSYNC" not in line]
    async with at.app.db.write() as db:
        await db.execute(delete(tables.links))
    at.store("b").put(name, b"\r\n".join(lines))
    report = await _undo(at, pair)
    assert done(report) == [("skip", "copy_not_ours")]
    assert name in at.store("b").resources


@pytest.mark.parametrize("wrote", [True, False])
async def test_what_cannot_be_undone_says_so(at_memory: MemoryDesk, *, wrote: bool) -> None:
    at = at_memory
    pair = await at.pair()
    if wrote:
        at.store("a").put("one.ics", event("one"))
        await _sync(at, pair)
    await at.app.change_pair(pair, status="paused")
    report = await at.app.run(pair, undo="sync_run_another")
    assert report.error is not None
    assert report.error.code == "conflict"
    assert len(at.store("b").resources) == wrote


async def test_a_pair_that_was_resumed_meanwhile_is_not_undone(at_memory: MemoryDesk) -> None:
    at = at_memory
    fill(at, 1)
    pair = await at.pair()
    await _sync(at, pair)
    report = await at.app.run(pair, undo=LATEST)
    assert report.error is not None
    assert report.error.code == "conflict"
    assert len(at.store("b").resources) == 1
    row = await at.app.row(tables.pairs, pair)
    assert (row.status, row.attention_code) == ("active", None), "it goes on as before"


async def test_an_undo_that_a_fault_broke_off_is_finished_by_the_next(at_memory: MemoryDesk) -> None:
    at = at_memory
    fill(at, 4)
    pair = await at.pair(direction="a_to_b")
    await _sync(at, pair)
    faults = at.faults["http://127.0.0.1:1/b/"]
    faults.calls, faults.before, faults.after = 0, {2}, {4}
    await _undo(at, pair)
    faults.before, faults.after = set(), set()
    assert (await _undo(at, pair)).status == "success"
    assert at.store("b").resources == {}


async def test_an_undo_judges_nothing_so_the_guards_still_stand_when_the_pair_is_resumed(
    at_memory: MemoryDesk,
) -> None:
    """A source that reads empty while a run is taken back is asked about afterwards."""
    at = at_memory
    fill(at, 12)
    pair = await at.pair(direction="a_to_b")
    await _sync(at, pair)
    at.store("a").put("late.ics", event("late", "20260306T140000", "20260306T150000"))
    await _sync(at, pair)
    empty_unnamed(at, "a")
    await _undo(at, pair, dry_run=True)
    await _undo(at, pair)
    assert len(at.store("b").resources) == 12
    at.app.clock.advance(seconds=60)
    await at.app.change_pair(pair, status="active")
    report = await at.app.run(pair)
    assert report.error is not None
    assert report.error.code == "needs_attention"
    assert len(at.store("b").resources) == 12


async def test_an_undo_leaves_a_pair_that_is_to_be_planned_anew(at_memory: MemoryDesk) -> None:
    """Also where nobody but the clock resumes it."""
    at = at_memory
    fill(at, 3)
    pair = await at.pair(direction="a_to_b")
    await _sync(at, pair)
    seen = (await at.app.row(tables.pairs, pair)).last_synced_at
    report = await _undo(at, pair)
    assert report.events_deleted == 3
    row = await at.app.row(tables.pairs, pair)
    assert (row.quiet_state, row.quiet_until, row.last_synced_at) == (None, None, seen)


async def test_a_change_of_rules_is_still_the_owners_after_an_undo(at_memory: MemoryDesk) -> None:
    """Rule 21: what goes for it is no loss to be guarded, though a run was taken back in between."""
    at = at_memory
    fill(at, 3)
    pair = await at.pair(direction="a_to_b")
    await _sync(at, pair)
    at.store("a").put("late.ics", event("late", "20260306T140000", "20260306T150000"))
    await _sync(at, pair)
    async with at.app.db.read() as db:
        before = set((await db.execute(select(tables.links.c.rules_version))).scalars())
    await at.app.change_pair(pair, options={"include_all_day": False})
    await _undo(at, pair)
    async with at.app.db.read() as db:
        assert set((await db.execute(select(tables.links.c.rules_version))).scalars()) == before
