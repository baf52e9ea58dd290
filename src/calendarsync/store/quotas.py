"""The quotas of projects at providers, which all workers share (docs/decisions/provider-quotas.md)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.claims import Claim, turn_unless_changed
from calendarsync.store.dialects import commit_without_waiting, upsert
from calendarsync.store.ends import Ending
from calendarsync.store.tables import delegations, grants, pairs, provider_quotas

_row = provider_quotas.c
_LOCK = (
    select(_row.project, _row.used_at, _row.next_at, _row.sent_at)
    .where(_row.project.in_(bindparam("projects", expanding=True)))
    .order_by(_row.project)
    .with_for_update()
)
_MOVE = (
    update(provider_quotas)
    .where(_row.project == bindparam("of_project"))
    .values(
        used_at=bindparam("used", type_=_row.used_at.type),
        next_at=bindparam("next", type_=_row.next_at.type),
        sent_at=bindparam("sent", type_=_row.sent_at.type),
    )
)
_display = select(delegations.c.display).where(delegations.c.id == grants.c.delegation_id).scalar_subquery()
_GRANTS = select(grants.c.id, grants.c.provider, _display.label("display")).where(
    grants.c.id.in_(bindparam("grant_ids", expanding=True))
)


Moments = tuple[datetime, datetime, datetime]
"""`used_at`, `next_at` and `sent_at` of a project."""


async def lock_quotas(db: AsyncConnection, projects: Collection[str], now: datetime) -> dict[str, Moments]:
    """The moments of each project, which nobody else moves until the transaction ends.

    The caller locks nothing else after them. Should the machine fail within a moment, what is written with them may
    be forgotten.
    """
    await commit_without_waiting(db)
    wanted = sorted(projects)
    found = await _lock(db, wanted)
    missing = [project for project in wanted if project not in found]
    if missing:
        new = [{"project": project, "used_at": now, "next_at": now, "sent_at": now} for project in missing]
        await db.execute(upsert(db, provider_quotas).on_conflict_do_nothing(), new)
        found = await _lock(db, wanted)
    return found


async def _lock(db: AsyncConnection, projects: Collection[str]) -> dict[str, Moments]:
    rows = await db.execute(_LOCK, {"projects": projects})
    return {row.project: (row.used_at, row.next_at, row.sent_at) for row in rows}


async def move_quotas(db: AsyncConnection, moments: Mapping[str, Moments]) -> None:
    """Write down the moments of projects that the caller has locked."""
    moved = [
        {"of_project": project, "used": used_at, "next": next_at, "sent": sent_at}
        for project, (used_at, next_at, sent_at) in sorted(moments.items())
    ]
    if moved:
        await db.execute(_MOVE, moved)


async def givers(db: AsyncConnection, grant_ids: Collection[str]) -> dict[str, tuple[str, str | None]]:
    """Of each grant its provider, and what is displayed of the organisation's delegation that it came through."""
    rows = await db.execute(_GRANTS, {"grant_ids": sorted(grant_ids)})
    return {row.id: (row.provider, row.display) for row in rows}


async def all_projects(db: AsyncConnection) -> list[str]:
    """Those that anything counts for."""
    return list((await db.execute(select(_row.project).order_by(_row.project))).scalars())


@dataclass(frozen=True, slots=True)
class PutOff:
    """The claim on a pair ends without a run; `due_at` and `turn_at` are as they then stand at the pair."""

    claim: Claim
    due_at: datetime
    turn_at: datetime


_PUT_OFF = Ending(
    lambda of: {"turn_at": turn_unless_changed(of("was_due_at"), of("next_turn_at"))},
    next_turn_at=pairs.c.turn_at,
)


async def put_off(db: AsyncConnection, ends: Sequence[PutOff]) -> None:
    """Those whose claims count no longer, or who are due at another time by now, keep what stands there."""
    await _PUT_OFF.end(db, [(end.claim, end.due_at, {"next_turn_at": end.turn_at}) for end in ends])
