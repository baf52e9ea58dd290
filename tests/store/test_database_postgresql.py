"""What is particular to PostgreSQL: many writers, the driver's connection, and a server that goes away."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store import postgresql
from calendarsync.store.database import Database, DatabaseUnavailable
from calendarsync.store.tables import kept_copies
from tests.testbed.postgresql import OwnServer, PostgresqlServer

SLEEP = text("SELECT pg_sleep(60)")


@pytest.fixture
async def database(postgresql_database: str) -> AsyncIterator[Database]:
    database = Database(postgresql_database)
    yield database
    await database.close()


async def count(database: Database) -> int:
    async with database.read() as connection:
        found: int = (await connection.execute(select(func.count()).select_from(kept_copies))).scalar_one()
        return found


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
            await driver.execute("INSERT INTO kept_copies VALUES ('calendar', '2')")
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


async def test_a_connection_that_the_server_closed_is_replaced(
    database: Database, postgresql_server: PostgresqlServer, postgresql_database: str
) -> None:
    async with database.write() as connection:
        before = await backend(connection)
    assert await in_thread(postgresql_server.end_backends, postgresql_database) == 1
    async with database.write() as connection:
        assert await backend(connection) != before


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


@pytest.mark.parametrize("kind", ["read", "write"])
async def test_a_server_that_ends_the_connection_in_the_middle(
    database: Database, postgresql_server: PostgresqlServer, postgresql_database: str, kind: str
) -> None:
    async def work() -> None:
        async with getattr(database, kind)() as connection:
            await backend(connection)
            await in_thread(postgresql_server.end_backends, postgresql_database)
            await backend(connection)

    with pytest.raises(DatabaseUnavailable, match=r"ended the connection|was lost"):
        await work()
    assert await count(database) == 0


async def test_a_statement_that_runs_when_the_connection_ends(
    database: Database, postgresql_server: PostgresqlServer, postgresql_database: str
) -> None:
    async def work() -> None:
        async with database.write() as connection:
            await connection.execute(SLEEP)

    task = asyncio.create_task(work())
    while not await in_thread(postgresql_server.end_backends, postgresql_database):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    with pytest.raises(DatabaseUnavailable):
        await asyncio.wait_for(task, 10)


async def test_a_commit_that_is_cut(
    database: Database, postgresql_server: PostgresqlServer, postgresql_database: str
) -> None:
    async def work() -> None:
        async with database.write() as connection:
            await keep(connection, 1)
            await in_thread(postgresql_server.end_backends, postgresql_database)

    with pytest.raises(DatabaseUnavailable):
        await work()
    assert await count(database) == 0


async def test_a_connection_that_ends_under_the_driver(
    database: Database, postgresql_server: PostgresqlServer, postgresql_database: str
) -> None:
    async def work() -> None:
        async with database.write() as connection:
            await backend(connection)
            driver = await database.raw(connection)
            await in_thread(postgresql_server.end_backends, postgresql_database)
            await driver.execute("SELECT 1")

    with pytest.raises(DatabaseUnavailable):
        await work()
    assert await count(database) == 0


async def test_a_transaction_that_is_idle_for_too_long(
    postgresql_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgresql._SESSION, "idle_in_transaction_session_timeout", "100ms")
    database = Database(postgresql_database)

    async def work() -> None:
        async with database.write() as connection:
            await keep(connection, 1)
            await asyncio.sleep(0.5)

    with pytest.raises(DatabaseUnavailable):
        await work()
    assert await count(database) == 0
    await database.close()


async def test_a_server_that_restarts(database: Database, own_postgresql: OwnServer) -> None:
    async with database.write() as connection:
        await keep(connection, 1)
    await in_thread(own_postgresql.stop)
    for work in (count(database), database.read_clock(), database.migrate()):
        with pytest.raises(DatabaseUnavailable, match="cannot be reached") as caught:
            await work
        assert "host" not in str(caught.value)
    await in_thread(own_postgresql.start)
    assert await count(database) in (0, 1)  # our server does not wait for the disk


async def test_a_pool_whose_connections_are_all_taken(
    postgresql_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "CONNECTIONS", 1)
    monkeypatch.setattr(postgresql, "_POOL_SECONDS", 0.1)
    database = Database(postgresql_database)
    async with database.write():
        with pytest.raises(DatabaseUnavailable, match="of this process are taken"):
            await count(database)
    assert await count(database) == 0
    await database.close()


async def test_a_server_whose_connections_are_all_taken(
    database: Database, postgresql_server: PostgresqlServer, postgresql_database: str
) -> None:
    name = urlsplit(postgresql_database).path[1:]
    await in_thread(postgresql_server.execute, f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    await in_thread(postgresql_server.execute, f"CREATE ROLE {name} LOGIN PASSWORD 'canary'")
    parts = urlsplit(postgresql_database)
    address = parts.netloc.rpartition("@")[2]
    other = Database(parts._replace(netloc=f"{name}:canary@{address}").geturl())
    try:
        with pytest.raises(DatabaseUnavailable, match="all its connections are taken"):
            await count(other)
    finally:
        await other.close()
        await in_thread(postgresql_server.execute, f"DROP ROLE {name}")


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


async def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "_CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        database = Database(f"postgresql://user:canary@127.0.0.1:{port}/db?sslmode=disable")
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailable, match="did not answer in time") as caught:
            await database.read_clock()
        assert time.monotonic() - started < 5
        assert "canary" not in str(caught.value)
        await database.close()


async def test_a_server_that_falls_silent(postgresql_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own bound decides where no answer comes at all."""
    monkeypatch.setattr(postgresql, "_ANSWER_SECONDS", 0.3)
    database = Database(postgresql_database)

    async def work() -> None:
        async with database.write() as connection:
            await connection.execute(SLEEP)

    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match="did not answer in time"):
        await work()
    assert time.monotonic() - started < 10
    assert await count(database) == 0
    await database.close()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("user:canary@127.0.0.1:{closed}/db", "cannot be reached (connection refused)"),
        ("user:canary@canary.invalid/db", "host name cannot be resolved"),
        ("user:canary@/db?host=/nowhere/canary", "cannot be reached (no such file or directory)"),
        ("user:canary@127.0.0.1:port/db", "address is not one that can be used"),
    ],
)
async def test_why_a_server_cannot_be_reached(address: str, message: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        closed = probe.getsockname()[1]
    database = Database("postgresql://" + address.format(closed=closed))
    calls: list[Callable[[], Awaitable[object]]] = [
        database.read_clock,
        database.migrate,
        database.connect_raw,
    ]
    for call in calls:
        with pytest.raises(DatabaseUnavailable) as caught:
            await call()
        assert message in str(caught.value)
        for secret in ("canary", "127.0.0.1", str(closed)):
            assert secret not in str(caught.value)
    await database.close()


async def test_a_database_that_is_not_there(postgresql_database: str) -> None:
    database = Database(urlsplit(postgresql_database)._replace(path="/nowhere").geturl())
    with pytest.raises(DatabaseUnavailable, match="no database of that name"):
        await database.read_clock()
    await database.close()


async def test_over_tcp(own_postgresql: OwnServer, postgresql_database: str) -> None:
    url = own_postgresql.over_tcp(postgresql_database)
    database = Database(url)
    async with database.write() as connection:
        await keep(connection, 1)
        carrier = (await database.raw(connection))._transport.get_extra_info("socket")
        assert carrier.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    await database.close()
    secure = Database(f"{url}?sslmode=require")
    with pytest.raises(DatabaseUnavailable, match="does not offer a secure connection"):
        await secure.read_clock()
    await secure.close()
