"""Deleting what is kept for a while, by a time in its table. For the engine."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.dialects import prefer_indexes


async def delete_old(db: AsyncConnection, column: Column[datetime], before: datetime, limit: int) -> int:
    """Delete up to `limit` rows whose time in `column` is that or earlier, the oldest first; how many.

    What belongs to them goes with them. The column is in an index, and its table has one column as key.
    """
    (key,) = column.table.primary_key.columns
    await prefer_indexes(db)
    # Locked before, and passed by where somebody else is at it: another process, or who begins a window anew.
    oldest = (
        select(key).where(column <= before).order_by(column).limit(limit).with_for_update(skip_locked=True)
    )
    keys = (await db.execute(oldest)).scalars().all()
    if keys:
        await db.execute(delete(column.table).where(key.in_(keys)))
    return len(keys)


async def count_old(db: AsyncConnection, column: Column[datetime], before: datetime) -> int:
    """How many rows `delete_old` would delete, without a limit."""
    query = select(func.count()).select_from(column.table).where(column <= before)
    return int((await db.execute(query)).scalar_one())
