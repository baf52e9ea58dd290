"""What people have granted, as callers see it. Every query is bound to a tenant.

A grant's row is locked after those of its connections and of their pairs, so that no two transactions wait for
each other; who refreshes its tokens (store/grant_tokens.py) locks no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, and_, case, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.claims import unhindered
from calendarsync.store.columns import AT_ONCE
from calendarsync.store.pairs import CHANGED
from calendarsync.store.tables import connections, grants, pairs
from calendarsync.store.tenancy import Tenant, owned

ACTIVE = "active"
"""The `status` of a grant that works. Any other says why nothing is asked of the provider with it."""


async def find_grant(
    connection: AsyncConnection, tenant: Tenant, provider: str, subject_hashes: Sequence[str]
) -> RowMapping | None:
    """The grant of somebody, by the names under which who the provider says it is may be stored."""
    query = select(grants).where(
        owned(grants), grants.c.provider == provider, grants.c.subject_hash.in_(subject_hashes)
    )
    return (await connection.execute(query, tenant.parameters())).mappings().one_or_none()


async def get_grant(
    connection: AsyncConnection, tenant: Tenant, grant_id: str, *, keep: bool = False
) -> RowMapping | None:
    """`keep`: it is not deleted until the transaction ends."""
    query = select(grants).where(owned(grants), grants.c.id == grant_id)
    if keep:
        query = query.with_for_update(read=True, key_share=True)
    return (await connection.execute(query, tenant.parameters())).mappings().one_or_none()


async def insert_grant(connection: AsyncConnection, tenant: Tenant, values: Mapping[str, Any]) -> None:
    """Raises sqlalchemy.exc.IntegrityError where the tenant has one of the same person."""
    await connection.execute(insert(grants).values(**values, generation=1, **tenant.values()))


async def renew_grant(
    connection: AsyncConnection, tenant: Tenant, grant_id: str, values: Mapping[str, Any]
) -> bool:
    """Give it other tokens; a refresh of the earlier ones that is on its way writes nothing. False: it is gone."""
    change = update(grants).where(owned(grants), grants.c.id == grant_id)
    change = change.values(
        **values, status=ACTIVE, generation=grants.c.generation + 1, leased_until=None
    ).returning(grants.c.id)
    return (await connection.execute(change, tenant.parameters())).first() is not None


async def mark_due(connection: AsyncConnection, tenant: Tenant, grant_id: str, at: datetime) -> Sequence[str]:
    """All pairs on the connections of a grant that are not paused are due; the connections' ids.

    Nobody else changes those pairs and connections until the transaction ends.
    """
    of_grant = and_(owned(connections), connections.c.grant_id == grant_id)
    these = select(connections.c.id).where(of_grant)
    on_them = and_(owned(pairs), or_(pairs.c.connection_a_id.in_(these), pairs.c.connection_b_id.in_(these)))
    parameters = tenant.parameters()
    await connection.execute(
        select(pairs.c.id).where(on_them).order_by(pairs.c.id).with_for_update(), parameters
    )
    to_run = and_(owned(pairs), unhindered(on_them), pairs.c.status != "paused")
    await connection.execute(update(pairs).where(to_run).values(due_at=at, **CHANGED), parameters)
    lock = these.order_by(connections.c.id).with_for_update()
    return (await connection.execute(lock, parameters)).scalars().all()


async def connections_of(connection: AsyncConnection, tenant: Tenant, grant_id: str) -> Sequence[str]:
    """The ids of the connections that are read with a grant."""
    query = select(connections.c.id).where(owned(connections), connections.c.grant_id == grant_id)
    query = query.order_by(connections.c.id)
    return (await connection.execute(query, tenant.parameters())).scalars().all()


async def revive_connection(
    connection: AsyncConnection,
    tenant: Tenant,
    connection_id: str,
    *,
    grant_hash: str,
    credentials_encrypted: bytes,
) -> None:
    """It goes on where it stood, if it had come to a stop; what its earlier tokens led to counts no longer."""
    stopped = connections.c.status.in_(("expired", "error"))
    change = update(connections).where(owned(connections), connections.c.id == connection_id)
    change = change.values(
        status=case((stopped, "active"), else_=connections.c.status),
        last_error_code=None,
        last_error_message=None,
        not_before=None,
        grant_hash=grant_hash,
        credentials_encrypted=credentials_encrypted,
        watch_at=AT_ONCE,
    )
    await connection.execute(change, tenant.parameters())


async def drop_if_unused(connection: AsyncConnection, tenant: Tenant, grant_id: str) -> RowMapping | None:
    """Delete a grant that no connection is read with any more; the row as it was, or None where it stays."""
    mine = and_(owned(grants), grants.c.id == grant_id)
    lock = select(grants).where(mine).with_for_update()
    row = (await connection.execute(lock, tenant.parameters())).mappings().one_or_none()
    # Asked only now that nobody can connect with it, nor delete its other connections unseen.
    if row is None or await connections_of(connection, tenant, grant_id):
        return None
    await connection.execute(delete(grants).where(mine), tenant.parameters())
    return row
