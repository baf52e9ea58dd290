"""Orders: runs that somebody asked for, until they are done and a while after (docs/reference/api.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.dialects import ORDERS_CHANNEL, notify, upsert
from calendarsync.store.tables import orders, pairs
from calendarsync.store.tenancy import Tenant, owned

_OF_PAIRS = (
    select(
        orders.c.sync_id,
        orders.c.pair_id,
        orders.c.trigger,
        orders.c.full,
        orders.c.confirm,
        orders.c.dry_run,
        orders.c.generation,
    )
    .where(orders.c.finished_at.is_(None), orders.c.pair_id.in_(bindparam("pair_ids", expanding=True)))
    .order_by(orders.c.created_at, orders.c.sync_id)
)
_PAIR = (
    select(pairs.c.id)
    .where(owned(pairs), pairs.c.id == bindparam("of_pair"))
    .with_for_update(read=True, key_share=True)
)
_FINISH = (
    update(orders)
    .where(orders.c.sync_id == bindparam("of_sync_id"), orders.c.finished_at.is_(None))
    .values(finished_at=bindparam("now"), report=bindparam("what", type_=orders.c.report.type))
)
_REPORTS = select(orders.c.sync_id, orders.c.report).where(
    orders.c.finished_at.is_not(None), orders.c.sync_id.in_(bindparam("sync_ids", expanding=True))
)


async def place(db: AsyncConnection, tenant: Tenant, values: Mapping[str, Any]) -> str | None:
    """Order a run; the sync id of the order, which is an earlier one's where that has not been taken up yet.

    None where the tenant has no such pair; it is there as long as the transaction lasts.
    """
    wanted = {**tenant.parameters(), "of_pair": values["pair_id"]}
    if (await db.execute(_PAIR, wanted)).first() is None:
        return None
    statement = upsert(db, orders)
    new = statement.excluded
    joined = statement.on_conflict_do_update(
        index_elements=[orders.c.pair_id, orders.c.dry_run],
        index_where=orders.c.generation.is_(None),
        set_={
            "full": or_(orders.c.full, new.full),
            "confirm": or_(orders.c.confirm, new.confirm),
        },
        where=and_(orders.c.account_id == new.account_id, orders.c.mode == new.mode),
    ).returning(orders.c.sync_id)
    sync_id: str = (await db.execute(joined, {**values, **tenant.values()})).scalar_one()
    return sync_id


async def open_orders(db: AsyncConnection, pair_ids: Sequence[str]) -> Sequence[Any]:
    """What was ordered of these pairs and is not done, the oldest first."""
    return (await db.execute(_OF_PAIRS, {"pair_ids": pair_ids})).all()


async def finish(db: AsyncConnection, sync_id: str, report: Mapping[str, Any], now: datetime) -> None:
    """Note what came of an order, and tell who waits for it."""
    await notify(db, ORDERS_CHANNEL, sync_id)
    await db.execute(_FINISH, {"of_sync_id": sync_id, "now": now, "what": report})


async def finish_all(db: AsyncConnection, pair_id: str, report: Mapping[str, Any], now: datetime) -> None:
    """Tell everybody who waits for a pair what became of it."""
    for order in await open_orders(db, [pair_id]):
        await finish(db, order.sync_id, {**report, "sync_id": order.sync_id}, now)


async def reports(db: AsyncConnection, sync_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """The reports of those orders that are done."""
    rows = await db.execute(_REPORTS, {"sync_ids": sync_ids})
    return {row.sync_id: row.report for row in rows}


async def prune(db: AsyncConnection, before: datetime) -> None:
    """Forget orders that were done before that; their runs stay in the log."""
    await db.execute(delete(orders).where(orders.c.finished_at < before))
