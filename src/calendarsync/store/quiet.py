"""Settling runs that found nothing to do, many at a time: the statements that an idle installation lives on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, case, func, insert, null, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store import orders
from calendarsync.store.claims import LET_GO, Claim, ClaimLost, settle, turn_unless_changed, unless_changed
from calendarsync.store.dialects import takes_arrays
from calendarsync.store.runs import is_brief
from calendarsync.store.tables import pairs, runs


@dataclass(frozen=True, slots=True)
class Planned:
    """What the plan in which there was nothing to do went by, when, and until when there is no need of another.

    `changed_at` is set where it was news.
    """

    state: str
    quiet_until: datetime | None
    planned_at: datetime
    changed_at: datetime | None


@dataclass(frozen=True, slots=True)
class QuietEnd:
    """`log`: the columns of `runs` but for its time and what depends on that. `report`: for who ordered the run.

    `planned`: None where nothing had changed. `synced_at`: the pair's last sync before, where the log may be brief.
    """

    claim: Claim
    next_due_at: datetime
    log: Mapping[str, Any]
    report: Mapping[str, Any] | None = None
    planned: Planned | None = None
    synced_at: datetime | None = None

    @property
    def values(self) -> dict[str, Any]:
        """What is news to the pair beside that it was synced."""
        planned = self.planned
        if planned is None:
            return {}
        changed = {} if planned.changed_at is None else {"changed_at": planned.changed_at}
        looked = {"quiet_state": planned.state, "quiet_until": planned.quiet_until}
        return {**looked, "planned_at": planned.planned_at, **changed}


async def settle_quiet(
    db: AsyncConnection, ends: Sequence[QuietEnd], now: datetime
) -> dict[Claim, dict[str, Any]]:
    """Log the runs, settle their pairs and end their claims; the rows of the logs.

    Those whose claims count no longer are left out.
    """
    settle_all = _settle_at_once if takes_arrays(db) else _settle_each
    released = await settle_all(db, ends, now)
    settled = [end for end in ends if end.claim.pair_id in released]
    for end in settled:
        if end.report is not None:
            await orders.finish(db, end.log["sync_id"], end.report, now)
    logs = {
        end.claim: {**end.log, "created_at": now, "brief": is_brief(end.synced_at, now)} for end in settled
    }
    if logs:
        await db.execute(insert(runs), list(logs.values()))
    return logs


async def _settle_each(db: AsyncConnection, ends: Sequence[QuietEnd], now: datetime) -> set[str]:
    released = set()
    for end in ends:
        with suppress(ClaimLost):
            values = {"next_due_at": end.next_due_at, "last_synced_at": now, **end.values}
            await settle(db, end.claim, {}, release=True, **values)
            released.add(end.claim.pair_id)
    return released


_MOVED = ("quiet_state", "quiet_until", "planned_at", "changed_at")
_ended = (
    func.unnest(
        bindparam("ids", type_=ARRAY(pairs.c.id.type)),
        bindparam("generations", type_=ARRAY(pairs.c.generation.type)),
        bindparam("were_due_at", type_=ARRAY(pairs.c.due_at.type)),
        bindparam("next_due_at", type_=ARRAY(pairs.c.due_at.type)),
        *(bindparam(name, type_=ARRAY(pairs.c[name].type)) for name in _MOVED),
    )
    .table_valued("id", "generation", "was_due_at", "next_due_at", *_MOVED, name="ended")
    .render_derived()
)
# Locked in one order, so that two transactions never wait for each other.
_locked = (
    select(pairs.c.id, _ended.c.was_due_at, _ended.c.next_due_at, *(_ended.c[name] for name in _MOVED))
    .join(_ended, and_(pairs.c.id == _ended.c.id, pairs.c.generation == _ended.c.generation))
    .where(pairs.c.leased_until.is_not(None))
    .order_by(pairs.c.id)
    .with_for_update(of=pairs)
    .cte("locked")
)
_was_planned = _locked.c.quiet_state.is_not(None)
_SETTLE_AT_ONCE = (
    update(pairs)
    .where(pairs.c.id == _locked.c.id)
    .values(
        **LET_GO,
        due_at=unless_changed(_locked.c.was_due_at, _locked.c.next_due_at),
        turn_at=turn_unless_changed(_locked.c.was_due_at, null()),
        last_synced_at=bindparam("now", type_=pairs.c.last_synced_at.type),
        quiet_state=func.coalesce(_locked.c.quiet_state, pairs.c.quiet_state),
        quiet_until=case((_was_planned, _locked.c.quiet_until), else_=pairs.c.quiet_until),
        planned_at=func.coalesce(_locked.c.planned_at, pairs.c.planned_at),
        changed_at=func.coalesce(_locked.c.changed_at, pairs.c.changed_at),
    )
    .returning(pairs.c.id)
)


async def _settle_at_once(db: AsyncConnection, ends: Sequence[QuietEnd], now: datetime) -> set[str]:
    given = {
        "ids": [end.claim.pair_id for end in ends],
        "generations": [end.claim.generation for end in ends],
        "were_due_at": [end.claim.due_at for end in ends],
        "next_due_at": [end.next_due_at for end in ends],
        **{name: [end.values.get(name) for end in ends] for name in _MOVED},
        "now": now,
    }
    return set((await db.execute(_SETTLE_AT_ONCE, given)).scalars())
