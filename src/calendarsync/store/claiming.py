"""Making claims: which of the pairs that wait a worker gets, and which other process is to run them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, bindparam, case, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store import choosing
from calendarsync.store.choosing import BEGINNING, After
from calendarsync.store.claims import Claim, end_all
from calendarsync.store.dialects import GIVEN_CHANNEL, has_other_processes, notify, one_at_a_time
from calendarsync.store.fairness import Places, in_turn
from calendarsync.store.homes import find_homes
from calendarsync.store.tables import orders, pairs

CLAIMS_LOCK = 0x63_6C_61_69_6D_73
"""Claims are made one at a time: two at once would not see that they want the same calendar."""


def _moment(name: str) -> Any:
    return bindparam(name, type_=pairs.c.due_at.type)


_pause_over = and_(pairs.c.status == "paused", pairs.c.resume_at <= _moment("now"))
_CHOOSE_DUE = choosing.choose.where(choosing.is_due)
_CLAIM = (
    update(pairs)
    .where(pairs.c.id.in_(bindparam("chosen", expanding=True)))
    .values(
        generation=pairs.c.generation + 1,
        leased_until=_moment("until"),
        worker=bindparam("worker"),
        given=bindparam("given"),
        status=case((_pause_over, "active"), else_=pairs.c.status),
        resume_at=case((_pause_over, None), else_=pairs.c.resume_at),
    )
    .returning(pairs.c.id, pairs.c.generation, pairs.c.due_at)
)
# Who is at it at this moment is left alone: its claim is ended the next time. The order is that of the one index
# that is to be read: as this waits for nobody, it needs none.
_LAPSED = (
    select(pairs.c.id)
    .where(pairs.c.leased_until <= _moment("now"))
    .order_by(pairs.c.leased_until)
    .with_for_update(skip_locked=True)
)
_TAKE_ORDERS = (
    update(orders)
    .where(
        orders.c.finished_at.is_(None),
        orders.c.pair_id.in_(bindparam("pair_ids", expanding=True)),
    )
    .values(generation=select(pairs.c.generation).where(pairs.c.id == orders.c.pair_id).scalar_subquery())
)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a worker has claimed. `more`: there was more than it had room for, for an account, or than it looked at.

    `any`: something waited, or was at work. `after`: where its next look at orders goes on.
    """

    claims: list[Claim]
    more: bool
    any: bool = True
    after: After = BEGINNING


async def claim_ordered(
    db: AsyncConnection,
    now: datetime,
    until: datetime,
    places: Places,
    *,
    worker: str,
    after: After = BEGINNING,
) -> Taken:
    """Claim pairs that were ordered for this worker, in turn by account, leaving out calendars that are in use.

    Pairs that share a calendar are claimed together or one after the other, never by two callers. A pair whose
    grant another process has at work is claimed for that one, which is told, and is not in the answer.
    """
    await _begin(db, now)
    waiting = await choosing.ordered(db, places.room, after)
    wanted = in_turn(waiting.pairs, places)
    if not wanted:
        return Taken([], waiting.more, waiting.any, waiting.after)
    chosen = (await db.execute(choosing.choose, {"wanted": wanted})).scalars()
    claims = await _claim(db, set(chosen), now, until, worker, polls=False)
    return Taken(claims, waiting.more or len(claims) < len(wanted), after=waiting.after)


async def claim_due(
    db: AsyncConnection,
    now: datetime,
    until: datetime,
    places: Places,
    *,
    worker: str,
    ahead: timedelta,
    back: float = 0.0,
) -> Taken:
    """The same for pairs that are due.

    Pairs on the same connections come along when they are due within `ahead`: so a connection is read once for
    all of them (rule 28), and they keep together from then on. `back`: where in a backlog it looks (choosing.due).
    """
    await _begin(db, now)
    waiting = await choosing.due(db, now, places.room, back)
    wanted = in_turn(waiting.pairs, places)
    more = waiting.more or len(wanted) < len(waiting.pairs)
    chosen = (await db.execute(_CHOOSE_DUE, {"wanted": wanted, "now": now})).all() if wanted else []
    if not chosen:
        return Taken([], more)
    company = await choosing.company(db, chosen, now + ahead, places.room)
    claims = await _claim(db, company | {row.id for row in chosen}, now, until, worker, polls=True)
    return Taken([replace(claim, due=True) for claim in claims], more)


async def _begin(db: AsyncConnection, now: datetime) -> None:
    await one_at_a_time(db, CLAIMS_LOCK, by_indexes=True)
    lapsed = (await db.execute(_LAPSED, {"now": now})).scalars().all()
    if lapsed:
        await end_all(db, lapsed)


async def _claim(
    db: AsyncConnection, chosen: Collection[str], now: datetime, until: datetime, worker: str, *, polls: bool
) -> list[Claim]:
    """Claim pairs that are locked, each for the process that is to run it, and take up what was ordered of them."""
    if not chosen:
        return []
    homes = {(worker, until): list(chosen)}
    if has_other_processes(db):
        homes = await find_homes(db, chosen, worker, now, until, polls=polls)
    claimed = []
    for (home, home_until), pair_ids in homes.items():
        given = {"worker": home, "given": home != worker, "until": home_until}
        rows = await db.execute(_CLAIM, {"chosen": pair_ids, "now": now, **given})
        if home == worker:
            claimed += [
                Claim(row.id, row.generation, row.due_at, row.due_at is not None and row.due_at <= now)
                for row in rows
            ]
        else:
            await notify(db, GIVEN_CHANNEL, home)
    await db.execute(_TAKE_ORDERS, {"pair_ids": [each for pair_ids in homes.values() for each in pair_ids]})
    return claimed
