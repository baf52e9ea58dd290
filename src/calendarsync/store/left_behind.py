"""Copies that a removed pair left behind: for how long their ids are remembered (rule 20). For the engine.

An id is of use while the event stands in its calendar, or may come back. Whether it does stand there the index
knows of a connection that has shown it before: what a reading does not cover leaves no index (rule 26).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, bindparam, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.dialects import prefer_indexes
from calendarsync.store.tables import connections, index, kept_copies, pairs

KEEP = timedelta(days=90)
"""How long a copy is known once its calendar does not show it any more.

Providers keep what was deleted for a month or so, and whoever takes it out of there has the same event.
"""

LOOK_EVERY = timedelta(days=30)
"""How often it is looked whether a copy still stands there."""

READ_LATELY = timedelta(days=7)
"""What was read within that time would show it: a pair that is neither paused nor stopped is polled each day."""

_copy = kept_copies.c


def _first(condition: ColumnElement[bool]) -> Any:
    """A connection to the calendar whose index has such an event."""
    found = select(index.c.connection_id).join(connections, connections.c.id == index.c.connection_id)
    here = connections.c.calendar_key == _copy.calendar_key
    return found.where(here, condition).limit(1).correlate(kept_copies).scalar_subquery()


def _read_by(end: ColumnElement[str]) -> Any:
    """A pair with that end that was synced lately. Not EXISTS, for which PostgreSQL may read all pairs once."""
    since = bindparam("read_since", type_=pairs.c.last_synced_at.type)
    synced = select(pairs.c.id).where(end == _copy.seen_in, pairs.c.last_synced_at >= since)
    return synced.limit(1).correlate(kept_copies).scalar_subquery()


# As a copy is known: by its UID or, where that cannot be read, by its name.
_stands_in = func.coalesce(
    _first(index.c.uid == _copy.copy_id),
    _first(index.c.resource_id.in_((_copy.copy_id, _copy.copy_id + ".ics"))),
)
_unseen = and_(
    _copy.seen_at <= bindparam("unseen_since", type_=_copy.seen_at.type),
    func.coalesce(_read_by(pairs.c.connection_a_id), _read_by(pairs.c.connection_b_id)).is_not(None),
)
_is_due = _copy.look_at <= bindparam("now", type_=_copy.look_at.type)
_DUE = (
    select(
        *(_copy.calendar_key, _copy.copy_id, _copy.seen_in, _copy.seen_at),
        _stands_in.label("stands_in"),
        func.coalesce(_unseen, False).label("unseen"),
    )
    .where(_is_due)
    .order_by(_copy.look_at)
    .limit(bindparam("limit", type_=Integer))
    # Another process may be at it as well.
    .with_for_update(of=kept_copies, skip_locked=True)
)
_GONE = select(func.count()).select_from(kept_copies).where(_is_due, _stands_in.is_(None), _unseen)
_this = and_(_copy.calendar_key == bindparam("of_calendar"), _copy.copy_id == bindparam("of_copy"))
_FORGET = delete(kept_copies).where(_this)
_NOTE = (
    update(kept_copies)
    .where(_this)
    .values(seen_in=bindparam("saw"), seen_at=bindparam("saw_at"), look_at=bindparam("again_at"))
)


async def forget_gone(db: AsyncConnection, now: datetime, limit: int) -> tuple[int, int]:
    """Look at up to `limit` of those whose turn it is; how many they were, and how many were forgotten."""
    await prefer_indexes(db)
    rows = (await db.execute(_DUE, {**_times(now), "limit": limit})).all()
    gone, stay = [], []
    for row in rows:
        key = {"of_calendar": row.calendar_key, "of_copy": row.copy_id}
        if row.stands_in is None and row.unseen:
            gone.append(key)
            continue
        seen_in, seen_at = (row.seen_in, row.seen_at) if row.stands_in is None else (row.stands_in, now)
        stay.append({**key, "saw": seen_in, "saw_at": seen_at, "again_at": now + LOOK_EVERY})
    if gone:
        await db.execute(_FORGET, gone)
    if stay:
        await db.execute(_NOTE, stay)
    return len(rows), len(gone)


async def count_gone(db: AsyncConnection, now: datetime) -> int:
    """How many `forget_gone` would forget, without a limit."""
    return int((await db.execute(_GONE, _times(now))).scalar_one())


def _times(now: datetime) -> dict[str, datetime]:
    # It may have stood there until the look that missed it.
    return {"now": now, "unseen_since": now - LOOK_EVERY - KEEP, "read_since": now - READ_LATELY}
