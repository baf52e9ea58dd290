"""Claims: which worker may run a pair, and until when (docs/decisions/jobs-claims-and-leases.md).

A claim is a lease on a pair and on both of its calendars, under the pair's next generation number. Whatever a run
writes, it writes while the pair is at that generation; a lease that lapsed is ended by moving the generation on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    case,
    false,
    func,
    literal,
    select,
    true,
    union,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.columns import moment
from calendarsync.store.tables import pairs

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


_held = pairs.c.leased_until.is_not(None)
_END = (
    update(pairs)
    .where(pairs.c.id.in_(bindparam("ended", expanding=True)))
    .values(generation=pairs.c.generation + 1, **LET_GO)
)
# Not put as the indexes of what is at work have it: where PostgreSQL believes that this is little, it would go
# through all of it to find one.
still_held = case((_held, true()), else_=false())
_is_held = and_(
    pairs.c.id == bindparam("held_id"), pairs.c.generation == bindparam("held_generation"), still_held
)
_FENCE = select(pairs.c.id).where(_is_held).with_for_update()
_LOCK = select(pairs.c.id, pairs.c.generation, _held.label("held")).order_by(pairs.c.id).with_for_update()


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


def unhindered(which: ColumnElement[bool]) -> ColumnElement[bool]:
    """Those of these pairs that the transaction has locked, in the order of their ids, or can without waiting.

    What has become one of them since is not in that order: two transactions could wait for each other.
    """
    these = select(pairs.c.id).where(which).correlate(None).with_for_update(skip_locked=True)
    return pairs.c.id.in_(these)


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
        await end_all(db, [claim.pair_id for claim in count])


async def end_all(db: AsyncConnection, pair_ids: Collection[str]) -> None:
    """Whoever holds claims on these pairs, which the caller has locked, writes nothing more."""
    await db.execute(_END, {"ended": list(pair_ids)})


async def _that_count(db: AsyncConnection, claims: Collection[Claim]) -> set[Claim]:
    """Those claims that count until this transaction ends; their pairs are locked in the order of their ids."""
    rows = await db.execute(_LOCK.where(pairs.c.id.in_([claim.pair_id for claim in claims])))
    held = {(row.id, row.generation) for row in rows if row.held}
    return {claim for claim in claims if (claim.pair_id, claim.generation) in held}


_RENEW = (
    update(pairs)
    .where(pairs.c.id.in_(bindparam("renewed", expanding=True)))
    .values(leased_until=moment("until"))
)


def unless_changed(was: ColumnElement[Any], then: ColumnElement[Any]) -> ColumnElement[Any]:
    """When a pair is due after a run: as planned, unless somebody said otherwise since it was claimed."""
    return case((pairs.c.due_at.is_not_distinct_from(was), then), else_=pairs.c.due_at)


def turn_unless_changed(was: ColumnElement[Any], then: ColumnElement[Any]) -> ColumnElement[Any]:
    """The turn that a poll is left with beside that: whoever said when it is due has said so of its turn too."""
    return case((pairs.c.due_at.is_not_distinct_from(was), then), else_=pairs.c.turn_at)


_SETTLE = update(pairs).where(_is_held).returning(pairs.c.id)
# A turn goes with the poll that it was for, and stays where none took place.
_no_poll = moment("next_due_at").is_not_distinct_from(moment("was_due_at"))
_RELEASE = _SETTLE.values(
    **LET_GO,
    due_at=unless_changed(moment("was_due_at"), moment("next_due_at")),
    turn_at=turn_unless_changed(moment("was_due_at"), case((_no_poll, pairs.c.turn_at), else_=None)),
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


_EARLIEST_DUE = select(func.min(pairs.c.due_at, type_=pairs.c.due_at.type)).where(
    pairs.c.leased_until.is_(None)
)


async def earliest_due(db: AsyncConnection) -> datetime | None:
    """When the pair that waits longest became due, or the next one becomes due."""
    first: datetime | None = (await db.execute(_EARLIEST_DUE)).scalar_one()
    return first
