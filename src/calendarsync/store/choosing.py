"""Which pairs may be claimed: what is due, and what was ordered, seen so that every account has its turn.

What is looked at is bounded, however much waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, bindparam, false, func, literal, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.dialects import takes_arrays
from calendarsync.store.tables import orders, pairs

AT_ONCE = 4
"""So many candidates are looked at for each place, from either end of what is due."""

MOST_ACCOUNTS = 256
"""The orders of so many accounts are looked at in one go."""

free = pairs.c.leased_until.is_(None)
held = pairs.c.leased_until.is_not(None)
_busy = select(pairs.c.calendar_a).where(held).union(select(pairs.c.calendar_b).where(held)).cte("busy")
undisturbed = and_(free, pairs.c.calendar_a.not_in(select(_busy)), pairs.c.calendar_b.not_in(select(_busy)))
is_due: ColumnElement[bool] = pairs.c.due_at <= bindparam("now", type_=pairs.c.due_at.type)


After = tuple[str, str]
"""The accounts after which a look at what is urgent goes on, and one at the rest; empty: with the first account."""

BEGINNING: After = ("", "")


@dataclass(frozen=True, slots=True)
class Waiting:
    """(account id, pair id) of pairs, those first that have waited longest. `more`: there are others behind them.

    `any`: something waits, or is at work, whether it may be claimed or not. `after`: where the next look goes on.
    """

    pairs: Sequence[tuple[str, str]]
    more: bool
    any: bool = True
    after: After = BEGINNING


# By that and nothing else: the index gives the first ones without a sort.
_ARE_DUE = (
    select(pairs.c.account_id, pairs.c.id, pairs.c.due_at)
    .where(undisturbed, is_due)
    .limit(bindparam("limit"))
)
_LONGEST_DUE = _ARE_DUE.order_by(pairs.c.due_at)
_LATEST_DUE = _ARE_DUE.order_by(pairs.c.due_at.desc())


async def due(db: AsyncConnection, now: datetime, room: int, back: float = 0.0) -> Waiting:
    """Pairs that the schedule asks for: where many are due, the oldest, and the latest of some moment.

    That moment is now, and with `back` so far back, as a share of the time that the oldest has waited. So one
    account's backlog hides no other's pair that has just become due, nor for ever one that has not.
    """
    most = room * AT_ONCE
    oldest = (await db.execute(_LONGEST_DUE, {"now": now, "limit": most})).all()
    rows = list(oldest)
    if oldest and len(oldest) == most:
        moment = now - (now - oldest[0].due_at) * back
        latest = (await db.execute(_LATEST_DUE, {"now": moment, "limit": most})).all()
        rows += reversed(latest)
    found = list(dict.fromkeys((row.account_id, row.id) for row in rows))
    return Waiting(found, more=len(found) > room)


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


def _of(account_id: Any, urgent: Any, share: Any) -> Any:
    """The first orders of an account whose pairs may be claimed."""
    return (
        select(orders.c.created_at, orders.c.pair_id)
        .join(pairs, pairs.c.id == orders.c.pair_id)
        .where(_open, orders.c.urgent == urgent, orders.c.account_id == account_id, undisturbed)
        .order_by(*_IN_ORDER)
        .limit(share)
    )


_share: Any = bindparam("share", type_=Integer)
_FIRST_OF = _of(bindparam("of_account"), bindparam("of_urgent", type_=orders.c.urgent.type), _share)
_wanted = (
    func.unnest(
        bindparam("account_ids", type_=ARRAY(orders.c.account_id.type)),
        bindparam("urgent", type_=ARRAY(orders.c.urgent.type)),
    )
    .table_valued("account_id", "urgent", name="wanted")
    .render_derived()
)
_first_of_each = _of(_wanted.c.account_id, _wanted.c.urgent, _share).lateral("first")
_FIRST_OF_EACH = select(
    _wanted.c.urgent, _first_of_each.c.created_at, _wanted.c.account_id, _first_of_each.c.pair_id
).select_from(_wanted.join(_first_of_each, true()))


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
    first_of = _first_at_once if takes_arrays(db) else _first_for_each
    rows = sorted(await first_of(db, queues, share))
    seen = list(dict.fromkeys((account_id, pair_id) for _, _, account_id, pair_id in rows))
    # One that gave its whole share may have more.
    more = bool(last) or len(seen) > room or len(rows) >= share
    return Waiting(seen, more, after=(last.get(True, ""), last.get(False, "")))


async def _accounts(db: AsyncConnection, after: After) -> list[tuple[bool, str, int]]:
    urgent, other = after
    rows = await db.execute(_QUEUES, {"urgent_after": urgent, "other_after": other})
    return [(bool(row.urgent), row.account_id, row.number) for row in rows]


_Found = tuple[bool, datetime, str, str]
"""Whether it is to wait for what is urgent, its time, its account and its pair: in the order of waiting."""


async def _first_at_once(db: AsyncConnection, queues: Sequence[tuple[bool, str]], share: int) -> list[_Found]:
    urgent, account_ids = zip(*queues, strict=True)
    given = {"account_ids": list(account_ids), "urgent": list(urgent), "share": share}
    return [(not row[0], *row[1:]) for row in await db.execute(_FIRST_OF_EACH, given)]


async def _first_for_each(
    db: AsyncConnection, queues: Sequence[tuple[bool, str]], share: int
) -> list[_Found]:
    rows = []
    for urgent, account_id in queues:
        given = {"of_account": account_id, "of_urgent": urgent, "share": share}
        for row in await db.execute(_FIRST_OF, given):
            rows.append((not urgent, row.created_at, account_id, row.pair_id))  # noqa: PERF401
    return rows
