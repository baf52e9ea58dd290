"""Which deliveries are next: of each endpoint's queue the first, found without reading the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, bindparam, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.dialects import one_at_a_time, prefer_indexes, takes_arrays
from calendarsync.store.outbox import ENABLED
from calendarsync.store.tables import deliveries, webhooks

DELIVERIES_LOCK = 0x64_65_6C_69_76_65_72
"""Claims are made one at a time: two at once would both see room at the same endpoint."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An endpoint with deliveries that have not come to their end; the first of them is due at `due_at`.

    `slow`: one of those under way began long ago.
    """

    webhook_id: str
    enabled: bool
    failing: bool
    in_flight: int
    slow: bool
    due_at: datetime


_pending = deliveries.c.next_attempt_at.is_not(None)
_now: Any = bindparam("now", type_=deliveries.c.next_attempt_at.type)
_before: Any = bindparam("before", type_=webhooks.c.failing_since.type)
_slow_until: Any = bindparam("slow_until", type_=deliveries.c.leased_until.type)
_webhook_id: Any = bindparam("of_webhook")

_EARLIEST = select(func.min(deliveries.c.next_attempt_at, type_=deliveries.c.next_attempt_at.type)).where(
    _pending
)


# By webhook and time, though one would do: that order one index has, and no other.
_IN_ORDER = (deliveries.c.webhook_id, deliveries.c.next_attempt_at)


def _first(column: ColumnElement[Any], *where: ColumnElement[bool]) -> Any:
    return select(column).where(_pending, *where).order_by(*_IN_ORDER).limit(1)


def _queues() -> Any:
    """The endpoints that have pending deliveries, by a jump in the index from each to the next.

    However many wait for one of them, it costs one step.
    """
    first = select(_first(deliveries.c.webhook_id).scalar_subquery().label("id")).cte("queue", recursive=True)
    following = _first(deliveries.c.webhook_id, deliveries.c.webhook_id > first.c.id).correlate(first)
    return first.union_all(select(following.scalar_subquery()).where(first.c.id.is_not(None)))


_queue = _queues()
_due_at = (
    _first(deliveries.c.next_attempt_at, deliveries.c.webhook_id == _queue.c.id)
    .correlate(_queue)
    .scalar_subquery()
)
_under_way = and_(deliveries.c.leased_until > _now, deliveries.c.webhook_id == _queue.c.id)
_in_flight = select(func.count()).where(_under_way).correlate(_queue).scalar_subquery()
_slow = (
    select(deliveries.c.id).where(_under_way, deliveries.c.leased_until <= _slow_until).correlate(_queue)
).exists()
_WAITING = select(
    webhooks.c.id,
    (webhooks.c.status == ENABLED).label("enabled"),
    and_(webhooks.c.failing_since.is_not(None), webhooks.c.failing_since <= _before).label("failing"),
    _in_flight.label("in_flight"),
    _slow.label("slow"),
    _due_at.label("due_at"),
).join(_queue, _queue.c.id == webhooks.c.id)

_FIRST_OF = (
    select(deliveries.c.id)
    .where(deliveries.c.webhook_id == _webhook_id, deliveries.c.next_attempt_at <= _now)
    .order_by(*_IN_ORDER)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_wanted = (
    func.unnest(
        bindparam("webhook_ids", type_=ARRAY(deliveries.c.webhook_id.type)),
        bindparam("shares", type_=ARRAY(Integer)),
    )
    .table_valued("id", "share", name="wanted")
    .render_derived()
)
_first_of_each = (
    select(deliveries.c.id)
    .where(deliveries.c.webhook_id == _wanted.c.id, deliveries.c.next_attempt_at <= _now)
    .order_by(*_IN_ORDER)
    .limit(_wanted.c.share)
    .with_for_update(skip_locked=True)
    .lateral("first")
)
_FIRST_OF_EACH = select(_first_of_each.c.id).select_from(_wanted).join(_first_of_each, true())


async def earliest_due(db: AsyncConnection) -> datetime | None:
    """When the delivery that waits longest became due, or the next one becomes due."""
    first: datetime | None = (await db.execute(_EARLIEST)).scalar_one()
    return first


async def waiting(
    db: AsyncConnection, now: datetime, *, before: datetime, slow_until: datetime
) -> list[Waiting]:
    """All endpoints with pending deliveries, those first that have waited longest.

    Those that have done nothing but fail since `before` or longer are `failing`; those with a delivery under way
    whose lease ends by `slow_until` are `slow`. Until the transaction ends nobody else claims deliveries.
    """
    await one_at_a_time(db, DELIVERIES_LOCK)
    await prefer_indexes(db)
    rows = await db.execute(_WAITING, {"now": now, "before": before, "slow_until": slow_until})
    return sorted((Waiting(*row) for row in rows), key=lambda each: each.due_at)


async def choose(db: AsyncConnection, shares: Mapping[str, int], now: datetime) -> list[str]:
    """So many of the due deliveries of each endpoint; the transaction is that of `waiting`."""
    return await (_choose_at_once if takes_arrays(db) else _choose_for_each)(db, shares, now)


async def _choose_at_once(db: AsyncConnection, shares: Mapping[str, int], now: datetime) -> list[str]:
    given = {"webhook_ids": list(shares), "shares": list(shares.values()), "now": now}
    return list((await db.execute(_FIRST_OF_EACH, given)).scalars())


async def _choose_for_each(db: AsyncConnection, shares: Mapping[str, int], now: datetime) -> list[str]:
    chosen: list[str] = []
    for webhook_id, share in shares.items():
        wanted = {"of_webhook": webhook_id, "now": now, "limit": share}
        chosen += (await db.execute(_FIRST_OF, wanted)).scalars()
    return chosen
