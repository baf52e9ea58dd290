"""Claims: which worker may run a pair, and until when (docs/decisions/jobs-claims-and-leases.md).

A claim is a lease on a pair and on both of its calendars, under the pair's next generation number. Whatever a run
writes, it writes while the pair is at that generation; a lease that lapsed is ended by moving the generation on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    case,
    func,
    literal,
    select,
    union,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store import choosing
from calendarsync.store.choosing import BEGINNING, After
from calendarsync.store.dialects import (
    GIVEN_CHANNEL,
    has_other_processes,
    notify,
    one_at_a_time,
)
from calendarsync.store.fairness import Places, in_turn
from calendarsync.store.homes import find_homes
from calendarsync.store.tables import orders, pairs

CLAIMS_LOCK = 0x63_6C_61_69_6D_73
"""Claims are made one at a time: two at once would not see that they want the same calendar."""


LET_GO: Mapping[str, Any] = {"leased_until": None, "worker": None, "given": False}
"""Of a pair that nobody has at work any more. A process of an earlier version leaves the last two as they are."""


@dataclass(frozen=True, slots=True)
class Claim:
    """`due`: the schedule asks for a run; else only orders do. `due_at` is what stood there when it was claimed."""

    pair_id: str
    generation: int
    due_at: datetime | None
    due: bool


class ClaimLost(Exception):  # noqa: N818 - it tells what happened
    """The lease had lapsed, or the pair is gone: nothing more may be written for it."""


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
_END = (
    update(pairs)
    .where(pairs.c.id.in_(bindparam("ended", expanding=True)))
    .values(generation=pairs.c.generation + 1, **LET_GO)
)
_TAKE_ORDERS = (
    update(orders)
    .where(
        orders.c.finished_at.is_(None),
        orders.c.pair_id.in_(bindparam("pair_ids", expanding=True)),
    )
    .values(generation=select(pairs.c.generation).where(pairs.c.id == orders.c.pair_id).scalar_subquery())
)
_is_held = and_(
    pairs.c.id == bindparam("held_id"), pairs.c.generation == bindparam("held_generation"), choosing.held
)
_FENCE = select(pairs.c.id).where(_is_held).with_for_update()
_LOCK = (
    select(pairs.c.id, pairs.c.generation, choosing.held.label("held")).order_by(pairs.c.id).with_for_update()
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
        await db.execute(_END, {"ended": lapsed})


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


async def hold_fast(db: AsyncConnection, claim: Claim, *, beside: ColumnElement[bool] | None = None) -> None:
    """Make sure that the claim counts until this transaction ends. Raises ClaimLost.

    `beside`: other pairs that the transaction is going to change. All are locked in one order, and before any
    row of another table, so that no two transactions wait for each other.
    """
    held = {"held_id": claim.pair_id, "held_generation": claim.generation}
    if beside is None:
        counts = (await db.execute(_FENCE, held)).first() is not None
    else:
        mine = (claim.pair_id, claim.generation, True)
        counts = mine in await lock_pairs(db, claim.pair_id, beside=beside)
    if not counts:
        raise ClaimLost


async def lock_pairs(
    db: AsyncConnection, pair_id: str, *, beside: ColumnElement[bool]
) -> set[tuple[str, int, bool]]:
    """Lock a pair and those `beside` it until the transaction ends, in the order of their ids.

    Their ids, generations, and whether they are claimed.
    """
    # A union, or PostgreSQL would go through all pairs there are to find them.
    all_of_them = union(select(literal(pair_id)), select(pairs.c.id).where(beside).correlate(None))
    rows = await db.execute(_LOCK.where(pairs.c.id.in_(all_of_them)))
    return {(row.id, row.generation, bool(row.held)) for row in rows}


async def renew(db: AsyncConnection, claims: Collection[Claim], until: datetime) -> set[Claim]:
    """Prolong the leases; those that count no longer are left out of the answer."""
    count = await _that_count(db, claims)
    if count:
        ids = [claim.pair_id for claim in count]
        await db.execute(_RENEW, {"renewed": ids, "until": until})
    return count


async def give_back(db: AsyncConnection, claims: Collection[Claim]) -> None:
    """End claims whose runs did not come to an end: the pairs are due as before, and orders stand."""
    count = await _that_count(db, claims)
    if count:
        await db.execute(_END, {"ended": [claim.pair_id for claim in count]})


async def _that_count(db: AsyncConnection, claims: Collection[Claim]) -> set[Claim]:
    """Those claims that count until this transaction ends; their pairs are locked in the order of their ids."""
    rows = await db.execute(_LOCK.where(pairs.c.id.in_([claim.pair_id for claim in claims])))
    held = {(row.id, row.generation) for row in rows if row.held}
    return {claim for claim in claims if (claim.pair_id, claim.generation) in held}


_RENEW = (
    update(pairs)
    .where(pairs.c.id.in_(bindparam("renewed", expanding=True)))
    .values(leased_until=_moment("until"))
)


def unless_changed(was: ColumnElement[Any], then: ColumnElement[Any]) -> ColumnElement[Any]:
    """When a pair is due after a run: as planned, unless somebody said otherwise since it was claimed."""
    return case((pairs.c.due_at.is_not_distinct_from(was), then), else_=pairs.c.due_at)


def turn_unless_changed(was: ColumnElement[Any], then: ColumnElement[Any]) -> ColumnElement[Any]:
    """The turn that a poll is left with beside that: whoever said when it is due has said so of its turn too."""
    return case((pairs.c.due_at.is_not_distinct_from(was), then), else_=pairs.c.turn_at)


_SETTLE = update(pairs).where(_is_held).returning(pairs.c.id)
# A turn goes with the poll that it was for, and stays where none took place.
_no_poll = _moment("next_due_at").is_not_distinct_from(_moment("was_due_at"))
_RELEASE = _SETTLE.values(
    **LET_GO,
    due_at=unless_changed(_moment("was_due_at"), _moment("next_due_at")),
    turn_at=turn_unless_changed(_moment("was_due_at"), case((_no_poll, pairs.c.turn_at), else_=None)),
)


async def settle(
    db: AsyncConnection, claim: Claim, status: Mapping[str, Any], *, release: bool, **values: Any
) -> None:
    """Write down a run's end; `release` ends the claim as well, and `next_due_at` then says when it is due.

    Who changed meanwhile when the pair is due has the last word, and so has who paused it about its status.
    Raises ClaimLost.
    """
    unless_paused = {
        name: case((pairs.c.status == "paused", pairs.c[name]), else_=literal(value, pairs.c[name].type))
        for name, value in status.items()
    }
    statement = _RELEASE if release else _SETTLE
    if unless_paused:
        statement = statement.values(unless_paused)
    held = {"held_id": claim.pair_id, "held_generation": claim.generation, **values}
    if release:
        held["was_due_at"] = claim.due_at
    if (await db.execute(statement, held)).first() is None:
        raise ClaimLost


async def earliest_due(db: AsyncConnection) -> datetime | None:
    """When the pair that waits longest became due, or the next one becomes due."""
    first: datetime | None = (
        await db.execute(select(func.min(pairs.c.due_at, type_=pairs.c.due_at.type)).where(choosing.free))
    ).scalar_one()
    return first
