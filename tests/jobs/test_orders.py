"""Runs that somebody asks for: shared, told, and never side by side (API.md, trigger)."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from calendarsync.store.orders import place_on
from calendarsync.store.tables import orders, pairs, runs
from tests.jobs.conftest import Gate, Workplace, workplace
from tests.testbed.events import event
from tests.testbed.memory import MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk

_LOGGED = select(runs.c.trigger, runs.c.events_created).order_by(runs.c.created_at, runs.c.id)


async def test_a_second_trigger_waits_for_a_run_of_its_own_and_a_third_shares_it(
    at: MemoryDesk, asked: Workplace, gate: Gate
) -> None:
    pair = await at.pair()
    first = await asked.trigger(pair)
    await gate.waiting.wait()
    await asyncio.sleep(0.1)
    at.store("a").put("late.ics", event("late"))
    second, third = await asked.trigger(pair), await asked.trigger(pair)
    assert second.sync_id == third.sync_id != first.sync_id
    assert gate.readings == 2, "one run at a time: both calendars are being read by the first"
    gate.open.set()
    reports = await asyncio.wait_for(asyncio.gather(first.done, second.done, third.done), 20)
    assert reports[1] == reports[2]
    assert await asked.logged() == 2
    assert len(at.store("b").resources) == 1


async def test_two_triggers_at_once_are_one_run_or_one_after_the_other(
    at: MemoryDesk, asked: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    side_by_side = _count_side_by_side(monkeypatch, at)
    pair = await at.pair()
    reports = await asyncio.gather(asked.report(pair), asked.report(pair))
    assert {report.status for report in reports} == {"success"}
    assert await asked.logged() == len({report.sync_id for report in reports}) <= 2
    assert max(side_by_side) == 1


async def test_fifty_triggers_in_a_burst_are_two_runs_at_most(
    at: MemoryDesk, asked: Workplace, gate: Gate
) -> None:
    pair = await at.pair()
    first = await asked.trigger(pair)
    await gate.waiting.wait()
    tickets = [first, *await asyncio.gather(*(asked.trigger(pair) for _ in range(49)))]
    gate.open.set()
    reports = await asyncio.wait_for(asyncio.gather(*(ticket.done for ticket in tickets)), 20)
    assert len({report.sync_id for report in reports}) == 2
    assert {report.status for report in reports} == {"success"}
    assert await asked.logged() == 2


async def test_what_joins_asks_for_all_that_was_asked_for(
    at: MemoryDesk, asked: Workplace, gate: Gate
) -> None:
    pair = await at.pair()
    await asked.trigger(pair)
    await gate.waiting.wait()
    plain, full = await asked.trigger(pair), await asked.trigger(pair, full=True)
    async with at.app.db.read() as db:
        (waiting,) = (await db.execute(select(orders).where(orders.c.generation.is_(None)))).all()
    assert (waiting.sync_id, waiting.full, waiting.confirm) == (plain.sync_id, True, False)
    gate.open.set()
    await asyncio.wait_for(full.done, 20)


async def test_a_trigger_that_joins_the_order_of_a_push_is_a_trigger(
    at: MemoryDesk, scheduled: Workplace
) -> None:
    """Where nothing changed a push does no more than a poll does; what is asked for plans (rule 7)."""
    pair = await _about_to_reach(at, "20260401T000000Z")
    async with at.app.db.write() as db:
        assert await place_on(db, list(at.connections.values()), "push", at.app.db.now())
    ticket = await scheduled.trigger(pair)
    await scheduled.worker.start(schedule=False)
    assert (await asyncio.wait_for(ticket.done, 20)).events_created == 1
    async with at.app.db.read() as db:
        assert (await db.execute(select(orders.c.trigger, orders.c.urgent))).all() == [("api", True)]
        assert (
            await db.execute(select(runs.c.trigger).order_by(runs.c.created_at, runs.c.id))
        ).scalars().all()[-1] == "api"


async def test_a_trigger_during_a_poll_is_a_run_that_plans(
    at: MemoryDesk, scheduled: Workplace, gate: Gate
) -> None:
    gate.open.set()
    pair = await _about_to_reach(at, "20260401T000000Z")
    gate.open.clear()
    gate.waiting.clear()
    await at.app.change_pair(pair, due_at=at.app.db.now())
    await scheduled.worker.start()
    await gate.waiting.wait()
    ticket = await scheduled.trigger(pair)
    gate.open.set()
    assert (await asyncio.wait_for(ticket.done, 20)).events_created == 1
    async with at.app.db.read() as db:
        told = (
            await db.execute(
                select(runs.c.trigger, runs.c.events_created).order_by(runs.c.created_at, runs.c.id)
            )
        ).all()
    assert told[-2:] == [("schedule", 0), ("api", 1)]


async def _about_to_reach(at: MemoryDesk, start: str) -> str:
    """A pair in step whose window an event has just come into; no poll is to plan before the day is over."""
    at.store("a").put("far.ics", event("far", start, start.replace("T00", "T01")))
    pair = await at.pair(direction="a_to_b", future_days=100)
    at.app.clock.now = datetime.strptime(start, "%Y%m%dT%H%M%S%z") - timedelta(days=100, minutes=1)
    for _ in range(3):
        assert (await at.app.sync(pair)).operations == ()
    at.app.clock.advance(minutes=15)
    return pair


async def test_a_trigger_that_joins_a_round_sees_what_came_before_it(
    at: MemoryDesk, scheduled: Workplace, gate: Gate
) -> None:
    """Two pairs of one round: the second waits for the hub, which the round has read already."""
    await at.add("c")
    first = await at.pair("a", "b")
    second = await at.pair("a", "c")
    await scheduled.worker.start()
    await gate.waiting.wait()
    await asyncio.sleep(0.1)
    at.store("a").put("late.ics", event("late"))
    tickets = [await scheduled.trigger(first), await scheduled.trigger(second)]
    gate.open.set()
    await asyncio.wait_for(asyncio.gather(*(ticket.done for ticket in tickets)), 20)
    assert len(at.store("c").resources) == 1
    assert len(at.store("b").resources) == 1


async def test_a_dry_run_is_shared_with_no_real_one_and_writes_nothing(
    at: MemoryDesk, asked: Workplace
) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    due_at = (await at.app.row(pairs, pair)).due_at
    reports = await asyncio.gather(asked.report(pair, dry_run=True), asked.report(pair, dry_run=True))
    assert [operation.action for operation in reports[0].operations] == ["create"]
    assert at.store("b").resources == {}
    assert await asked.logged() == 0
    assert (await at.app.row(pairs, pair)).due_at == due_at, "and it is as due as before"
    real = await asked.report(pair)
    assert (real.events_created, real.events_processed) == (1, 1)


async def test_a_dry_run_and_a_real_one_that_wait_together_are_both_done(
    at: MemoryDesk, scheduled: Workplace
) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    dry = await scheduled.trigger(pair, dry_run=True)
    at.app.clock.advance(seconds=1)
    real = await scheduled.trigger(pair)
    await scheduled.worker.start(schedule=False)
    told = await asyncio.wait_for(asyncio.gather(dry.done, real.done), 20)
    assert [operation.action for operation in told[0].operations] == ["create"]
    assert told[1].events_created == 1
    assert await scheduled.logged() == 1


async def test_an_order_is_carried_out_by_whoever_comes(at: MemoryDesk, scheduled: Workplace) -> None:
    """It stands in the database: nobody works when it is placed, and no wake-up arrives."""
    pair = await at.pair()
    ticket = await scheduled.trigger(pair)
    async with workplace(at, schedule=False) as other:
        await asyncio.wait_for(other.results.expect(ticket.sync_id).done, 20)
    assert await scheduled.logged() == 1


async def test_an_order_whose_run_was_broken_off_is_carried_out_again_under_its_own_id(
    at: MemoryDesk, asked: Workplace, gate: Gate
) -> None:
    pair = await at.pair()
    ticket = await asked.trigger(pair)
    await gate.waiting.wait()
    await at.app.hold(pair)  # another has it: what the first one does comes to nothing
    gate.open.set()
    await at.app.change_pair(pair, leased_until=None)
    asked.worker.wake()
    report = await asyncio.wait_for(ticket.done, 20)
    assert report.status == "success"
    assert await asked.logged() == 1


async def test_an_order_for_a_pair_that_is_paused_meanwhile_is_refused(
    at: MemoryDesk, asked: Workplace
) -> None:
    pair = await at.pair()
    await at.app.change_pair(pair, status="paused")
    report = await asked.report(pair)
    assert report.error is not None
    assert report.error.code == "paused"
    assert await asked.logged() == 0


async def test_a_removal_is_ordered_as_a_run_is(at: MemoryDesk, asked: Workplace) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    assert (await asked.report(pair)).events_created == 1
    await at.app.change_pair(pair, removal="remove")
    assert (await asked.report(pair)).status == "success"
    assert await at.app.row(pairs, pair) is None
    assert at.store("b").resources == {}


async def test_a_defect_in_one_run_harms_no_other(
    at: MemoryDesk, asked: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    await at.add("c")
    at.store("a").put("1.ics", event("one"))
    fine, broken = await at.pair("a", "b"), await at.pair("a", "c")
    read = MemoryCalendar.read

    async def defective(self: MemoryCalendar, *args: object, **named: object) -> object:
        if self.store is at.store("c"):
            raise RuntimeError("a secret title")
        return await read(self, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(MemoryCalendar, "read", defective)
    reports = await asyncio.gather(asked.report(fine), asked.report(broken))
    assert reports[0].status == "success"
    assert reports[1].error is not None
    assert reports[1].error.code == "server_error"
    assert "title" not in reports[1].error.message


async def test_a_defect_outside_the_run_is_told_too_and_not_repeated_at_once(
    at: MemoryDesk, asked: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = await at.pair()
    broken_for = 0

    async def broken(*_: object, **__: object) -> None:
        nonlocal broken_for
        broken_for += 1
        raise RuntimeError("a secret title")

    monkeypatch.setattr(type(at.app.engine._finisher), "finish", broken)
    report = await asked.report(pair)
    assert report.error is not None
    assert report.error.code == "server_error"
    row = await at.app.row(pairs, pair)
    assert (row.leased_until, row.due_at > at.app.clock(), broken_for) == (None, True, 1)


def _count_side_by_side(monkeypatch: pytest.MonkeyPatch, at: MemoryDesk) -> list[int]:
    """How many readings of calendar a are under way, at the beginning of each."""
    read, now, seen = MemoryCalendar.read, 0, [0]

    async def counted(self: MemoryCalendar, *args: object, **named: object) -> object:
        nonlocal now
        if self.store is not at.store("a"):
            return await read(self, *args, **named)  # type: ignore[arg-type]
        now += 1
        seen.append(now)
        try:
            await asyncio.sleep(0.05)
            return await read(self, *args, **named)  # type: ignore[arg-type]
        finally:
            now -= 1

    monkeypatch.setattr(MemoryCalendar, "read", counted)
    return seen
