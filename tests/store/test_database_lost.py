"""A PostgreSQL that cannot be reached, refuses, or goes away in the middle."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

import asyncpg
import pytest

from calendarsync.store import postgresql
from calendarsync.store.database import Database, DatabaseUnavailable
from tests.store.test_database_postgresql import SLEEP, backend, count, in_thread, keep
from tests.testbed.postgresql import OwnServer, PostgresqlServer


@pytest.fixture
async def database(postgresql_database: str) -> AsyncIterator[Database]:
    database = Database(postgresql_database)
    yield database
    await database.close()


async def test_a_connection_that_the_server_closed_is_replaced(
    database: Database, postgresql_server: PostgresqlServer, postgresql_database: str
) -> None:
    async with database.write() as connection:
        before = await backend(connection)
    assert await in_thread(postgresql_server.end_backends, postgresql_database) == 1
    async with database.write() as connection:
        assert await backend(connection) != before


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


async def test_a_server_that_goes_away_before_anybody_is_alone(
    database: Database,
    postgresql_server: PostgresqlServer,
    postgresql_database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect = database.connect_raw

    async def cut_off() -> asyncpg.Connection:
        connection = await connect()
        await in_thread(postgresql_server.end_backends, postgresql_database)
        return connection

    monkeypatch.setattr(database, "connect_raw", cut_off)
    with pytest.raises(DatabaseUnavailable, match=r"ended the connection|was lost"):
        async with database.alone(1):
            pass


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

    async with database.write() as connection:
        before = await backend(connection)

    async def work() -> None:
        async with database.write() as connection:
            await connection.execute(SLEEP)

    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match="did not answer in time"):
        await work()
    assert time.monotonic() - started < 10
    async with database.write() as connection:
        assert await backend(connection) != before
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
