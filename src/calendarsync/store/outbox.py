"""The outbox: an event is written in the transaction of what it tells of, and sent after that.

See docs/decisions/webhooks-delivery.md. What is written here is sent by store/deliveries.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.ids import new_id
from calendarsync.store.tables import deliveries, webhook_events, webhooks
from calendarsync.store.tenancy import Tenant, owned

ENABLED, DISABLED = "enabled", "disabled"
"""The `status` of an endpoint."""

PENDING = "pending"
"""The `status` of a delivery that has not come to its end; store/deliveries.py has the others."""


class EndpointDisabled(Exception):  # noqa: N818 - it tells what is so
    """Nothing is sent to this endpoint until it is enabled again."""


@dataclass(frozen=True, slots=True)
class Event:
    """`data` is JSON, as the API shows it.

    Not `changed`: it goes to those endpoints alone that want to hear of runs in which nothing was written.
    """

    account_id: str
    mode: str
    type: str
    data: Mapping[str, Any]
    changed: bool = True


# Nobody may delete an endpoint between this and the deliveries that refer to it.
_ENDPOINTS = (
    select(webhooks.c.id, webhooks.c.account_id, webhooks.c.mode, webhooks.c.events, webhooks.c.only_changed)
    .where(
        webhooks.c.account_id.in_(bindparam("accounts", expanding=True)),
        webhooks.c.mode.in_(bindparam("modes", expanding=True)),
        webhooks.c.status == ENABLED,
    )
    .with_for_update(read=True, key_share=True)
)


async def emit(db: AsyncConnection, events: Sequence[Event], now: datetime) -> bool:
    """Write events, each with a delivery for every endpoint of its account that wants it.

    Whether anything was written: an event that nobody wants is not. The caller has locked the pairs, if any,
    that its transaction changes.
    """
    if not events:
        return False
    accounts = sorted({event.account_id for event in events})
    modes = sorted({event.mode for event in events})
    endpoints = (await db.execute(_ENDPOINTS, {"accounts": accounts, "modes": modes})).all()
    told, sent = [], []
    for event in events if endpoints else ():
        wanting = [endpoint.id for endpoint in endpoints if _wants(endpoint, event)]
        if wanting:
            row = _event_row(event, now)
            told.append(row)
            sent += [_delivery_row(row, webhook_id, now) for webhook_id in wanting]
    if told:
        await db.execute(insert(webhook_events), told)
        await db.execute(insert(deliveries), sent)
    return bool(told)


def _wants(endpoint: Any, event: Event) -> bool:
    return (
        (endpoint.account_id, endpoint.mode) == (event.account_id, event.mode)
        and event.type in endpoint.events
        and (event.changed or not endpoint.only_changed)
    )


async def emit_to(db: AsyncConnection, webhook_id: str, event: Event, now: datetime) -> str:
    """Write an event for one endpoint, whatever that has subscribed to; the id of its delivery.

    Raises LookupError where the event's account and mode have no such endpoint, EndpointDisabled.
    """
    await _check_endpoint(db, Tenant(event.account_id, event.mode), webhook_id)
    row = _event_row(event, now)
    await db.execute(insert(webhook_events), row)
    return await _deliver(db, row, webhook_id, now)


async def redeliver(
    db: AsyncConnection, tenant: Tenant, webhook_id: str, delivery_id: str, now: datetime
) -> str:
    """Deliver the event of an earlier delivery once more, under the same event id; the new delivery's id.

    Raises LookupError where the tenant has no such endpoint, or that no such delivery; EndpointDisabled.
    """
    await _check_endpoint(db, tenant, webhook_id)
    statement = (
        select(webhook_events.c.id)
        .join(deliveries, deliveries.c.event_id == webhook_events.c.id)
        .where(owned(webhook_events), _one(deliveries, delivery_id), deliveries.c.webhook_id == webhook_id)
        # Nobody may forget it between this and the delivery that refers to it.
        .with_for_update(read=True, key_share=True, of=webhook_events)
    )
    earlier = (await db.execute(statement, tenant.parameters())).mappings().one_or_none()
    if earlier is None:
        raise LookupError(delivery_id)
    return await _deliver(db, {**earlier, **tenant.values()}, webhook_id, now)


async def _check_endpoint(db: AsyncConnection, tenant: Tenant, webhook_id: str) -> None:
    """The endpoint is there, and enabled, until the transaction ends."""
    statement = select(webhooks.c.status).where(_one(webhooks, webhook_id)).with_for_update(read=True)
    status = (await db.execute(statement, tenant.parameters())).scalar_one_or_none()
    if status is None:
        raise LookupError(webhook_id)
    if status != ENABLED:
        raise EndpointDisabled(webhook_id)


async def _deliver(db: AsyncConnection, event: Mapping[str, Any], webhook_id: str, now: datetime) -> str:
    row = _delivery_row(event, webhook_id, now)
    await db.execute(insert(deliveries), row)
    delivery_id: str = row["id"]
    return delivery_id


def _one(table: Any, row_id: str) -> ColumnElement[bool]:
    return and_(owned(table), table.c.id == row_id)


def _event_row(event: Event, now: datetime) -> dict[str, Any]:
    return {
        "id": new_id("evt"),
        "account_id": event.account_id,
        "mode": event.mode,
        "type": event.type,
        "data": event.data,
        "created_at": now,
    }


def _delivery_row(event: Mapping[str, Any], webhook_id: str, now: datetime) -> dict[str, Any]:
    return {
        "id": new_id("dlv"),
        "account_id": event["account_id"],
        "mode": event["mode"],
        "webhook_id": webhook_id,
        "event_id": event["id"],
        "status": PENDING,
        "created_at": now,
        "next_attempt_at": now,
        "generation": 0,
        "attempts": [],
    }
