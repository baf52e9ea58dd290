"""/sync-pairs"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import JSONResponse

from calendarsync.accounts.scopes import Scope
from calendarsync.api.conditional import IfMatch
from calendarsync.api.errors import conflict, invalid
from calendarsync.api.paging import PageParam, known_start
from calendarsync.api.route import ApiRoute, Caller, needs
from calendarsync.api.services import ServicesParam
from calendarsync.api.v1 import pairing
from calendarsync.api.v1.fields import PairId, Problem, Text
from calendarsync.api.v1.one_pair import PairWithLatency, one_pair
from calendarsync.api.v1.pair_models import (
    NewPair,
    OperationOut,
    PairChanges,
    PairList,
    PairOut,
    PairStatus,
    SyncResult,
    SyncStarted,
    TriggerRequest,
    UndoRequest,
    UndoResult,
    pair_out,
)
from calendarsync.api.v1.responses import CONFLICT, NOT_FOUND
from calendarsync.store import pairs as store
from calendarsync.sync.report import RunReport, RunStatus, Ticket

Prefer = Annotated[
    str | None, Header(description="`respond-async`: answer 202 at once.", examples=["respond-async"])
]

router = APIRouter(prefix="/sync-pairs", tags=["Sync pairs"], route_class=ApiRoute)


@router.get("", openapi_extra=needs(Scope.PAIRS_READ))
async def list_pairs(
    services: ServicesParam,
    caller: Caller,
    page: PageParam,
    connection_id: Annotated[Text | None, Query(description="Those with this connection at one end.")] = None,
    status: Annotated[PairStatus | None, Query()] = None,
) -> PairList:
    """Pairs, the oldest first."""
    async with services.db.read_as(caller.tenant) as connection, known_start():
        found = await store.list_pairs(
            connection, caller.tenant, page, connection_id=connection_id, status=status
        )
    return PairList(pairs=[pair_out(row, caller.clock) for row in found.rows], has_more=found.has_more)


@router.post("", status_code=201, openapi_extra=needs(Scope.PAIRS_WRITE), responses=CONFLICT)
async def create_pair(services: ServicesParam, caller: Caller, body: NewPair, response: Response) -> PairOut:
    """Pair two connections. The pair is due at once. 409 where an equal pair exists."""
    row = await pairing.create(services, caller, body)
    response.headers["Location"] = f"/api/v1/sync-pairs/{row['id']}"
    return pair_out(row, caller.clock)


@router.get("/{pair_id}", openapi_extra=needs(Scope.PAIRS_READ), responses=NOT_FOUND)
async def get_pair(services: ServicesParam, caller: Caller, pair_id: PairId) -> PairWithLatency:
    """One pair, with the options in effect, and how soon it copies what changes."""
    async with services.db.read_as(caller.tenant) as connection:
        row = await pairing.get(connection, caller, pair_id)
        return await one_pair(connection, caller, row, services.now())


@router.patch("/{pair_id}", openapi_extra=needs(Scope.PAIRS_WRITE), responses={**NOT_FOUND, **CONFLICT})
async def change_pair(
    services: ServicesParam, caller: Caller, pair_id: PairId, body: PairChanges, if_match: IfMatch
) -> PairOut:
    """Pause, resume, or change it. The next run brings every copy in line."""
    return pair_out(await pairing.change(services, caller, pair_id, body, if_match), caller.clock)


@router.delete(
    "/{pair_id}",
    status_code=204,
    openapi_extra=needs(Scope.PAIRS_WRITE),
    responses={
        **NOT_FOUND,
        202: {
            "model": PairOut,
            "description": "Its copies are still being removed; the pair goes when they are gone.",
        },
    },
)
async def delete_pair(
    *,
    services: ServicesParam,
    caller: Caller,
    pair_id: PairId,
    if_match: IfMatch,
    keep_copies: Annotated[bool, Query(description="Leave the copies as ordinary events.")] = False,
    abandon: Annotated[
        bool, Query(description="Forget the pair at once, whatever becomes of its copies.")
    ] = False,
) -> Response:
    """End a pair and remove the copies that it made. Originals are never touched."""
    left = await pairing.delete(services, caller, pair_id, if_match, keep_copies=keep_copies, abandon=abandon)
    if left is None:
        return Response(status_code=204)
    return JSONResponse(pair_out(left, caller.clock).model_dump(mode="json"), 202)


@router.post(
    "/{pair_id}/trigger",
    openapi_extra=needs(Scope.PAIRS_WRITE),
    response_model=SyncResult,
    responses={
        **NOT_FOUND,
        **CONFLICT,
        202: {
            "model": SyncStarted,
            "description": "The run goes on; its log will have this `sync_id`, unless it is a dry run.",
        },
    },
)
async def trigger_pair(
    *,
    services: ServicesParam,
    caller: Caller,
    pair_id: PairId,
    body: TriggerRequest | None = None,
    prefer: Prefer = None,
) -> Response:
    """Sync now, and answer when it is done. 409 while the pair is paused.

    A dry run writes no log: its result is in the answer alone. After 25 seconds its answer is 202 as well, and
    then there is no result.
    """
    wanted = body or TriggerRequest()
    at_once = _at_once(prefer, dry_run=wanted.dry_run)
    ticket, report = await pairing.trigger(services, caller, pair_id, wanted, wait=not at_once)
    if report is None:
        return _started(ticket, at_once=at_once)
    result = _result(report, with_operations=wanted.dry_run)
    return JSONResponse(result.model_dump(mode="json", exclude_unset=True))


@router.post(
    "/{pair_id}/undo",
    openapi_extra=needs(Scope.PAIRS_WRITE),
    response_model=UndoResult,
    responses={
        **NOT_FOUND,
        **CONFLICT,
        202: {"model": SyncStarted, "description": "It goes on; its log will have this `sync_id`."},
    },
)
async def undo_pair(
    *,
    services: ServicesParam,
    caller: Caller,
    pair_id: PairId,
    body: UndoRequest | None = None,
    prefer: Prefer = None,
) -> Response:
    """Pause the pair and take back its last run: delete what it created, create again what it deleted.

    The last run is the last one that wrote. 409 where the log names none.
    """
    wanted = body or UndoRequest()
    at_once = _at_once(prefer, dry_run=wanted.dry_run)
    ticket, report = await pairing.undo(services, caller, pair_id, wanted, wait=not at_once)
    if report is None:
        return _started(ticket, at_once=at_once)
    if report.error is not None and report.error.code == "conflict":
        raise conflict(report.error.message)
    return JSONResponse(_undone(report).model_dump(mode="json", exclude_unset=True))


def _at_once(prefer: str | None, *, dry_run: bool) -> bool:
    asked = [part.strip().lower() for part in (prefer or "").replace(";", ",").split(",")]
    if dry_run and "respond-async" in asked:
        raise invalid(
            ("dry_run", "cannot be combined with Prefer: respond-async; its result is in the answer alone")
        )
    return "respond-async" in asked


def _started(ticket: Ticket, *, at_once: bool) -> Response:
    headers = {"Preference-Applied": "respond-async"} if at_once else None
    return JSONResponse(SyncStarted(sync_id=ticket.sync_id).model_dump(), 202, headers)


def _undone(report: RunReport) -> UndoResult:
    operations = [OperationOut.model_validate(each, from_attributes=True) for each in report.operations]
    result = UndoResult(
        success=report.status is not RunStatus.FAILED,
        sync_id=report.sync_id,
        undid=report.undid,
        events_created=report.events_created,
        events_deleted=report.events_deleted,
        operations=[each for each in operations if each.action != "skip"],
        not_undone=[each for each in operations if each.action == "skip"],
    )
    if report.status is RunStatus.FAILED:
        result.error = _error(report)
    return result


def _error(report: RunReport) -> Problem:
    if report.error is None:
        return Problem(code="server_error", message="")
    return Problem(code=report.error.code, message=report.error.message)


def _result(report: RunReport, *, with_operations: bool) -> SyncResult:
    result = SyncResult(
        success=report.status is not RunStatus.FAILED,
        sync_id=report.sync_id,
        events_processed=report.events_processed,
        events_created=report.events_created,
        events_updated=report.events_updated,
        events_deleted=report.events_deleted,
    )
    if report.status is RunStatus.FAILED:
        result.error = _error(report)
    if with_operations:
        result.operations = [
            OperationOut.model_validate(each, from_attributes=True) for each in report.operations
        ]
    return result
