"""The logs of runs, as callers read them. Every query is bound to a tenant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, RowMapping, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.tables import operations, runs
from calendarsync.store.tenancy import Tenant, owned


@dataclass(frozen=True, slots=True)
class LogFilter:
    """`since` is inclusive, `until` exclusive."""

    pair_id: str | None = None
    sync_id: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.pair_id is not None:
            found.append(runs.c.pair_id == self.pair_id)
        if self.sync_id is not None:
            found.append(runs.c.sync_id == self.sync_id)
        if self.status is not None:
            found.append(runs.c.status == self.status)
        if self.since is not None:
            found.append(runs.c.created_at >= self.since)
        if self.until is not None:
            found.append(runs.c.created_at < self.until)
        return found


async def list_logs(
    connection: AsyncConnection, tenant: Tenant, wanted: LogFilter, *, offset: int, limit: int
) -> tuple[Sequence[RowMapping], int]:
    """A page of logs, the newest first, and how many there are in all."""
    of, where = tenant.parameters(), (owned(runs), *wanted.conditions())
    count = select(func.count()).select_from(runs).where(*where)
    total = (await connection.execute(count, of)).scalar_one()
    query = select(runs).where(*where).order_by(runs.c.created_at.desc(), runs.c.id.desc())
    rows = (await connection.execute(query.offset(offset).limit(limit), of)).mappings().all()
    return rows, total


async def get_log(
    connection: AsyncConnection, tenant: Tenant, log_id: str
) -> tuple[RowMapping, Sequence[RowMapping]] | None:
    """A log and its operations in their order."""
    of, one = tenant.parameters(), (owned(runs), runs.c.id == log_id)
    row = (await connection.execute(select(runs).where(*one), of)).mappings().one_or_none()
    if row is None:
        return None
    steps = select(operations).join(runs, runs.c.id == operations.c.run_id).where(*one)
    return row, (await connection.execute(steps.order_by(operations.c.position), of)).mappings().all()
