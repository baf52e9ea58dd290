"""Which pairs may be claimed: what is due, and what was ordered, seen so that every account has its turn.

What is looked at is bounded, however much waits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    false,
    func,
    literal,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.busy import Busy, Look
from calendarsync.store.dialects import takes_arrays
from calendarsync.store.tables import orders, pairs

AT_ONCE = 4
"""So many candidates are looked at for each place, from either end of what is due."""

MOST_ACCOUNTS = 256
"""The orders of so many accounts are looked at in one go."""

free = pairs.c.leased_until.is_(None)
_CALENDARS = (pairs.c.calendar_a, pairs.c.calendar_b)
is_due: ColumnElement[bool] = pairs.c.due_at <= bindparam("now", type_=pairs.c.due_at.type)
_is_soon = pairs.c.due_at <= bindparam("soon", type_=pairs.c.due_at.type)


After = tuple[str, str]
"""The accounts after which a look at what is urgent goes on, and one at the rest; empty: with the first account."""

BEGINNING: After = ("", "")


@dataclass(frozen=True, slots=True)
class Waiting:
    """(account id, pair id) of pairs, those first that have waited longest. `more`: there are others behind them.

    `any`: something waits, or is at work, whether it may be claimed or not. `after`: where the next look goes on.
    `shut_out`: the pairs of which both calendars are in use, when these are so too.
    """

    pairs: Sequence[tuple[str, str]]
    more: bool
    any: bool = True
    after: After = BEGINNING
    shut_out: Callable[[Collection[str]], Sequence[str]] = field(default=lambda _: ())


_limit: Any = bindparam("limit", type_=Integer)


def _are_due(order: Any) -> Look:
    """In that order and by nothing else: the index gives the first ones without a sort."""
    named = select(pairs.c.account_id, pairs.c.id, pairs.c.due_at, *_CALENDARS)
    return Look.made(lambda at_rest: named.where(free, is_due, at_rest).order_by(order).limit(_limit))


_LONGEST_DUE = _are_due(pairs.c.due_at)
_LATEST_DUE = _are_due(pairs.c.due_at.desc())


async def due(db: AsyncConnection, now: datetime, room: int, back: float = 0.0) -> Waiting:
    """Pairs that the schedule asks for: where many are due, the oldest, and the latest of some moment.

    That moment is now, and with `back` so far back, as a share of the time that the oldest has waited. So one
    account's backlog hides no other's pair that has just become due, nor for ever one that has not.
    """
    most = room * AT_ONCE
    busy = Busy(db)
    rows = await _first(db, busy, _LONGEST_DUE, most, {"now": now})
    if rows and len(rows) == most:
        moment = now - (now - rows[0].due_at) * back
        rows += reversed(await _first(db, busy, _LATEST_DUE, most, {"now": moment}))
    found = list(dict.fromkeys((row.account_id, row.id) for row in rows))
    return Waiting(
        found, more=len(found) > room, shut_out=lambda those: [row.id for row in busy.shut_out(those)]
    )


async def _first(
    db: AsyncConnection, busy: Busy, look: Look, most: int, given: Mapping[str, Any]
) -> list[Any]:
    async def rows_of(statement: Any, _: object, beside: dict[str, Any]) -> list[tuple[None, Any]]:
        return [(None, row) for row in await db.execute(statement, {**given, **beside, "limit": most})]

    return await busy.first(look, [None], most, rows_of)


# Who is at one of them at this moment is passed by. In the order of their ids, or PostgreSQL may go through all
# that are free to find these.
choose = (
    select(pairs.c.id, pairs.c.connection_a_id, pairs.c.connection_b_id, *_CALENDARS)
    .where(pairs.c.id.in_(bindparam("wanted", expanding=True)), free)
    .order_by(pairs.c.id)
    .with_for_update(skip_locked=True)
)
_CHOOSE_SOON = choose.where(_is_soon)


def _soon_on(end: ColumnElement[str], at_rest: ColumnElement[bool]) -> Select[Any]:
    """In the order of the end, whose index no other is to be taken for."""
    these = end.in_(bindparam("ends", expanding=True))
    others = pairs.c.id.not_in(bindparam("chosen", expanding=True))
    found = select(pairs.c.id, *_CALENDARS).where(free, these, _is_soon, others, at_rest)
    return select(found.order_by(end).subquery())


_COMPANY = Look.made(
    lambda at_rest: union_all(
        _soon_on(pairs.c.connection_a_id, at_rest), _soon_on(pairs.c.connection_b_id, at_rest)
    ).limit(_limit)
)


async def company(db: AsyncConnection, chosen: Sequence[Any], soon: datetime, most: int) -> Sequence[Any]:
    """So many other pairs, locked, that are due by then on the connections of those that are `chosen`."""
    ends = {end for row in chosen for end in (row.connection_a_id, row.connection_b_id)}
    busy = Busy(db, at_rest=(each for row in chosen for each in (row.calendar_a, row.calendar_b)))
    given = {"ends": sorted(ends), "chosen": [row.id for row in chosen], "soon": soon}
    wanted = {row.id for row in await _first(db, busy, _COMPANY, most, given)}
    if not wanted:
        return ()
    return (await db.execute(_CHOOSE_SOON, {"wanted": sorted(wanted), "soon": soon})).all()


_open = orders.c.finished_at.is_(None)
# By all three, though one would do: that order one index has, and no other.
_IN_ORDER = (orders.c.urgent, orders.c.account_id, orders.c.created_at)


def _queues(name: str, urgent: ColumnElement[bool]) -> Any:
    """The accounts that have such orders, by a jump in the index from each to the next.

    However many orders one of them has, it costs one step.
    """

    def first(*where: ColumnElement[bool]) -> Any:
        found = select(orders.c.account_id).where(_open, orders.c.urgent == urgent, *where)
        return found.order_by(*_IN_ORDER).limit(1)

    after = orders.c.account_id > bindparam(f"{name}_after", type_=orders.c.account_id.type)
    queue = select(first(after).scalar_subquery().label("account_id"), literal(1).label("number"))
    found = queue.cte(name, recursive=True)
    following = first(orders.c.account_id > found.c.account_id).correlate(found).scalar_subquery()
    further = and_(found.c.account_id.is_not(None), found.c.number < MOST_ACCOUNTS)
    found = found.union_all(select(following, found.c.number + 1).where(further))
    return select(urgent.label("urgent"), found.c.account_id, found.c.number).where(
        found.c.account_id.is_not(None)
    )


_QUEUES = _queues("urgent", true()).union_all(_queues("other", false()))


# So said that the index of what is free is none to find them by: they are found by their ids, one by one.
_is_free = case((free, true()), else_=false())


def _of(account_id: Any, urgent: Any, share: Any, at_rest: ColumnElement[bool]) -> Any:
    """The first orders of an account whose pairs are free."""
    return (
        select(orders.c.urgent, orders.c.account_id, orders.c.created_at, orders.c.pair_id, *_CALENDARS)
        .join(pairs, pairs.c.id == orders.c.pair_id)
        .where(_open, orders.c.urgent == urgent, orders.c.account_id == account_id, _is_free, at_rest)
        .order_by(*_IN_ORDER)
        .limit(share)
    )


_share: Any = bindparam("share", type_=Integer)
_FIRST_OF = Look.made(
    partial(_of, bindparam("of_account"), bindparam("of_urgent", type_=orders.c.urgent.type), _share)
)
_wanted = (
    func.unnest(
        bindparam("account_ids", type_=ARRAY(orders.c.account_id.type)),
        bindparam("urgent", type_=ARRAY(orders.c.urgent.type)),
    )
    .table_valued("account_id", "urgent", name="wanted")
    .render_derived()
)


def _of_each(at_rest: ColumnElement[bool]) -> Any:
    first = _of(_wanted.c.account_id, _wanted.c.urgent, _share, at_rest).lateral("first")
    return select(first).select_from(_wanted.join(first, true()))


_FIRST_OF_EACH = Look.made(_of_each)


async def ordered(db: AsyncConnection, room: int, after: After = BEGINNING) -> Waiting:
    """Pairs of which runs were ordered: what people and programs ask for before what calendars' changes do.

    Of more accounts than are looked at in one go others have their turn with the next look.
    """
    found = await _accounts(db, after)
    last = {urgent: account_id for urgent, account_id, number in found if number == MOST_ACCOUNTS}
    if after != BEGINNING:
        found += await _accounts(db, BEGINNING)
    queues = list(dict.fromkeys((urgent, account_id) for urgent, account_id, _ in found))
    if not queues:
        return Waiting((), more=False, any=False)
    share = min(room, -(-room * AT_ONCE // len(queues)))
    if takes_arrays(db):
        look, rows_of = _FIRST_OF_EACH, _at_once
    else:
        look, rows_of = _FIRST_OF, _for_each
    busy = Busy(db)
    rows = await busy.first(look, queues, share, partial(rows_of, db, share))
    # What is urgent first, then by the time of waiting.
    rows.sort(key=lambda row: (not row.urgent, row.created_at, row.account_id, row.pair_id))
    seen = list(dict.fromkeys((row.account_id, row.pair_id) for row in rows))
    # One that gave its whole share may have more.
    more = bool(last) or len(seen) > room or len(rows) >= share
    following = (last.get(True, ""), last.get(False, ""))
    return Waiting(
        seen, more, after=following, shut_out=lambda those: [row.pair_id for row in busy.shut_out(those)]
    )


async def _accounts(db: AsyncConnection, after: After) -> list[tuple[bool, str, int]]:
    urgent, other = after
    rows = await db.execute(_QUEUES, {"urgent_after": urgent, "other_after": other})
    return [(bool(row.urgent), row.account_id, row.number) for row in rows]


_Queue = tuple[bool, str]
"""Whether its orders are urgent, and the account."""


async def _at_once(
    db: AsyncConnection, share: int, statement: Any, queues: Sequence[_Queue], beside: dict[str, Any]
) -> list[tuple[_Queue, Any]]:
    urgent, account_ids = zip(*queues, strict=True)
    given = {"account_ids": list(account_ids), "urgent": list(urgent), "share": share, **beside}
    return [((row.urgent, row.account_id), row) for row in await db.execute(statement, given)]


async def _for_each(
    db: AsyncConnection, share: int, statement: Any, queues: Sequence[_Queue], beside: dict[str, Any]
) -> list[tuple[_Queue, Any]]:
    found: list[tuple[_Queue, Any]] = []
    for queue in queues:
        urgent, account_id = queue
        given = {"of_account": account_id, "of_urgent": urgent, "share": share, **beside}
        found += [(queue, row) for row in await db.execute(statement, given)]
    return found
