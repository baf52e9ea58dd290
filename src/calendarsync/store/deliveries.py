"""Deliveries of events to endpoints: what is due, claims, and what came of them.

A claim is a lease under the delivery's next generation number, as with pairs (store/claims.py). While it lasts,
`next_attempt_at` is its end: what a killed process had begun is due again then, by the same index.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, bindparam, case, func, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.dialects import one_at_a_time, prefer_indexes, takes_arrays
from calendarsync.store.outbox import DISABLED, ENABLED, PENDING
from calendarsync.store.tables import deliveries, webhook_events, webhooks

SUCCEEDED, FAILED, CANCELED = "succeeded", "failed", "canceled"
"""How a delivery ends: received; tried for the last time; or its endpoint was disabled first."""

DELIVERIES_LOCK = 0x64_65_6C_69_76_65_72
"""Claims are made one at a time: two at once would both see room at the same endpoint."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A claimed delivery, with its event and the endpoint that it goes to."""

    id: str
    generation: int
    webhook_id: str
    attempts: Sequence[Mapping[str, Any]]
    event_id: str
    type: str
    created_at: datetime
    data: Mapping[str, Any]
    account_id: str
    mode: str
    url_encrypted: bytes
    format: str
    secret_encrypted: bytes
    previous_secret_encrypted: bytes | None
    previous_until: datetime | None


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


@dataclass(frozen=True, slots=True)
class End:
    """What came of an attempt. `next_attempt_at` is None where it was the last."""

    delivered: bool
    attempt: Mapping[str, Any]
    response_encrypted: bytes | None
    next_attempt_at: datetime | None

    @property
    def status(self) -> str:
        if self.delivered:
            return SUCCEEDED
        return FAILED if self.next_attempt_at is None else PENDING


_pending = deliveries.c.next_attempt_at.is_not(None)
_now: Any = bindparam("now", type_=deliveries.c.next_attempt_at.type)
_until: Any = bindparam("until", type_=deliveries.c.next_attempt_at.type)
_before: Any = bindparam("before", type_=webhooks.c.failing_since.type)
_slow_until: Any = bindparam("slow_until", type_=deliveries.c.leased_until.type)
_webhook_id: Any = bindparam("of_webhook")
_ids: Any = bindparam("ids", expanding=True)

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
_CLAIM = (
    update(deliveries)
    .where(deliveries.c.id.in_(_ids))
    .values(generation=deliveries.c.generation + 1, leased_until=_until, next_attempt_at=_until)
)
_COLUMNS = {
    **{name: deliveries.c[name] for name in ("id", "generation", "webhook_id", "attempts", "event_id")},
    **{name: webhook_events.c[name] for name in ("type", "created_at", "data", "account_id", "mode")},
    **{name: webhooks.c[name] for name in ("url_encrypted", "format", "secret_encrypted")},
    **{name: webhooks.c[name] for name in ("previous_secret_encrypted", "previous_until")},
}
_LOAD = (
    select(*(_COLUMNS[field.name] for field in fields(Delivery)))
    .select_from(deliveries)
    .join(webhook_events, webhook_events.c.id == deliveries.c.event_id)
    .join(webhooks, webhooks.c.id == deliveries.c.webhook_id)
    .where(deliveries.c.id.in_(_ids))
    .order_by(deliveries.c.created_at)
)
_LOCK = (
    select(deliveries.c.id, deliveries.c.generation)
    .where(deliveries.c.id.in_(_ids), deliveries.c.leased_until.is_not(None))
    .order_by(deliveries.c.id)
    .with_for_update()
)
_GIVE_BACK = (
    update(deliveries)
    .where(deliveries.c.id.in_(_ids))
    .values(generation=deliveries.c.generation + 1, leased_until=None, next_attempt_at=_now)
)


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


async def claim(
    db: AsyncConnection, shares: Mapping[str, int], now: datetime, until: datetime
) -> list[Delivery]:
    """Claim so many of the due deliveries of each endpoint; the transaction is that of `waiting`."""
    chosen = await (_choose_at_once if takes_arrays(db) else _choose_for_each)(db, shares, now)
    if not chosen:
        return []
    await db.execute(_CLAIM, {"ids": chosen, "until": until})
    return [Delivery(*row) for row in await db.execute(_LOAD, {"ids": chosen})]


async def _choose_at_once(db: AsyncConnection, shares: Mapping[str, int], now: datetime) -> list[str]:
    given = {"webhook_ids": list(shares), "shares": list(shares.values()), "now": now}
    return list((await db.execute(_FIRST_OF_EACH, given)).scalars())


async def _choose_for_each(db: AsyncConnection, shares: Mapping[str, int], now: datetime) -> list[str]:
    chosen: list[str] = []
    for webhook_id, share in shares.items():
        wanted = {"of_webhook": webhook_id, "now": now, "limit": share}
        chosen += (await db.execute(_FIRST_OF, wanted)).scalars()
    return chosen


_failing_since = case((webhooks.c.failing_since.is_(None), _now), else_=webhooks.c.failing_since)


def _addressed(delivery: Delivery) -> ColumnElement[bool]:
    """The delivery's endpoint; one that was pointed elsewhere meanwhile is not judged by what answered before."""
    return and_(webhooks.c.id == delivery.webhook_id, webhooks.c.url_encrypted == delivery.url_encrypted)


async def note_success(db: AsyncConnection, delivery: Delivery) -> None:
    """Its endpoint is not failing any more."""
    await db.execute(
        update(webhooks)
        .where(_addressed(delivery), webhooks.c.failing_since.is_not(None))
        .values(failing_since=None)
    )


async def note_failure(db: AsyncConnection, delivery: Delivery, now: datetime) -> datetime | None:
    """Since when its endpoint does nothing but fail; None where that is gone, disabled or elsewhere."""
    statement = (
        update(webhooks)
        .where(_addressed(delivery), webhooks.c.status == ENABLED)
        .values(failing_since=_failing_since)
        .returning(webhooks.c.failing_since)
    )
    since: datetime | None = (await db.execute(statement, {"now": now})).scalar_one_or_none()
    return since


async def disable(db: AsyncConnection, delivery: Delivery, reason: str, now: datetime) -> bool:
    """Send nothing more to its endpoint; whether that was enabled until now."""
    statement = (
        update(webhooks)
        .where(_addressed(delivery), webhooks.c.status == ENABLED)
        .values(status=DISABLED, disabled_reason=reason, disabled_at=now)
        .returning(webhooks.c.id)
    )
    return (await db.execute(statement)).first() is not None


def _held(delivery: Delivery) -> ColumnElement[bool]:
    return and_(
        deliveries.c.id == delivery.id,
        deliveries.c.generation == delivery.generation,
        deliveries.c.leased_until.is_not(None),
    )


async def finish(db: AsyncConnection, delivery: Delivery, end: End) -> bool:
    """Write down an attempt, and end the claim; false where that counts no longer, and nothing was written."""
    statement = (
        update(deliveries)
        .where(_held(delivery))
        .values(
            status=end.status,
            attempts=[*delivery.attempts, end.attempt],
            response_encrypted=end.response_encrypted,
            next_attempt_at=end.next_attempt_at,
            leased_until=None,
        )
        .returning(deliveries.c.id)
    )
    return (await db.execute(statement)).first() is not None


async def give_back(db: AsyncConnection, claimed: Collection[Delivery], now: datetime) -> None:
    """End claims whose attempts did not come to an end: they are due at once."""
    rows = await db.execute(_LOCK, {"ids": [delivery.id for delivery in claimed]})
    held = {(row.id, row.generation) for row in rows}
    mine = [delivery.id for delivery in claimed if (delivery.id, delivery.generation) in held]
    if mine:
        await db.execute(_GIVE_BACK, {"ids": mine, "now": now})


async def pull_in(db: AsyncConnection, now: datetime, leased_until: datetime) -> None:
    """The clock was set back: what was never tried is due, and no claim counts longer than that."""
    never_tried = and_(deliveries.c.generation == 0, deliveries.c.next_attempt_at > now)
    held_longer = deliveries.c.leased_until > leased_until
    for put_off, values in (
        (never_tried, {"next_attempt_at": now}),
        (held_longer, {"next_attempt_at": leased_until, "leased_until": leased_until}),
    ):
        # In one order, as two processes may notice it at once.
        lock = select(deliveries.c.id).where(put_off).order_by(deliveries.c.id).with_for_update()
        if (await db.execute(lock)).first() is not None:
            await db.execute(update(deliveries).where(put_off).values(values))


async def cancel(db: AsyncConnection, webhook_id: str, now: datetime, limit: int = 1000) -> int:
    """End pending deliveries of a disabled endpoint, but for those that are under way; how many.

    Fewer than `limit`: those were all.
    """
    statement = (
        select(deliveries.c.id)
        .where(deliveries.c.webhook_id == webhook_id, _pending)
        .where(deliveries.c.leased_until.is_(None) | (deliveries.c.leased_until <= now))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = (await db.execute(statement)).scalars().all()
    if ids:
        ended = update(deliveries).where(deliveries.c.id.in_(_ids))
        await db.execute(
            ended.values(
                status=CANCELED,
                next_attempt_at=None,
                leased_until=None,
                generation=deliveries.c.generation + 1,
            ),
            {"ids": ids},
        )
    return len(ids)
