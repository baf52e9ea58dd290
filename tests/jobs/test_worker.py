"""What runs when: the schedule, pauses, grants that rest, and a stop that loses nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import update

from calendarsync.jobs import worker as worker_module
from calendarsync.jobs.quotas import Quotas
from calendarsync.jobs.runs import LEASE
from calendarsync.providers.base import Calendar, NotAuthorized, RateLimited, Unreachable
from calendarsync.store.database import DatabaseUnavailable
from calendarsync.store.schedule import ConnectionRecord
from calendarsync.store.tables import connections, pairs
from calendarsync.sync.pace import share_of_first, slowest_interval
from calendarsync.sync.turns import FURTHEST, LONGEST_DEBT
from tests.jobs.conftest import POLL_SECONDS, Gate, Workplace, workplace
from tests.testbed.events import event
from tests.testbed.memory import MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk


async def test_a_new_pair_is_run_by_the_schedule_and_polled_from_then_on(
    at: MemoryDesk, scheduled: Workplace
) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    await scheduled.worker.start()
    await scheduled.until_logged(1)
    await scheduled.until_free(pair)
    assert len(at.store("b").resources) == 1
    at.store("a").put("2.ics", event("two", "20260305T090000", "20260305T100000"))
    at.app.clock.advance(seconds=300 * share_of_first(at.connections["a"]) - 1)
    await scheduled.tick()
    assert await scheduled.logged() == 1, "not before its time"
    at.app.clock.advance(seconds=2)
    await scheduled.tick()
    await scheduled.until_logged(2)
    assert len(at.store("b").resources) == 2


async def test_a_changed_pair_runs_at_once(at: MemoryDesk, scheduled: Workplace) -> None:
    pair = await at.pair()
    await scheduled.worker.start()
    await scheduled.until_logged(1)
    await scheduled.until_free(pair)
    at.store("a").put("1.ics", event("one"))
    at.app.clock.advance(seconds=1)
    await at.app.change_pair(pair, due_at=at.app.clock())
    scheduled.worker.wake()
    await scheduled.until_logged(2)


async def test_a_change_during_a_run_is_not_forgotten(at: MemoryDesk, asked: Workplace, gate: Gate) -> None:
    pair = await at.pair()
    ticket = await asked.trigger(pair)
    await gate.waiting.wait()
    at.app.clock.advance(seconds=1)
    changed_at = at.app.clock()
    await at.app.change_pair(pair, due_at=changed_at, options={"title": "New"})
    gate.open.set()
    await asyncio.wait_for(ticket.done, 20)
    assert (await at.app.row(pairs, pair)).due_at == changed_at


async def test_a_pause_during_a_run_holds(at: MemoryDesk, asked: Workplace, gate: Gate) -> None:
    pair = await at.pair()
    ticket = await asked.trigger(pair)
    await gate.waiting.wait()
    await at.app.change_pair(pair, status="paused", due_at=None)
    gate.open.set()
    await asyncio.wait_for(ticket.done, 20)
    row = await at.app.row(pairs, pair)
    assert (row.status, row.due_at) == ("paused", None)


async def test_rule_19_a_pause_ends_by_itself(at: MemoryDesk, scheduled: Workplace) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    resume_at = at.app.clock() + timedelta(hours=1)
    await at.app.change_pair(pair, status="paused", resume_at=resume_at, due_at=resume_at)
    await scheduled.worker.start()
    await scheduled.tick()
    assert at.store("b").resources == {}
    at.app.clock.advance(hours=2)
    await scheduled.tick()
    await scheduled.until_logged(1)
    row = await at.app.row(pairs, pair)
    assert (row.status, row.resume_at) == ("active", None)
    assert len(at.store("b").resources) == 1


async def test_rule_25_an_expired_connection_is_not_polled(
    at: MemoryDesk, scheduled: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for = 0

    async def refused(self: MemoryCalendar, *_: object, **__: object) -> object:
        nonlocal asked_for
        asked_for += 1
        raise NotAuthorized("the server refuses the credentials")

    pair = await at.pair()
    await scheduled.worker.start()
    with monkeypatch.context() as patched:
        patched.setattr(MemoryCalendar, "read", refused)
        await scheduled.until_logged(1)
        before = asked_for
        for _ in range(3):
            at.app.clock.advance(hours=1)
            await scheduled.tick()
        await scheduled.until_free(pair)
        assert await scheduled.logged() == 1
        assert asked_for == before
        assert (await at.app.row(pairs, pair)).due_at is None, "until somebody does something about it"
    async with at.app.db.write() as db:
        await db.execute(update(connections).values(status="active"))
    await at.app.change_pair(pair, due_at=at.app.clock())
    await scheduled.tick()
    await scheduled.until_logged(2)
    assert (await at.app.row(pairs, pair)).status == "active"


async def test_rule_24_a_grant_that_is_held_back_is_left_alone_by_all_its_pairs_and_after_a_restart(
    at: MemoryDesk, scheduled: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    await at.add("c")
    first, second = await at.pair("a", "b"), await at.pair("c", "b")
    asked_for = 0

    async def slow_down(self: MemoryCalendar, *_: object, **__: object) -> object:
        nonlocal asked_for
        asked_for += 1
        raise RateLimited("slow down", retry_after=900)

    with monkeypatch.context() as patched:
        patched.setattr(MemoryCalendar, "read", slow_down)
        await scheduled.worker.start()
        await scheduled.until_logged(1)
        await scheduled.until_free(first)
        await scheduled.until_free(second)
        assert asked_for <= 2, "one run of one pair, which asked both its ends at once"
        await scheduled.close()
        async with workplace(at, schedule=True) as restarted:
            at.app.clock.advance(seconds=890)
            await restarted.tick()
            assert asked_for <= 2
    async with workplace(at, schedule=True) as restarted:
        logged = await restarted.logged()
        at.app.clock.advance(seconds=20)
        await restarted.tick()
        await restarted.until_logged(logged + 2)
        assert {(await at.app.row(pairs, pair)).attention_code for pair in (first, second)} == {None}


async def test_a_connection_that_fails_is_polled_no_sooner_than_others(
    at: MemoryDesk, scheduled: Workplace
) -> None:
    await at.pair()

    def broken(connection: ConnectionRecord, calendar: Calendar) -> Calendar:
        raise Unreachable("the address is none")

    at.app.wrap = broken
    await scheduled.worker.start()
    await scheduled.until_logged(1)
    for _ in range(4):
        at.app.clock.advance(seconds=1)
        await scheduled.tick()
    assert await scheduled.logged() == 1


async def test_a_stop_lets_what_runs_come_to_its_end(
    at: MemoryDesk, scheduled: Workplace, gate: Gate
) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    await scheduled.worker.start()
    await gate.waiting.wait()
    stopping = asyncio.create_task(scheduled.worker.stop())
    await asyncio.sleep(0.05)
    gate.open.set()
    await stopping
    assert await scheduled.logged() == 1
    assert not await scheduled.held(pair)


async def test_a_stop_gives_back_what_does_not_come_to_its_end(
    at: MemoryDesk, asked: Workplace, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "DRAIN_SECONDS", 0.1)
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    running = await asked.trigger(pair)
    await gate.waiting.wait()
    waiting = await asked.trigger(pair)
    await asyncio.wait_for(asked.worker.stop(), 5)
    assert not await asked.held(pair)
    assert await asked.logged() == 0
    gate.open.set()
    async with workplace(at, schedule=False) as other:
        tickets = [other.results.expect(ticket.sync_id) for ticket in (running, waiting)]
        reports = await asyncio.wait_for(asyncio.gather(*(ticket.done for ticket in tickets)), 20)
    assert [report.status for report in reports] == ["success", "success"]
    assert await asked.logged() == 2


async def test_a_stop_begins_nothing_that_waits(at: MemoryDesk, asked: Workplace, gate: Gate) -> None:
    pair = await at.pair()
    running = await asked.trigger(pair)
    await gate.waiting.wait()
    await asked.trigger(pair)
    await asked.trigger(pair, dry_run=True)
    stopping = asyncio.create_task(asked.worker.stop())
    await asyncio.sleep(0.05)
    readings = gate.readings
    gate.open.set()
    await stopping
    assert (await asyncio.wait_for(running.done, 5)).status == "success"
    assert gate.readings == readings


async def test_lateness_is_told(at: MemoryDesk, scheduled: Workplace) -> None:
    assert await scheduled.runner.lateness() is None, "there is nothing to be late with"
    await at.pair()
    at.app.clock.advance(seconds=40)
    assert await scheduled.runner.lateness() == 41
    await scheduled.worker.start()
    await scheduled.until_logged(1)
    await asyncio.sleep(0.1)
    assert await scheduled.runner.lateness() == 0


async def test_pairs_that_wait_for_one_calendar_hold_up_no_other(
    at: MemoryDesk, scheduled: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    spokes: list[str] = []
    monkeypatch.setattr(worker_module, "RUNS_AT_ONCE", 8)
    for number in range(9):
        await at.add(f"spoke{number}")
        spokes.append(await at.pair("a", f"spoke{number}"))
    read = MemoryCalendar.read
    hub_is_free, hub_is_read = asyncio.Event(), asyncio.Event()

    async def slow_hub(self: MemoryCalendar, *args: object, **named: object) -> object:
        if self.store is at.store("a"):
            hub_is_read.set()
            await hub_is_free.wait()
        return await read(self, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(MemoryCalendar, "read", slow_hub)
    await scheduled.worker.start()
    await hub_is_read.wait()
    await at.add("x")
    await at.add("y")
    await at.pair("x", "y")
    await scheduled.tick()
    await scheduled.until_logged(1)
    hub_is_free.set()
    await scheduled.until_logged(len(spokes) + 1)


async def test_a_clock_that_is_set_back_puts_nothing_off(
    at: MemoryDesk, scheduled: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = await at.pair()
    await scheduled.worker.start()
    await scheduled.until_logged(1)
    await scheduled.until_free(pair)

    async def jumped() -> float:
        monkeypatch.undo()
        return -3600.0

    minded: list[timedelta] = []

    async def mind_the_clock() -> None:
        minded.append(at.app.clock() - before)

    before = at.app.clock()
    monkeypatch.setattr(at.app.db, "read_clock", jumped)
    at.app.clock.advance(hours=-1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scheduled.worker._deliverer, "mind_the_clock", mind_the_clock)
        await scheduled.tick()
    assert minded == [timedelta(hours=-1)], "deliveries too"
    assert (await at.app.row(pairs, pair)).due_at <= at.app.clock() + timedelta(seconds=300)
    at.app.clock.advance(seconds=301)
    await scheduled.tick()
    await scheduled.until_logged(2)


async def test_a_clock_that_was_set_back_is_minded_though_the_database_was_away_in_that_moment(
    at: MemoryDesk, scheduled: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turns are taken back further than at a start: then they may be meant so."""
    worker, jumps = scheduled.worker, [0.0, -3600.0, 0.0, 0.0]
    minded: list[int] = []
    pulled_in: list[timedelta] = []

    async def read_clock() -> float:
        return jumps.pop(0)

    async def mind_the_clock() -> None:
        minded.append(len(jumps))

    class Turns(Quotas):
        def __init__(self) -> None:
            """Of no project."""

        async def pull_in(self, furthest: timedelta) -> None:
            pulled_in.append(furthest)

    async def away(*_: object) -> None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(at.app.db, "read_clock", read_clock)
    monkeypatch.setattr(worker._deliverer, "mind_the_clock", mind_the_clock)
    monkeypatch.setattr(worker._runs, "quotas", Turns())
    await worker._mind_the_clock()
    with monkeypatch.context() as patch:
        patch.setattr(worker_module, "shorten_leases", away)
        with pytest.raises(DatabaseUnavailable):
            await worker._mind_the_clock()
    await worker._mind_the_clock()
    await worker._mind_the_clock()
    assert minded == [3, 1], "at the start, and once more"
    assert pulled_in == [FURTHEST, LONGEST_DEBT]


async def test_a_start_leaves_alone_what_others_have_just_claimed(
    at: MemoryDesk, scheduled: Workplace
) -> None:
    pair = await at.pair()
    until, due_at = at.app.clock() + LEASE + timedelta(seconds=1), at.app.clock() + timedelta(hours=1)
    claimed = {"generation": 1, "leased_until": until, "worker": "worker_other", "due_at": due_at}
    await at.app.change_pair(pair, **claimed)
    await scheduled.worker._mind_the_clock()
    row = await at.app.row(pairs, pair)
    assert {name: getattr(row, name) for name in claimed} == claimed


async def test_a_start_pulls_in_what_no_pace_can_have_put_off(at: MemoryDesk, scheduled: Workplace) -> None:
    """The clock may have been set back before. What a slow pace has put off stays, whoever starts."""
    for name in ("c", "d"):
        await at.add(name)
    slow, late = await at.pair("a", "b"), await at.pair("c", "d")
    slowest = timedelta(seconds=slowest_interval(POLL_SECONDS))
    now = at.app.clock()
    for pair, wait in ((slow, slowest - timedelta(seconds=1)), (late, slowest + timedelta(seconds=1))):
        await at.app.change_pair(pair, due_at=now + wait)
    await scheduled.worker.start()
    async with asyncio.timeout(20):
        while (await at.app.row(pairs, late)).due_at > now + timedelta(seconds=POLL_SECONDS):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (await at.app.row(pairs, slow)).due_at == now + slowest - timedelta(seconds=1)


async def test_a_clock_that_is_set_forward_costs_a_run_at_most(
    at: MemoryDesk, scheduled: Workplace, gate: Gate
) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    await scheduled.worker.start()
    await gate.waiting.wait()
    at.app.clock.advance(hours=1)
    await scheduled.tick()
    gate.open.set()
    await scheduled.until_logged(1)
    await scheduled.until_free(pair)
    assert len(at.store("b").resources) == 1
