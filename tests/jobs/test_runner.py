"""What runs when: the schedule, shared triggers, pauses, and a stop that loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from calendarsync.jobs import runner as runner_module
from calendarsync.jobs.runner import Runner
from calendarsync.providers.base import Calendar, NotAuthorized, Unreachable
from calendarsync.store import schedule
from calendarsync.store.schedule import ConnectionRecord
from calendarsync.store.tables import connections, pairs, runs
from calendarsync.sync.run import RUNS_AT_ONCE
from tests.testbed.events import event
from tests.testbed.memory import MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk, memory_desk


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(tmp_path) as desk:
        yield desk


@pytest.fixture
async def runner(at: MemoryDesk) -> AsyncIterator[Runner]:
    made = Runner(at.app.db, at.app.engine, now=at.app.clock)
    yield made
    await made.stop()


class Gate:
    """Holds up every reading until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = asyncio.Event()
        self.waiting = asyncio.Event()
        self.readings = 0
        read = MemoryCalendar.read

        async def gated(calendar: MemoryCalendar, *args: object, **named: object) -> object:
            self.readings += 1
            self.waiting.set()
            await self.open.wait()
            return await read(calendar, *args, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(MemoryCalendar, "read", gated)


async def _logged(at: MemoryDesk) -> int:
    async with at.app.db.read() as db:
        return int((await db.execute(select(func.count()).select_from(runs))).scalar_one())


async def _until_logged(at: MemoryDesk, count: int) -> None:
    async with asyncio.timeout(20):
        while await _logged(at) < count:  # noqa: ASYNC110 - the log is what a user sees, and it has no event
            await asyncio.sleep(0.02)


async def test_a_new_pair_is_run_by_the_schedule_and_polled_from_then_on(
    at: MemoryDesk, runner: Runner
) -> None:
    at.store("a").put("1.ics", event("one"))
    await at.pair()
    await runner.start()
    await _until_logged(at, 1)
    assert len(at.store("b").resources) == 1
    at.store("a").put("2.ics", event("two", "20260305T090000", "20260305T100000"))
    at.app.clock.advance(seconds=299)
    runner.wake()
    await asyncio.sleep(0.2)
    assert await _logged(at) == 1, "not before its time"
    at.app.clock.advance(seconds=2)
    runner.wake()
    await _until_logged(at, 2)
    assert len(at.store("b").resources) == 2


async def test_a_changed_pair_runs_at_once(at: MemoryDesk, runner: Runner) -> None:
    pair = await at.pair()
    await runner.start()
    await _until_logged(at, 1)
    at.store("a").put("1.ics", event("one"))
    await at.app.change_pair(pair, dirty_since=at.app.clock())
    runner.wake()
    await _until_logged(at, 2)
    assert (await at.app.row(pairs, pair)).dirty_since is None


async def test_a_change_during_a_run_is_not_forgotten(
    at: MemoryDesk, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = await at.pair()
    gate = Gate(monkeypatch)
    ticket = runner.trigger(pair)
    await gate.waiting.wait()
    at.app.clock.advance(seconds=1)
    await at.app.change_pair(pair, dirty_since=at.app.clock(), options={"title": "New"})
    gate.open.set()
    await ticket.done
    assert (await at.app.row(pairs, pair)).dirty_since is not None


async def test_a_pause_during_a_run_holds(
    at: MemoryDesk, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = await at.pair()
    gate = Gate(monkeypatch)
    ticket = runner.trigger(pair)
    await gate.waiting.wait()
    await at.app.change_pair(pair, status="paused")
    gate.open.set()
    await ticket.done
    assert (await at.app.row(pairs, pair)).status == "paused"


async def test_a_second_trigger_waits_for_a_run_of_its_own_and_a_third_shares_it(
    at: MemoryDesk, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = await at.pair()
    gate = Gate(monkeypatch)
    first = runner.trigger(pair)
    await gate.waiting.wait()
    await asyncio.sleep(0.1)
    at.store("a").put("late.ics", event("late"))
    second, third = runner.trigger(pair), runner.trigger(pair)
    assert second.sync_id == third.sync_id != first.sync_id
    assert gate.readings == 2, "one run at a time: both calendars are being read by the first"
    gate.open.set()
    reports = await asyncio.gather(first.done, second.done, third.done)
    assert reports[1] is reports[2]
    assert (await _logged(at)) == 2
    assert len(at.store("b").resources) == 1


async def test_fifty_triggers_in_a_burst_are_two_runs_at_most(at: MemoryDesk, runner: Runner) -> None:
    pair = await at.pair()
    tickets = [runner.trigger(pair) for _ in range(50)]
    await asyncio.gather(*(ticket.done for ticket in tickets))
    assert len({ticket.sync_id for ticket in tickets}) <= 2
    assert await _logged(at) <= 2


async def test_a_trigger_that_joins_a_scheduled_run_sees_what_came_before_it(
    at: MemoryDesk, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pairs of one round: the second waits for the hub, which the round has read already."""
    await at.add("c")
    first = await at.pair("a", "b")
    second = await at.pair("a", "c")
    gate = Gate(monkeypatch)
    await runner.start()
    await gate.waiting.wait()
    await asyncio.sleep(0.1)
    at.store("a").put("late.ics", event("late"))
    tickets = [runner.trigger(first), runner.trigger(second)]
    gate.open.set()
    await asyncio.gather(*(ticket.done for ticket in tickets))
    assert len(at.store("c").resources) == 1
    assert len(at.store("b").resources) == 1


async def test_a_dry_run_is_shared_with_no_real_one_and_writes_nothing(
    at: MemoryDesk, runner: Runner
) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    tickets = [runner.trigger(pair, dry_run=True), runner.trigger(pair, dry_run=True)]
    reports = await asyncio.gather(*(ticket.done for ticket in tickets))
    assert [operation.action for operation in reports[0].operations] == ["create"]
    assert at.store("b").resources == {}
    assert await _logged(at) == 0
    real = await runner.trigger(pair).done
    assert (real.events_created, real.events_processed) == (1, 1)


async def test_rule_19_a_pause_ends_by_itself(at: MemoryDesk, runner: Runner) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    resume_at = at.app.clock() + timedelta(hours=1)
    await at.app.change_pair(pair, status="paused", resume_at=resume_at, dirty_since=None)
    await runner.start()
    await asyncio.sleep(0.2)
    assert at.store("b").resources == {}
    at.app.clock.advance(hours=2)
    runner.wake()
    await _until_logged(at, 1)
    assert (await at.app.row(pairs, pair)).status == "active"
    assert len(at.store("b").resources) == 1


async def test_rule_19_the_schedule_sleeps_no_longer_than_a_pause(at: MemoryDesk, runner: Runner) -> None:
    pair = await at.pair()
    await at.app.sync(pair)
    resume_at = at.app.clock() + timedelta(seconds=4)
    await at.app.change_pair(pair, status="paused", resume_at=resume_at)
    assert await runner._tick() == 4
    at.app.clock.advance(seconds=900)
    assert await runner._tick() == 1
    assert runner.lateness() == 0, "it is due since it was resumed"


async def test_rule_25_an_expired_connection_is_not_polled(
    at: MemoryDesk, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(self: MemoryCalendar, *_: object, **__: object) -> object:
        raise NotAuthorized("the server refuses the credentials")

    pair = await at.pair()
    with monkeypatch.context() as patched:
        patched.setattr(MemoryCalendar, "read", refused)
        report = await runner.trigger(pair).done
    assert report.error is not None
    assert report.error.code == "not_authorized"
    await at.app.change_pair(pair, dirty_since=at.app.clock())
    at.app.clock.advance(hours=1)
    await runner.start()
    await asyncio.sleep(0.3)
    assert await _logged(at) == 1
    async with at.app.db.write() as db:
        await db.execute(update(connections).values(status="active"))
    runner.wake()
    await _until_logged(at, 2)
    assert (await at.app.row(pairs, pair)).status == "active"


async def test_rule_24_a_held_back_grant_is_not_polled_before_its_time(at: MemoryDesk) -> None:
    await at.pair()
    async with at.app.db.read() as db:
        connection = await schedule.load_connection(db, at.connections["b"])
    now = at.app.clock()
    async with at.app.db.write() as db:
        await schedule.hold_back_grant(db, connection, now + timedelta(minutes=2))
    async with at.app.db.read() as db:
        assert await schedule.due_pairs(db, now) == {}
        assert len(await schedule.due_pairs(db, now + timedelta(minutes=3))) == 1


async def test_a_stop_lets_what_runs_come_to_its_end(
    at: MemoryDesk, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    gate = Gate(monkeypatch)
    ticket = runner.trigger(pair)
    await gate.waiting.wait()
    stopping = asyncio.create_task(runner.stop())
    await asyncio.sleep(0.05)
    gate.open.set()
    await stopping
    assert (await ticket.done).status == "success"
    assert (await runner.trigger(pair).done).status == "failed", "and nothing new is begun"


async def test_a_stop_does_not_wait_for_ever(
    at: MemoryDesk, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "DRAIN_SECONDS", 0.1)
    pair = await at.pair()
    gate = Gate(monkeypatch)
    running = runner.trigger(pair)
    await gate.waiting.wait()
    waiting = runner.trigger(pair)
    await runner.stop()
    reports = await asyncio.wait_for(asyncio.gather(running.done, waiting.done), 5)
    assert [report.error.code for report in reports if report.error] == ["interrupted", "interrupted"]


async def test_a_defect_in_one_run_harms_no_other(
    at: MemoryDesk, runner: Runner, monkeypatch: pytest.MonkeyPatch
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
    reports = await asyncio.gather(runner.trigger(fine).done, runner.trigger(broken).done)
    assert reports[0].status == "success"
    assert reports[1].error is not None
    assert reports[1].error.code == "server_error"
    assert "title" not in reports[1].error.message


async def test_lateness_is_told(at: MemoryDesk, runner: Runner) -> None:
    assert runner.lateness() is None
    await runner.start()
    await asyncio.sleep(0.1)
    assert runner.lateness() == 0.0


async def test_pairs_that_wait_for_one_calendar_hold_up_no_other(
    at: MemoryDesk, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(RUNS_AT_ONCE + 1):
        await at.add(f"spoke{number}")
    await at.add("x")
    await at.add("y")
    spokes = [await at.pair("a", f"spoke{number}") for number in range(RUNS_AT_ONCE + 1)]
    other = await at.pair("x", "y")
    read = MemoryCalendar.read
    hub_is_free = asyncio.Event()

    async def slow_hub(self: MemoryCalendar, *args: object, **named: object) -> object:
        if self.store is at.store("a"):
            await hub_is_free.wait()
        return await read(self, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(MemoryCalendar, "read", slow_hub)
    tickets = [runner.trigger(pair) for pair in spokes]
    await asyncio.sleep(0.2)
    report = await asyncio.wait_for(asyncio.shield(runner.trigger(other).done), 10)
    assert report.status == "success"
    hub_is_free.set()
    await asyncio.gather(*(ticket.done for ticket in tickets))


async def test_a_stop_begins_nothing_that_waits(
    at: MemoryDesk, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = await at.pair()
    gate = Gate(monkeypatch)
    running = runner.trigger(pair)
    await gate.waiting.wait()
    await asyncio.sleep(0.05)
    waiting = [runner.trigger(pair), runner.trigger(pair, dry_run=True)]
    stopping = asyncio.create_task(runner.stop())
    await asyncio.sleep(0.05)
    readings = gate.readings
    gate.open.set()
    await stopping
    assert (await running.done).status == "success"
    reports = [await ticket.done for ticket in waiting]
    assert [report.error.code for report in reports if report.error] == ["interrupted"] * 2
    assert gate.readings == readings


async def test_a_connection_that_fails_is_polled_no_sooner_than_others(
    at: MemoryDesk, runner: Runner
) -> None:
    await at.pair()

    def broken(connection: ConnectionRecord, calendar: Calendar) -> Calendar:
        raise Unreachable("the address is none")

    at.app.wrap = broken
    await runner.start()
    await _until_logged(at, 1)
    for _ in range(4):
        at.app.clock.advance(seconds=1)
        runner.wake()
        await asyncio.sleep(0.05)
    assert await _logged(at) == 1
