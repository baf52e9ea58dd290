"""Making claims: which of the pairs that wait a worker gets, and which other process is to run them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, bindparam, case, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store import choosing
from calendarsync.store.busy import calendars_of, in_use, is_kept
from calendarsync.store.choosing import BEGINNING, After
from calendarsync.store.claims import Claim, end_all
from calendarsync.store.columns import moment
from calendarsync.store.dialects import GIVEN_CHANNEL, has_other_processes, notify, one_at_a_time
from calendarsync.store.fairness import Places, in_turn
from calendarsync.store.homes import Homes, find_homes
from calendarsync.store.reserving import MOST_KEPT, impatient, keep_turns
from calendarsync.store.tables import orders, pairs

CLAIMS_LOCK = 0x63_6C_61_69_6D_73
"""Claims are made one at a time: two at once would not see that they want the same calendar."""


_pause_over = and_(pairs.c.status == "paused", pairs.c.resume_at <= moment("now"))
_CHOOSE_DUE = choosing.choose.where(choosing.is_due)
_CLAIM = (
    update(pairs)
    .where(pairs.c.id.in_(bindparam("chosen", expanding=True)))
    .values(
        generation=pairs.c.generation + 1,
        leased_until=moment("until"),
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
    select(pairs.c.id, pairs.c.account_id, pairs.c.calendar_a, pairs.c.calendar_b, is_kept.label("kept"))
    .where(pairs.c.leased_until <= moment("now"))
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
    turns = await _begin(db, now, until, worker, polls=False)
    waiting = await choosing.ordered(db, places.room, after)
    wanted = in_turn(waiting.pairs, places)
    chosen = (await db.execute(choosing.choose, {"wanted": wanted})).all() if wanted else ()
    made = await _claim(db, chosen, now, until, worker, polls=False)
    await turns.keep((*made.torn, *waiting.shut_out(made.calendars)), now)
    if not wanted and not turns.claims:
        return Taken([], waiting.more, waiting.any, waiting.after)
    more = waiting.more or len(made.claims) < len(wanted)
    return Taken([*turns.claims, *made.claims], more, after=waiting.after)


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
    turns = await _begin(db, now, until, worker, polls=True)
    waiting = await choosing.due(db, now, places.room, back)
    wanted = in_turn(waiting.pairs, places)
    more = waiting.more or len(wanted) < len(waiting.pairs)
    chosen = (await db.execute(_CHOOSE_DUE, {"wanted": wanted, "now": now})).all() if wanted else []
    company = await choosing.company(db, chosen, now + ahead, places.room) if chosen else ()
    made = await _claim(db, [*chosen, *company], now, until, worker, polls=True)
    await turns.keep((*made.torn, *waiting.shut_out(made.calendars)), now)
    return Taken([*turns.claims, *(replace(claim, due=True) for claim in made.claims)], more)


@dataclass(frozen=True, slots=True)
class _Turns:
    """What was claimed of the pairs for which turns had been kept, and the others."""

    db: AsyncConnection
    claims: list[Claim] = field(default_factory=list)
    kept: list[Any] = field(default_factory=list)

    async def keep(self, pair_ids: Collection[str], now: datetime) -> None:
        if pair_ids and len(self.kept) < MOST_KEPT:
            await keep_turns(self.db, pair_ids, self.kept, now)


async def _begin(db: AsyncConnection, now: datetime, until: datetime, worker: str, *, polls: bool) -> _Turns:
    """Claim alone, and first what has a turn and can be run by now. What has lapsed is ended.

    `polls`: not only what was ordered.
    """
    await one_at_a_time(db, CLAIMS_LOCK, by_indexes=True)
    lapsed = (await db.execute(_LAPSED, {"now": now})).all()
    turns = _Turns(db)
    kept = [row for row in lapsed if row.kept]
    if kept:
        waiting = await impatient(db, [row.id for row in kept], now)
        kept = [row for row in kept if row.id in waiting]
        wanted = [row for row in kept if polls or waiting[row.id].ordered]
        busy = await in_use(db, calendars_of(wanted), kept=False) if wanted else set()
        ready = [row for row in wanted if busy.isdisjoint(calendars_of([row]))]
        made = await _claim(db, ready, now, until, worker, polls=False, kept=False)
        turns.claims.extend(made.claims)
        turns.kept.extend(row for row in kept if row.id not in made.pair_ids)
    staying = {row.id for row in kept}
    ended = [row.id for row in lapsed if row.id not in staying]
    if ended:
        await end_all(db, ended)
    return turns


@dataclass(frozen=True, slots=True)
class _Made:
    """The claims that are for this worker itself, the pairs and calendars of all of them, and what is torn."""

    claims: list[Claim] = field(default_factory=list)
    pair_ids: Collection[str] = frozenset()
    calendars: Collection[str] = frozenset()
    torn: Sequence[str] = ()


async def _claim(
    db: AsyncConnection,
    chosen: Sequence[Any],
    now: datetime,
    until: datetime,
    worker: str,
    *,
    polls: bool,
    kept: bool = True,
) -> _Made:
    """Claim pairs that are locked, each for the process that is to run it, and take up what was ordered of them."""
    if not chosen:
        return _Made()
    wanted = [row.id for row in chosen]
    homes = Homes({(worker, until): wanted})
    if has_other_processes(db):
        homes = await find_homes(db, wanted, worker, now, until, polls=polls, kept=kept)
    claimed = []
    for (home, home_until), pair_ids in homes.pairs.items():
        given = {"worker": home, "given": home != worker, "until": home_until}
        rows = await db.execute(_CLAIM, {"chosen": pair_ids, "now": now, **given})
        if home == worker:
            claimed += [
                Claim(row.id, row.generation, row.due_at, row.due_at is not None and row.due_at <= now)
                for row in rows
            ]
        else:
            await notify(db, GIVEN_CHANNEL, home)
    all_of_them = {each for those in homes.pairs.values() for each in those}
    await db.execute(_TAKE_ORDERS, {"pair_ids": sorted(all_of_them)})
    calendars = calendars_of(row for row in chosen if row.id in all_of_them)
    return _Made(claimed, all_of_them, calendars, homes.torn)
