"""Settling runs that found nothing to do, many at a time: the statements that an idle installation lives on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store import orders
from calendarsync.store.claims import Claim, ClaimLost, settle
from calendarsync.store.ids import new_id
from calendarsync.store.tables import runs


@dataclass(frozen=True, slots=True)
class QuietEnd:
    """`log`: the columns of `runs` but for its id and time. `report`: for who ordered the run, if anybody."""

    claim: Claim
    next_due_at: datetime
    log: Mapping[str, Any]
    report: Mapping[str, Any] | None = None


async def settle_quiet(db: AsyncConnection, ends: Sequence[QuietEnd], now: datetime) -> set[Claim]:
    """Log the runs, settle their pairs and end their claims; those whose claims count no longer are left out."""
    settled = []
    # In one order, so that two transactions never wait for each other.
    for end in sorted(ends, key=lambda each: each.claim.pair_id):
        try:
            await settle(db, end.claim, {}, release=True, next_due_at=end.next_due_at, last_synced_at=now)
        except ClaimLost:
            continue
        settled.append(end)
        if end.report is not None:
            await orders.finish(db, end.log["sync_id"], end.report, now)
    if settled:
        await db.execute(
            insert(runs), [{"id": new_id("log"), **end.log, "created_at": now} for end in settled]
        )
    return {end.claim for end in settled}
