"""/logs"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import RowMapping

from calendarsync.accounts.scopes import Scope
from calendarsync.api.errors import not_found
from calendarsync.api.route import ApiRoute, Caller, needs
from calendarsync.api.services import ServicesParam
from calendarsync.api.v1.fields import LogId, Problem, Timestamp, problem
from calendarsync.api.v1.pair_models import OperationOut
from calendarsync.api.v1.responses import NOT_FOUND
from calendarsync.store import logs as store

router = APIRouter(prefix="/logs", tags=["Logs"], route_class=ApiRoute)

_MAX_PAGE = 1_000_000


class LogOut(BaseModel):
    id: str
    pair_id: str
    status: Literal["success", "partial", "failed"]
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
    error: Problem | None


class LogPage(BaseModel):
    logs: list[LogOut]
    total: int
    page: int


class LogWithOperations(LogOut):
    operations: list[OperationOut]


@router.get("", openapi_extra=needs(Scope.LOGS_READ))
async def list_logs(
    *,
    services: ServicesParam,
    caller: Caller,
    pair_id: Annotated[str | None, Query()] = None,
    sync_id: Annotated[str | None, Query()] = None,
    status: Annotated[Literal["success", "partial", "failed"] | None, Query()] = None,
    since: Annotated[Timestamp | None, Query(description="At this time or later.")] = None,
    until: Annotated[Timestamp | None, Query(description="Before this time.")] = None,
    page: Annotated[int, Query(ge=1, le=_MAX_PAGE)] = 1,
    per_page: Annotated[int, Query(ge=1, le=100)] = 50,
) -> LogPage:
    """The logs of runs, the newest first."""
    wanted = store.LogFilter(pair_id=pair_id, sync_id=sync_id, status=status, since=since, until=until)
    async with services.db.read_as(caller.tenant) as connection:
        rows, total = await store.list_logs(
            connection, caller.tenant, wanted, offset=(page - 1) * per_page, limit=per_page
        )
    return LogPage(logs=[LogOut(**_shown(row)) for row in rows], total=total, page=page)


@router.get("/{log_id}", openapi_extra=needs(Scope.LOGS_READ), responses=NOT_FOUND)
async def get_log(services: ServicesParam, caller: Caller, log_id: LogId) -> LogWithOperations:
    """One log with its operations: what was done about which event, and why; never what is in an event."""
    async with services.db.read_as(caller.tenant) as connection:
        found = await store.get_log(connection, caller.tenant, log_id)
    if found is None:
        raise not_found("log")
    row, operations = found
    return LogWithOperations(
        **_shown(row), operations=[OperationOut(**_operation(each)) for each in operations]
    )


def _shown(row: RowMapping) -> dict[str, Any]:
    shown = {name: row[name] for name in LogOut.model_fields if name in row}
    shown["events_synced"] = row["events_processed"]
    shown["error"] = problem(row["error_code"], row["error_message"])
    return shown


def _operation(row: RowMapping) -> dict[str, Any]:
    return {name: row[name] for name in OperationOut.model_fields}
