"""What organisations have given an account, to reach their people's calendars. Every query is bound to a tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping, and_, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.paging import Page, Slice, read_page
from calendarsync.store.tables import connections, delegations, grants
from calendarsync.store.tenancy import Tenant, owned

_ORDER = (delegations.c.created_at, delegations.c.id)


async def insert_delegation(connection: AsyncConnection, tenant: Tenant, values: Mapping[str, Any]) -> None:
    await connection.execute(insert(delegations).values(**values, **tenant.values()))


async def list_delegations(connection: AsyncConnection, tenant: Tenant, page: Page) -> Slice:
    """The oldest first. Raises NoSuchItem."""
    mine = owned(delegations)
    query = select(delegations).where(mine)
    return await read_page(connection, query, _ORDER, mine, page, parameters=tenant.parameters())


async def get_delegation(
    connection: AsyncConnection, tenant: Tenant, delegation_id: str, *, lock: bool = False
) -> RowMapping | None:
    """`lock`: nobody else changes it until the transaction ends."""
    query = select(delegations).where(owned(delegations), delegations.c.id == delegation_id)
    if lock:
        query = query.with_for_update()
    return (await connection.execute(query, tenant.parameters())).mappings().one_or_none()


async def delegations_to(connection: AsyncConnection, tenant: Tenant, provider: str) -> Sequence[RowMapping]:
    """All of a provider, the latest first."""
    query = select(delegations).where(owned(delegations), delegations.c.provider == provider)
    query = query.order_by(*(column.desc() for column in _ORDER))
    return (await connection.execute(query, tenant.parameters())).mappings().all()


async def people_through(connection: AsyncConnection, tenant: Tenant, delegation_id: str) -> Sequence[str]:
    """The addresses of those who have a grant through a delegation."""
    query = select(grants.c.email).where(owned(grants), grants.c.delegation_id == delegation_id)
    return (await connection.execute(query.order_by(grants.c.email), tenant.parameters())).scalars().all()


async def renew_delegation(
    connection: AsyncConnection, tenant: Tenant, delegation_id: str, credentials_encrypted: bytes
) -> None:
    change = update(delegations).where(owned(delegations), delegations.c.id == delegation_id)
    change = change.values(credentials_encrypted=credentials_encrypted)
    await connection.execute(change, tenant.parameters())


async def delete_delegation(connection: AsyncConnection, tenant: Tenant, delegation_id: str) -> None:
    """Its grants go with it; what is connected with them is dealt with before."""
    gone = delete(delegations).where(owned(delegations), delegations.c.id == delegation_id)
    await connection.execute(gone, tenant.parameters())


async def expire_connections(
    connection: AsyncConnection, tenant: Tenant, delegation_id: str, *, code: str, message: str
) -> Sequence[str]:
    """Expire what is connected through a delegation, for the reason given; the ids of those that were not before.

    The caller has made sure that the delegation gets no new connections meanwhile.
    """
    through = select(grants.c.id).where(owned(grants), grants.c.delegation_id == delegation_id)
    mine = and_(owned(connections), connections.c.grant_id.in_(through))
    lock = select(connections.c.id, connections.c.status).where(mine).order_by(connections.c.id)
    found = (await connection.execute(lock.with_for_update(), tenant.parameters())).all()
    change = update(connections).where(mine)
    change = change.values(status="expired", last_error_code=code, last_error_message=message)
    await connection.execute(change, tenant.parameters())
    return [row.id for row in found if row.status != "expired"]
