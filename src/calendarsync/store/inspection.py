"""What whoever runs the installation is told of all accounts: numbers, ids and states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.tables import grants


async def list_grants(db: AsyncConnection) -> Sequence[Row[Any]]:
    """Id, provider, status and scopes of what people have granted, the oldest first."""
    columns: list[Column[Any]] = [grants.c.id, grants.c.provider, grants.c.status, grants.c.scopes]
    query = select(*columns).where(grants.c.delegation_id.is_(None))
    return (await db.execute(query.order_by(grants.c.created_at, grants.c.id))).all()
