"""Transactions and the clock, alike on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from calendarsync.store.accounts import claim_installation
from calendarsync.store.database import Database
from calendarsync.store.tables import accounts, api_keys, kept_copies, links
from tests.store.kept import count, row


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


async def test_a_write_is_committed_or_undone_whole(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(insert(kept_copies).values(row(1)))
    with suppress(ZeroDivisionError):
        async with database.write() as connection:
            await connection.execute(insert(kept_copies).values(row(2)))
            _ = 1 / 0
    assert await count(database) == 1


async def test_a_cancelled_write_is_undone_and_holds_up_nobody(database: Database) -> None:
    started = asyncio.Event()

    async def write_forever() -> None:
        async with database.write() as connection:
            await connection.execute(insert(kept_copies).values(row(1)))
            started.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(write_forever())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5), database.write() as connection:
        await connection.execute(insert(kept_copies).values(row(2)))
    assert await count(database) == 1


async def test_a_reader_sees_one_state(database: Database) -> None:
    query = select(func.count()).select_from(kept_copies)
    async with database.read() as connection:
        assert (await connection.execute(query)).scalar_one() == 0
        async with database.write() as writer:
            await writer.execute(insert(kept_copies).values(row(1)))
        assert (await connection.execute(query)).scalar_one() == 0
    assert await count(database) == 1


async def test_a_reader_cannot_write(database: Database) -> None:
    async with database.read() as connection:
        with pytest.raises(DBAPIError, match=r"read-?only"):
            await connection.execute(insert(kept_copies).values(row(1)))


async def test_a_second_write_within_the_first_is_an_error_not_a_deadlock(database: Database) -> None:
    async with database.write():
        with pytest.raises(RuntimeError, match="already"):
            async with database.write():
                pass
    async with database.write():
        pass


async def test_references_are_kept(database: Database) -> None:
    values = {
        column.name: "x" for column in links.c if column.name not in ("id", "respected", "pending_since")
    }
    values |= {"generation": 0, "restores": 0, "hops": 1, "pair_id": "pair_nothere"}
    async with database.write() as connection:
        with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
            await connection.execute(insert(links).values(**values, respected=[]))


async def test_what_was_bound_is_not_in_the_message(database: Database) -> None:
    """Nor in that of a cause; PostgreSQL's DETAIL quotes the key."""
    values = {"calendar_key": "canary", "copy_id": "canary"}

    async def insert_twice() -> None:
        async with database.write() as connection:
            await connection.execute(insert(kept_copies).values(values))
            await connection.execute(insert(kept_copies).values(values))

    with pytest.raises(IntegrityError) as caught:
        await insert_twice()
    assert "canary" not in "".join(traceback.format_exception(caught.value))


async def test_values_come_back_as_they_went_in(database: Database) -> None:
    at = datetime(2026, 3, 2, 6, 0, 0, 123_456, tzinfo=UTC)
    scopes = ["a", {"ключ": [1, None, 0.5, "\u2028"]}]
    account = {"id": "acct_1", "email": "ä@example.com", "plan": "free", "created_at": at}
    key = {"id": "key_1", "account_id": "acct_1", "mode": "live", "key_hash": "h", "display": "d"}
    async with database.write() as connection:
        await connection.execute(insert(accounts).values(account))
        await connection.execute(insert(api_keys).values(key | {"scopes": scopes, "created_at": at}))
    async with database.read() as connection:
        row = (await connection.execute(select(api_keys.c.scopes, api_keys.c.created_at))).one()
        earlier = api_keys.c.created_at <= at - timedelta(microseconds=1)
        assert (await connection.execute(select(api_keys.c.id).where(earlier))).first() is None
    assert (row.scopes, row.created_at, row.created_at.utcoffset()) == (scopes, at, timedelta())


async def test_the_clock_is_the_databases(database: Database) -> None:
    assert await database.read_clock() == 0.0
    assert abs(database.now() - datetime.now(UTC)) < timedelta(seconds=1)
    assert database.now().utcoffset() == timedelta()
    jumps = []
    for _ in range(5):
        await asyncio.sleep(0.4)
        jumps.append(abs(await database.read_clock()))
        if jumps[-1] < 0.2:
            return
    pytest.fail(f"elapsed time counts as a jump: {jumps}")


async def test_a_jump_of_the_clock_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await database.read_clock()
    read_time = database._engine.read_time

    async def an_hour_back() -> tuple[datetime, float]:
        at, then = await read_time()
        return at - timedelta(hours=1), then

    monkeypatch.setattr(database._engine, "read_time", an_hour_back)
    assert await database.read_clock() == pytest.approx(-3600, abs=1)
    assert abs(await database.read_clock()) < 1


async def test_a_clock_that_was_given_is_used(database_url: str) -> None:
    at = datetime(2001, 2, 3, tzinfo=UTC)
    database = Database(database_url, clock=lambda: at)
    assert database.now() == at
    assert await database.read_clock() == 0.0
    assert database.now() == at
    await database.close()


async def test_processes_that_start_together_claim_the_installation_once(database_url: str) -> None:
    databases = [Database(database_url) for _ in range(4)]

    async def claim(database: Database) -> bool:
        async with database.write() as connection:
            return await claim_installation(connection, ["check"])

    assert await asyncio.gather(*map(claim, databases)) == [True] * 4
    async with databases[0].write() as connection:
        assert not await claim_installation(connection, ["other"])
        assert await claim_installation(connection, ["new", "check"])
        assert await claim_installation(connection, ["new"])
    for database in databases:
        await database.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql+asyncpg://user:canary@localhost/db", "names no driver"),
        ("mysql://user:canary@localhost/db", "not supported"),
        ("sqlite://", "sqlite:///path"),
        ("sqlite:///:memory:", "sqlite:///path"),
        ("sqlite:///file:x?mode=memory", "sqlite:///path"),
        ("sqlite://host/path", "sqlite:///path"),
        ("/just/a/path", "not a database address"),
        ("", "not a database address"),
    ],
)
def test_addresses_that_cannot_be_used(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Database(url)
    assert "canary" not in str(caught.value)
