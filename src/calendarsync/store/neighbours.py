"""The pairs that what happens to another one concerns: those on its grant, and those on its calendars.

These functions serve the engine, which works for all accounts; whoever writes has locked those pairs before.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, literal, or_, select, union, update
from sqlalchemy import delete as delete_rows
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.claims import unhindered
from calendarsync.store.columns import AT_ONCE
from calendarsync.store.schedule import ConnectionRecord, PairRecord
from calendarsync.store.tables import connections, pairs


def of_grant(connection: ConnectionRecord) -> ColumnElement[bool]:
    """The pairs on this connection, and on the account's others that share its grant."""
    return _are_on(select(connections.c.id).where(_same_grant(connection)))


async def hold_back_grant(db: AsyncConnection, connection: ConnectionRecord, until: datetime) -> None:
    """Ask nothing of this grant before `until`; the account's connections that share it wait too (rule 24).

    The caller has locked the pairs `of_grant`.
    """
    had_turn = case((pairs.c.turn_at.is_not(None), literal(until, pairs.c.turn_at.type)))
    put_off = update(pairs).where(unhindered(of_grant(connection)), pairs.c.due_at < until)
    await db.execute(put_off.values(due_at=until, turn_at=had_turn))
    await db.execute(update(connections).where(_same_grant(connection)).values(not_before=until))


def _same_grant(connection: ConnectionRecord) -> ColumnElement[bool]:
    return and_(
        connections.c.account_id == connection.account_id,
        connections.c.mode == connection.mode,
        connections.c.grant_hash == connection.grant_hash,
    )


def _are_on(connection_ids: Select[Any]) -> ColumnElement[bool]:
    """The pairs on one of these connections, at either end: each end is looked up in its own index.

    With OR between the two PostgreSQL would read all pairs there are.
    """
    ends = (pairs.c.connection_a_id, pairs.c.connection_b_id)
    return pairs.c.id.in_(
        union(*(select(pairs.c.id).where(end.in_(connection_ids)).correlate(None) for end in ends))
    )


_reading = select(connections.c.id).where(
    connections.c.calendar_key.in_(bindparam("calendar_keys", expanding=True))
)
_RELAYING = select(
    pairs.c.id, pairs.c.options, pairs.c.direction, pairs.c.calendar_a, pairs.c.calendar_b
).where(
    _are_on(_reading),
    pairs.c.status == "active",
    pairs.c.removal.is_(None),
    pairs.c.id != bindparam("pair_id"),
)


async def relaying(db: AsyncConnection, pair_id: str, calendar_keys: Collection[str]) -> list[str]:
    """The pairs, in any account, in which what another pair wrote into these calendars travels on."""
    if not calendar_keys:
        return []
    rows = await db.execute(_RELAYING, {"pair_id": pair_id, "calendar_keys": sorted(calendar_keys)})
    found = []
    for row in rows:
        sources = {
            "a_to_b": {row.calendar_a},
            "b_to_a": {row.calendar_b},
            "bidirectional": {row.calendar_a, row.calendar_b},
        }[row.direction]
        if row.options.get("relay") and sources.intersection(calendar_keys):
            found.append(row.id)
    return found


def are(pair_ids: Collection[str]) -> ColumnElement[bool]:
    """Just these pairs."""
    return pairs.c.id.in_(sorted(pair_ids))


async def make_due(db: AsyncConnection, pair_ids: Collection[str], at: datetime) -> None:
    """They are due at that time, where they were due later, and go before polls that only look.

    The caller has locked the pairs that `are` these.
    """
    await db.execute(update(pairs).where(are(pair_ids), pairs.c.due_at > at).values(due_at=at, turn_at=at))


def beside(pair: PairRecord) -> ColumnElement[bool]:
    """The pairs that share a calendar with this one."""
    calendars = (pair.calendar_a, pair.calendar_b)
    return _are_on(select(connections.c.id).where(connections.c.calendar_key.in_(calendars)))


async def delete_pair(db: AsyncConnection, pair: PairRecord, at: datetime) -> None:
    """Remove the pair; those that write into the same calendars plan anew, and may take over (rule 3).

    They do so `at` that time, whatever their pace. The caller has locked the pairs `beside` it.
    """
    await db.execute(delete_rows(pairs).where(pairs.c.id == pair.id))
    if pair.last_synced_at is not None:
        # What a connection shows is the latest of its pairs', which this one takes with it.
        earlier = or_(
            connections.c.last_synced_at.is_(None), connections.c.last_synced_at < pair.last_synced_at
        )
        await db.execute(
            update(connections)
            .where(connections.c.id.in_((pair.connection_a_id, pair.connection_b_id)), earlier)
            .values(last_synced_at=pair.last_synced_at)
        )
    ends = connections.c.id.in_((pair.connection_a_id, pair.connection_b_id))
    watched = connections.c.watched_until.is_not(None)
    await db.execute(update(connections).where(ends, watched).values(watch_at=AT_ONCE))
    # Pauses last as long as they were meant to.
    due_at = case((and_(pairs.c.due_at > at, pairs.c.status != "paused"), at), else_=pairs.c.due_at)
    await db.execute(update(pairs).where(unhindered(beside(pair))).values(quiet_state=None, due_at=due_at))
