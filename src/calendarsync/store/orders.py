"""Orders: runs that somebody asked for, until they are done and a while after (docs/reference/api.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.dialects import ORDERS_CHANNEL, notify, upsert
from calendarsync.store.ids import new_id
from calendarsync.store.tables import connections, orders, pairs
from calendarsync.store.tenancy import Tenant, owned

_OF_PAIRS = (
    select(
        orders.c.sync_id,
        orders.c.pair_id,
        orders.c.trigger,
        orders.c.full,
        orders.c.confirm,
        orders.c.dry_run,
        orders.c.undo,
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
_PLACED_AT_ONCE = 500
_a, _b = connections.alias("a"), connections.alias("b")
_ends: Any = bindparam("connection_ids", expanding=True)
_ACTIVE_ON = (
    select(
        pairs.c.id,
        pairs.c.account_id,
        pairs.c.mode,
        _a.c.not_before.label("a_not_before"),
        _b.c.not_before.label("b_not_before"),
    )
    .join(_a, _a.c.id == pairs.c.connection_a_id)
    .join(_b, _b.c.id == pairs.c.connection_b_id)
    .where(
        or_(pairs.c.connection_a_id.in_(_ends), pairs.c.connection_b_id.in_(_ends)),
        pairs.c.status == "active",
        pairs.c.removal.is_(None),
        _a.c.status != "expired",
        _b.c.status != "expired",
    )
    .order_by(pairs.c.id)
    .with_for_update(of=pairs, read=True, key_share=True)
)
_PULL_IN = (
    update(pairs)
    .where(pairs.c.id == bindparam("of_pair"), pairs.c.due_at > bindparam("at", type_=pairs.c.due_at.type))
    .values(due_at=bindparam("at", type_=pairs.c.due_at.type))
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
            "trigger": new.trigger,
            "full": or_(orders.c.full, new.full),
            "confirm": or_(orders.c.confirm, new.confirm),
            "urgent": or_(orders.c.urgent, new.urgent),
        },
        where=and_(orders.c.account_id == new.account_id, orders.c.mode == new.mode),
    ).returning(orders.c.sync_id)
    sync_id: str = (await db.execute(joined, {**values, **tenant.values()})).scalar_one()
    return sync_id


async def place_undo(db: AsyncConnection, tenant: Tenant, values: Mapping[str, Any]) -> None:
    """Order that a run be undone, of a pair that the caller has locked. Nothing joins this order."""
    generation = select(pairs.c.generation).where(owned(pairs), pairs.c.id == bindparam("of_pair"))
    await db.execute(
        insert(orders).values(generation=generation.scalar_subquery()),
        {**values, **tenant.values(), **tenant.parameters(), "of_pair": values["pair_id"]},
    )


async def place_on(db: AsyncConnection, connection_ids: Sequence[str], trigger: str, now: datetime) -> bool:
    """Order a run of every active pair on these connections that can run; whether there is any.

    An order that waits to be taken up serves as well; whoever looks for it in this moment passes by its pair, for
    that is locked, so it is to be looked for again. A pair whose provider asked for a pause runs when that is over.
    """
    wanted = []
    for pair in (await db.execute(_ACTIVE_ON, {"connection_ids": connection_ids})).all():
        pauses = [end for end in (pair.a_not_before, pair.b_not_before) if end is not None and end > now]
        if pauses:
            await db.execute(_PULL_IN, {"of_pair": pair.id, "at": max(pauses)})
        else:
            wanted.append(_routine(pair, trigger, now))
    for start in range(0, len(wanted), _PLACED_AT_ONCE):
        new = upsert(db, orders).values(wanted[start : start + _PLACED_AT_ONCE])
        new = new.on_conflict_do_nothing(
            index_elements=[orders.c.pair_id, orders.c.dry_run], index_where=orders.c.generation.is_(None)
        )
        await db.execute(new)
    return bool(wanted)


def _routine(pair: Any, trigger: str, now: datetime) -> dict[str, Any]:
    return {
        "sync_id": new_id("sync_run"),
        "account_id": pair.account_id,
        "mode": pair.mode,
        "pair_id": pair.id,
        "trigger": trigger,
        "full": False,
        "confirm": False,
        "dry_run": False,
        "urgent": False,
        "created_at": now,
    }


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
