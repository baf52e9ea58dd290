"""Webhook endpoints and the log of their deliveries, as callers see them. Every query is bound to a tenant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.secrets import Keyring, SecretError
from calendarsync.store.paging import Page, Slice, read_page
from calendarsync.store.tables import accounts, deliveries, webhook_events, webhooks
from calendarsync.store.tenancy import Tenant, owned

# With the type of the event that each delivers.
_DELIVERIES = (
    select(deliveries, webhook_events.c.type.label("event_type"))
    .join(webhook_events, webhook_events.c.id == deliveries.c.event_id)
    .where(owned(webhook_events))
)


def seal(keyring: Keyring, owner_id: str, text: str) -> bytes:
    """What goes into a column `…_encrypted`; `owner_id` is the id of its row."""
    return keyring.encrypt(text.encode(), owner_id)


def unseal(keyring: Keyring, owner_id: str, sealed: bytes) -> str:
    """The inverse of `seal`. Raises secrets.SecretError."""
    return keyring.decrypt(sealed, owner_id).decode()


def reveal(keyring: Keyring, owner_id: str, sealed: bytes) -> str | None:
    """The same; None where it was encrypted with a secret that this installation does not have any more."""
    try:
        return unseal(keyring, owner_id, sealed)
    except SecretError:
        return None


def _one(webhook_id: str) -> ColumnElement[bool]:
    return and_(owned(webhooks), webhooks.c.id == webhook_id)


async def insert_webhook(
    connection: AsyncConnection, tenant: Tenant, values: Mapping[str, Any], *, at_most: int
) -> bool:
    """False where the tenant has `at_most` endpoints already."""
    # Whoever counts waits for the one who counted before.
    lock = select(accounts.c.id).where(accounts.c.id == tenant.account_id).with_for_update(key_share=True)
    await connection.execute(lock)
    count = select(func.count()).select_from(webhooks).where(owned(webhooks))
    if (await connection.execute(count, tenant.parameters())).scalar_one() >= at_most:
        return False
    await connection.execute(insert(webhooks).values(**values, **tenant.values()))
    return True


async def list_webhooks(connection: AsyncConnection, tenant: Tenant, page: Page) -> Slice:
    """The oldest first. Raises NoSuchItem."""
    mine, order = owned(webhooks), (webhooks.c.created_at, webhooks.c.id)
    query = select(webhooks).where(mine)
    return await read_page(connection, query, order, mine, page, parameters=tenant.parameters())


async def get_webhook(
    connection: AsyncConnection, tenant: Tenant, webhook_id: str, *, lock: bool = False
) -> RowMapping | None:
    query = select(webhooks).where(_one(webhook_id))
    if lock:
        query = query.with_for_update(key_share=True)
    return (await connection.execute(query, tenant.parameters())).mappings().one_or_none()


async def update_webhook(
    connection: AsyncConnection, tenant: Tenant, webhook_id: str, values: Mapping[str, Any]
) -> None:
    change = update(webhooks).where(_one(webhook_id)).values(**values)
    await connection.execute(change, tenant.parameters())


async def delete_webhook(connection: AsyncConnection, tenant: Tenant, webhook_id: str) -> None:
    """And its deliveries."""
    await connection.execute(delete(webhooks).where(_one(webhook_id)), tenant.parameters())


async def list_deliveries(
    connection: AsyncConnection, tenant: Tenant, webhook_id: str, page: Page, *, status: str | None = None
) -> Slice:
    """The newest first. Raises NoSuchItem."""
    mine, order = _of_webhook(webhook_id), (deliveries.c.created_at, deliveries.c.id)
    query = _DELIVERIES.where(mine)
    if status is not None:
        query = query.where(deliveries.c.status == status)
    parameters = tenant.parameters()
    return await read_page(connection, query, order, mine, page, parameters=parameters, descending=True)


async def pending_types(connection: AsyncConnection, tenant: Tenant, webhook_id: str) -> set[str]:
    """The types of the events that are still to be delivered to an endpoint."""
    waiting = and_(_of_webhook(webhook_id), deliveries.c.next_attempt_at.is_not(None))
    query = _DELIVERIES.where(waiting).with_only_columns(webhook_events.c.type).distinct()
    return set((await connection.execute(query, tenant.parameters())).scalars())


async def get_delivery(
    connection: AsyncConnection, tenant: Tenant, webhook_id: str, delivery_id: str
) -> RowMapping | None:
    query = _DELIVERIES.where(_of_webhook(webhook_id), deliveries.c.id == delivery_id)
    return (await connection.execute(query, tenant.parameters())).mappings().one_or_none()


def _of_webhook(webhook_id: str) -> ColumnElement[bool]:
    return and_(owned(deliveries), deliveries.c.webhook_id == webhook_id)
