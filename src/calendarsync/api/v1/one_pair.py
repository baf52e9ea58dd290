"""A pair as GET shows it alone: with how soon it copies what changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.keys import Identity
from calendarsync.api.v1.pair_models import PairOut, pair_out
from calendarsync.store.operations import list_latencies

MEASURED = timedelta(days=7)


class Latency(BaseModel):
    """From the stamp of a change in its own calendar to the answer to the write of its copy, where that is known.

    Of the newest 1,000 changes of the last seven days. A calendar's clock may differ from this server's.
    """

    p50_ms: int = Field(description="So long, or less, took half of the changes.")
    p95_ms: int = Field(description="So long, or less, took 95 of 100.")
    changes: int = Field(description="How many were measured.")
    since: datetime = Field(description="When the first of them was copied.")


class PairWithLatency(PairOut):
    latency: Latency | None = Field(description="Null where no change has been measured lately.")


async def one_pair(
    connection: AsyncConnection, caller: Identity, row: RowMapping, now: datetime
) -> PairWithLatency:
    rows = await list_latencies(connection, caller.tenant, row["id"], now - MEASURED)
    return PairWithLatency(**dict(pair_out(row, caller.clock)), latency=_latency(rows))


def _latency(rows: Sequence[RowMapping]) -> Latency | None:
    if not rows:
        return None
    measured = sorted(row["latency_ms"] for row in rows)
    return Latency(
        p50_ms=_percentile(measured, 50),
        p95_ms=_percentile(measured, 95),
        changes=len(measured),
        since=min(row["created_at"] for row in rows),
    )


def _percentile(ordered: Sequence[int], share: int) -> int:
    """By nearest rank: one of the values themselves."""
    return ordered[-(-len(ordered) * share // 100) - 1]
