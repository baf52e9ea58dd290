"""Several pairs, accounts and installations on the same calendars (rules 1 to 5 and 20)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select

from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Resource
from calendarsync.providers.base import Unavailable
from calendarsync.store.tables import links, pairs
from tests.sync.helpers import done, fill, only, second_account, starts, sync_anew
from tests.testbed.events import event, vcalendar, vevent
from tests.testbed.memory import MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk, memory_desk


async def test_rule_3_two_accounts_that_see_an_event_at_once_write_one_copy(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    mine = await at.pair(direction="a_to_b")
    theirs = await at.app.pair(*await second_account(at), direction="a_to_b")
    await at.app.sync(mine)
    await at.app.sync(theirs)
    fill(at, 3)
    call = MemoryCalendar._call

    async def slow(self: MemoryCalendar, action: object) -> object:
        await asyncio.sleep(0.01)
        return await call(self, action)  # type: ignore[arg-type]

    monkeypatch.setattr(MemoryCalendar, "_call", slow)
    await asyncio.gather(at.app.run(mine), at.app.run(theirs))
    monkeypatch.undo()
    for pair in (mine, theirs, mine, theirs):
        await sync_anew(at, pair)
        assert len(at.store("b").resources) == 3


async def test_rules_3_and_17_what_a_person_deleted_no_other_account_brings_back(
    at_memory: MemoryDesk,
) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    mine = await at.pair(direction="a_to_b")
    theirs = await at.app.pair(*await second_account(at), direction="a_to_b")
    await at.app.sync(mine)
    await at.app.sync(theirs)
    at.store("b").delete(only(at)[0])
    for pair in (mine, theirs, mine):
        await sync_anew(at, pair)
    assert at.store("b").resources == {}
    async with at.app.db.read() as db:
        live = (await db.execute(select(links.c.id).where(links.c.state == "live"))).all()
    assert live == []


async def test_rule_3_a_pair_that_never_wrote_its_copy_blocks_nobody(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    theirs = await at.app.pair(*await second_account(at), direction="a_to_b")
    mine = await at.pair(direction="a_to_b")

    async def down(self: MemoryCalendar, copy: Copy) -> Resource:
        raise Unavailable("down")

    with monkeypatch.context() as patched:
        patched.setattr(MemoryCalendar, "create", down)
        await at.app.run(theirs)
    await at.app.change_pair(theirs, status="paused")
    assert (await at.app.sync(mine)).events_created == 1


async def _raced_by_another_installation(
    at: MemoryDesk, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    """Their copy arrives at the id of ours just before our create does."""
    at.store("a").put("one.ics", event("one"))
    async with memory_desk(folder / "other") as other:
        other.store("a").put("one.ics", event("one"))
        await other.app.sync(await other.pair(direction="a_to_b"))
        name, data = only(other)
    create = MemoryCalendar.create

    async def racing(self: MemoryCalendar, copy: Copy) -> Resource:
        if name not in at.store("b").resources:
            at.store("b").put(name, data)
        return await create(self, copy)

    monkeypatch.setattr(MemoryCalendar, "create", racing)
    pair = await at.pair(direction="a_to_b")
    await at.app.run(pair)
    return pair, name


async def test_rule_1_their_copy_outlives_our_source(
    at_memory: MemoryDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, name = await _raced_by_another_installation(at_memory, tmp_path, monkeypatch)
    at_memory.store("a").delete("one.ics")
    await at_memory.app.run(pair)
    assert name in at_memory.store("b").resources


async def test_rule_1_their_copy_outlives_our_pair(
    at_memory: MemoryDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, name = await _raced_by_another_installation(at_memory, tmp_path, monkeypatch)
    await at_memory.app.change_pair(pair, removal="remove")
    await at_memory.app.run(pair)
    assert await at_memory.app.row(pairs, pair) is None
    assert name in at_memory.store("b").resources


async def test_rules_1_and_4_a_confirmation_of_something_else_takes_no_foreign_copy(
    at_memory: MemoryDesk, tmp_path: Path
) -> None:
    at = at_memory
    theirs = event("theirs", "20260330T090000", "20260330T100000")
    async with memory_desk(tmp_path / "other") as other:
        other.store("a").put("theirs.ics", theirs)
        await other.app.sync(await other.pair(direction="a_to_b"))
        name, data = only(other)
    fill(at, 13)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    at.store("b").put(name, data)
    at.store("a").put("theirs.ics", theirs)
    assert ("skip", "id_taken") in done(await at.app.run(pair))
    for copy in [copy for copy in at.store("b").resources if copy != name]:
        at.store("b").delete(copy)
    assert (await at.app.run(pair)).status == "failed"
    assert (await at.app.run(pair, confirm=True)).status == "success"
    assert at.store("b").resources[name][1] == data


async def test_rule_4_a_foreign_copy_at_another_time_stops_nothing(
    at_memory: MemoryDesk, tmp_path: Path
) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    async with memory_desk(tmp_path / "other") as other:
        other.store("a").put("one.ics", event("one", "20260305T110000", "20260305T120000"))
        await other.app.sync(await other.pair(direction="a_to_b"))
        name, data = only(other)
    at.store("b").put(name, data)
    report = await at.app.run(await at.pair())
    assert (report.error, done(report)) == (None, [("skip", "id_taken")])


async def test_rule_5_a_moved_invitation_to_one_instance_from_two_calendars(at_memory: MemoryDesk) -> None:
    at = at_memory
    await at.add("c")
    where = "RECURRENCE-ID;TZID=Europe/Berlin:20260311T090000"
    invitation = vcalendar(vevent("m", "20260311T140000", "20260311T150000", extra=where))
    at.store("a").put("m.ics", invitation)
    at.store("c").put("m.ics", invitation)
    await at.app.sync(await at.pair("a", "b", direction="a_to_b"))
    report = await at.app.sync(await at.pair("c", "b", direction="a_to_b"))
    assert done(report) == [("skip", "copied_already")]
    assert starts(at) == ["03-11 13:00"]


async def test_rule_20_a_kept_id_that_is_written_again_is_a_copy_again(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    pair = await at.pair()
    await at.app.sync(pair)
    await at.app.change_pair(pair, removal="keep")
    await at.app.sync(pair)
    at.store("b").delete(only(at)[0])
    pair = await at.pair()
    for _ in range(3):
        await sync_anew(at, pair)
    assert set(at.store("a").resources) == {"one.ics"}
    assert len(at.store("b").resources) == 1


async def test_rule_20_a_copy_that_came_back_is_removed_with_its_pair(at_memory: MemoryDesk) -> None:
    at = at_memory
    fill(at, 1)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    name, data = only(at)
    at.store("b").delete(name)
    await at.app.sync(pair)
    at.store("b").put(name, data)
    await at.app.change_pair(pair, removal="remove")
    await at.app.sync(pair)
    assert at.store("b").resources == {}


async def test_rule_20_a_copy_that_cannot_be_read_is_removed_with_its_pair(at_memory: MemoryDesk) -> None:
    at = at_memory
    fill(at, 2)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    name = next(iter(at.store("b").resources))
    at.store("b").put(name, at.store("b").resources[name][1][:100])
    await at.app.change_pair(pair, removal="remove")
    await at.app.sync(pair)
    assert at.store("b").resources == {}


@pytest.mark.parametrize("seed", range(3))
async def test_rules_2_and_3_a_ring_of_three_calendars_comes_to_rest(
    at_memory: MemoryDesk, seed: int
) -> None:
    at = at_memory
    await at.add("c")
    ring = [await at.pair(*ends) for ends in (("a", "b"), ("b", "c"), ("c", "a"))]
    for number, name in enumerate("abc"):
        day = 3 + number + seed
        at.store(name).put(
            f"{name}.ics", event(f"own-{name}", f"202603{day:02}T090000", f"202603{day:02}T100000")
        )
        at.store(name).put("shared.ics", event("shared", "20260320T090000", "20260320T100000"))
    for pair in ring[seed:] + ring[:seed]:
        await at.app.sync(pair)
    for pair in ring:
        assert (await sync_anew(at, pair)).operations == ()
    assert [len(at.store(name).resources) for name in "abc"] == [4, 4, 4]
