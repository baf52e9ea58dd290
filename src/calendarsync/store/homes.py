"""Where a pair may run: all runs of one grant that are at work at a time are in one process.

So what a provider lets a grant do is counted in that process's memory (providers/limiter.py), and is kept to by all
processes together (docs/decisions/grants-across-workers.md).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Select, bindparam, exists, func, select, union, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.tables import connections, pairs

MOST_GIVEN = 128
"""A process that has so many pairs at work is given no polls by others; orders it takes all the same."""

_chosen = pairs.c.id.in_(bindparam("pair_ids", expanding=True))
_a, _b = connections.alias("a"), connections.alias("b")
_held = pairs.c.leased_until.is_not(None)


def _grants_by(end: str) -> Select[tuple[str]]:
    on = connections.c.id == pairs.c[end]
    these = select(connections.c.grant_id).select_from(pairs).join(connections, on)
    return these.where(_chosen, connections.c.grant_id.is_not(None))


_grants = union(_grants_by("connection_a_id"), _grants_by("connection_b_id")).cte("wanted")


def _leases_by(end: str) -> Select[tuple[str, str | None, datetime | None]]:
    """By the grant's connections and their pairs: as many looks into indexes as a grant has pairs."""
    return (
        select(connections.c.grant_id, pairs.c.worker, pairs.c.leased_until)
        .select_from(_grants)
        .join(connections, connections.c.grant_id == _grants.c.grant_id)
        .join(pairs, pairs.c[end] == connections.c.id)
        .where(connections.c.grant_id.is_not(None))
    )


# An OFFSET is what PostgreSQL looks behind for nothing: it takes claimed pairs for next to none, and would begin
# with them for each grant anew.
_leases = union_all(_leases_by("connection_a_id"), _leases_by("connection_b_id")).offset(0).subquery()
_others = pairs.alias("others")
# Asked once, and first: where no other process has anything at work, there is nothing to look up.
_others_work = exists().where(
    _others.c.leased_until.is_not(None),
    _others.c.worker.is_distinct_from(bindparam("me", type_=pairs.c.worker.type)),
)
_LEASES = (
    select(_leases.c.grant_id, _leases.c.worker, func.max(_leases.c.leased_until).label("until"))
    .where(_leases.c.leased_until.is_not(None), _others_work)
    .group_by(_leases.c.grant_id, _leases.c.worker)
)
_BOUND = (
    select(
        pairs.c.id,
        pairs.c.calendar_a,
        pairs.c.calendar_b,
        _a.c.grant_id.label("grant_a"),
        _b.c.grant_id.label("grant_b"),
    )
    .join(_a, _a.c.id == pairs.c.connection_a_id)
    .join(_b, _b.c.id == pairs.c.connection_b_id)
    .where(_chosen)
    .order_by(pairs.c.id)
)
_AT_WORK = (
    select(pairs.c.worker, func.count())
    .where(_held, pairs.c.worker.in_(bindparam("workers", expanding=True)))
    .group_by(pairs.c.worker)
)


async def find_homes(
    db: AsyncConnection, chosen: Collection[str], me: str, now: datetime, until: datetime, *, polls: bool
) -> dict[tuple[str, datetime], list[str]]:
    """Which process is to run each of the pairs, and until when its claim may count.

    The caller has locked the pairs, none of which is claimed, and makes claims alone. One whose grants are at work
    in several other processes, or in one that takes no more, is left out. A claim that is given to another process
    counts no longer than what that one has at work: else claims given to a process that died, each a while after
    the last, would keep a grant there for ever.
    """
    found = (await db.execute(_LEASES, {"pair_ids": list(chosen), "me": me})).all()
    if all(row.worker == me for row in found):
        return {(me, until): list(chosen)}
    takes_none = {row.worker for row in found if row.until <= now} | {None}
    if polls:
        workers = {row.worker for row in found} - {me, None}
        counted = await db.execute(_AT_WORK, {"workers": sorted(workers)})
        takes_none |= {worker for worker, count in counted if count >= MOST_GIVEN}
    at_work: dict[str, str | None] = {}
    for row in found:
        second = at_work.get(row.grant_id, row.worker) != row.worker
        at_work[row.grant_id] = None if second or row.worker in takes_none else row.worker
    ends = {row.worker: max(each.until for each in found if each.worker == row.worker) for row in found}
    rows = await db.execute(_BOUND, {"pair_ids": list(chosen)})
    bound = {pair_id: {thing for thing in things if thing is not None} for pair_id, *things in rows}
    homes: dict[tuple[str, datetime], list[str]] = {}
    for pair_id, worker in assign(bound, at_work, me).items():
        homes.setdefault((worker, until if worker == me else ends[worker]), []).append(pair_id)
    return homes


def assign(
    bound: Mapping[str, Collection[str]], at_work: Mapping[str, str | None], me: str
) -> dict[str, str]:
    """The process of each pair, so that whatever binds two of them, a grant or a calendar, is in one.

    `bound`: what each pair uses. `at_work`: where of that is at work already; None: where nothing may be added to
    it. Those that are bound so go first, and take others along. A pair that cannot be put anywhere is left out.
    """
    homes: dict[str, str | None] = dict(at_work)
    assigned = {}
    for pair_id in sorted(bound, key=lambda pair_id: at_work.keys().isdisjoint(bound[pair_id])):
        things = bound[pair_id]
        found = {homes[thing] for thing in things if thing in homes} or {me}
        home = found.pop()
        if found or home is None:
            continue
        assigned[pair_id] = home
        homes.update((thing, home) for thing in things)
    return assigned
