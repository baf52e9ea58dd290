"""All that SQLite and PostgreSQL do not say alike in SQL."""

from __future__ import annotations

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

Insert = postgresql.Insert | sqlite.Insert


def upsert(db: AsyncConnection, table: Table) -> Insert:
    """An INSERT that takes `on_conflict_do_update` and `on_conflict_do_nothing`, alike on both."""
    return postgresql.insert(table) if db.dialect.name == "postgresql" else sqlite.insert(table)
