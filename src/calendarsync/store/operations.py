"""What the runs of a pair did, as callers read it: how quickly, and about one event. Bound to a tenant."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Integer, RowMapping, and_, bindparam, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.columns import UtcDateTime
from calendarsync.store.dialects import prefer_indexes
from calendarsync.store.logs import STATUSES
from calendarsync.store.tables import operations, runs
from calendarsync.store.tenancy import Tenant, owned

NEWEST_LATENCIES = 1_000


def _of_pair() -> ColumnElement[bool]:
    """The runs of `of_pair` from `since` on: with every status named they are ranges of one index."""
    return and_(
        owned(runs),
        runs.c.pair_id == bindparam("of_pair"),
        runs.c.status.in_(STATUSES),
        runs.c.created_at >= bindparam("since", type_=UtcDateTime()),
    )


_newest_first = (runs.c.created_at.desc(), runs.c.id.desc(), operations.c.position)
_wrote = runs.c.events_created + runs.c.events_updated > 0
_LATENCIES = (
    select(operations.c.latency_ms, runs.c.created_at)
    .join(runs, runs.c.id == operations.c.run_id)
    .where(_of_pair(), _wrote, operations.c.latency_ms.is_not(None))
    .order_by(*_newest_first)
    .limit(NEWEST_LATENCIES)
)
_names_event = or_(operations.c.event_id == bindparam("event"), operations.c.copy_id == bindparam("event"))
_ABOUT = (
    select(operations, runs.c.created_at, runs.c.sync_id)
    .join(runs, runs.c.id == operations.c.run_id)
    .where(_of_pair(), _names_event)
    .order_by(*_newest_first)
    .limit(bindparam("at_most", type_=Integer))
)


async def list_latencies(
    db: AsyncConnection, tenant: Tenant, pair_id: str, since: datetime
) -> Sequence[RowMapping]:
    """`latency_ms` and its run's `created_at`, of the newest changes that the pair has copied."""
    await prefer_indexes(db)
    given = {"of_pair": pair_id, "since": since, **tenant.parameters()}
    return (await db.execute(_LATENCIES, given)).mappings().all()


async def operations_about(
    db: AsyncConnection, tenant: Tenant, pair_id: str, event_id: str, since: datetime, *, at_most: int
) -> Sequence[RowMapping]:
    """The newest operations about an event, or about a copy, with `created_at` and `sync_id` of their runs."""
    await prefer_indexes(db)
    given = {"of_pair": pair_id, "event": event_id, "since": since, "at_most": at_most, **tenant.parameters()}
    return (await db.execute(_ABOUT, given)).mappings().all()
