"""Sync pairs, as callers see them. Every query is bound to a tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, and_, bindparam, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.paging import Page, Slice, read_page
from calendarsync.store.tables import connections, pairs
from calendarsync.store.tenancy import Tenant, owned

CHANGED: Mapping[str, Any] = {"quiet_state": None, "quiet_until": None}
"""To be written with every change of what a pair does: what its last run saw no longer says anything."""

# Built once: a trigger asks it, and SQLAlchemy takes longer to build it than SQLite to answer.
_ONE = select(pairs).where(owned(pairs), pairs.c.id == bindparam("of_id"))
_ONE_LOCKED = _ONE.with_for_update()


def _on(connection_id: str) -> ColumnElement[bool]:
    return or_(pairs.c.connection_a_id == connection_id, pairs.c.connection_b_id == connection_id)


async def insert_pair(connection: AsyncConnection, tenant: Tenant, values: Mapping[str, Any]) -> None:
    await connection.execute(insert(pairs).values(**values, **tenant.values()))


async def list_pairs(connection: AsyncConnection, tenant: Tenant, page: Page) -> Slice:
    """The oldest first. Raises NoSuchItem."""
    mine, order = owned(pairs), (pairs.c.created_at, pairs.c.id)
    return await read_page(
        connection, select(pairs).where(mine), order, mine, page, parameters=tenant.parameters()
    )


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


async def flows_between(
    connection: AsyncConnection, tenant: Tenant, calendar_a: str, calendar_b: str
) -> list[tuple[str, str, str]]:
    """(pair id, source, target) of every flow between two calendars, which are given by their keys.

    A bidirectional pair has two flows.
    """
    a, b = connections.alias(), connections.alias()
    query = (
        select(pairs.c.id, pairs.c.direction, a.c.calendar_key, b.c.calendar_key)
        .join_from(pairs, a, a.c.id == pairs.c.connection_a_id)
        .join(b, b.c.id == pairs.c.connection_b_id)
        .where(
            owned(pairs),
            owned(a),
            owned(b),
            a.c.calendar_key.in_((calendar_a, calendar_b)),
            b.c.calendar_key.in_((calendar_a, calendar_b)),
        )
    )
    rows = (await connection.execute(query, tenant.parameters())).all()
    return [(row[0], *flow) for row in rows for flow in flows(row[1], row[2], row[3])]


def flows(direction: str, a: str, b: str) -> list[tuple[str, str]]:
    """(source, target) for each way in which a pair copies."""
    there, back = (a, b), (b, a)
    return {"a_to_b": [there], "b_to_a": [back], "bidirectional": [there, back]}[direction]


async def update_pair(
    connection: AsyncConnection, tenant: Tenant, pair_id: str, values: Mapping[str, Any]
) -> None:
    change = update(pairs).where(owned(pairs), pairs.c.id == pair_id).values(**values)
    await connection.execute(change, tenant.parameters())


async def mark_due(connection: AsyncConnection, tenant: Tenant, connection_id: str, at: datetime) -> None:
    """All pairs on a connection that are not paused are due."""
    on_it = and_(owned(pairs), _on(connection_id))
    lock = select(pairs.c.id).where(on_it).order_by(pairs.c.id).with_for_update()
    await connection.execute(lock, tenant.parameters())
    change = update(pairs).where(on_it, pairs.c.status != "paused").values(due_at=at, **CHANGED)
    await connection.execute(change, tenant.parameters())
