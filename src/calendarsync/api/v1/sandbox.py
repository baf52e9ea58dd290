"""/sandbox: calendars that live here, faults on demand, and a clock that can be moved. For test keys alone."""

from __future__ import annotations

from fastapi import APIRouter, Response

from calendarsync.accounts.scopes import Scope
from calendarsync.api.conditional import IfMatch
from calendarsync.api.paging import PageParam, known_start
from calendarsync.api.route import ApiRoute, needs
from calendarsync.api.services import ServicesParam
from calendarsync.api.v1 import sandboxing
from calendarsync.api.v1.responses import CONFLICT, NOT_FOUND
from calendarsync.api.v1.sandbox_models import (
    Advance,
    ClockOut,
    EventId,
    FaultList,
    InstanceChanges,
    NewFault,
    NewSandboxCalendar,
    NewSandboxEvent,
    OriginalStart,
    SandboxCalendarList,
    SandboxCalendarOut,
    SandboxEventChanges,
    SandboxEventList,
    SandboxEventOut,
    SandboxId,
)
from calendarsync.api.v1.sandbox_shown import event_out
from calendarsync.api.v1.testers import Tester
from calendarsync.providers.sandbox import Event
from calendarsync.store import sandbox as store

router = APIRouter(prefix="/sandbox", tags=["Sandbox"], route_class=ApiRoute)
_NEEDS = needs(Scope.CONNECTIONS_WRITE)


@router.get("/calendars", openapi_extra=_NEEDS)
async def list_sandbox_calendars(
    services: ServicesParam, caller: Tester, page: PageParam
) -> SandboxCalendarList:
    """All sandbox calendars, the oldest first."""
    async with services.db.read_as(caller.tenant) as db, known_start():
        found = await store.list_calendars(db, caller.tenant, page)
    return SandboxCalendarList(
        calendars=[SandboxCalendarOut(**row) for row in found.rows], has_more=found.has_more
    )


@router.post("/calendars", status_code=201, openapi_extra=_NEEDS, responses=CONFLICT)
async def create_sandbox_calendar(
    services: ServicesParam, caller: Tester, body: NewSandboxCalendar, response: Response
) -> SandboxCalendarOut:
    """A new, empty calendar. Connect it by `POST /connections` with `{"provider": "sandbox", "calendar_id": …}`."""
    row = await sandboxing.add_calendar(services, caller, body)
    response.headers["Location"] = f"/api/v1/sandbox/calendars/{row['id']}"
    return SandboxCalendarOut(**row)


@router.get("/calendars/{calendar_id}", openapi_extra=_NEEDS, responses=NOT_FOUND)
async def get_sandbox_calendar(
    services: ServicesParam, caller: Tester, calendar_id: SandboxId
) -> SandboxCalendarOut:
    """One sandbox calendar."""
    async with services.db.read_as(caller.tenant) as db:
        return SandboxCalendarOut(**await sandboxing.find_calendar(db, caller, calendar_id))


@router.delete(
    "/calendars/{calendar_id}",
    status_code=204,
    openapi_extra=_NEEDS,
    responses={**NOT_FOUND, **CONFLICT},
)
async def delete_sandbox_calendar(
    services: ServicesParam, caller: Tester, calendar_id: SandboxId, if_match: IfMatch
) -> Response:
    """End a sandbox calendar with all its events. 409 while a connection uses it."""
    await sandboxing.remove_calendar(services, caller, calendar_id, if_match)
    return Response(status_code=204)


@router.get("/calendars/{calendar_id}/events", openapi_extra=_NEEDS, responses=NOT_FOUND)
async def list_sandbox_events(
    services: ServicesParam, caller: Tester, calendar_id: SandboxId, page: PageParam
) -> SandboxEventList:
    """What stands in the calendar, in the order of the ids. What a sync wrote says `"copy": true`."""
    async with services.db.read_as(caller.tenant) as db, known_start():
        calendar = await sandboxing.find_calendar(db, caller, calendar_id)
        found = await store.list_events(db, caller.tenant, calendar_id, page)
    events = [event_out(calendar_id, Event.of_row(row), calendar["timezone"]) for row in found.rows]
    return SandboxEventList(events=events, has_more=found.has_more)


@router.post(
    "/calendars/{calendar_id}/events",
    status_code=201,
    openapi_extra=_NEEDS,
    responses={**NOT_FOUND, **CONFLICT},
)
async def create_sandbox_event(
    services: ServicesParam,
    caller: Tester,
    calendar_id: SandboxId,
    body: NewSandboxEvent,
    response: Response,
) -> SandboxEventOut:
    """Put an event into the calendar, as a person would."""
    event = await sandboxing.add_event(services, caller, calendar_id, body)
    response.headers["Location"] = f"/api/v1/sandbox/calendars/{calendar_id}/events/{event.id}"
    return event


@router.get("/calendars/{calendar_id}/events/{event_id}", openapi_extra=_NEEDS, responses=NOT_FOUND)
async def get_sandbox_event(
    services: ServicesParam, caller: Tester, calendar_id: SandboxId, event_id: EventId
) -> SandboxEventOut:
    """One event, a series with the instances that were changed."""
    return await sandboxing.find_event(services, caller, calendar_id, event_id)


@router.patch(
    "/calendars/{calendar_id}/events/{event_id}",
    openapi_extra=_NEEDS,
    responses={**NOT_FOUND, **CONFLICT},
)
async def change_sandbox_event(
    *,
    services: ServicesParam,
    caller: Tester,
    calendar_id: SandboxId,
    event_id: EventId,
    body: SandboxEventChanges,
    if_match: IfMatch,
) -> SandboxEventOut:
    """Change an event, as a person would: a copy too. What is not given stays."""
    return await sandboxing.change_event(
        services,
        caller,
        calendar_id,
        event_id,
        lambda event, reader: reader.changed(event, body),
        if_match=if_match,
    )


@router.delete(
    "/calendars/{calendar_id}/events/{event_id}",
    status_code=204,
    openapi_extra=_NEEDS,
    responses=NOT_FOUND,
)
async def delete_sandbox_event(
    services: ServicesParam, caller: Tester, calendar_id: SandboxId, event_id: EventId, if_match: IfMatch
) -> Response:
    """Delete an event, as a person would: a copy too."""
    await sandboxing.remove_event(services, caller, calendar_id, event_id, if_match)
    return Response(status_code=204)


@router.patch(
    "/calendars/{calendar_id}/events/{event_id}/instances/{original_start}",
    openapi_extra=_NEEDS,
    responses={**NOT_FOUND, **CONFLICT},
)
async def change_sandbox_instance(
    *,
    services: ServicesParam,
    caller: Tester,
    calendar_id: SandboxId,
    event_id: EventId,
    original_start: OriginalStart,
    body: InstanceChanges,
) -> SandboxEventOut:
    """Change one instance of a series: move it, rename it, decline it, cancel it. The answer is the series."""
    return await sandboxing.change_event(
        services,
        caller,
        calendar_id,
        event_id,
        lambda event, reader: reader.with_instance(event, original_start, body),
    )


@router.delete(
    "/calendars/{calendar_id}/events/{event_id}/instances/{original_start}",
    status_code=204,
    openapi_extra=_NEEDS,
    responses={**NOT_FOUND, **CONFLICT},
)
async def delete_sandbox_instance(
    services: ServicesParam,
    caller: Tester,
    calendar_id: SandboxId,
    event_id: EventId,
    original_start: OriginalStart,
) -> Response:
    """Take one instance out of a series: it gets an EXDATE."""
    await sandboxing.change_event(
        services,
        caller,
        calendar_id,
        event_id,
        lambda event, reader: reader.without_instance(event, original_start),
    )
    return Response(status_code=204)


@router.get("/calendars/{calendar_id}/faults", openapi_extra=_NEEDS, responses=NOT_FOUND)
async def list_sandbox_faults(services: ServicesParam, caller: Tester, calendar_id: SandboxId) -> FaultList:
    """The faults that are still to come, the next one first."""
    async with services.db.read_as(caller.tenant) as db:
        calendar = await sandboxing.find_calendar(db, caller, calendar_id)
    return sandboxing.faults_out(calendar["faults"])


@router.post("/calendars/{calendar_id}/faults", status_code=201, openapi_extra=_NEEDS, responses=NOT_FOUND)
async def order_sandbox_fault(
    services: ServicesParam, caller: Tester, calendar_id: SandboxId, body: NewFault
) -> FaultList:
    """Let the calendar's next requests fail. The answer lists all faults that are to come."""
    return await sandboxing.order_fault(services, caller, calendar_id, body)


@router.delete("/calendars/{calendar_id}/faults", status_code=204, openapi_extra=_NEEDS, responses=NOT_FOUND)
async def clear_sandbox_faults(
    services: ServicesParam, caller: Tester, calendar_id: SandboxId, if_match: IfMatch
) -> Response:
    """Let no more requests of the calendar fail. A connection that has expired stays so."""
    await sandboxing.clear_faults(services, caller, calendar_id, if_match)
    return Response(status_code=204)


@router.get("/clock", openapi_extra=_NEEDS)
async def get_sandbox_clock(services: ServicesParam, caller: Tester) -> ClockOut:
    """The time that the account's test mode goes by."""
    return ClockOut(now=services.now_for(caller), advanced_seconds=int(caller.clock.total_seconds()))


@router.post("/clock", openapi_extra=_NEEDS)
async def advance_sandbox_clock(services: ServicesParam, caller: Tester, body: Advance) -> ClockOut:
    """Let time pass in test mode: polls, pauses' ends, waits and retries that fall into it happen at once.

    It goes forward only. Times of logs and webhooks, which are signed, stay those of the real clock.
    """
    return await sandboxing.advance_clock(services, caller, body.advance_seconds)
