"""A worker of a test's own, on either database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import func, select

from calendarsync.jobs.deliveries import Deliverer
from calendarsync.jobs.results import Results
from calendarsync.jobs.runner import Runner
from calendarsync.jobs.wakeups import Wakeups
from calendarsync.jobs.worker import Worker
from calendarsync.store.tables import pairs, runs
from calendarsync.store.tenancy import Tenant
from calendarsync.sync.report import RunReport, Ticket
from calendarsync.webhooks.delivery import Sender
from tests.testbed.memory import MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk, memory_desk

POLL_SECONDS = 300.0


@dataclass
class Workplace:
    """A desk, and one worker; `trigger` and `remove` order what the API orders."""

    desk: MemoryDesk
    wakeups: Wakeups
    results: Results
    worker: Worker
    runner: Runner = field(init=False)

    def __post_init__(self) -> None:
        self.runner = Runner(self.desk.app.db, self.wakeups, self.results)

    async def trigger(self, pair_id: str, **options: Any) -> Ticket:
        return await self.runner.trigger(Tenant(self.desk.account, "live"), pair_id, **options)

    async def report(self, pair_id: str, **options: Any) -> RunReport:
        ticket = await self.trigger(pair_id, **options)
        return await asyncio.wait_for(ticket.done, 20)

    async def logged(self) -> int:
        async with self.desk.app.db.read() as db:
            return int((await db.execute(select(func.count()).select_from(runs))).scalar_one())

    async def until_logged(self, count: int) -> None:
        async with asyncio.timeout(60):
            while await self.logged() < count:  # noqa: ASYNC110 - the log is what a user sees, and it has no event
                await asyncio.sleep(0.02)

    async def until_free(self, pair_id: str) -> None:
        """Until nobody has a claim on the pair."""
        async with asyncio.timeout(60):
            while await self.held(pair_id):  # noqa: ASYNC110 - the database has no event either
                await asyncio.sleep(0.02)

    async def held(self, pair_id: str) -> bool:
        return (await self.desk.app.row(pairs, pair_id)).leased_until is not None

    async def tick(self) -> None:
        """A moment in which the schedule looks, and what it finds begins."""
        self.worker.wake()
        await asyncio.sleep(0.3)

    async def close(self) -> None:
        await self.worker.stop()
        await self.results.stop()


def at_work(desk: MemoryDesk) -> Workplace:
    """A worker on the desk's database, not started."""
    db, engine = desk.app.db, desk.app.engine
    wakeups, results = Wakeups(db), Results(db)
    deliverer = Deliverer(db, Sender(desk.app.keyring, desk.app.http, db.now))
    worker = Worker(db, engine, wakeups, results, deliverer=deliverer, poll_seconds=POLL_SECONDS)
    return Workplace(desk, wakeups, results, worker)


@asynccontextmanager
async def workplace(desk: MemoryDesk, *, schedule: bool) -> AsyncIterator[Workplace]:
    made = at_work(desk)
    await made.worker.start(schedule=schedule)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(database_url) as desk:
        yield desk


@pytest.fixture
async def asked(at: MemoryDesk) -> AsyncIterator[Workplace]:
    """A worker that runs what it is asked for."""
    async with workplace(at, schedule=False) as made:
        yield made


@pytest.fixture
async def scheduled(at: MemoryDesk) -> AsyncIterator[Workplace]:
    """A worker that runs what is due as well; not started, so that a test can prepare."""
    made = at_work(at)
    yield made
    await made.close()


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


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)
