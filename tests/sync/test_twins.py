"""Who keeps a copy where there might be two, and which pair is worked on when (rules 3, 5 and 21)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select

from calendarsync.domain.copy import Copy, CopyComponent
from calendarsync.domain.event import EventTime
from calendarsync.domain.origin import copy_id, write_mark
from calendarsync.providers.icalendar import write_copy
from calendarsync.store.tables import links
from tests.sync.helpers import WEEKLY, done, fill, only, second_account, starts, sync_anew
from tests.testbed.events import event
from tests.testbed.memory import NOW, MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk, memory_desk


async def _twin(at: MemoryDesk, source: str = "one.ics") -> str:
    """A second copy of an event, of the next generation, as a lost race might leave it."""
    async with at.app.db.read() as db:
        link = (await db.execute(select(links).where(links.c.source_resource == source))).first()
    assert link is not None
    twin = copy_id(link.origin, link.target_calendar, 1)
    mark = write_mark(at.app.keyring.mark_keys[0], link.origin, 1, link.written_hash, link.target_calendar)
    start = EventTime.parse("2026-03-04T09:00:00[Europe/Berlin]")
    end = EventTime.parse("2026-03-04T10:00:00[Europe/Berlin]")
    copy = Copy(id=twin, mark=mark, master=CopyComponent(start=start, end=end, title="Busy"))
    at.store("b").put(f"{twin}.ics", write_copy(copy, now=NOW))
    return f"{twin}.ics"


async def test_rule_3_of_twins_the_lowest_id_lives(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    first = only(at)[0]
    twin = await _twin(at)
    report = await at.app.sync(pair)
    assert ("delete", "twin") in done(report)
    assert set(at.store("b").resources) == {min(first, twin)}
    assert (await sync_anew(at, pair)).operations == ()
    at.store("a").delete("one.ics")
    await at.app.sync(pair)
    assert at.store("b").resources == {}, "and the link knows which of them it is"


async def test_rule_1_the_twin_that_lives_is_known_as_a_copy_whatever_is_written_to_it(
    quick_folder: Path, tmp_path: Path
) -> None:
    """Of some the first generation lives, of some the second: the mark has to say which."""
    secret = b"the same secret of this installation"
    names = [f"{number}.ics" for number in range(6)]
    async with memory_desk(quick_folder, secret=secret) as at:
        for name in names:
            at.store("a").put(name, event(name))
        pair = await at.pair()
        await at.app.sync(pair)
        first = set(at.store("b").resources)
        for name in names:
            await _twin(at, name)
        await at.app.sync(pair)
        stood = set(at.store("b").resources)
        assert len(stood) == 6
        assert stood & first
        assert stood - first
        for name in names:
            at.store("a").put(name, event(name, "20260306T090000", "20260306T100000"))
        assert (await at.app.sync(pair)).events_updated == 6
        stores = [dict(at.store(name).resources) for name in "ab"]
    async with memory_desk(tmp_path, secret=secret) as at:
        for name, resources in zip("ab", stores, strict=True):
            at.store(name).resources.update(resources)
        report = await at.app.sync(await at.pair())
        assert done(report) == [("adopt", "adopted")] * 6


async def test_rule_3_a_twin_that_is_another_pairs_copy_is_left_to_it(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    theirs = await at.app.pair(*await second_account(at), direction="a_to_b")
    await at.app.sync(theirs)
    twin = await _twin(at)
    mine = await at.pair(direction="a_to_b")
    report = await at.app.run(mine)
    assert done(report) == [("skip", "copied_already")]
    assert twin in at.store("b").resources
    assert len(at.store("b").resources) == 2


async def test_rule_5_the_oldest_pairs_copy_is_the_one_that_stays(at_memory: MemoryDesk) -> None:
    at = at_memory
    await at.add("c")
    older = await at.pair("a", "b", direction="a_to_b")
    newer = await at.pair("c", "b", direction="a_to_b")
    at.store("a").put("m.ics", event("meeting"))
    at.store("c").put("m.ics", event("meeting"))
    await at.app.sync(newer)
    for pair in (older, newer, older, newer):
        await sync_anew(at, pair)
    assert starts(at) == ["03-04 08:00"]
    at.store("c").delete("m.ics")
    assert (await sync_anew(at, newer)).operations == ()
    assert starts(at) == ["03-04 08:00"], "it is the older pair's"


async def test_rule_3_two_accounts_never_work_on_one_calendar_at_once(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    fill(at, 4)
    mine = await at.pair()
    theirs = await at.app.pair(*await second_account(at))
    call = MemoryCalendar._call
    at_work: dict[int, set[int]] = {}

    async def watched(self: MemoryCalendar, action: object) -> object:
        here = at_work.setdefault(id(self.store), set())
        here.add(id(self))
        assert len(here) == 1, "two runs are at work on one calendar"
        await asyncio.sleep(0.01)
        result = await call(self, action)  # type: ignore[arg-type]
        here.discard(id(self))
        return result

    monkeypatch.setattr(MemoryCalendar, "_call", watched)
    reports = await asyncio.gather(at.app.run(mine), at.app.run(theirs))
    assert [report.error for report in reports] == [None, None]


async def test_rule_17_our_own_unheard_write_is_no_deletion_by_a_person(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("s.ics", event("s", extra=WEEKLY))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    hole = "EXDATE;TZID=Europe/Berlin:20260311T090000"
    at.store("a").put("s.ics", event("s", extra=f"{WEEKLY}\n{hole}"))
    target = at.faults["http://127.0.0.1:1/b/"]
    target.calls, target.after = 0, {2}
    assert (await at.app.run(pair)).error is not None, "the listing is heard, the answer to the PUT is not"
    target.after = set()
    at.store("a").put("s.ics", event("s", "20260304T093000", "20260304T100000", extra=f"{WEEKLY}\n{hole}"))
    await at.app.sync(pair)
    at.store("a").put("s.ics", event("s", extra=WEEKLY))
    await at.app.sync(pair)
    assert "03-11 08:00" in starts(at)


async def test_rule_21_deletions_long_after_a_change_of_options_are_not_exempt(at_memory: MemoryDesk) -> None:
    at = at_memory
    fill(at, 20)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    await at.app.change_pair(pair, options={"future_days": 300})
    await at.app.sync(pair)
    for number in range(15):
        day = f"202603{3 + number:02}T0900{number:02}"
        at.store("a").put(f"{number}.ics", event(f"uid-{number}", day, None, extra="TRANSP:TRANSPARENT"))
    source = at.faults["http://127.0.0.1:1/a/"]
    source.calls = 0
    assert (await at.app.sync(pair)).events_deleted == 15
    fetches = (15 + 2) // 3
    assert source.calls == 1 + fetches + 1, "the source is read once more, in full"
