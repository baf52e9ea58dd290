"""Deliveries of events to endpoints: their claims, and what came of them.

A claim is a lease under the delivery's next generation number, as with pairs (store/claims.py). While it lasts,
`next_attempt_at` is its end: what a killed process had begun is due again then, by the same index.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.delivery_queues import choose
from calendarsync.store.outbox import DISABLED, ENABLED, PENDING
from calendarsync.store.tables import deliveries, webhook_events, webhooks

SUCCEEDED, FAILED, CANCELED = "succeeded", "failed", "canceled"
"""How a delivery ends: received; tried for the last time; or its endpoint was disabled first."""


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


_now: Any = bindparam("now", type_=deliveries.c.next_attempt_at.type)
_until: Any = bindparam("until", type_=deliveries.c.next_attempt_at.type)
_ids: Any = bindparam("ids", expanding=True)

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


async def claim(
    db: AsyncConnection, shares: Mapping[str, int], now: datetime, until: datetime
) -> list[Delivery]:
    """Claim so many of the due deliveries of each endpoint; the transaction is that of `waiting`."""
    chosen = await choose(db, shares, now)
    if not chosen:
        return []
    await db.execute(_CLAIM, {"ids": chosen, "until": until})
    return [Delivery(*row) for row in await db.execute(_LOAD, {"ids": chosen})]


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
        .where(deliveries.c.webhook_id == webhook_id, deliveries.c.next_attempt_at.is_not(None))
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
