"""The clock of an account's test mode: how far it is ahead, and what waits for it. Bound to a tenant.

Times are kept as the real clock tells them. Advancing it does not change that: what waits is pulled in by as much,
so that whoever asks the real clock finds it due.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, and_, bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.tables import accounts, connections, deliveries, pairs
from calendarsync.store.tenancy import Tenant, owned

_SECONDS = accounts.c.test_clock_seconds


async def advance(db: AsyncConnection, tenant: Tenant, seconds: int, *, most: int) -> int | None:
    """How far it is ahead then; None where that would be more than `most` seconds, and nothing changes."""
    change = (
        update(accounts)
        .where(accounts.c.id == tenant.account_id, _SECONDS + seconds <= most)
        .values(test_clock_seconds=_SECONDS + seconds)
    )
    ahead: int | None = (await db.execute(change.returning(_SECONDS))).scalar_one_or_none()
    return ahead


async def pull_in(db: AsyncConnection, tenant: Tenant, span: timedelta) -> None:
    """Make all that waits wait so much less: pairs first, as every transaction locks them."""
    await _pull_in(db, tenant, span, pairs, (pairs.c.due_at, pairs.c.quiet_until, pairs.c.resume_at))
    await _pull_in(db, tenant, span, connections, (connections.c.not_before,))
    # One that is being delivered at this moment does not wait.
    free = deliveries.c.leased_until.is_(None)
    await _pull_in(db, tenant, span, deliveries, (deliveries.c.next_attempt_at,), free)


async def _pull_in(
    db: AsyncConnection,
    tenant: Tenant,
    span: timedelta,
    table: Table,
    columns: Sequence[Column[Any]],
    *which: ColumnElement[bool],
) -> None:
    waits = and_(owned(table), or_(*(column.is_not(None) for column in columns)), *which)
    lock = select(table.c.id, *columns).where(waits).order_by(table.c.id)
    rows = (await db.execute(lock.with_for_update(), tenant.parameters())).all()
    earlier = [
        {
            "of_id": row.id,
            **{f"new_{column.name}": at and at - span for column, at in zip(columns, row[1:], strict=True)},
            **tenant.parameters(),
        }
        for row in rows
    ]
    if earlier:
        values = {column.name: bindparam(f"new_{column.name}", type_=column.type) for column in columns}
        one = and_(owned(table), table.c.id == bindparam("of_id"))
        await db.execute(update(table).where(one).values(values), earlier)
