"""Deleting logs that are older than their account's plan keeps them. For the engine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Row, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.logs import STATUSES
from calendarsync.store.tables import accounts, runs

_MODES = ("live", "test")


async def accounts_after(
    db: AsyncConnection, account_id: str, limit: int
) -> Sequence[Row[str, str, datetime | None]]:
    """(id, plan, trial_ends_at) of the accounts whose ids come next."""
    query = select(accounts.c.id, accounts.c.plan, accounts.c.trial_ends_at)
    following = query.where(accounts.c.id > account_id).order_by(accounts.c.id).limit(limit)
    return (await db.execute(following)).all()


async def delete_logs(db: AsyncConnection, account_ids: Sequence[str], before: datetime, limit: int) -> int:
    """Delete up to `limit` logs of before that, with their operations; how many there were."""
    old = select(runs.c.id).where(
        runs.c.account_id.in_(account_ids),
        # All that there are: so the ranges of an index are named, and no other row is looked at.
        runs.c.mode.in_(_MODES),
        runs.c.status.in_(STATUSES),
        runs.c.created_at < before,
    )
    # Another process may be at it as well.
    found = await db.execute(old.limit(limit).with_for_update(skip_locked=True))
    ids = list(found.scalars())
    if ids:
        await db.execute(delete(runs).where(runs.c.id.in_(ids)))
    return len(ids)
