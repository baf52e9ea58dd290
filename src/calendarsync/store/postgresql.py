"""PostgreSQL 14 or newer, through asyncpg. PgBouncer's transaction mode is not supported."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any, Literal

import asyncpg
from sqlalchemy import event, func, select
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from calendarsync.store.errors import DatabaseUnavailable
from calendarsync.store.postgresql_errors import (
    ASYNCPG_ERRORS,
    driver_error,
    reason_at_connect,
    reason_of_delay,
    reason_of_loss,
)
from calendarsync.store.postgresql_migration import migrate
from calendarsync.store.postgresql_tenancy import ENGINE, SpeakingConnection, settings_of
from calendarsync.store.tables import pairs
from calendarsync.store.tenancy import Tenant

CONNECTIONS = 10
_POOL_SECONDS = 10
_CONNECT_SECONDS = 10
# More than the server's own bound: it decides only where the server is silent.
_ANSWER_SECONDS = 40
_SESSION = {
    "application_name": "calendarsync",
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
    "default_transaction_isolation": "read committed",
    "TimeZone": "UTC",
    # Our statements are short: to compile one takes longer than to execute it.
    "jit": "off",
}
# A DDL statement may take its time, but not wait long for a lock: all others would queue behind it.
_MIGRATION = _SESSION | {
    "statement_timeout": "0",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "0",
}
# In seconds, the last in milliseconds: a host that vanished is noticed within a minute.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
# asyncpg raises ValueError for an address that it cannot read.
_AT_CONNECT = (OSError, ValueError, SQLAlchemyError, *ASYNCPG_ERRORS)


class Postgresql:
    """Any number of readers and writers; a transaction's isolation is READ COMMITTED."""

    name: Literal["postgresql"] = "postgresql"

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine = _engine(url, _SESSION, _ANSWER_SECONDS)
        self.engines = (self._engine,)
        # They share the pool of the one engine.
        self._reader = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._statements = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def read(self, tenant: Tenant | None) -> AsyncIterator[AsyncConnection]:
        async with _connected(self._reader, settings_of(tenant)) as connection:
            yield connection

    @asynccontextmanager
    async def write(self, tenant: Tenant | None) -> AsyncIterator[AsyncConnection]:
        async with _connected(self._engine, settings_of(tenant)) as connection, connection.begin():
            yield connection

    async def migrate(self) -> None:
        """Each revision in a transaction of its own, then the tables of PgQueuer. Raises SchemaError."""
        engine = _engine(self._url, _MIGRATION, None)
        try:
            async with _connected(engine, ENGINE) as connection:
                await migrate(connection)
        finally:
            await engine.dispose()

    async def read_time(self) -> tuple[datetime, float]:
        """The server's clock, and the `time.monotonic()` of the same moment."""
        async with _connected(self._statements) as connection:
            before = time.monotonic()
            now = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
            return now, (before + time.monotonic()) / 2

    async def role_passes_policies(self) -> bool:
        async with _connected(self._statements) as connection:
            held = await connection.execute(select(func.row_security_active(pairs.name)))
            return not held.scalar_one()

    async def connect(self) -> asyncpg.Connection:
        """A connection of the caller's own, beside the pool; nothing bounds how long its answers may take."""
        try:
            return await _connect(self._url, _SESSION, None)
        except _AT_CONNECT as error:
            raise DatabaseUnavailable(reason_at_connect(error)) from None

    async def close(self) -> None:
        await self._engine.dispose()


async def raw(connection: AsyncConnection) -> asyncpg.Connection:
    """asyncpg's connection below `connection`. Raises RuntimeError outside a transaction."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, asyncpg.Connection)
    if not driver.is_in_transaction():
        raise RuntimeError("the transaction begins with its first statement: execute one before")
    return driver


async def try_lock(connection: asyncpg.Connection, key: int) -> bool:
    """Whether nobody else has the advisory lock, which this connection has then. Raises DatabaseUnavailable."""
    try:
        held: bool = await connection.fetchval("SELECT pg_try_advisory_lock($1)", key)
    except (*ASYNCPG_ERRORS, OSError) as error:
        reason = reason_of_loss(error)
        if reason is None:
            raise
        raise DatabaseUnavailable(reason) from None
    return held


@asynccontextmanager
async def _connected(engine: AsyncEngine, speaks: str = "") -> AsyncIterator[AsyncConnection]:
    """A connection of the pool, which `speaks` for a tenant, the engine, or nobody, until it goes back.

    What a lost server leads to is DatabaseUnavailable from here on.
    """
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(engine.connect())
        except _AT_CONNECT as error:
            raise DatabaseUnavailable(reason_at_connect(error)) from None
        assert connection.sync_connection is not None  # it waits for nothing, as `get_raw_connection` would
        driver = connection.sync_connection.connection.driver_connection
        assert isinstance(driver, SpeakingConnection)
        driver.speaks = speaks
        try:
            yield connection
        except ASYNCPG_ERRORS as error:  # out of a use of `raw`
            reason = reason_of_loss(error)
            if reason is None:
                raise
            raise DatabaseUnavailable(reason) from None
        except DBAPIError as error:
            reason = reason_of_delay(error)
            if reason is None:
                raise
            raise DatabaseUnavailable(reason) from None


def _engine(url: str, session: dict[str, str], answer_seconds: float | None) -> AsyncEngine:
    async def connect() -> asyncpg.Connection:
        return await _connect(url, session, answer_seconds)

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        # What is bound into a statement has no place in an error's message, for that may be logged.
        hide_parameters=True,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=_POOL_SECONDS,
    )
    event.listen(engine.sync_engine, "checkout", _replace_closed)
    event.listen(engine.sync_engine, "checkin", _fall_silent)
    event.listen(engine.sync_engine, "handle_error", _translate)
    return engine


async def _connect(url: str, session: dict[str, str], answer_seconds: float | None) -> asyncpg.Connection:
    connection = await asyncpg.connect(
        url,
        timeout=_CONNECT_SECONDS,
        command_timeout=answer_seconds,
        server_settings=session,
        connection_class=SpeakingConnection,
    )
    transport = connection._transport  # noqa: SLF001 - asyncpg has no option for it
    carrier = transport.get_extra_info("socket")
    if carrier.family != socket.AF_UNIX:
        carrier.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):  # which of them there are depends on the system
                carrier.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return connection


def _replace_closed(connection: Any, _record: object, _proxy: object) -> None:
    """The pool opens another in place of a connection that the server closed while it lay there."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _fall_silent(connection: Any, _record: object) -> None:
    """Whom it spoke for ends with its use. None where the pool has given it up."""
    if connection is not None:
        connection.driver_connection.speaks = ""


def _translate(context: ExceptionContext) -> None:
    error = driver_error(context.original_exception)
    if isinstance(error, asyncpg.PostgresError):
        error.detail = None  # it quotes rows, which have no place in a log
    reason = reason_of_loss(error)
    # The other connections of the pool are judged one by one, when they are taken out of it.
    context.invalidate_pool_on_disconnect = False
    if reason is not None:
        context.is_disconnect = True
        raise DatabaseUnavailable(reason) from None
