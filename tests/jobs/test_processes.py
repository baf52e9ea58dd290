"""Several processes on one PostgreSQL: each has a Database of its own here, and nothing else in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from sqlalchemy import select

from calendarsync.store.tables import pairs, runs
from calendarsync.store.tenancy import Tenant
from tests.jobs.conftest import Gate, Workplace, at_work, workplace
from tests.testbed.events import event
from tests.testbed.memory_desk import MemoryDesk, memory_desk
from tests.testbed.postgresql import PostgresqlServer

SECRET = b"0" * 32


@pytest.fixture
async def at(postgresql_database: str) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(postgresql_database, secret=SECRET) as desk:
        yield desk


@asynccontextmanager
async def beside(desk: MemoryDesk, url: str, *, schedule: bool = True) -> AsyncIterator[Workplace]:
    """A worker of another process, on the same calendars."""
    async with memory_desk(url, secret=SECRET, clock=desk.app.clock) as other:
        other.stores.update(desk.stores)
        desk.stores = other.stores
        async with workplace(other, schedule=schedule) as made:
            yield made


async def test_who_orders_a_run_learns_of_it_from_the_process_that_ran_it(
    at: MemoryDesk, postgresql_database: str
) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    front = at_work(at)
    async with beside(at, postgresql_database, schedule=False):
        await asyncio.sleep(0.5)
        loop = asyncio.get_running_loop()
        started = loop.time()
        report = await front.report(pair)
        took = loop.time() - started
        dry = await front.report(pair, dry_run=True)
    await front.close()
    assert (report.status, report.events_created) == ("success", 1)
    assert (dry.status, dry.operations) == ("success", ())
    assert took < 5


async def test_three_workers_run_each_pair_once(at: MemoryDesk, postgresql_database: str) -> None:
    for number in range(40):
        await at.add(f"x{number}")
        at.store(f"x{number}").put("1.ics", event(f"e{number}"))
    wanted = [await at.pair(f"x{number}", f"x{number + 1}") for number in range(0, 40, 2)]
    async with AsyncExitStack() as stack:
        places = [await stack.enter_async_context(beside(at, postgresql_database)) for _ in range(3)]
        await places[0].until_logged(len(wanted))
        for _ in range(3):
            await places[0].tick()
        async with at.app.db.read() as db:
            logged = list((await db.execute(select(runs.c.pair_id))).scalars())
    assert sorted(logged) == sorted(wanted)
    assert {len(at.store(f"x{number}").resources) for number in range(40)} == {2}


async def test_a_frozen_worker_writes_nothing_when_it_wakes(
    at: MemoryDesk, postgresql_database: str, gate: Gate
) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    frozen = at_work(at)
    await frozen.worker.start(schedule=False)
    ticket = await frozen.trigger(pair)
    await gate.waiting.wait()
    await at.app.hold(pair)  # its lease lapsed, and another has the pair
    before = await at.app.row(pairs, pair)
    gate.open.set()
    await asyncio.sleep(0.5)
    assert await at.app.row(pairs, pair) == before
    assert await frozen.logged() == 0
    await at.app.change_pair(pair, leased_until=None)
    async with beside(at, postgresql_database, schedule=False) as other:
        other.worker.wake()
        report = await asyncio.wait_for(ticket.done, 20)
    await frozen.close()
    assert (report.sync_id, report.status) == (ticket.sync_id, "success")
    assert len(at.store("b").resources) == 1


async def test_a_worker_outlives_its_database(
    at: MemoryDesk, postgresql_database: str, postgresql_server: PostgresqlServer
) -> None:
    pair = await at.pair()
    async with workplace(at, schedule=True) as place:
        await place.until_logged(1)
        for number in range(3):
            assert await asyncio.to_thread(postgresql_server.end_backends, postgresql_database) > 0
            at.store("a").put(f"{number}.ics", event(f"e{number}"))
            await asyncio.sleep(0.3)
            ticket = await place.runner.trigger(Tenant(at.account, "live"), pair)
            report = await asyncio.wait_for(ticket.done, 30)
            assert (report.status, report.events_created) == ("success", 1)
