"""What goes wrong around runs: nobody waits in vain, nothing is begun twice, and nothing ends a worker."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from calendarsync.api.v1 import removal
from calendarsync.jobs import runs as runs_module
from calendarsync.jobs import worker as worker_module
from calendarsync.jobs.results import Results
from calendarsync.store.database import DatabaseUnavailable
from calendarsync.store.tables import orders, pairs, runs
from calendarsync.store.tenancy import Tenant
from calendarsync.sync.report import RunReport, RunStatus
from tests.jobs.conftest import Gate, Workplace, workplace
from tests.testbed.events import event
from tests.testbed.memory_desk import MemoryDesk


async def _abandon(at: MemoryDesk, place: Workplace, pair: str) -> None:
    settings = SimpleNamespace(poll_interval_seconds=300)
    services: Any = SimpleNamespace(db=at.app.db, now=at.app.clock, runner=place.runner, settings=settings)
    caller: Any = SimpleNamespace(tenant=Tenant(at.account, "live"))
    await removal.remove_pairs(services, caller, [pair], _may_be, keep_copies=False, abandon=True)


async def _may_be(_: object) -> None:
    """Nothing speaks against it."""


async def test_who_waits_for_a_pair_that_is_abandoned_is_told(at: MemoryDesk, scheduled: Workplace) -> None:
    pair = await at.pair()
    ticket = await scheduled.trigger(pair)
    await _abandon(at, scheduled, pair)
    report = await asyncio.wait_for(ticket.done, 5)
    assert report.error is not None
    assert (report.sync_id, report.error.code) == (ticket.sync_id, "not_found")


async def test_nothing_is_ordered_of_a_pair_that_is_gone(at: MemoryDesk, scheduled: Workplace) -> None:
    pair = await at.pair()
    await _abandon(at, scheduled, pair)
    with pytest.raises(LookupError):
        await scheduled.trigger(pair)


async def test_both_orders_of_a_pair_that_the_first_one_removes_are_told(
    at: MemoryDesk, scheduled: Workplace
) -> None:
    pair = await at.pair()
    removing = await scheduled.trigger(pair)
    at.app.clock.advance(seconds=1)
    second = await scheduled.trigger(pair, dry_run=True)
    await at.app.change_pair(pair, removal="remove")
    await scheduled.worker.start(schedule=False)
    reports = await asyncio.wait_for(asyncio.gather(removing.done, second.done), 5)
    assert [report.status for report in reports] == ["success", "failed"]
    assert [report.sync_id for report in reports] == [removing.sync_id, second.sync_id]


async def test_rule_19_a_pair_that_is_paused_while_it_waits_for_its_calendar_does_not_run(
    at: MemoryDesk, scheduled: Workplace, gate: Gate
) -> None:
    await at.add("c")
    at.store("a").put("1.ics", event("one"))
    first, second = await at.pair("a", "b"), await at.pair("a", "c")
    await scheduled.worker.start()
    await gate.waiting.wait()
    await asyncio.sleep(0.3)
    await at.app.change_pair(second, status="paused", due_at=None)
    gate.open.set()
    await scheduled.until_free(first)
    await scheduled.until_free(second)
    assert len(at.store("b").resources) == 1
    assert at.store("c").resources == {}


async def test_a_renewal_that_fails_is_tried_again(
    at: MemoryDesk, scheduled: Workplace, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "BEAT_SECONDS", 0.05)
    renew, calls, renewed = runs_module.renew, 0, asyncio.Event()

    async def failing(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise DBAPIError("UPDATE", {}, Exception("a defect"))
        renewed.set()
        return await renew(*given)

    monkeypatch.setattr(runs_module, "renew", failing)
    pair = await at.pair()
    await scheduled.worker.start()
    await gate.waiting.wait()
    await asyncio.wait_for(renewed.wait(), 20)
    gate.open.set()
    await scheduled.until_logged(1)
    await scheduled.until_free(pair)


async def test_what_arrives_while_a_worker_stops_is_given_back(
    at: MemoryDesk, scheduled: Workplace, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, loading, go_on = runs_module.load_claimed, asyncio.Event(), asyncio.Event()

    async def slow(*given: Any) -> Any:
        loading.set()
        await go_on.wait()
        return await load(*given)

    monkeypatch.setattr(runs_module, "load_claimed", slow)
    pair = await at.pair()
    await scheduled.worker.start()
    await loading.wait()
    stopping = asyncio.create_task(scheduled.worker.stop())
    await asyncio.sleep(0.05)
    go_on.set()
    await asyncio.wait_for(stopping, 20)
    assert gate.readings == 0
    assert not await scheduled.held(pair)


async def test_a_stop_does_not_wait_for_a_database_that_says_nothing(
    at: MemoryDesk, asked: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stops the process kills it before that one has been given up."""

    async def silent(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(runs_module, "retire", silent)
    monkeypatch.setattr(worker_module, "DRAIN_SECONDS", 0.1)
    await asyncio.wait_for(asked.worker.stop(), 20)


async def test_what_was_claimed_and_could_not_be_read_is_claimed_again_at_once(
    at: MemoryDesk, scheduled: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection to the database that breaks in that moment costs nobody the length of a lease."""
    polled, ordered = await at.pair(), await at.pair()
    ticket = await scheduled.trigger(ordered)
    load, failures = runs_module.load, 2

    async def failing(*args: Any) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise DatabaseUnavailable("away")
        return await load(*args)

    monkeypatch.setattr(worker_module, "load", failing)
    await scheduled.worker.start()
    assert (await asyncio.wait_for(ticket.done, 10)).status == "success"
    await scheduled.until_logged(2)
    assert (await at.app.row(pairs, polled)).last_synced_at is not None
    assert not failures


async def test_a_defect_after_one_of_two_orders_leaves_the_first_as_it_was(
    at: MemoryDesk, scheduled: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = await at.pair()
    dry = await scheduled.trigger(pair, dry_run=True)
    at.app.clock.advance(seconds=1)
    real = await scheduled.trigger(pair)

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a secret title")

    monkeypatch.setattr(type(at.app.engine._finisher), "finish", broken)
    await scheduled.worker.start(schedule=False)
    reports = await asyncio.wait_for(asyncio.gather(dry.done, real.done), 10)
    assert [report.status for report in reports] == ["success", "failed"]
    async with at.app.db.read() as db:
        (logged,) = (await db.execute(select(runs))).all()
        told = {row.sync_id: row.report["status"] for row in await db.execute(select(orders))}
    assert (logged.sync_id, logged.status, logged.error_code) == (real.sync_id, "failed", "server_error")
    assert told == {dry.sync_id: "success", real.sync_id: "failed"}


async def test_while_nothing_is_delivered_a_worker_runs_what_it_claims(
    at: MemoryDesk, scheduled: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deaf(_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(scheduled.wakeups, "listen", deaf)
    pair = await at.pair()
    await scheduled.worker.start()
    await scheduled.until_logged(1)
    await scheduled.until_free(pair)
    assert (await scheduled.report(pair)).status == "success"


async def test_a_report_of_another_version_is_read_and_one_that_cannot_be_stops_no_other(
    at: MemoryDesk, asked: Workplace
) -> None:
    pair = await at.pair()
    front = Results(at.app.db)
    newer, unreadable = front.expect("sync_newer"), front.expect("sync_unreadable")
    known = RunReport("sync_newer", RunStatus.SUCCESS).to_json()
    async with at.app.db.write() as db:
        for sync_id, report in (("sync_unreadable", {}), ("sync_newer", known | {"new": 1})):
            row = {"sync_id": sync_id, "account_id": at.account, "mode": "live", "pair_id": pair}
            flags = {"trigger": "api", "full": False, "confirm": False, "dry_run": False, "generation": 1}
            times = {"created_at": at.app.clock(), "finished_at": at.app.clock()}
            await db.execute(orders.insert().values(row | flags | times | {"report": report}))
    await asyncio.wait_for(newer.done, 5)
    assert not unreadable.done.done()
    await front.stop()


async def test_many_orders_at_once_leave_room_for_others(at: MemoryDesk, asked: Workplace) -> None:
    wanted = []
    for number in range(60):
        await at.add(f"x{number}")
        await at.add(f"y{number}")
        wanted.append(await at.pair(f"x{number}", f"y{number}"))
    tickets = [await asked.trigger(pair) for pair in wanted]
    async with asyncio.timeout(5):
        async with at.app.db.read() as db:
            assert (await db.execute(select(pairs.c.id).limit(1))).first() is not None
    reports = await asyncio.wait_for(asyncio.gather(*(ticket.done for ticket in tickets)), 30)
    assert {report.status for report in reports} == {"success"}


async def test_slow_hubs_hold_up_no_order(
    at: MemoryDesk, scheduled: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_MOST_RUNS", 8)
    monkeypatch.setattr(worker_module, "RUNS_AT_ONCE", 2)
    for number in range(8):
        await at.add(f"spoke{number}")
        await at.pair("a", f"spoke{number}")
    gate = Gate(monkeypatch)
    await scheduled.worker.start()
    await gate.waiting.wait()
    await scheduled.tick()
    monkeypatch.undo()
    await at.add("x")
    await at.add("y")
    other = await at.pair("x", "y")
    assert (await scheduled.report(other)).status == "success"
    gate.open.set()
    async with workplace(at, schedule=False):
        await scheduled.until_logged(9)
