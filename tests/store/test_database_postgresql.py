"""What is particular to PostgreSQL: many writers, the session, and the driver's connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store import database as database_module
from calendarsync.store import postgresql
from calendarsync.store.database import Database, DatabaseUnavailable
from calendarsync.store.tables import kept_copies
from tests.store.kept import count
from tests.testbed.postgresql import PostgresqlServer

SLEEP = text("SELECT pg_sleep(60)")


@pytest.fixture
async def database(postgresql_database: str) -> AsyncIterator[Database]:
    database = Database(postgresql_database)
    yield database
    await database.close()


async def keep(connection: AsyncConnection, number: int) -> None:
    await connection.execute(insert(kept_copies).values(calendar_key="calendar", copy_id=str(number)))


async def backend(connection: AsyncConnection) -> int:
    pid: int = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    return pid


async def in_thread(work: Callable[..., Any], *given: Any) -> Any:
    return await asyncio.to_thread(work, *given)


async def test_writers_work_side_by_side_and_see_what_is_committed(database: Database) -> None:
    async with database.write() as one:
        await keep(one, 1)

        async def other() -> None:
            async with database.write() as two:
                await keep(two, 2)

        await asyncio.wait_for(asyncio.create_task(other()), 5)
        rows = await one.execute(select(kept_copies.c.copy_id).order_by(kept_copies.c.copy_id))
        assert list(rows.scalars()) == ["1", "2"]


async def test_the_session_is_set_up(database: Database) -> None:
    async with database.write() as connection:
        for name, value in {
            "application_name": "calendarsync",
            "statement_timeout": "30s",
            "lock_timeout": "10s",
            "idle_in_transaction_session_timeout": "10s",
            "transaction_isolation": "read committed",
            "TimeZone": "UTC",
            "jit": "off",
        }.items():
            assert (await connection.execute(text(f"SHOW {name}"))).scalar_one() == value
    async with database.read() as connection:
        assert (
            await connection.execute(text("SHOW transaction_isolation"))
        ).scalar_one() == "repeatable read"


async def test_the_drivers_connection_is_inside_the_transaction(database: Database) -> None:
    async def use_and_fail() -> None:
        async with database.write() as connection:
            await keep(connection, 1)
            driver = await database.raw(connection)
            await driver.execute("INSERT INTO kept_copies (calendar_key, copy_id) VALUES ('calendar', '2')")
            assert await driver.fetchval("SELECT count(*) FROM kept_copies") == 2
            raise LookupError

    with pytest.raises(LookupError):
        await use_and_fail()
    assert await count(database) == 0


async def test_the_drivers_connection_is_refused_before_the_first_statement(database: Database) -> None:
    async with database.write() as connection:
        with pytest.raises(RuntimeError, match="first statement"):
            await database.raw(connection)


async def test_a_connection_of_ones_own_listens(database: Database) -> None:
    listener = await database.connect_raw()
    heard: asyncio.Queue[object] = asyncio.Queue()
    await listener.add_listener("calls", lambda *given: heard.put_nowait(given[-1]))
    async with database.write() as connection:
        await connection.execute(text("SELECT pg_notify('calls', 'one')"))
        assert heard.empty()
    assert await asyncio.wait_for(heard.get(), 5) == "one"
    await listener.close()


async def test_other_errors_stay_what_they_are(database: Database) -> None:
    async with database.write() as connection:
        with pytest.raises(DBAPIError, match="division by zero"):
            await connection.execute(text("SELECT 1 / 0"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), database.read() as connection:
            await connection.execute(SLEEP)


async def test_a_lost_connection_to_something_else_is_not_taken_for_ours(database: Database) -> None:
    async def work() -> None:
        async with database.write() as connection:
            await backend(connection)
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await work()


async def test_a_cancelled_statement_leaves_no_connection_behind(
    database: Database, postgresql_server: PostgresqlServer, postgresql_database: str
) -> None:
    async def work() -> None:
        async with database.write() as connection:
            await keep(connection, 1)
            await connection.execute(SLEEP)

    for _ in range(3 * postgresql.CONNECTIONS):
        task = asyncio.create_task(work())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await count(database) == 0
    query = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = $1 AND application_name = 'calendarsync' AND state <> 'idle'"
    )
    name = urlsplit(postgresql_database).path[1:]
    deadline = time.monotonic() + 5
    while (await in_thread(postgresql_server.execute, query, name))[0]["count"]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_a_connection_that_is_alive_is_used_again_without_asking(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.write() as connection:
        before = await backend(connection)
    statements = []
    connected = await database.connect_raw()
    execute = type(connected).fetchrow
    monkeypatch.setattr(
        type(connected),
        "fetchrow",
        lambda *given, **named: statements.append(given) or execute(*given, **named),
    )
    async with database.write() as connection:
        assert await backend(connection) == before
    assert statements == []
    await connected.close()


async def test_transactions_that_stand_in_each_others_way_are_a_matter_of_trying_again(
    postgresql_database: str,
) -> None:
    database = Database(postgresql_database)
    locked: list[int] = []
    both = asyncio.Event()

    async def lock(first: int, second: int) -> str:
        try:
            async with database.write() as connection:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": first})
                locked.append(first)
                if len(locked) == 2:
                    both.set()
                await both.wait()
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": second})
        except DatabaseUnavailable as error:
            return str(error)
        return "done"

    told = await asyncio.gather(lock(1, 2), lock(2, 1))
    assert sorted(text != "done" for text in told) == [False, True]
    assert "in the way" in "".join(told)
    await database.close()


async def test_the_servers_clock_is_read_again_after_a_while(
    postgresql_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(postgresql_database)
    await database.read_clock()
    first = database._reading
    async with database.read() as connection:
        await connection.execute(select(1))
    assert database._reading is first
    monkeypatch.setattr(database_module, "_READING_LASTS", 0.0)
    async with database.read() as connection:
        await connection.execute(select(1))
    assert database._reading is not first
    await database.close()
