"""Turns that are kept: a pair whose two ends are hardly ever at rest together gets its run all the same.

While a turn is kept, nobody begins anything else on the pair's calendars, nor with the grant of its end a; what is
at work there comes to its end. It is kept by a lease that no process has, lapsed from the beginning, so that each
claim comes upon it first (store/claiming.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store import choosing
from calendarsync.store.busy import calendars_of
from calendarsync.store.tables import orders, pairs

PATIENCE = timedelta(seconds=5)
"""So long a pair waits for its ends to be at rest by themselves."""

KEPT, AGAIN = timedelta(seconds=15), timedelta(seconds=60)
"""So long at most a turn is kept for it then, and how long after the beginning of that it is kept anew: where a run
takes minutes, what else is on the other end is not to wait for all of it."""

MOST_KEPT = 16
"""Each claim looks at those that are kept."""

_open = and_(orders.c.pair_id == pairs.c.id, orders.c.finished_at.is_(None))
_ordered_at = select(func.min(orders.c.created_at, type_=orders.c.created_at.type)).where(_open)
_WAITING = select(
    pairs.c.id, pairs.c.account_id, pairs.c.due_at, _ordered_at.scalar_subquery().label("ordered_at")
).where(pairs.c.id.in_(bindparam("pair_ids", expanding=True)))
_KEEP = (
    update(pairs)
    .where(pairs.c.id.in_(bindparam("kept", expanding=True)))
    .values(
        generation=pairs.c.generation + 1,
        leased_until=bindparam("now", type_=pairs.c.leased_until.type),
        worker=None,
        given=True,
    )
)


@dataclass(frozen=True, slots=True)
class Impatient:
    """Since when it waits, and whether a run was ordered; else the schedule alone asks for one."""

    account_id: str
    since: datetime
    ordered: bool


def is_kept_at(now: datetime, since: datetime) -> bool:
    """Whether a turn is kept at that moment for what has waited since then."""
    waited = now - since - PATIENCE
    return waited >= timedelta(0) and waited % AGAIN < KEPT


async def keep_turns(
    db: AsyncConnection, pair_ids: Collection[str], before: Collection[Any], now: datetime
) -> None:
    """For those that are free and have waited too long: one for a calendar, and none where it is kept already.

    Accounts have them in turn. `before`: the pairs for which turns are kept, their accounts and calendars.
    """
    waiting = await impatient(db, pair_ids, now)
    if not waiting:
        return
    free = {row.id: row for row in await db.execute(choosing.choose, {"wanted": sorted(waiting)})}
    taken, kept = calendars_of(before), list[str]()
    has = Counter(row.account_id for row in before)

    def in_turn(pair_id: str) -> tuple[int, datetime, str]:
        return has[waiting[pair_id].account_id], waiting[pair_id].since, pair_id

    while free and len(before) + len(kept) < MOST_KEPT:
        first = min(free, key=in_turn)
        calendars = calendars_of([free.pop(first)])
        if taken.isdisjoint(calendars):
            kept.append(first)
            taken |= calendars
            has[waiting[first].account_id] += 1
    if kept:
        await db.execute(_KEEP, {"kept": kept, "now": now})


async def impatient(db: AsyncConnection, pair_ids: Collection[str], now: datetime) -> Mapping[str, Impatient]:
    """Those of the pairs for which turns are to be kept at this moment."""
    found = {}
    for row in await db.execute(_WAITING, {"pair_ids": sorted(pair_ids)}):
        moments: list[Any] = [
            each for each in (row.due_at, row.ordered_at) if each is not None and each <= now
        ]
        if moments and is_kept_at(now, min(moments)):
            found[row.id] = Impatient(row.account_id, min(moments), ordered=row.ordered_at is not None)
    return found
