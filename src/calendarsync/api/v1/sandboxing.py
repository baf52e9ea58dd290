"""What the sandbox's routes do. Whatever is written locks its calendar first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.keys import Identity
from calendarsync.api.conditional import NO_PRECONDITION, Precondition
from calendarsync.api.errors import conflict, invalid, not_found
from calendarsync.api.services import Services
from calendarsync.api.v1.sandbox_events import Reader
from calendarsync.api.v1.sandbox_models import (
    ClockOut,
    FaultList,
    FaultOut,
    NewFault,
    NewSandboxCalendar,
    NewSandboxEvent,
    SandboxCalendarOut,
    SandboxEventOut,
)
from calendarsync.api.v1.sandbox_shown import event_out
from calendarsync.providers.sandbox import MAX_EVENTS, Event, Fault, Waiting, order
from calendarsync.store import clock
from calendarsync.store import sandbox as store
from calendarsync.store.ids import new_id

MAX_CALENDARS = 1000
MAX_AHEAD = timedelta(days=10 * 366)

Change = Callable[[Event, Reader], Event]


async def add_calendar(services: Services, caller: Identity, wanted: NewSandboxCalendar) -> RowMapping:
    calendar_id = new_id("sbx")
    values = {
        "id": calendar_id,
        "name": wanted.name,
        "timezone": wanted.timezone,
        "email": wanted.email,
        "created_at": services.now(),
    }
    async with services.db.write_as(caller.tenant) as db:
        if await store.count_calendars(db, caller.tenant) >= MAX_CALENDARS:
            raise conflict(f"an account has at most {MAX_CALENDARS} sandbox calendars")
        await store.insert_calendar(db, caller.tenant, values)
        return await find_calendar(db, caller, calendar_id)


async def find_calendar(db: AsyncConnection, caller: Identity, calendar_id: str) -> RowMapping:
    """Raises ApiError 404."""
    row = await store.get_calendar(db, caller.tenant, calendar_id)
    if row is None:
        raise not_found("sandbox calendar")
    return row


async def remove_calendar(
    services: Services, caller: Identity, calendar_id: str, if_match: Precondition
) -> None:
    async with _writing(services, caller, calendar_id) as (db, calendar):
        if_match.check(SandboxCalendarOut(**calendar))
        if await store.is_connected(db, caller.tenant, calendar_id):
            raise conflict("the calendar is connected; delete the connection first")
        await store.delete_calendar(db, caller.tenant, calendar_id)


async def add_event(
    services: Services, caller: Identity, calendar_id: str, wanted: NewSandboxEvent
) -> SandboxEventOut:
    async with _writing(services, caller, calendar_id) as (db, calendar):
        event = Reader(calendar["timezone"]).new(new_id("sbe"), wanted)
        if await store.count_events(db, caller.tenant, calendar_id) >= MAX_EVENTS:
            raise conflict(f"a sandbox calendar holds at most {MAX_EVENTS} events")
        if await store.is_taken(db, caller.tenant, calendar_id, event.id, event.uid):
            raise invalid(("uid", "an event of the calendar has it already"))
        await _put(db, services, caller, calendar_id, event)
    return event_out(calendar_id, event, calendar["timezone"])


async def find_event(
    services: Services, caller: Identity, calendar_id: str, event_id: str
) -> SandboxEventOut:
    async with services.db.read_as(caller.tenant) as db:
        calendar = await find_calendar(db, caller, calendar_id)
        event = await _event(db, caller, calendar_id, event_id)
    return event_out(calendar_id, event, calendar["timezone"])


async def change_event(
    services: Services,
    caller: Identity,
    calendar_id: str,
    event_id: str,
    change: Change,
    *,
    if_match: Precondition = NO_PRECONDITION,
) -> SandboxEventOut:
    """The event as `change` leaves it."""
    async with _writing(services, caller, calendar_id) as (db, calendar):
        event = await _event(db, caller, calendar_id, event_id)
        if_match.check(event_out(calendar_id, event, calendar["timezone"]))
        changed = change(event, Reader(calendar["timezone"]))
        if changed != event:
            await _put(db, services, caller, calendar_id, changed)
    return event_out(calendar_id, changed, calendar["timezone"])


async def remove_event(
    services: Services, caller: Identity, calendar_id: str, event_id: str, if_match: Precondition
) -> None:
    async with _writing(services, caller, calendar_id) as (db, calendar):
        event = await _event(db, caller, calendar_id, event_id)
        if_match.check(event_out(calendar_id, event, calendar["timezone"]))
        await store.remove_event(db, caller.tenant, calendar_id, event_id)


async def order_fault(services: Services, caller: Identity, calendar_id: str, wanted: NewFault) -> FaultList:
    async with _writing(services, caller, calendar_id) as (db, calendar):
        waiting = order(calendar["faults"], Fault(wanted.kind), wanted.times)
        await store.set_faults(db, caller.tenant, calendar_id, waiting)
    return faults_out(waiting)


async def clear_faults(
    services: Services, caller: Identity, calendar_id: str, if_match: Precondition
) -> None:
    async with _writing(services, caller, calendar_id) as (db, calendar):
        if_match.check(faults_out(calendar["faults"]))
        await store.set_faults(db, caller.tenant, calendar_id, [])


async def advance_clock(services: Services, caller: Identity, seconds: int) -> ClockOut:
    """Let the time of the account's test mode pass: all that waits in it waits so much less."""
    most = int(MAX_AHEAD.total_seconds())
    async with services.db.write_as(caller.tenant) as db:
        await clock.pull_in(db, caller.tenant, timedelta(seconds=seconds))
        ahead = await clock.advance(db, caller.tenant, seconds, most=most)
        if ahead is None:
            raise invalid(("advance_seconds", f"the clock can be at most {MAX_AHEAD.days} days ahead"))
    services.wake()
    return ClockOut(now=services.now() + timedelta(seconds=ahead), advanced_seconds=ahead)


def faults_out(waiting: Waiting) -> FaultList:
    return FaultList(faults=[FaultOut(**fault) for fault in waiting])


@asynccontextmanager
async def _writing(
    services: Services, caller: Identity, calendar_id: str
) -> AsyncIterator[tuple[AsyncConnection, RowMapping]]:
    async with services.db.write_as(caller.tenant) as db:
        calendar = await store.lock_calendar(db, caller.tenant, calendar_id)
        if calendar is None:
            raise not_found("sandbox calendar")
        yield db, calendar


async def _event(db: AsyncConnection, caller: Identity, calendar_id: str, event_id: str) -> Event:
    rows = await store.get_events(db, caller.tenant, calendar_id, [event_id])
    if not rows:
        raise not_found("event in this calendar")
    return Event.of_row(rows[0])


async def _put(
    db: AsyncConnection, services: Services, caller: Identity, calendar_id: str, event: Event
) -> None:
    data = replace(event, modified=services.now_for(caller)).to_data()
    try:
        await store.put_event(db, caller.tenant, calendar_id, event.id, uid=event.uid, data=data)
    except store.CalendarFull:
        most = f"{store.MAX_BYTES // 1_000_000} MB"
        raise conflict(f"the events of a sandbox calendar hold at most {most} together") from None
