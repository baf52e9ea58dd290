"""All that SQLite and PostgreSQL do not say alike in SQL."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    String,
    Table,
    bindparam,
    func,
    literal_column,
    select,
    text,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

Insert = postgresql.Insert | sqlite.Insert

_NOTIFY = select(func.pg_notify(bindparam("channel"), bindparam("payload")))
_TAKE_TURN = select(func.pg_advisory_xact_lock(bindparam("key", type_=BigInteger)))
_SHARE_TURN = select(func.pg_advisory_xact_lock_shared(bindparam("key", type_=BigInteger)))
_OLDEST_TRANSACTION = (
    select(func.min(literal_column("xact_start", DateTime(timezone=True))))
    .select_from(text("pg_stat_activity"))
    .where(text("datname = current_database() AND application_name = current_setting('application_name')"))
)
_BY_INDEXES = (
    func.set_config("enable_seqscan", "off", True),
    func.set_config("enable_sort", "off", True),
    func.set_config("enable_incremental_sort", "off", True),
    # Where no statistics are it expects many rows, and to start processes for them takes longer than all the rest.
    func.set_config("max_parallel_workers_per_gather", "0", True),
)
_PREFER_INDEXES = select(*_BY_INDEXES)
_TAKE_TURN_BY_INDEXES = _TAKE_TURN.add_columns(*_BY_INDEXES)
_NOT_WAITING = select(func.set_config("synchronous_commit", "off", True))


def upsert(db: AsyncConnection, table: Table) -> Insert:
    """An INSERT that takes `on_conflict_do_update` and `on_conflict_do_nothing`, alike on both."""
    return postgresql.insert(table) if db.dialect.name == "postgresql" else sqlite.insert(table)


def takes_arrays(db: AsyncConnection) -> bool:
    """Whether a statement may be given arrays, and so write many rows at once."""
    return db.dialect.name == "postgresql"


def has_other_processes(db: AsyncConnection) -> bool:
    """Whether others may work on this database."""
    return db.dialect.name == "postgresql"


async def one_at_a_time(db: AsyncConnection, key: int, *, by_indexes: bool = False) -> None:
    """Until this transaction ends nobody else passes with the same key. SQLite has one writer at a time anyway.

    `by_indexes`: as `prefer_indexes`, in the same statement.
    """
    if db.dialect.name == "postgresql":
        await db.execute(_TAKE_TURN_BY_INDEXES if by_indexes else _TAKE_TURN, {"key": key})


async def with_others(db: AsyncConnection, key: int) -> None:
    """Until this transaction ends nobody passes with that key `one_at_a_time`; who passes here does."""
    if db.dialect.name == "postgresql":
        await db.execute(_SHARE_TURN, {"key": key})


async def oldest_transaction(db: AsyncConnection) -> datetime | None:
    """When the oldest of the program's transactions began that have not ended; None beside SQLite.

    There nobody else is writing while this transaction does.
    """
    if db.dialect.name != "postgresql":
        return None
    found: datetime | None = (await db.execute(_OLDEST_TRANSACTION)).scalar_one()
    return found


def minute_of(db: AsyncConnection, column: Column[datetime]) -> ColumnElement[datetime]:
    """The time in `column` without its seconds."""
    if db.dialect.name == "postgresql":
        return func.date_trunc(literal_column("'minute'"), column, type_=column.type)
    # As SQLAlchemy writes it: 2026-03-28 10:00:00.000000
    return type_coerce(func.substr(column, 1, 16, type_=String) + ":00.000000", column.type)


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
"""Of orders that were carried out: their sync ids."""

GIVEN_CHANNEL = "calendarsync_given"
"""Of workers that claims were made for: their ids."""


async def notify(db: AsyncConnection, channel: str, payload: str) -> None:
    """Tell processes that listen, when this transaction commits. With SQLite there is no other process."""
    if db.dialect.name == "postgresql":
        await db.execute(_NOTIFY, {"channel": channel, "payload": payload})
