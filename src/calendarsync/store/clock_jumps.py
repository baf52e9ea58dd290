"""A clock that was set back has put off everything by as much: it is pulled in, a batch at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.claims import unhindered
from calendarsync.store.columns import moment
from calendarsync.store.dialects import prefer_indexes
from calendarsync.store.tables import connections, pairs


def _is_watched(end: ColumnElement[Any]) -> ColumnElement[bool]:
    watched = connections.c.watched_until.is_not(None)
    return select(connections.c.id).where(connections.c.id == end, watched).correlate(pairs).exists()


_watched = and_(_is_watched(pairs.c.connection_a_id), _is_watched(pairs.c.connection_b_id))
# Pauses last as long as they were meant to.
_put_off = and_(
    pairs.c.leased_until.is_(None),
    pairs.c.due_at > case((_watched, moment("watched_latest")), else_=moment("latest")),
    pairs.c.status != "paused",
)
_these = pairs.c.id.in_(bindparam("put_off", expanding=True))
# The first condition has the index. What was dealt with falls out of it.
_PUT_OFF = (
    select(pairs.c.id, pairs.c.due_at)
    .where(pairs.c.due_at >= moment("since"), _put_off)
    .order_by(pairs.c.due_at)
    .limit(bindparam("limit"))
)
_LOCK = select(pairs.c.id).where(_these).order_by(pairs.c.id).with_for_update()
_PULL_IN = update(pairs).where(_these, _put_off).values(due_at=moment("at"))
_held_longer = pairs.c.leased_until > moment("until")
_LOCK_HELD = select(pairs.c.id).where(_held_longer).order_by(pairs.c.id).with_for_update()
_later = and_(pairs.c.due_at > moment("at"), pairs.c.status != "paused")
_SHORTEN = (
    update(pairs)
    .where(unhindered(_held_longer))
    .values(leased_until=moment("until"), due_at=case((_later, moment("at")), else_=pairs.c.due_at))
)


async def pull_in(
    db: AsyncConnection,
    at: datetime,
    latest: datetime,
    watched_latest: datetime,
    *,
    since: datetime | None = None,
    limit: int = 1000,
) -> datetime | None:
    """Pairs that are due later than `latest` are due `at` that time; so many of them, the soonest ones.

    `watched_latest` is for pairs of which changes are told beside the polls, and no earlier than `latest`.
    Where the next batch begins, to be given as `since`; None where these were all.
    """
    await prefer_indexes(db)
    given = {"latest": latest, "watched_latest": watched_latest}
    found = await db.execute(_PUT_OFF, {**given, "since": since or latest, "limit": limit})
    rows = found.all()
    if rows:
        ids = [row.id for row in rows]
        await db.execute(_LOCK, {"put_off": ids})
        await db.execute(_PULL_IN, {**given, "put_off": ids, "at": at})
    return rows[-1].due_at if len(rows) == limit else None


async def shorten_leases(db: AsyncConnection, until: datetime, at: datetime) -> None:
    """No claim counts longer than `until`, and if it comes to nothing its pair is due `at` that time."""
    if (await db.execute(_LOCK_HELD, {"until": until})).first() is not None:
        await db.execute(_SHORTEN, {"until": until, "at": at})
