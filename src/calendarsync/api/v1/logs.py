"""/logs"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.keys import Identity
from calendarsync.accounts.scopes import Scope
from calendarsync.api.errors import invalid, not_found
from calendarsync.api.route import ApiRoute, Caller, needs
from calendarsync.api.services import Services, ServicesParam
from calendarsync.api.v1.fields import LogId, Problem, Text, Timestamp, problem
from calendarsync.api.v1.log_cursor import MAX_CURSOR_LENGTH, LogCursor, digest_of
from calendarsync.api.v1.pair_models import OperationOut
from calendarsync.api.v1.responses import NOT_FOUND
from calendarsync.store import logs as store
from calendarsync.store import run_counts

router = APIRouter(prefix="/logs", tags=["Logs"], route_class=ApiRoute)

_MAX_PAGE = 1_000_000

_UNCOUNTED = 5_000
"""Where more logs than that would have to be looked at for `total`, they are counted once and for all before."""


class LogOut(BaseModel):
    id: str
    pair_id: str
    status: store.LogStatus
    events_synced: int = Field(
        description="Source events looked at, because they or what they depend on changed."
    )
    duration_ms: int
    created_at: datetime
    sync_id: str
    trigger: Literal["schedule", "push", "api", "web"]
    events_created: int
    events_updated: int
    events_deleted: int
    events_skipped: int
    provider_requests: int
    undid: str | None = Field(description="The `sync_id` of the run that this one took back; else null.")
    error: Problem | None


class LogPage(BaseModel):
    logs: list[LogOut]
    total: int = Field(description="With a cursor: as many as there were when its first page was read.")
    page: int
    next_cursor: str | None = Field(
        description="Leads to the logs that come next, as `cursor`; null at the end."
    )


class LogWithOperations(LogOut):
    operations: list[OperationOut]


@router.get("", openapi_extra=needs(Scope.LOGS_READ))
async def list_logs(
    *,
    services: ServicesParam,
    caller: Caller,
    pair_id: Annotated[Text | None, Query()] = None,
    sync_id: Annotated[Text | None, Query()] = None,
    status: Annotated[store.LogStatus | None, Query()] = None,
    since: Annotated[Timestamp | None, Query(description="At this time or later.")] = None,
    until: Annotated[Timestamp | None, Query(description="Before this time.")] = None,
    page: Annotated[int | None, Query(ge=1, le=_MAX_PAGE, description="Default 1.")] = None,
    per_page: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[
        str | None,
        Query(
            max_length=MAX_CURSOR_LENGTH,
            description="The `next_cursor` of an answer, with the same filters and without `page`. However far it "
            "leads, it takes no longer than the first page.",
        ),
    ] = None,
) -> LogPage:
    """The logs of runs, the newest first, as far back as the account's plan keeps them."""
    filters = digest_of(pair_id, sync_id, status, since, until)
    start = _start(cursor, page, filters)
    kept = _kept_since(services, caller)
    wanted = store.LogFilter(max(since or kept, kept), until, pair_id, sync_id, status)
    number = start.page + 1 if start else page or 1

    async def read(at_most: int | None) -> tuple[Sequence[RowMapping], int | None]:
        async with services.db.read_as(caller.tenant) as connection:
            rows = await store.list_logs(
                connection,
                caller.tenant,
                wanted,
                offset=0 if start else (number - 1) * per_page,
                limit=per_page + 1,
                after=start.place if start else None,
            )
            if start:
                return rows, start.total
            return rows, await _total(connection, services, caller, wanted, at_most)

    rows, total = await read(_UNCOUNTED)
    if total is None:
        await _count(services, caller)
        rows, total = await read(None)
    assert total is not None
    following = None
    if len(rows) > per_page:
        last = rows[per_page - 1]
        behind = LogCursor.behind(last["id"], last["created_at"], page=number, total=total, filters=filters)
        following = behind.text()
    logs = [LogOut(**_shown(row)) for row in rows[:per_page]]
    return LogPage(logs=logs, total=total, page=number, next_cursor=following)


@router.get("/{log_id}", openapi_extra=needs(Scope.LOGS_READ), responses=NOT_FOUND)
async def get_log(services: ServicesParam, caller: Caller, log_id: LogId) -> LogWithOperations:
    """One log with its operations: what was done about which event, and why; never what is in an event."""
    kept = _kept_since(services, caller)
    async with services.db.read_as(caller.tenant) as connection:
        found = await store.get_log(connection, caller.tenant, log_id, kept)
    if found is None:
        raise not_found("log")
    row, operations = found
    return LogWithOperations(
        **_shown(row), operations=[OperationOut(**_operation(each)) for each in operations]
    )


async def _total(
    connection: AsyncConnection,
    services: Services,
    caller: Identity,
    wanted: store.LogFilter,
    at_most: int | None,
) -> int | None:
    """None where more than `at_most` logs would have to be looked at that can be counted before."""
    if wanted.pair_id is not None or wanted.sync_id is not None:
        return await store.count_logs(connection, caller.tenant, wanted)
    return await run_counts.count_logs(connection, caller.tenant, wanted, services.db.now(), at_most=at_most)


async def _count(services: Services, caller: Identity) -> None:
    """Count what has not been, a day or an hour in a transaction."""
    more = True
    while more:
        async with services.db.write_as(caller.tenant) as connection:
            more = await run_counts.count_more(connection, caller.tenant, services.db.now())


def _kept_since(services: Services, caller: Identity) -> datetime:
    return services.now() - timedelta(days=caller.plan.log_days)


def _start(cursor: str | None, page: int | None, filters: str) -> LogCursor | None:
    if cursor is None:
        return None
    if page is not None:
        raise invalid(("cursor", "cannot be combined with page"))
    try:
        start = LogCursor.parse(cursor)
    except ValueError as error:
        raise invalid(("cursor", str(error))) from None
    if start.filters != filters:
        raise invalid(("cursor", "belongs to a request with other filters"))
    return start


def _shown(row: RowMapping) -> dict[str, Any]:
    shown = {name: row[name] for name in LogOut.model_fields if name in row}
    shown["events_synced"] = row["events_processed"]
    shown["error"] = problem(row["error_code"], row["error_message"])
    return shown


def _operation(row: RowMapping) -> dict[str, Any]:
    return {name: row[name] for name in OperationOut.model_fields}
