"""Settling runs that found nothing to do, many at a time: the statements that an idle installation lives on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, case, func, insert, null
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store import orders
from calendarsync.store.claims import Claim, turn_unless_changed
from calendarsync.store.ends import Ending, Of
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
        return {
            "quiet_state": planned.state,
            "quiet_until": planned.quiet_until,
            "planned_at": planned.planned_at,
            "changed_at": planned.changed_at,
        }


async def settle_quiet(
    db: AsyncConnection, ends: Sequence[QuietEnd], now: datetime
) -> dict[Claim, dict[str, Any]]:
    """Log the runs, settle their pairs and end their claims; the rows of the logs.

    Those whose claims count no longer are left out.
    """
    released = await _settle_all(db, ends, now)
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


def _news(of: Of) -> dict[str, Any]:
    was_planned = of("quiet_state").is_not(None)
    return {
        "turn_at": turn_unless_changed(of("was_due_at"), null()),
        "last_synced_at": bindparam("now", type_=pairs.c.last_synced_at.type),
        "quiet_state": func.coalesce(of("quiet_state"), pairs.c.quiet_state),
        "quiet_until": case((was_planned, of("quiet_until")), else_=pairs.c.quiet_until),
        "planned_at": func.coalesce(of("planned_at"), pairs.c.planned_at),
        "changed_at": func.coalesce(of("changed_at"), pairs.c.changed_at),
    }


_SETTLED = Ending(
    _news, **{name: pairs.c[name] for name in ("quiet_state", "quiet_until", "planned_at", "changed_at")}
)


async def _settle_all(db: AsyncConnection, ends: Sequence[QuietEnd], now: datetime) -> set[str]:
    """Settle the pairs and end their claims; those whose claims counted."""
    return await _SETTLED.end(db, [(end.claim, end.next_due_at, end.values) for end in ends], now=now)
