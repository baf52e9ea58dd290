"""Connections, as callers see them. Every query is bound to a tenant."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, and_, case, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.secrets import Keyring
from calendarsync.store.paging import Page, Slice, read_page
from calendarsync.store.tables import connections, pairs
from calendarsync.store.tenancy import Tenant, owned

# Owned in each branch: SQLite would else look through all pairs of the account for every connection.
_latest = (
    select(func.max(pairs.c.last_synced_at, type_=pairs.c.last_synced_at.type))
    .where(
        or_(
            and_(pairs.c.connection_a_id == connections.c.id, owned(pairs)),
            and_(pairs.c.connection_b_id == connections.c.id, owned(pairs)),
        )
    )
    .correlate(connections)
    .scalar_subquery()
)
_own = connections.c.last_synced_at
# A run notes its time with its pair; the column holds what pairs that are gone have left.
_SHOWN = [
    *(column for column in connections.c if column is not _own),
    case((_latest > _own, _latest), else_=func.coalesce(_own, _latest)).label("last_synced_at"),
]


def seal_credentials(keyring: Keyring, connection_id: str, credentials: Mapping[str, str]) -> bytes:
    """What goes into `credentials_encrypted`; for CalDAV `credentials` are `username` and `password`."""
    return keyring.encrypt(json.dumps(dict(credentials)).encode(), connection_id)


def open_credentials(keyring: Keyring, connection_id: str, sealed: bytes) -> dict[str, str]:
    """The inverse of `seal_credentials`. Raises secrets.SecretError."""
    credentials: dict[str, str] = json.loads(keyring.decrypt(sealed, connection_id))
    return credentials


def _one(connection_id: str) -> ColumnElement[bool]:
    return and_(owned(connections), connections.c.id == connection_id)


async def insert_connection(connection: AsyncConnection, tenant: Tenant, values: Mapping[str, Any]) -> None:
    """Raises sqlalchemy.exc.IntegrityError where the account has this calendar in this mode already."""
    await connection.execute(insert(connections).values(**values, **tenant.values()))


async def list_connections(connection: AsyncConnection, tenant: Tenant, page: Page) -> Slice:
    """The oldest first. Raises NoSuchItem."""
    mine, order = owned(connections), (connections.c.created_at, connections.c.id)
    query = select(*_SHOWN).where(mine)
    return await read_page(connection, query, order, mine, page, parameters=tenant.parameters())


async def get_connection(
    connection: AsyncConnection, tenant: Tenant, connection_id: str, *, lock: bool = False
) -> RowMapping | None:
    """`lock`: nobody else changes it until the transaction ends."""
    query = select(*_SHOWN).where(_one(connection_id))
    if lock:
        query = query.with_for_update(of=connections)
    return (await connection.execute(query, tenant.parameters())).mappings().one_or_none()


async def get_connections(
    connection: AsyncConnection, tenant: Tenant, connection_ids: Collection[str], *, keep: bool = False
) -> dict[str, RowMapping]:
    """Those of up to a thousand connections that are there, by id.

    `keep`: none of them is deleted until the transaction ends.
    """
    query = select(*_SHOWN).where(owned(connections), connections.c.id.in_(list(connection_ids)))
    if keep:
        query = query.order_by(connections.c.id).with_for_update(of=connections, read=True, key_share=True)
    rows = await connection.execute(query, tenant.parameters())
    return {row["id"]: row for row in rows.mappings()}


async def shares_grant(
    connection: AsyncConnection, tenant: Tenant, grant_hash: str, *, other_than: str
) -> bool:
    """Whether another connection of the account is made with the same credentials."""
    query = select(connections.c.id).where(
        owned(connections), connections.c.grant_hash == grant_hash, connections.c.id != other_than
    )
    return (await connection.execute(query.limit(1), tenant.parameters())).first() is not None


async def get_by_calendar(
    connection: AsyncConnection, tenant: Tenant, calendar_key: str
) -> RowMapping | None:
    """The connection to a calendar."""
    query = select(*_SHOWN).where(owned(connections), connections.c.calendar_key == calendar_key)
    return (await connection.execute(query, tenant.parameters())).mappings().one_or_none()


async def connected_keys(
    connection: AsyncConnection, tenant: Tenant, calendar_keys: Collection[str]
) -> frozenset[str]:
    """Those of the calendars that are connected already."""
    query = select(connections.c.calendar_key).where(
        owned(connections), connections.c.calendar_key.in_(list(calendar_keys))
    )
    return frozenset((await connection.execute(query, tenant.parameters())).scalars())


async def update_connection(
    connection: AsyncConnection, tenant: Tenant, connection_id: str, values: Mapping[str, Any]
) -> None:
    change = update(connections).where(_one(connection_id)).values(**values)
    await connection.execute(change, tenant.parameters())


async def delete_connection(connection: AsyncConnection, tenant: Tenant, connection_id: str) -> None:
    """The caller has made sure that no pair uses it."""
    await connection.execute(delete(connections).where(_one(connection_id)), tenant.parameters())
