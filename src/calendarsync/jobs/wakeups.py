"""Wake-ups between processes: PgQueuer, in the database on PostgreSQL, in memory beside SQLite.

They only make things quick. What has to be done stands in the tables, so one that is lost is made up for by the
next tick of any worker, and one that comes twice finds nothing to do (docs/decisions/jobs-claims-and-leases.md).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.inmemory import InMemoryDriver, InMemoryQueries
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.models import Job
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.database import Database
from calendarsync.store.tenancy import Tenant

_IDLE_POLL = timedelta(seconds=5)
"""How often PgQueuer looks though no notice came, and at whether its connection still hears."""

_STALE = timedelta(seconds=30)
"""After that a wake-up that a killed worker had taken is given to another one."""

_FORGET = 3600.0
_LASTED = 10.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0

_Queries = Queries | InMemoryQueries
Handler = Callable[[], Awaitable[None]]

_log = structlog.get_logger(__name__)


class Wakeups:
    """Sends wake-ups with a transaction, and delivers them to one of the processes that listen."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._memory = InMemoryQueries(InMemoryDriver()) if db.backend == "sqlite" else None
        self._manager: QueueManager | None = None
        self._stopping = asyncio.Event()

    @asynccontextmanager
    async def transaction(
        self, tenant: Tenant | None = None
    ) -> AsyncIterator[tuple[AsyncConnection, list[str]]]:
        """A write transaction, a tenant's or the engine's, and the entrypoints that are woken if it commits."""
        sending: list[str] = []
        async with self._db.write_as(tenant) if tenant else self._db.write() as db:
            yield db, sending
            if sending and self._memory is None:
                # After the transaction's first statement: SQLAlchemy begins it with that, and what is enqueued
                # before would survive a rollback.
                await _enqueue(Queries(AsyncpgDriver(await self._db.raw(db))), sending)
        if sending and self._memory is not None:
            await _enqueue(self._memory, sending)

    async def listen(self, handlers: Mapping[str, Handler]) -> None:
        """Deliver wake-ups until `stop`. A handler hands the work on, and returns at once.

        Outlives the database: while it is away nothing is delivered, and the ticks find what was missed.
        """
        pause = _SHORTEST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                async with self._listening() as (manager, queries):
                    await self._deliver(manager, queries, handlers)
            except Exception as error:  # noqa: BLE001 - PgQueuer raises whatever its driver does
                _log.warning("wakeups_interrupted", error=type(error).__name__)
            lasted = time.monotonic() - began > _LASTED
            pause = _SHORTEST_PAUSE if lasted else min(pause * 2, _LONGEST_PAUSE)
            try:
                await asyncio.wait_for(self._stopping.wait(), pause * random.uniform(0.8, 1.2))
            except TimeoutError:
                continue

    def stop(self) -> None:
        """Deliver nothing more."""
        self._stopping.set()
        if self._manager is not None:
            self._manager.shutdown.set()

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[tuple[QueueManager, _Queries]]:
        if self._memory is not None:
            yield QueueManager(self._memory), self._memory
            return
        connection = await self._db.connect_raw()
        try:
            queries = Queries(AsyncpgDriver(connection))
            manager = QueueManager(queries)
            # It waits for notices, and would not learn until its next look that none can come any more.
            connection.add_termination_listener(lambda _: manager.shutdown.set())
            yield manager, queries
        finally:
            connection.terminate()

    async def _deliver(
        self, manager: QueueManager, queries: _Queries, handlers: Mapping[str, Handler]
    ) -> None:
        self._manager = manager
        for name, handler in handlers.items():
            manager.entrypoint(name)(_entrypoint(name, handler))
        tidying = asyncio.create_task(_keep_tidy(queries, list(handlers)))
        try:
            if not self._stopping.is_set():
                await manager.run(
                    dequeue_timeout=_IDLE_POLL, heartbeat_timeout=_STALE, shutdown_on_listener_failure=True
                )
        finally:
            tidying.cancel()
            await asyncio.gather(tidying, return_exceptions=True)


def _entrypoint(name: str, handler: Handler) -> Callable[[Job], Awaitable[None]]:
    async def deliver(_: Job) -> None:
        try:
            await handler()
        except Exception as error:  # noqa: BLE001 - PgQueuer would log it with its message
            _log.warning("wakeup_not_followed", entrypoint=name, error=type(error).__name__)

    return deliver


async def _enqueue(queries: _Queries, sending: list[str]) -> None:
    # Without keys against repetition: PgQueuer holds a key until it has written down that its job is done, and
    # a wake-up that comes in that moment would be lost. Who sends them knows what has been sent already.
    await queries.enqueue(sending, [None] * len(sending), [0] * len(sending))


async def _keep_tidy(queries: _Queries, entrypoints: list[str]) -> None:
    """PgQueuer keeps a log and statistics of all jobs for ever; ours tell nothing that the runs' log does not."""
    # Where connections are cut every half an hour, none would ever live as long.
    pause = random.uniform(0, _FORGET)
    while True:
        await asyncio.sleep(pause)
        pause = _FORGET * random.uniform(0.8, 1.2)
        try:
            # By name: it empties the whole table with a lock for which a backup would have to end.
            await queries.clear_queue_log(entrypoints)
            await queries.clear_statistics_log(entrypoints)
        except Exception as error:  # noqa: BLE001 - the next time will do
            _log.warning("wakeups_not_tidied", error=type(error).__name__)
