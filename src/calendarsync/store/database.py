"""A database: its address, transactions, clock and schema. SQLite and PostgreSQL look alike from here on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import QueuePool

from calendarsync.settings import Backend, backend_of
from calendarsync.store.errors import DatabaseUnavailable, SchemaOutdated
from calendarsync.store.schema import is_current
from calendarsync.store.tenancy import Tenant

if TYPE_CHECKING:
    import asyncpg

__all__ = ["Database", "DatabaseUnavailable", "SchemaOutdated"]


_READING_LASTS = 60.0
"""Seconds after which a reading of the server's clock is renewed, where no worker renews it anyway."""


class _Engine(Protocol):
    @property
    def name(self) -> Backend: ...

    @property
    def engines(self) -> tuple[AsyncEngine, ...]: ...

    def read(self, tenant: Tenant | None, /) -> AbstractAsyncContextManager[AsyncConnection]: ...

    def write(self, tenant: Tenant | None, /) -> AbstractAsyncContextManager[AsyncConnection]: ...

    async def migrate(self) -> None: ...

    async def read_time(self) -> tuple[datetime, float]:
        """The database's clock, and the `time.monotonic()` of the same moment."""

    async def role_passes_policies(self) -> bool: ...

    async def close(self) -> None: ...


class Database:
    """One database.

    All but `close` raise DatabaseUnavailable where the server cannot be reached or goes away meanwhile; what
    they raise of SQLAlchemy's beside it is not of that kind.
    """

    def __init__(self, url: str, *, clock: Callable[[], datetime] | None = None) -> None:
        """Nothing is opened or created before the first use. Raises ValueError: an address of no use.

        `clock` takes the place of the database's own; it gives an aware datetime in UTC.
        """
        self._engine = _open(url)
        self._clock = clock
        self._reading: tuple[datetime, float] | None = None
        self._writing: set[asyncio.Task[Any]] = set()

    @property
    def backend(self) -> Backend:
        return self._engine.name

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection that sees one state of the database throughout. Writing through it is an error.

        It is the engine's, and sees all accounts' rows.
        """
        return self._read(None)

    def read_as(self, tenant: Tenant) -> AbstractAsyncContextManager[AsyncConnection]:
        """The same for what serves a caller: PostgreSQL keeps it from all rows that are not the tenant's.

        ValueError: no id or mode of ours.
        """
        return self._read(tenant)

    def write(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction: committed on leaving, rolled back when an exception leaves it.

        With SQLite it holds up every other writer; with PostgreSQL it is READ COMMITTED, and the server ends it
        when it has been idle for 10 s: no network in it. RuntimeError where the task is in one already.

        It is the engine's, and sees all accounts' rows.
        """
        return self._write(None)

    def write_as(self, tenant: Tenant) -> AbstractAsyncContextManager[AsyncConnection]:
        """The same for what serves a caller, as with `read_as`."""
        return self._write(tenant)

    @asynccontextmanager
    async def _read(self, tenant: Tenant | None) -> AsyncIterator[AsyncConnection]:
        await self._ensure_clock()
        async with self._engine.read(tenant) as connection:
            yield connection

    @asynccontextmanager
    async def _write(self, tenant: Tenant | None) -> AsyncIterator[AsyncConnection]:
        task = asyncio.current_task()
        assert task is not None
        if task in self._writing:
            raise RuntimeError("this task holds a write transaction already")
        await self._ensure_clock()
        self._writing.add(task)
        try:
            async with self._engine.write(tenant) as connection:
                yield connection
        finally:
            self._writing.discard(task)

    async def raw(self, connection: AsyncConnection) -> asyncpg.Connection:
        """The driver's connection inside the running transaction; with PostgreSQL alone.

        SQLAlchemy begins a transaction with its first statement, so one must have been executed before:
        RuntimeError where there is no transaction, for what is done then would survive a rollback.
        """
        from calendarsync.store.postgresql import raw

        return await raw(connection)

    @asynccontextmanager
    async def alone(self, key: int) -> AsyncIterator[bool]:
        """Whether nobody else, in any process, is in here with that key; nobody comes in until it is left.

        With SQLite always: there is no other process.
        """
        if self.backend == "sqlite":
            yield True
            return
        from calendarsync.store.postgresql import try_lock

        connection = await self.connect_raw()
        try:
            yield await try_lock(connection, key)
        finally:
            connection.terminate()

    async def connect_raw(self) -> asyncpg.Connection:
        """A connection of the caller's own to PostgreSQL, to listen on; the caller closes it."""
        from calendarsync.store.postgresql import Postgresql

        if not isinstance(self._engine, Postgresql):
            raise RuntimeError("there is such a connection with PostgreSQL alone")
        return await self._engine.connect()

    def now(self) -> datetime:
        """The time, in UTC, for all that is stored and compared: one clock for all processes of a database.

        PostgreSQL: the server's, as last read, and the time elapsed since. RuntimeError before the first of
        `read`, `write` and `read_clock`.
        """
        if self._clock is not None:
            return self._clock()
        if self.backend == "sqlite":
            return datetime.now(UTC)
        if self._reading is None:
            raise RuntimeError("the server's clock has not been read yet")
        at, then = self._reading
        return at + timedelta(seconds=time.monotonic() - then)

    async def read_clock(self) -> float:
        """Read the database's clock anew.

        The seconds that it has jumped against elapsed time since the last reading, negative when backwards;
        0.0 at the first reading, and with a clock that was given.
        """
        if self._clock is not None:
            return 0.0
        last, self._reading = self._reading, await self._engine.read_time()
        if last is None:
            return 0.0
        return (self._reading[0] - last[0]).total_seconds() - (self._reading[1] - last[1])

    async def migrate(self) -> None:
        """Create the schema, or bring it up to date. Raises SchemaError; what was not completed is undone.

        Processes that migrate at the same time wait for one another.
        """
        await self._engine.migrate()

    async def schema_is_current(self) -> bool:
        """Whether `migrate` has nothing to do for this program; a newer schema than its own counts as current."""
        async with self.read() as connection:
            return await connection.run_sync(is_current)

    async def ensure_schema(self) -> None:
        """Raises SchemaOutdated where the schema is older than this program, or absent."""
        if not await self.schema_is_current():
            raise SchemaOutdated

    def connections(self) -> tuple[int, int]:
        """How many connections of the pool are in use, and how many are open beside them."""
        pools = [engine.pool for engine in self._engine.engines]
        queues = [pool for pool in pools if isinstance(pool, QueuePool)]
        return sum(pool.checkedout() for pool in queues), sum(pool.checkedin() for pool in queues)

    async def role_passes_policies(self) -> bool:
        """Whether PostgreSQL keeps `read_as` and `write_as` from nothing, for the role may do everything."""
        return await self._engine.role_passes_policies()

    async def close(self) -> None:
        await self._engine.close()

    async def _ensure_clock(self) -> None:
        if self._clock is not None or self.backend == "sqlite":
            return
        if self._reading is None or time.monotonic() - self._reading[1] > _READING_LASTS:
            await self.read_clock()


def _open(url: str) -> _Engine:
    if backend_of(url) == "sqlite":
        from calendarsync.store.sqlite import Sqlite

        return Sqlite(url)
    from calendarsync.store.postgresql import Postgresql

    return Postgresql(url)
