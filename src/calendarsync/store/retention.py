"""Deleting logs: what is older than their account's plan keeps them, and brief ones sooner. For the engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, delete, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.dialects import one_at_a_time, prefer_indexes
from calendarsync.store.logs import STATUSES
from calendarsync.store.run_counts import COUNTS_LOCK
from calendarsync.store.run_tables import is_brief
from calendarsync.store.tables import accounts, pairs, run_counts, runs

MODES = ("live", "test")

_span = (
    select(func.max(run_counts.c.begins_at))
    .where(
        run_counts.c.account_id == runs.c.account_id,
        run_counts.c.mode == runs.c.mode,
        run_counts.c.begins_at <= runs.c.created_at,
    )
    .correlate(runs)
    .scalar_subquery()
    .label("span")
)
_LOGS = select(runs.c.id, runs.c.account_id, runs.c.mode, runs.c.status, runs.c.created_at, _span)
_key = (run_counts.c.account_id, run_counts.c.mode, run_counts.c.begins_at)
_UNCOUNT = (
    update(run_counts)
    .where(
        run_counts.c.account_id == bindparam("of_account"),
        run_counts.c.mode == bindparam("of_mode"),
        run_counts.c.begins_at == bindparam("of_span", type_=run_counts.c.begins_at.type),
        run_counts.c.status == bindparam("of_status"),
    )
    .values(count=run_counts.c.count - bindparam("gone"))
)


async def accounts_after(
    db: AsyncConnection, account_id: str, limit: int
) -> Sequence[Row[str, str, datetime | None]]:
    """(id, plan, trial_ends_at) of the accounts whose ids come next."""
    query = select(accounts.c.id, accounts.c.plan, accounts.c.trial_ends_at)
    following = query.where(accounts.c.id > account_id).order_by(accounts.c.id).limit(limit)
    return (await db.execute(following)).all()


async def accounts_with_pairs(
    db: AsyncConnection, account_ids: Sequence[str], at_least: int
) -> Sequence[str]:
    """Those of the accounts that have so many pairs, in either mode."""
    many = select(pairs.c.account_id).where(pairs.c.account_id.in_(account_ids)).group_by(pairs.c.account_id)
    return (await db.execute(many.having(func.count() >= at_least))).scalars().all()


def old_logs(account_ids: Sequence[str], before: datetime) -> ColumnElement[bool]:
    """Logs of these accounts, from before that."""
    return (
        runs.c.account_id.in_(account_ids)
        # All that there are: so the ranges of an index are named, and no other row is looked at.
        & runs.c.mode.in_(MODES)
        & runs.c.status.in_(STATUSES)
        & (runs.c.created_at < before)
    )


async def count_old_logs(db: AsyncConnection, account_ids: Sequence[str], before: datetime) -> int:
    query = select(func.count()).select_from(runs).where(old_logs(account_ids, before))
    return int((await db.execute(query)).scalar_one())


async def delete_logs(db: AsyncConnection, account_ids: Sequence[str], before: datetime, limit: int) -> int:
    """Delete up to `limit` logs of before that, with their operations; how many there were."""
    return len(await _delete(db, _LOGS.where(old_logs(account_ids, before)).limit(limit)))


async def count_brief_logs(db: AsyncConnection, before: datetime) -> int:
    query = select(func.count()).select_from(runs).where(is_brief, runs.c.created_at < before)
    return int((await db.execute(query)).scalar_one())


async def delete_brief_logs(
    db: AsyncConnection, after: datetime, before: datetime, limit: int
) -> tuple[int, datetime]:
    """Delete up to `limit` brief logs from `after` on and of before `before`; how many, and the last one's time.

    The oldest go first, so whoever goes on from there passes by what is deleted already, and stands in the index
    until the database has swept it.
    """
    old = _LOGS.where(is_brief, runs.c.created_at >= after, runs.c.created_at < before)
    gone = await _delete(db, old.order_by(runs.c.created_at).limit(limit))
    return len(gone), max((row.created_at for row in gone), default=before)


async def _delete(db: AsyncConnection, chosen: Any) -> Sequence[Any]:
    """Delete logs, and take them off the counts of their spans (store/run_counts.py)."""
    # Nobody counts a log that goes at this moment.
    await one_at_a_time(db, COUNTS_LOCK)
    await prefer_indexes(db)
    # Another process may be at it as well.
    rows = (await db.execute(chosen.with_for_update(of=runs, skip_locked=True))).all()
    counted = Counter(
        (row.account_id, row.mode, row.span, row.status) for row in rows if row.span is not None
    )
    names = ("of_account", "of_mode", "of_span", "of_status")
    if counted:
        await db.execute(
            _UNCOUNT, [dict(zip(names, key, strict=True)) | {"gone": gone} for key, gone in counted.items()]
        )
    if rows:
        await db.execute(delete(runs).where(runs.c.id.in_([row.id for row in rows])))
    return rows


async def delete_counts(db: AsyncConnection, account_ids: Sequence[str], before: datetime, limit: int) -> int:
    """Delete the counts of up to `limit` spans that began before that, the oldest first; how many rows."""
    await one_at_a_time(db, COUNTS_LOCK)
    mine = run_counts.c.account_id.in_(account_ids) & run_counts.c.mode.in_(MODES)
    old = select(*_key).where(mine, run_counts.c.begins_at < before).distinct()
    oldest = old.order_by(run_counts.c.begins_at).limit(limit)
    return (await db.execute(delete(run_counts).where(tuple_(*_key).in_(oldest)))).rowcount


async def delete_counts_ahead(db: AsyncConnection, account_ids: Sequence[str], over: datetime) -> int:
    """Delete counts of what is still to come: the clock was set back. How many rows."""
    await one_at_a_time(db, COUNTS_LOCK)
    mine = run_counts.c.account_id.in_(account_ids) & run_counts.c.mode.in_(MODES)
    return (await db.execute(delete(run_counts).where(mine, run_counts.c.begins_at > over))).rowcount
