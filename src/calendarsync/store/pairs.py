"""Sync pairs, as callers see them. Every query is bound to a tenant."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, and_, bindparam, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.claims import unhindered
from calendarsync.store.columns import AT_ONCE
from calendarsync.store.paging import Page, Slice, read_page
from calendarsync.store.tables import connections, pairs
from calendarsync.store.tenancy import Tenant, owned

CHANGED: Mapping[str, Any] = {"quiet_state": None, "quiet_until": None, "turn_at": None}
"""To be written with every change of what a pair does: what its last run saw no longer says anything.

Nor does the turn of its next poll: there is something to do.
"""

PAUSED: Mapping[str, Any] = {"status": "paused", "resume_at": None, "due_at": None, **CHANGED}
"""Of a pair that is paused until somebody resumes it."""

_CHUNK = 1_000
# Built once: a trigger asks it, and SQLAlchemy takes longer to build it than SQLite to answer.
_ONE = select(pairs).where(owned(pairs), pairs.c.id == bindparam("of_id"))
_ONE_LOCKED = _ONE.with_for_update()


def _on(connection_id: str) -> ColumnElement[bool]:
    return or_(pairs.c.connection_a_id == connection_id, pairs.c.connection_b_id == connection_id)


async def insert_pairs(
    connection: AsyncConnection, tenant: Tenant, values: Sequence[Mapping[str, Any]]
) -> None:
    """Their connections' providers are to tell of changes, where they can."""
    if values:
        await connection.execute(insert(pairs), [{**each, **tenant.values()} for each in values])
        await _look_at_channels(connection, tenant, [each["id"] for each in values])


def making(tenant: Tenant) -> int:
    """The key under which one at a time makes pairs of the tenant, or turns them to another direction.

    Two at once would not see that their pairs are equal.
    """
    digest = sha256(f"pairs of {tenant.account_id} {tenant.mode}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


async def list_pairs(
    connection: AsyncConnection,
    tenant: Tenant,
    page: Page,
    *,
    connection_id: str | None,
    status: str | None,
) -> Slice:
    """The oldest first. Raises NoSuchItem."""
    mine, order = owned(pairs), (pairs.c.created_at, pairs.c.id)
    query = select(pairs).where(mine)
    if connection_id is not None:
        query = query.where(_on(connection_id))
    if status is not None:
        query = query.where(pairs.c.status == status)
    return await read_page(connection, query, order, mine, page, parameters=tenant.parameters())


async def get_pair(
    connection: AsyncConnection, tenant: Tenant, pair_id: str, *, lock: bool = False
) -> RowMapping | None:
    """`lock`: nobody else changes it until the transaction ends."""
    of = {"of_id": pair_id, **tenant.parameters()}
    return (await connection.execute(_ONE_LOCKED if lock else _ONE, of)).mappings().one_or_none()


async def pairs_of_connection(
    connection: AsyncConnection, tenant: Tenant, connection_id: str, *, lock: bool = False
) -> Sequence[RowMapping]:
    """`lock`: nobody else changes them until the transaction ends."""
    query = select(pairs).where(owned(pairs), _on(connection_id)).order_by(pairs.c.id)
    if lock:
        query = query.with_for_update()
    return (await connection.execute(query, tenant.parameters())).mappings().all()


async def pairs_among(
    connection: AsyncConnection, tenant: Tenant, connection_ids: Collection[str]
) -> Sequence[RowMapping]:
    """The pairs both of whose connections are among these, of which there are up to a thousand."""
    ids = list(connection_ids)
    among = and_(pairs.c.connection_a_id.in_(ids), pairs.c.connection_b_id.in_(ids))
    query = select(pairs).where(owned(pairs), among).order_by(pairs.c.created_at, pairs.c.id)
    return (await connection.execute(query, tenant.parameters())).mappings().all()


async def lock_pairs(
    connection: AsyncConnection, tenant: Tenant, pair_ids: Collection[str] | None
) -> Sequence[RowMapping]:
    """Those of up to a thousand pairs that are there, or all; nobody else changes them meanwhile."""
    query = select(pairs.c.id, pairs.c.status, pairs.c.resume_at, pairs.c.removal).where(owned(pairs))
    if pair_ids is not None:
        query = query.where(pairs.c.id.in_(list(pair_ids)))
    lock = query.order_by(pairs.c.id).with_for_update()
    return (await connection.execute(lock, tenant.parameters())).mappings().all()


def flows(direction: str, a: str, b: str) -> list[tuple[str, str]]:
    """(source, target) for each way in which a pair copies."""
    there, back = (a, b), (b, a)
    return {"a_to_b": [there], "b_to_a": [back], "bidirectional": [there, back]}[direction]


async def update_pair(
    connection: AsyncConnection, tenant: Tenant, pair_id: str, values: Mapping[str, Any]
) -> None:
    await update_pairs(connection, tenant, [pair_id], values)


async def update_pairs(
    connection: AsyncConnection, tenant: Tenant, pair_ids: Sequence[str], values: Mapping[str, Any]
) -> None:
    """All in the same way. Where there are several, the caller has locked them."""
    for start in range(0, len(pair_ids), _CHUNK):
        these = pairs.c.id.in_(pair_ids[start : start + _CHUNK])
        change = update(pairs).where(owned(pairs), these).values(**values)
        await connection.execute(change, tenant.parameters())
        if "status" in values:
            await _look_at_channels(connection, tenant, pair_ids[start : start + _CHUNK])


async def _look_at_channels(connection: AsyncConnection, tenant: Tenant, pair_ids: Sequence[str]) -> None:
    """What their connections are used for has changed (store/channels.py)."""
    of_these = (owned(pairs), pairs.c.id.in_(pair_ids))
    ends = (
        select(pairs.c.connection_a_id)
        .where(*of_these)
        .union(select(pairs.c.connection_b_id).where(*of_these))
    )
    told = and_(owned(connections), connections.c.grant_id.is_not(None), connections.c.id.in_(ends))
    # In one order: others may look at the same ones.
    lock = select(connections.c.id).where(told).order_by(connections.c.id).with_for_update()
    if (await connection.execute(lock, tenant.parameters())).first() is not None:
        change = update(connections).where(told).values(watch_at=AT_ONCE)
        await connection.execute(change, tenant.parameters())


async def mark_due(connection: AsyncConnection, tenant: Tenant, connection_id: str, at: datetime) -> None:
    """All pairs on a connection that are not paused are due."""
    on_it = and_(owned(pairs), _on(connection_id))
    lock = select(pairs.c.id).where(on_it).order_by(pairs.c.id).with_for_update()
    await connection.execute(lock, tenant.parameters())
    to_run = and_(owned(pairs), unhindered(on_it), pairs.c.status != "paused")
    change = update(pairs).where(to_run).values(due_at=at, **CHANGED)
    await connection.execute(change, tenant.parameters())
