"""Several workers on one database: a provider never sees more of a grant at once than it allows (rule 24)."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import func, select, update

from calendarsync.jobs import listening
from calendarsync.jobs import worker as worker_module
from calendarsync.jobs.runs import end_tasks
from calendarsync.jobs.worker import Worker
from calendarsync.providers.base import Batch, Known, Reading
from calendarsync.providers.limiter import Limit, Limiter
from calendarsync.store.schedule import ConnectionRecord
from calendarsync.store.tables import connections, orders, pairs
from calendarsync.store.tenancy import Tenant
from calendarsync.sync.report import Ticket
from tests.jobs.conftest import Workplace, at_work
from tests.testbed.memory import MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk, memory_desk

FOUR = Limit(at_once=4, calls=1_000_000, seconds=60.0)
_ANSWER_SECONDS = 0.01
"""How long the provider takes for an answer, so that requests meet."""


@dataclass
class Provider:
    """Sees the requests of all workers. While `answers` is not set it gives none, to any worker in `asked`."""

    under_way: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    most: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    split: list[str] = field(default_factory=list)
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, grant: str, worker: str) -> None:
        requests = self.under_way[grant]
        requests[worker] += 1
        self.asked[worker] += 1
        self.most[grant] = max(self.most[grant], requests.total())
        if sum(count > 0 for count in requests.values()) > 1:
            self.split.append(grant)
        try:
            await self.answers.wait()
            await asyncio.sleep(_ANSWER_SECONDS)
        finally:
            requests[worker] -= 1


class AtProvider(MemoryCalendar):
    """A calendar that is read with a grant, whose worker keeps to what the grant allows in its own memory."""

    grant: str
    limiter: Limiter
    provider: Provider
    worker: str

    async def read(
        self,
        cursor: str | None,
        known: Known,
        on_batch: Callable[[Batch], Awaitable[None]],
        *,
        full: bool = False,
    ) -> Reading:
        for _ in range(3):
            async with self.limiter.request(self.grant, FOUR):
                await self.provider.answer(self.grant, self.worker)
        return await super().read(cursor, known, on_batch, full=full)


@dataclass
class Crew:
    """A desk and its workers, none of them started; `pairs` by the grants of their ends."""

    desk: MemoryDesk
    provider: Provider
    members: list[Workplace]
    pairs: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    async def add(self, number: int, a: str, b: str | None = None) -> str:
        for side, grant in (("a", a), ("b", b)):
            name = f"{side}{number}"
            await self.desk.add(name)
            async with self.desk.app.db.write() as db:
                mine = connections.c.id == self.desk.connections[name]
                await db.execute(update(connections).where(mine).values(grant_id=grant))
        pair = await self.desk.pair(f"a{number}", f"b{number}")
        self.pairs[a if b is None else f"{a} {b}"].append(pair)
        return pair

    async def trigger(self, pair_id: str) -> Ticket:
        return await self.members[0].trigger(pair_id)

    async def make_due(self) -> None:
        async with self.desk.app.db.write() as db:
            await db.execute(update(pairs).values(due_at=self.desk.app.clock()))
        for member in self.members:
            member.worker.wake()

    async def until(self, *wanted: Any) -> None:
        """Until there is nothing left of the kind in the tables."""
        async with asyncio.timeout(60):
            while await self._count(*wanted):  # noqa: ASYNC110 - the database has no event
                await asyncio.sleep(0.02)

    async def _count(self, *wanted: Any) -> int:
        async with self.desk.app.db.read() as db:
            query = select(func.count()).select_from(pairs).where(*wanted)
            return int((await db.execute(query)).scalar_one())


def _member(desk: MemoryDesk, provider: Provider, name: str) -> Workplace:
    limiter, in_memory = Limiter(), desk.app.wrap

    def wrap(connection: ConnectionRecord, calendar: Any) -> Any:
        made: Any = in_memory(connection, calendar)
        if connection.grant_id is not None:
            made.__class__ = AtProvider
            made.grant, made.limiter = connection.grant_id, limiter
            made.provider, made.worker = provider, name
        return made

    return at_work(replace(desk, app=replace(desk.app, wrap=wrap)))


@pytest.fixture
async def crew(postgresql_database: str) -> AsyncIterator[Crew]:
    async with memory_desk(postgresql_database) as desk:
        provider = Provider()
        provider.answers.set()
        made = Crew(desk, provider, [_member(desk, provider, name) for name in ("one", "two", "three")])
        yield made
        provider.answers.set()
        for member in made.members:
            await member.close()


async def _kill(worker: Worker) -> None:
    """It says nothing any more, and gives nothing back."""
    runs = [run.task for run in worker._runs._runs.values() if run.task is not None]
    worker._runs._runs.clear()
    await end_tasks([*worker._tasks, *runs], 0.0)


_claimed = pairs.c.leased_until.is_not(None)


async def test_three_workers_together_make_four_requests_of_a_grant_at_once(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triggers and the schedule mixed, pairs of one grant and of two; each worker claims a few at a time."""
    monkeypatch.setattr(worker_module, "_CLAIMED_AT_ONCE", 3)
    for number in range(24):
        await crew.add(number, f"grant_{number % 4}", "grant_0" if number % 12 == 1 else None)
    for member in crew.members:
        await member.worker.start()
    everything = [pair for each in crew.pairs.values() for pair in each]
    for turn in range(3):
        await crew.make_due()
        tickets = [await crew.trigger(pair) for pair in everything[turn::3]]
        async with asyncio.timeout(60):
            reports = await asyncio.gather(*(ticket.done for ticket in tickets))
        assert {report.status for report in reports} == {"success"}
    await crew.until(_claimed)
    assert crew.provider.split == [], "a grant was at work in two processes"
    assert max(crew.provider.most.values()) <= 4
    assert len(crew.provider.asked) > 1, "several workers had something to do"


async def test_what_is_claimed_for_a_worker_that_was_killed_is_run_by_another(crew: Crew) -> None:
    _, second = await crew.add(0, "grant"), await crew.add(1, "grant")
    await crew.desk.app.change_pair(second, due_at=None)
    one, two, _ = crew.members
    crew.provider.answers.clear()
    await one.worker.start()
    await _until(lambda: crew.provider.asked["one"] == 1)
    await _kill(one.worker)
    ticket = await crew.trigger(second)
    await two.worker.start()
    await crew.until(pairs.c.id == second, ~pairs.c.given)
    assert (await crew.desk.app.row(pairs, second)).worker == one.worker.id
    crew.provider.answers.set()
    assert crew.provider.asked["two"] == 0
    crew.desk.app.clock.advance(seconds=16)
    report = await asyncio.wait_for(ticket.done, 20)
    assert report.status == "success"
    await crew.until(pairs.c.worker != two.worker.id)
    assert crew.provider.split == []


async def test_a_claim_is_taken_by_whom_it_was_made_for_though_the_notice_of_it_is_lost(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening.Listener, "_notice", lambda *_: None)
    await _hold(crew)
    ticket = await crew.trigger(await crew.add(1, "grant"))
    await crew.members[1].worker.start()
    await _until(lambda: crew.provider.under_way["grant"]["one"] == 2)
    crew.provider.answers.set()
    assert (await asyncio.wait_for(ticket.done, 20)).status == "success"
    assert crew.provider.asked["two"] == 0


async def test_a_worker_that_is_full_runs_what_is_ordered_of_a_grant_it_has_at_work(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _hold(crew)
    monkeypatch.setattr(worker_module, "_MOST_ORDERED", 0)
    monkeypatch.setattr(worker_module, "RUNS_AT_ONCE", 0)
    second = await crew.add(1, "grant")
    ticket = await crew.trigger(second)
    monkeypatch.undo()
    await crew.members[1].worker.start()
    await _until(lambda: crew.provider.under_way["grant"]["one"] == 2)
    crew.provider.answers.set()
    assert (await asyncio.wait_for(ticket.done, 20)).status == "success"


async def test_a_worker_that_stops_is_given_nothing_and_a_trigger_waits_for_its_run_alone(crew: Crew) -> None:
    first = await _hold(crew)
    one, two, _ = crew.members
    stopping = asyncio.create_task(one.worker.stop())
    await crew.until(pairs.c.id == first, pairs.c.worker.is_not(None))
    ticket = await crew.trigger(await crew.add(1, "grant"))
    await two.worker.start()
    await two.tick()
    assert crew.provider.asked["two"] == 0
    crew.provider.answers.set()
    await stopping
    assert (await asyncio.wait_for(ticket.done, 20)).status == "success"
    assert crew.provider.split == []
    assert (await crew.desk.app.row(pairs, first)).last_synced_at is not None, "its run came to its end"


async def test_a_process_that_only_serves_is_given_nothing(crew: Crew) -> None:
    """It has the ticket, and hears of the orders that were carried out; it has no claims."""
    pair = await crew.add(0, "grant")
    serving = crew.members[0]
    ticket = await serving.runner.trigger(Tenant(crew.desk.account, "live"), pair)
    await crew.members[1].worker.start(schedule=False)
    assert (await asyncio.wait_for(ticket.done, 20)).status == "success"
    async with crew.desk.app.db.read() as db:
        assert (await db.execute(select(orders.c.finished_at))).scalar_one() is not None


async def _hold(crew: Crew) -> str:
    """A pair that the first worker has at work, until `answers` are given."""
    pair = await crew.add(0, "grant")
    crew.provider.answers.clear()
    await crew.members[0].worker.start()
    await _until(lambda: crew.provider.asked["one"] == 1)
    return pair


async def _until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not met():  # noqa: ASYNC110 - what a provider sees has no event
            await asyncio.sleep(0.02)
