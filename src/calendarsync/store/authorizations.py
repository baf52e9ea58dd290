"""Links with which people grant access to their calendars, from the making to the end of each.

Only a hash tells whose a link, or the `state` of a provider's answer, is; from there on the tenant binds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, and_, delete, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.grants import drop_if_unused
from calendarsync.store.tables import accounts, authorizations, connections
from calendarsync.store.tenancy import Tenant, owned

NEW, OPENED, REDEEMING, GRANTED, DONE, FAILED = "new", "opened", "redeeming", "granted", "done", "failed"
"""The `status`: a step leads from one to the next, and of two who take the same step one takes it."""

_WITH_ACCOUNT = select(
    authorizations, accounts.c.email.label("account_email"), accounts.c.return_urls
).join_from(authorizations, accounts, accounts.c.id == authorizations.c.account_id)
_AT_ONCE = 500


async def insert_authorization(
    connection: AsyncConnection, tenant: Tenant, values: Mapping[str, Any]
) -> None:
    await connection.execute(insert(authorizations).values(**values, **tenant.values()))


async def find_by_link(connection: AsyncConnection, hashes: Sequence[str]) -> RowMapping | None:
    """The authorization whose link has one of `hashes`, with its account's `account_email` and `return_urls`."""
    return await _find(connection, authorizations.c.link_hash.in_(hashes))


async def find_by_state(connection: AsyncConnection, hashes: Sequence[str]) -> RowMapping | None:
    """The same for the `state` that a provider sends back."""
    return await _find(connection, authorizations.c.state_hash.in_(hashes))


async def find_by_id(connection: AsyncConnection, authorization_id: str) -> RowMapping | None:
    """The same for one that an address of ours names; that its browser asks, its cookie has to tell."""
    return await _find(connection, authorizations.c.id == authorization_id)


async def take_step(
    connection: AsyncConnection,
    tenant: Tenant,
    authorization_id: str,
    before: Sequence[str],
    values: Mapping[str, Any],
) -> bool:
    """Whether it was in one of the statuses `before`: it has the new `values` then."""
    mine = and_(owned(authorizations), authorizations.c.id == authorization_id)
    change = update(authorizations).where(mine, authorizations.c.status.in_(before)).values(**values)
    taken = await connection.execute(change.returning(authorizations.c.id), tenant.parameters())
    return taken.first() is not None


async def prune(connection: AsyncConnection, before: datetime) -> int:
    """Delete some authorizations that ran out before that; how many there were.

    With the last of them goes a connection that still waits for its consent, and a grant of which nothing came.
    """
    old = select(authorizations).where(authorizations.c.expires_at < before).limit(_AT_ONCE)
    rows = (await connection.execute(old)).mappings().all()
    if not rows:
        return 0
    # Connections first: every transaction locks them before what belongs to them.
    await _give_up(connection, {row["connection_id"] for row in rows}, before)
    gone = authorizations.c.id.in_([row["id"] for row in rows])
    await connection.execute(delete(authorizations).where(gone))
    for row in rows:
        if row["grant_id"] is not None and not await _is_awaited(connection, row["grant_id"]):
            await drop_if_unused(connection, Tenant(row["account_id"], row["mode"]), row["grant_id"])
    return len(rows)


async def _give_up(connection: AsyncConnection, connection_ids: Collection[str], before: datetime) -> None:
    good = exists().where(
        authorizations.c.connection_id == connections.c.id, authorizations.c.expires_at >= before
    )
    waiting = select(connections.c.id).where(
        connections.c.id.in_(list(connection_ids)), connections.c.status == "pending", ~good
    )
    locked = await connection.execute(waiting.order_by(connections.c.id).with_for_update())
    ids = list(locked.scalars())
    await connection.execute(delete(connections).where(connections.c.id.in_(ids)))


async def _is_awaited(connection: AsyncConnection, grant_id: str) -> bool:
    """Whether somebody may still pick calendars of a grant."""
    query = select(authorizations.c.id).where(authorizations.c.grant_id == grant_id).limit(1)
    return (await connection.execute(query)).first() is not None


async def _find(connection: AsyncConnection, condition: ColumnElement[bool]) -> RowMapping | None:
    return (await connection.execute(_WITH_ACCOUNT.where(condition))).mappings().one_or_none()
