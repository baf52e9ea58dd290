"""Migrating PostgreSQL beside processes that go on working: one at a time, never long in front of others."""

from __future__ import annotations

import asyncio

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.errors import MigrationBlocked, SchemaError
from calendarsync.store.postgresql_errors import driver_error
from calendarsync.store.schema import upgrade

_OLDEST_SERVER = 14
_LOCK = 0x63616C73796E63  # "calsync"
_TURN_SECONDS = 0.2
# Between the attempts at a lock, each of which waits for the session's `lock_timeout`.
_PAUSES = (1.0, 2.0, 4.0, 8.0)


async def migrate(connection: AsyncConnection) -> None:
    """Needs a connection without a transaction; closing it gives up the turn. Raises SchemaError."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, asyncpg.Connection)
    _check(driver)
    await _take_turn(driver)
    for pause in (*_PAUSES, None):
        try:
            await connection.run_sync(upgrade)
            await _install_queue(driver)
            return
        except (DBAPIError, asyncpg.PostgresError) as error:
            if not isinstance(driver_error(error), asyncpg.LockNotAvailableError):
                raise
            await connection.rollback()
        if pause is None:
            raise MigrationBlocked
        await asyncio.sleep(pause)


async def _take_turn(driver: asyncpg.Connection) -> None:
    """Wait for other processes that migrate. The turn ends with the connection."""
    # A statement that waits would in its turn hold up CREATE INDEX CONCURRENTLY, hence `try`.
    while not await driver.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):  # noqa: ASYNC110
        await asyncio.sleep(_TURN_SECONDS)


def _check(driver: asyncpg.Connection) -> None:
    major = driver.get_server_version().major
    if major < _OLDEST_SERVER:
        raise SchemaError(f"PostgreSQL {_OLDEST_SERVER} or newer is needed; this is {major}")
    encoding = driver.get_settings().server_encoding
    if encoding != "UTF8":
        raise SchemaError(f"the database's encoding must be UTF8; this one's is {encoding}")


async def _install_queue(driver: asyncpg.Connection) -> None:
    """PgQueuer's own tables, or what its version changed in them. Its statements share no transaction."""
    from pgqueuer.adapters.persistence.queries import Queries

    queries = Queries.from_asyncpg_connection(driver)
    if await queries.schema_is_installed():
        await queries.upgrade()
    else:
        await queries.install()
