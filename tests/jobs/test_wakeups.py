"""Wake-ups: sent with a transaction or not at all, and delivered to whoever listens."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from functools import partial

import pytest
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import Queries
from sqlalchemy import func, insert, select, text

from calendarsync.jobs.wakeups import Wakeups
from calendarsync.store.database import Database
from calendarsync.store.tables import kept_copies
from tests.testbed.postgresql import PostgresqlServer

RING = "ring"


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    made = Database(database_url)
    yield made
    await made.close()


class Listener:
    """Collects what is delivered to these entrypoints while it runs."""

    def __init__(self, wakeups: Wakeups, *entrypoints: str) -> None:
        self.heard: list[str] = []
        self.fails = False
        self._wakeups = wakeups
        self._arrived = asyncio.Event()
        handlers = {each: partial(self._hear, each) for each in entrypoints or (RING,)}
        self._task = asyncio.create_task(wakeups.listen(handlers))

    async def _hear(self, entrypoint: str) -> None:
        self.heard.append(entrypoint)
        self._arrived.set()
        if self.fails:
            raise RuntimeError("a secret title")

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.heard) < count:
                self._arrived.clear()
                await self._arrived.wait()

    async def stop(self) -> None:
        self._wakeups.stop()
        await asyncio.wait_for(self._task, 20)


async def kept(db: Database) -> int:
    async with db.read() as connection:
        found: int = (await connection.execute(select(func.count()).select_from(kept_copies))).scalar_one()
        return found


async def send(wakeups: Wakeups, *entrypoints: str, fail: bool = False) -> None:
    async with wakeups.transaction() as (connection, sending):
        row = {"calendar_key": "key", "copy_id": secrets.token_hex(8)}
        await connection.execute(insert(kept_copies).values(row))
        sending.extend(entrypoints)
        if fail:
            raise ZeroDivisionError


async def test_a_wakeup_arrives_at_once_when_its_transaction_commits(db: Database) -> None:
    wakeups = Wakeups(db)
    listener = Listener(wakeups)
    await asyncio.sleep(0.5)
    await send(wakeups, RING)
    await asyncio.wait_for(listener.until(1), 5)
    await listener.stop()
    assert (listener.heard, await kept(db)) == ([RING], 1)


async def test_a_rollback_sends_nothing(db: Database) -> None:
    wakeups = Wakeups(db)
    with pytest.raises(ZeroDivisionError):
        await send(wakeups, "undone", fail=True)
    await send(wakeups, "done")
    listener = Listener(wakeups, "undone", "done")
    await listener.until(1)
    await asyncio.sleep(0.3)
    await listener.stop()
    assert listener.heard == ["done"]


async def test_a_repetition_is_delivered_as_well(db: Database) -> None:
    wakeups = Wakeups(db)
    await send(wakeups, RING, RING)
    await send(wakeups, RING)
    listener = Listener(wakeups)
    await listener.until(3)
    await listener.stop()
    assert listener.heard == [RING] * 3


async def test_a_handler_that_fails_ends_nothing(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    wakeups = Wakeups(db)
    listener = Listener(wakeups)
    listener.fails = True
    await send(wakeups, RING)
    await listener.until(1)
    await send(wakeups, RING)
    await listener.until(2)
    await listener.stop()
    assert "secret" not in caplog.text


async def test_listening_outlives_a_connection_that_is_cut(
    postgresql_database: str, postgresql_server: PostgresqlServer
) -> None:
    db = Database(postgresql_database)
    wakeups = Wakeups(db)
    listener = Listener(wakeups)
    await send(wakeups, RING)
    await listener.until(1)
    assert await asyncio.to_thread(postgresql_server.end_backends, postgresql_database) > 0
    await asyncio.sleep(0.5)
    await send(wakeups, RING)
    await listener.until(2)
    await listener.stop()
    await db.close()


async def test_the_trap_that_a_transaction_avoids(postgresql_database: str) -> None:
    """SQLAlchemy begins a transaction with its first statement: what is enqueued before is there for good."""
    db = Database(postgresql_database)
    async with db.write() as connection:
        with pytest.raises(RuntimeError):
            await db.raw(connection)
        await connection.execute(select(1))
        queries = Queries(AsyncpgDriver(await db.raw(connection)))
        await queries.enqueue([RING], [None], [0])
        await connection.rollback()
    raw = await db.connect_raw()
    assert await raw.fetchval("SELECT count(*) FROM pgqueuer") == 0
    await raw.close()
    await db.close()


async def test_the_log_of_wakeups_is_emptied_however_short_a_connection_lives(
    postgresql_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PgQueuer writes three rows for each wake-up, and keeps them for ever."""
    monkeypatch.setattr(random, "uniform", lambda low, _: low)  # the shortest of all pauses
    db = Database(postgresql_database)
    async with db.write() as connection:
        row = "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint) VALUES (1, 'successful', 0, 'ring')"
        await connection.execute(text(row))
    listener = Listener(Wakeups(db))
    async with asyncio.timeout(20):
        while await logged(db):  # noqa: ASYNC110 - the database has no event
            await asyncio.sleep(0.02)
    await listener.stop()
    await db.close()


async def logged(db: Database) -> int:
    async with db.read() as connection:
        found: int = (await connection.execute(text("SELECT count(*) FROM pgqueuer_log"))).scalar_one()
    return found
