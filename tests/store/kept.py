"""Rows of a table that refers to no other, for tests of transactions."""

from __future__ import annotations

from sqlalchemy import func, select

from calendarsync.store.database import Database
from calendarsync.store.tables import kept_copies


async def count(database: Database) -> int:
    async with database.read() as connection:
        found: int = (await connection.execute(select(func.count()).select_from(kept_copies))).scalar_one()
        return found


def row(number: int) -> dict[str, str]:
    return {"calendar_key": "calendar", "copy_id": str(number)}
