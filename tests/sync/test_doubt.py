"""Readings that cannot be relied on, and runs that go wrong half-way (rules 12, 20 to 22 and 24)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Problem, Resource
from calendarsync.domain.link import Direction
from calendarsync.providers.base import Calendar, RateLimited, Refused, Unreachable
from calendarsync.store import schedule
from calendarsync.store.claims import Claim
from calendarsync.store.schedule import ConnectionRecord
from calendarsync.store.tables import connections, pairs
from calendarsync.sync import round as rounds
from calendarsync.sync.actions import FlowPlan
from calendarsync.sync.admission import held_back
from calendarsync.sync.apply import Applier
from tests.sync.helpers import FIRST, LAST, WEEKLY, done, empty_unnamed, fill
from tests.testbed.events import event
from tests.testbed.memory import MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk


async def _status(at: MemoryDesk, pair: str) -> str:
    return str((await at.app.row(pairs, pair)).status)


async def _due(at: MemoryDesk) -> list[str]:
    """The pairs that the schedule would run now."""
    now = at.app.clock()
    async with at.app.db.read() as db:
        due = (
            await db.execute(select(pairs).where(pairs.c.due_at <= now, pairs.c.leased_until.is_(None)))
        ).all()
        claims = [Claim(row.id, row.generation, row.due_at, due=True) for row in due]
    async with at.app.db.write() as db:
        await db.execute(update(pairs).values(leased_until=now + timedelta(hours=1)))
        found, ends = await schedule.load_claimed(db, claims)
        await db.execute(update(pairs).values(leased_until=None))
    return [pair.id for pair in found.values() if held_back(pair, ends, now) is None]


async def test_rule_12_the_old_form_stays_while_the_new_one_is_refused(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    at.store("a").put("s.ics", event("s", extra=WEEKLY))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    create = MemoryCalendar.create

    async def refusing(self: MemoryCalendar, copy: Copy) -> Resource:
        if copy.master.start.local.day == 11:
            raise Refused("no")
        return await create(self, copy)

    monkeypatch.setattr(MemoryCalendar, "create", refusing)
    at.store("a").put("s.ics", event("s", extra=f"{WEEKLY}\nEXRULE:FREQ=YEARLY;COUNT=1"))
    wanted = {start for start, _ in at.busy("a", FIRST, LAST)}
    for _ in range(2):
        assert (await at.app.run(pair)).status == "partial"
        assert wanted <= {start for start, _ in at.busy("b", FIRST, LAST, copies=True)}
    monkeypatch.undo()
    at.app.clock.advance(hours=25)
    assert (await at.app.sync(pair)).events_deleted == 1
    assert {start for start, _ in at.busy("b", FIRST, LAST, copies=True)} == wanted


async def test_rule_21_a_target_that_reads_empty_was_not_emptied_by_a_person(at_memory: MemoryDesk) -> None:
    at = at_memory
    fill(at, 8)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    truth = dict(at.store("b").resources)
    empty_unnamed(at, "b")
    assert (await at.app.run(pair)).status == "failed"
    assert await _status(at, pair) == "needs_attention"
    at.store("b").resources.update(truth)
    at.store("b").forget_tokens()
    at.store("b").journal.append("again")
    at.store("b").forget_tokens()
    report = await at.app.sync(pair)
    assert (report.events_created, await _status(at, pair)) == (0, "active")


async def test_rule_21_one_new_event_does_not_speak_for_the_lost_ones(at_memory: MemoryDesk) -> None:
    at = at_memory
    fill(at, 12)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    empty_unnamed(at, "a")
    await at.app.run(pair)
    at.store("a").put("new.ics", event("new", "20260320T090000", None))
    assert (await at.app.run(pair)).status == "failed"
    assert len(at.store("b").resources) == 12


async def test_rule_21_nor_does_a_copy_that_another_pair_writes_there(at_memory: MemoryDesk) -> None:
    at = at_memory
    await at.add("c")
    fill(at, 8)
    pair = await at.pair("a", "b", direction="a_to_b")
    other = await at.pair("c", "a", direction="a_to_b")
    await at.app.sync(pair)
    await at.app.sync(other)
    empty_unnamed(at, "a")
    await at.app.run(pair)
    at.store("c").put("new.ics", event("new", "20260320T090000", None))
    await at.app.run(other)
    at.store("a").forget_tokens()
    assert (await at.app.run(pair)).status == "failed"
    assert len(at.store("b").resources) == 8


async def test_rule_21_each_pair_is_confirmed_by_itself(at_memory: MemoryDesk) -> None:
    at = at_memory
    await at.add("c")
    fill(at, 8)
    first = await at.pair("a", "b", direction="a_to_b")
    second = await at.pair("a", "c", direction="a_to_b")
    await at.app.sync(first)
    await at.app.sync(second)
    empty_unnamed(at, "a")
    await at.app.run(first)
    await at.app.run(second)
    assert (await at.app.run(first, confirm=True)).events_deleted == 8
    assert (await at.app.run(second)).status == "failed"
    assert len(at.store("c").resources) == 8


async def test_rule_21_a_stop_in_the_middle_of_the_reading_does_not_lose_the_doubt(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    fill(at, 8)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    empty_unnamed(at, "a")

    async def stopped(*_: object, **__: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(rounds, "note_reading", stopped)
        with pytest.raises(asyncio.CancelledError):
            await at.app.run(pair)
    assert (await at.app.run(pair)).status == "failed"
    assert len(at.store("b").resources) == 8


async def test_rule_21_a_full_run_is_one_reading_too(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    fill(at, 20)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    truth = dict(at.store("a").resources)
    for number in range(15):
        del at.store("a").resources[f"{number}.ics"]
    read = MemoryCalendar.read
    readings = []

    async def lying_once(self: MemoryCalendar, *args: object, **named: object) -> object:
        if self.store is at.store("a"):
            readings.append(1)
            if len(readings) > 1:
                at.store("a").resources.update(truth)
        return await read(self, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(MemoryCalendar, "read", lying_once)
    assert (await at.app.run(pair, full=True)).events_deleted == 0


async def test_rule_22_what_could_not_be_read_is_tried_again_in_a_day(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    fill(at, 2)
    pair = await at.pair(direction="a_to_b")
    fetch = MemoryCalendar.fetch

    async def stumbling(self: MemoryCalendar, ids: list[str]) -> list[Resource]:
        return [
            Resource(found.id, found.version, "", (), problem=Problem.UNREADABLE)
            if found.id == "0.ics"
            else found
            for found in await fetch(self, ids)
        ]

    with monkeypatch.context() as patched:
        patched.setattr(MemoryCalendar, "fetch", stumbling)
        assert (await at.app.run(pair)).status == "partial"
    assert (await at.app.run(pair)).status == "partial", "unchanged, it is left alone for a day"
    at.app.clock.advance(hours=25)
    assert (await at.app.sync(pair)).events_created == 1


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Asia/Tokyo"])
@pytest.mark.parametrize("until", ["99991231T235959", "00010101T000000"])
async def test_rule_22_the_ends_of_time_stop_no_pair(at_memory: MemoryDesk, zone: str, until: str) -> None:
    at = at_memory
    fill(at, 3)
    at.store("a").put("odd.ics", event("odd", zone=zone, extra=f"RRULE:FREQ=WEEKLY;UNTIL={until}"))
    report = await at.app.run(await at.pair())
    assert report.error is None
    assert report.events_created >= 3


async def test_rule_22_a_defect_of_ours_costs_one_event(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    fill(at, 3)
    pair = await at.pair()
    create = MemoryCalendar.create

    async def tripping(self: MemoryCalendar, copy: Copy) -> Resource:
        if copy.master.start.local.second == 1:
            raise KeyError("a secret title")
        return await create(self, copy)

    monkeypatch.setattr(MemoryCalendar, "create", tripping)
    report = await at.app.run(pair)
    assert (report.status, report.events_created) == ("partial", 2)
    assert ("skip", "defect") in done(report)


async def test_a_connection_that_cannot_be_opened_is_not_tried_at_every_tick(at_memory: MemoryDesk) -> None:
    at = at_memory
    pair = await at.pair()

    def broken(connection: ConnectionRecord, calendar: Calendar) -> Calendar:
        raise Unreachable("the address is none")

    at.app.wrap = broken
    report = await at.app.run(pair)
    assert report.error is not None
    assert report.error.code == "unreachable"
    assert await _due(at) == []
    assert await _status(at, pair) == "error"


async def test_a_connection_whose_credentials_cannot_be_read(at_memory: MemoryDesk) -> None:
    at = at_memory
    pair = await at.pair()
    async with at.app.db.write() as db:
        await db.execute(update(connections).values(credentials_encrypted=b"damaged"))
    report = await at.app.run(pair)
    assert report.error is not None
    assert "connect it anew" in report.error.message
    assert await _due(at) == []


async def test_rule_20_a_removal_that_is_refused_waits_for_the_next_poll(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    fill(at, 1)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)

    async def refused(self: MemoryCalendar, *_: object) -> None:
        raise Refused("no")

    at.app.clock.advance(hours=1)
    await at.app.change_pair(pair, removal="remove", due_at=at.app.clock())
    with monkeypatch.context() as patched:
        patched.setattr(MemoryCalendar, "delete", refused)
        assert (await at.app.run(pair)).status == "partial"
    assert await _due(at) == []
    at.app.clock.advance(minutes=6)
    assert await _due(at) == [pair]
    await at.app.sync(pair)
    assert at.store("b").resources == {}


async def test_rule_20_a_removal_needs_only_the_grant_of_the_calendar_written_to(
    at_memory: MemoryDesk,
) -> None:
    at = at_memory
    fill(at, 1)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    await at.app.change_pair(pair, removal="remove", due_at=at.app.clock())
    async with at.app.db.write() as db:
        source = connections.c.id == at.connections["a"]
        await db.execute(update(connections).where(source).values(status="expired"))
    assert await _due(at) == [pair]
    await at.app.sync(pair)
    assert at.store("b").resources == {}


async def test_rule_24_no_pair_of_a_round_asks_a_grant_that_asked_for_time(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    await at.add("c")
    first, second = await at.pair("a", "b"), await at.pair("c", "b")
    asked = []

    async def limited(self: MemoryCalendar, *_: object, **__: object) -> object:
        asked.append(self)
        raise RateLimited("slow", retry_after=600)

    monkeypatch.setattr(MemoryCalendar, "read", limited)
    round_ = at.app.engine.new_round()
    await at.app.run(first, round_=round_)
    count = len(asked)
    await at.app.run(second, round_=round_)
    assert len(asked) == count


async def test_a_defect_in_one_direction_lets_the_other_come_to_its_end(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    at.store("b").put("two.ics", event("two", "20260310T090000", None))
    pair = await at.pair()
    create = MemoryCalendar.create
    note = Applier._note_intentions
    ended: list[bool] = []

    async def slow(self: MemoryCalendar, copy: Copy) -> Resource:
        await asyncio.sleep(0.1)
        ended.append(True)
        return await create(self, copy)

    async def broken(self: Applier, plan: FlowPlan) -> None:
        if plan.direction is Direction.A_TO_B:
            raise RuntimeError("the database is gone")
        await note(self, plan)

    monkeypatch.setattr(MemoryCalendar, "create", slow)
    monkeypatch.setattr(Applier, "_note_intentions", broken)
    report = await at.app.run(pair)
    assert report.error is not None
    assert ended, "no write is made after the run has given its calendars back"
