"""Where a pair may run: all runs of one grant that are at work at a time are in one process.

So what a provider lets a grant do is counted in that process's memory (providers/limiter.py), and is kept to by all
processes together (docs/decisions/grants-across-workers.md).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.busy import is_kept
from calendarsync.store.tables import connections, pairs

MOST_GIVEN = 128
"""A process that has so many pairs at work is given no polls by others; orders it takes all the same."""

_held = pairs.c.leased_until.is_not(None)


def _first_at_work(*where: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether such a process has anything at work: the first one, in the order of the index by processes."""
    found = select(pairs.c.id).where(_held, *where).order_by(pairs.c.worker).limit(1)
    return found.correlate(None).scalar_subquery().is_not(None)


_me: Any = bindparam("me", type_=pairs.c.worker.type)
# Asked once, and first: where no other process has anything at work, there is nothing to look up.
_others_work = or_(
    _first_at_work(pairs.c.worker < _me),
    _first_at_work(pairs.c.worker > _me),
    _first_at_work(pairs.c.worker.is_(None)),
)
# From the pairs to their grants, to their calendars, to the leases on those: a statement for each step, by the ids
# that the one before gave. In one, PostgreSQL would begin where it expects the fewest rows, and be wrong.
_PAIRS = select(
    pairs.c.id, pairs.c.calendar_a, pairs.c.calendar_b, pairs.c.connection_a_id, pairs.c.connection_b_id
).where(pairs.c.id.in_(bindparam("pair_ids", expanding=True)), _others_work)
_GRANTS = select(connections.c.id, connections.c.grant_id).where(
    connections.c.id.in_(bindparam("connection_ids", expanding=True))
)
_SHARING = select(connections.c.id, connections.c.grant_id, connections.c.calendar_key).where(
    connections.c.grant_id.in_(bindparam("grant_ids", expanding=True))
)


def _leases_by(connection: str, calendar: str, *where: ColumnElement[bool]) -> Select[Any]:
    """By the calendars, for a connection may have many pairs, and a calendar has few that are at work.

    In the order of the one index that has it, as in store/busy.py.
    """
    these = pairs.c[calendar].in_(bindparam("calendars", expanding=True))
    named = select(
        pairs.c[connection].label("connection_id"),
        pairs.c.worker,
        pairs.c.leased_until,
        is_kept.label("kept"),
    )
    return select(named.where(_held, these, *where).order_by(pairs.c[calendar]).subquery())


# A turn that is kept needs one of its grants to be at rest, and to wait for that one is enough.
_LEASES = union_all(
    _leases_by("connection_a_id", "calendar_a"), _leases_by("connection_b_id", "calendar_b", ~is_kept)
)
_at_work = (
    select(pairs.c.worker)
    .where(_held, pairs.c.worker.in_(bindparam("workers", expanding=True)))
    .order_by(pairs.c.worker)
    .subquery()
)
_AT_WORK = select(_at_work.c.worker, func.count()).group_by(_at_work.c.worker)


@dataclass(frozen=True, slots=True)
class Homes:
    """The pairs by the process that is to run them, and until when their claims may count.

    `torn`: those whose grants several processes have at work, which are left out.
    """

    pairs: Mapping[tuple[str, datetime], Sequence[str]]
    torn: Sequence[str] = ()


async def find_homes(
    db: AsyncConnection,
    chosen: Collection[str],
    me: str,
    now: datetime,
    until: datetime,
    *,
    polls: bool,
    kept: bool = True,
) -> Homes:
    """Which process is to run each of the pairs, and until when its claim may count.

    The caller has locked the pairs, none of which is claimed, and makes claims alone. One whose grants are at work
    in several other processes, or in one that takes no more, is left out. A claim that is given to another process
    counts no longer than what that one has at work: else claims given to a process that died, each a while after
    the last, would keep a grant there for ever. Without `kept` no turn that is kept stands in their way.
    """
    rows = (await db.execute(_PAIRS, {"pair_ids": list(chosen), "me": me})).all()
    grants = await _grants(db, {end for row in rows for end in (row.connection_a_id, row.connection_b_id)})
    found = await _leases(db, set(grants.values()), kept=kept)
    if all(lease.worker == me for lease in found):
        return Homes({(me, until): list(chosen)})
    takes_none = {lease.worker for lease in found if lease.until <= now} | {None}
    if polls:
        workers = {lease.worker for lease in found if lease.worker not in (me, None)}
        counted = await db.execute(_AT_WORK, {"workers": list(workers)})
        takes_none |= {worker for worker, count in counted if count >= MOST_GIVEN}
    at_work: dict[str, str | None] = {}
    for lease in found:
        second = at_work.get(lease.grant_id, lease.worker) != lease.worker
        at_work[lease.grant_id] = None if second or lease.worker in takes_none else lease.worker
    ends = {lease.worker: max(each.until for each in found if each.worker == lease.worker) for lease in found}
    bound = {}
    for row in sorted(rows, key=lambda row: row.id):
        ends_with_grants = grants.keys() & {row.connection_a_id, row.connection_b_id}
        bound[row.id] = {row.calendar_a, row.calendar_b, *(grants[end] for end in ends_with_grants)}
    homes: dict[tuple[str, datetime], list[str]] = {}
    assigned = assign(bound, at_work, me)
    for pair_id, worker in assigned.items():
        homes.setdefault((worker, until if worker == me else ends[worker]), []).append(pair_id)
    torn = [
        pair_id
        for pair_id in bound.keys() - assigned.keys()
        if len({lease.worker for lease in found if lease.worker and lease.grant_id in bound[pair_id]}) > 1
    ]
    return Homes(homes, torn)


@dataclass(frozen=True, slots=True)
class _Lease:
    """What a process has of a grant at work, and until when its last claim on it counts."""

    grant_id: str
    worker: str | None
    until: datetime


async def _grants(db: AsyncConnection, connection_ids: Collection[str]) -> dict[str, str]:
    """Of those connections that have one."""
    rows = await db.execute(_GRANTS, {"connection_ids": sorted(connection_ids)}) if connection_ids else ()
    return {row.id: row.grant_id for row in rows if row.grant_id is not None}


async def _leases(db: AsyncConnection, grant_ids: Collection[str], *, kept: bool) -> list[_Lease]:
    if not grant_ids:
        return []
    sharing = (await db.execute(_SHARING, {"grant_ids": sorted(grant_ids)})).all()
    grants: dict[str, str] = {row.id: row.grant_id for row in sharing}
    last: dict[tuple[str, str | None], datetime] = {}
    for row in await db.execute(_LEASES, {"calendars": sorted({row.calendar_key for row in sharing})}):
        # Or the same calendar is at work for somebody else's grant.
        if row.connection_id in grants and (kept or not row.kept):
            key = (grants[row.connection_id], row.worker)
            last[key] = max(row.leased_until, last.get(key, row.leased_until))
    return [_Lease(grant_id, worker, until) for (grant_id, worker), until in last.items()]


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
