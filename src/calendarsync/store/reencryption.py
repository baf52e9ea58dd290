"""What is encrypted, in all tables: every column `…_encrypted`, under the context of its row's primary key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, RowMapping, Table, and_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.columns import metadata

SUFFIX = "_encrypted"


def encrypted_tables() -> list[Table]:
    """Those with such columns, by name."""
    return [metadata.tables[name] for name in sorted(metadata.tables) if encrypted(metadata.tables[name])]


def encrypted(table: Table) -> list[Column[Any]]:
    return [column for column in table.c if column.name.endswith(SUFFIX)]


def key_of(table: Table) -> Column[Any]:
    """The column that tells the table's rows apart. Raises ValueError where it takes several."""
    (column,) = table.primary_key.columns
    return column


async def sealed_rows(
    connection: AsyncConnection, table: Table, *, after: str, limit: int
) -> Sequence[RowMapping]:
    """Up to `limit` rows behind the key `after`, in the order of their keys: the key, and what is encrypted."""
    key = key_of(table)
    query = select(key, *encrypted(table)).where(key > after).order_by(key).limit(limit)
    return (await connection.execute(query)).mappings().all()


async def reseal(
    connection: AsyncConnection, column: Column[Any], key: str, *, was: bytes, sealed: bytes
) -> bool:
    """Whether the value was still what it `was`; who has written another meanwhile has the last word."""
    table = column.table
    assert isinstance(table, Table)
    mine = and_(key_of(table) == key, column == was)
    change = update(table).where(mine).values({column: sealed}).returning(key_of(table))
    return (await connection.execute(change)).first() is not None
