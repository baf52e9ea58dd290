"""All that SQLite and PostgreSQL do not say alike in SQL."""

from __future__ import annotations

from sqlalchemy import BigInteger, Table, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

Insert = postgresql.Insert | sqlite.Insert

_NOTIFY = select(func.pg_notify(bindparam("channel"), bindparam("payload")))
_TAKE_TURN = select(func.pg_advisory_xact_lock(bindparam("key", type_=BigInteger)))
_PREFER_INDEXES = select(
    func.set_config("enable_seqscan", "off", True),
    func.set_config("enable_sort", "off", True),
    func.set_config("enable_incremental_sort", "off", True),
)
_NOT_WAITING = select(func.set_config("synchronous_commit", "off", True))


def upsert(db: AsyncConnection, table: Table) -> Insert:
    """An INSERT that takes `on_conflict_do_update` and `on_conflict_do_nothing`, alike on both."""
    return postgresql.insert(table) if db.dialect.name == "postgresql" else sqlite.insert(table)


def takes_arrays(db: AsyncConnection) -> bool:
    """Whether a statement may be given arrays, and so write many rows at once."""
    return db.dialect.name == "postgresql"


async def one_at_a_time(db: AsyncConnection, key: int) -> None:
    """Until this transaction ends nobody else passes with the same key. SQLite has one writer at a time anyway."""
    if db.dialect.name == "postgresql":
        await db.execute(_TAKE_TURN, {"key": key})


async def prefer_indexes(db: AsyncConnection) -> None:
    """For the rest of a short transaction that wants the first rows of an index.

    Whatever the statistics say, it is not to sort a whole table for that. SQLite does not think of it.
    """
    if db.dialect.name == "postgresql":
        await db.execute(_PREFER_INDEXES)


async def commit_without_waiting(db: AsyncConnection) -> None:
    """This transaction may be lost where the server's machine fails within a moment; its commit is quick.

    SQLite in WAL mode does so anyway.
    """
    if db.dialect.name == "postgresql":
        await db.execute(_NOT_WAITING)


ORDERS_CHANNEL = "calendarsync_orders"


async def notify(db: AsyncConnection, channel: str, payload: str) -> None:
    """Tell processes that listen, when this transaction commits. With SQLite there is no other process."""
    if db.dialect.name == "postgresql":
        await db.execute(_NOTIFY, {"channel": channel, "payload": payload})
