"""The logs of runs, as callers read them. Every query is bound to a tenant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    RowMapping,
    Select,
    func,
    literal,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.dialects import prefer_indexes
from calendarsync.store.tables import operations, runs
from calendarsync.store.tenancy import Tenant, owned

LogStatus = Literal["success", "partial", "failed"]
STATUSES: tuple[LogStatus, ...] = get_args(LogStatus)


@dataclass(frozen=True, slots=True)
class LogFilter:
    """`since` is inclusive, `until` exclusive."""

    since: datetime
    until: datetime | None = None
    pair_id: str | None = None
    sync_id: str | None = None
    status: LogStatus | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = [runs.c.created_at >= self.since]
        if self.until is not None:
            found.append(runs.c.created_at < self.until)
        if self.pair_id is not None:
            found.append(runs.c.pair_id == self.pair_id)
        if self.sync_id is not None:
            found.append(runs.c.sync_id == self.sync_id)
        return found

    def statuses(self) -> tuple[LogStatus, ...]:
        return STATUSES if self.status is None else (self.status,)


@dataclass(frozen=True, slots=True)
class Place:
    """A log's place among the others; the next one is older, or as old and of a smaller id."""

    created_at: datetime
    id: str


async def list_logs(
    db: AsyncConnection, tenant: Tenant, wanted: LogFilter, *, offset: int, limit: int, after: Place | None
) -> Sequence[RowMapping]:
    """The newest first; with `after`, those that come after that place."""
    if wanted.sync_id is None:
        await prefer_indexes(db)
    ordered = _ordered(wanted, after).offset(offset).limit(limit)
    rows: Sequence[RowMapping] = (await db.execute(ordered, tenant.parameters())).mappings().all()
    return rows


async def count_logs(db: AsyncConnection, tenant: Tenant, wanted: LogFilter) -> int:
    statuses = runs.c.status.in_(wanted.statuses())
    count = select(func.count()).select_from(runs).where(owned(runs), statuses, *wanted.conditions())
    return int((await db.execute(count, tenant.parameters())).scalar_one())


async def get_log(
    db: AsyncConnection, tenant: Tenant, log_id: str, kept_since: datetime
) -> tuple[RowMapping, Sequence[RowMapping]] | None:
    """A log and its operations in their order; None where it is older than `kept_since`."""
    of, one = tenant.parameters(), (owned(runs), runs.c.id == log_id, runs.c.created_at >= kept_since)
    row = (await db.execute(select(runs).where(*one), of)).mappings().one_or_none()
    if row is None:
        return None
    steps = select(operations).join(runs, runs.c.id == operations.c.run_id).where(*one)
    return row, (await db.execute(steps.order_by(operations.c.position), of)).mappings().all()


def _ordered(wanted: LogFilter, after: Place | None) -> CompoundSelect[Any] | Select[Any]:
    """Each status stands in its own order in an index, and the database merges them: nothing is sorted."""
    conditions = [owned(runs), *wanted.conditions()]
    if after is not None:
        place = tuple_(literal(after.created_at, runs.c.created_at.type), literal(after.id))
        conditions.append(tuple_(runs.c.created_at, runs.c.id) < place)
    if wanted.sync_id is not None:  # one log at most
        return select(runs).where(*conditions, runs.c.status.in_(wanted.statuses()))
    newest = (runs.c.created_at.desc(), runs.c.id.desc())
    each = [
        select(runs).where(*conditions, runs.c.status == status).order_by(*newest).subquery()
        for status in wanted.statuses()
    ]
    merged = union_all(*(select(one) for one in each))
    shown = merged.selected_columns
    return merged.order_by(shown.created_at.desc(), shown.id.desc())
