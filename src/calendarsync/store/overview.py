"""What there is to say about an account as a whole. Every query is bound to a tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import RowMapping, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.tables import accounts, connections, pairs, webhooks
from calendarsync.store.tenancy import Tenant, owned

_COUNTED: Mapping[str, Table] = {"connections": connections, "pairs": pairs, "webhooks": webhooks}


async def get_account(connection: AsyncConnection, tenant: Tenant) -> RowMapping:
    query = select(accounts).where(accounts.c.id == tenant.account_id)
    return (await connection.execute(query)).mappings().one()


async def count_objects(connection: AsyncConnection, tenant: Tenant) -> Mapping[str, int]:
    """How many `connections`, `pairs` and `webhooks` there are in the tenant's mode."""
    counts = [
        select(func.count()).select_from(table).where(owned(table)).scalar_subquery().label(name)
        for name, table in _COUNTED.items()
    ]
    return dict((await connection.execute(select(*counts), tenant.parameters())).mappings().one())


async def troubled_connections(connection: AsyncConnection, tenant: Tenant, *, most: int) -> Sequence[str]:
    """The ids of connections that do not work, the oldest first."""
    query = select(connections.c.id).where(owned(connections), connections.c.status.in_(("expired", "error")))
    query = query.order_by(connections.c.created_at, connections.c.id).limit(most)
    return (await connection.execute(query, tenant.parameters())).scalars().all()


async def troubled_pairs(connection: AsyncConnection, tenant: Tenant, *, most: int) -> Sequence[RowMapping]:
    """Pairs that a guard stopped or whose runs fail, the oldest first."""
    query = select(pairs).where(owned(pairs), pairs.c.status.in_(("needs_attention", "error")))
    query = query.order_by(pairs.c.created_at, pairs.c.id).limit(most)
    return (await connection.execute(query, tenant.parameters())).mappings().all()


async def disabled_webhooks(
    connection: AsyncConnection, tenant: Tenant, *, most: int
) -> Sequence[RowMapping]:
    """Endpoints that get no events any more, though nobody asked for that, the oldest first."""
    query = select(webhooks).where(
        owned(webhooks), webhooks.c.status == "disabled", webhooks.c.disabled_reason != "requested"
    )
    query = query.order_by(webhooks.c.created_at, webhooks.c.id).limit(most)
    return (await connection.execute(query, tenant.parameters())).mappings().all()
