"""Pairs are locked in the order of their ids; who has locked them waits for none that came after that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store import grants
from calendarsync.store import pairs as pair_store
from calendarsync.store.claims import lock_pairs
from calendarsync.store.clock_jumps import shorten_leases
from calendarsync.store.database import Database
from calendarsync.store.neighbours import beside, delete_pair, hold_back_grant, of_grant
from calendarsync.store.schedule import (
    ConnectionRecord,
    PairRecord,
    load_connection,
    load_pair,
    update_connection,
)
from calendarsync.store.tables import pairs
from calendarsync.store.tenancy import Tenant
from tests.testbed.memory_desk import MemoryDesk, memory_desk


@pytest.fixture
async def at(postgresql_database: str) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(postgresql_database, "a", "b") as desk:
        yield desk


@dataclass
class OnceLocked:
    """A connection to the database; when the first rows have been locked through it, `then` happens."""

    db: AsyncConnection
    then: Callable[[], Awaitable[None]]
    locked: bool = False

    async def execute(self, statement: Any, *given: Any) -> Any:
        result = await self.db.execute(statement, *given)
        if not self.locked and getattr(statement, "_for_update_arg", None) is not None:
            self.locked = True
            await self.then()
        return result


Work = Callable[[Any, PairRecord, ConnectionRecord], Awaitable[object]]


async def remove(db: Any, pair: PairRecord, _: ConnectionRecord) -> None:
    await lock_pairs(db, pair.id, beside=beside(pair))
    await delete_pair(db, pair, pair.created_at)


async def hold_back(db: Any, pair: PairRecord, end: ConnectionRecord) -> None:
    await lock_pairs(db, pair.id, beside=of_grant(end))
    await hold_back_grant(db, end, pair.created_at + timedelta(days=1))


async def mark_connection(db: Any, pair: PairRecord, end: ConnectionRecord) -> None:
    await pair_store.mark_due(db, Tenant(pair.account_id, pair.mode), end.id, pair.created_at)


async def mark_grant(db: Any, pair: PairRecord, _: ConnectionRecord) -> None:
    await grants.mark_due(db, Tenant(pair.account_id, pair.mode), "grant", pair.created_at)


async def shorten(db: Any, pair: PairRecord, _: ConnectionRecord) -> None:
    await shorten_leases(db, pair.created_at, pair.created_at)


@pytest.mark.parametrize("work", [remove, hold_back, mark_connection, mark_grant, shorten])
async def test_a_pair_that_came_meanwhile_is_not_waited_for(
    at: MemoryDesk, postgresql_database: str, work: Work
) -> None:
    """Who has it may wait for one that is locked here: PostgreSQL would break off one of the two."""
    first = await at.pair()
    later = at.app.clock() + timedelta(hours=1)
    await at.app.change_pair(first, leased_until=later, due_at=later)
    async with at.app.db.write() as db:
        await update_connection(db, at.connections["a"], grant_id="grant")
    copy = (await at.app.row(pairs, first))._asdict() | {"id": "pair_0"}
    other = Database(postgresql_database)

    async with AsyncExitStack() as until_then, at.app.db.write() as db:

        async def come() -> None:
            async with other.write() as anew:
                await anew.execute(insert(pairs), copy)
            holding = await until_then.enter_async_context(other.write())
            await holding.execute(select(pairs.c.id).where(pairs.c.id == "pair_0").with_for_update())

        pair = await load_pair(db, first)
        assert pair is not None
        end = await load_connection(db, pair.connection_a_id)
        await work(OnceLocked(db, come), pair, end)
    await other.close()
    row = await at.app.row(pairs, "pair_0")
    assert row.due_at == row.leased_until == later, "it is as it came"
    changed = await at.app.row(pairs, first)
    assert changed is None or changed.due_at != later
