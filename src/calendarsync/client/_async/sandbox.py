"""`client.sandbox`"""

from __future__ import annotations

from datetime import date, datetime
from typing import Unpack

from calendarsync.client._async.transport import AsyncPaged, AsyncTransport
from calendarsync.client.models import (
    Clock,
    EventFields,
    Fault,
    FaultKind,
    Faults,
    InstanceFields,
    NewEventFields,
    SandboxCalendar,
    SandboxEvent,
)
from calendarsync.client.protocol import Listing, delete, fields, get, part, patch, post, written


class AsyncSandbox:
    """Made-up calendars, with faults on demand, for test keys. Every method may raise CalendarSyncError."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def calendars(self, *, limit: int | None = None) -> AsyncPaged[SandboxCalendar]:
        """All of them, the oldest first. `limit`: how many are fetched at once, 1 to 1,000."""
        listing = Listing(SandboxCalendar, "/sandbox/calendars", "calendars", {"limit": limit})
        return AsyncPaged(self._transport, listing)

    async def create_calendar(
        self, name: str, *, timezone: str | None = None, email: str | None = None
    ) -> SandboxCalendar:
        """A new, empty calendar. `email` is its owner's; `timezone` an IANA name, UTC where left out.

        Connect it by `connections.create("sandbox", calendar_id=…)`.
        """
        body = fields(name=name, timezone=timezone, email=email)
        return await self._transport.one(SandboxCalendar, post("/sandbox/calendars", body))

    async def get_calendar(self, calendar_id: str) -> SandboxCalendar:
        return await self._transport.one(SandboxCalendar, get(_calendar(calendar_id)))

    async def delete_calendar(self, calendar_id: str) -> None:
        """End it with all its events. Raises Conflict while a connection uses it."""
        await self._transport.none(delete(_calendar(calendar_id)))

    def events(self, calendar_id: str, *, limit: int | None = None) -> AsyncPaged[SandboxEvent]:
        """What stands in it. What a sync wrote has `is_copy`."""
        path = f"{_calendar(calendar_id)}/events"
        return AsyncPaged(self._transport, Listing(SandboxEvent, path, "events", {"limit": limit}))

    async def create_event(
        self, calendar_id: str, start: datetime | date, end: datetime | date, **given: Unpack[NewEventFields]
    ) -> SandboxEvent:
        """Put an event into it, as a person would. With `all_day`, `end` is the first day after it."""
        call = post(f"{_calendar(calendar_id)}/events", fields(start=start, end=end, **given))
        return await self._transport.one(SandboxEvent, call)

    async def get_event(self, calendar_id: str, event_id: str) -> SandboxEvent:
        """One event, a series with the instances that were changed."""
        return await self._transport.one(SandboxEvent, get(_event(calendar_id, event_id)))

    async def update_event(
        self, calendar_id: str, event_id: str, **given: Unpack[EventFields]
    ) -> SandboxEvent:
        """Change an event, as a person would: a copy too. What is not given stays."""
        call = patch(_event(calendar_id, event_id), fields(**given))
        return await self._transport.one(SandboxEvent, call)

    async def delete_event(self, calendar_id: str, event_id: str) -> None:
        """Delete an event, as a person would: a copy too."""
        await self._transport.none(delete(_event(calendar_id, event_id)))

    async def update_instance(
        self,
        calendar_id: str,
        event_id: str,
        original_start: datetime | date,
        **given: Unpack[InstanceFields],
    ) -> SandboxEvent:
        """Change the instance of a series that by its rule would start then; the answer is the series."""
        call = patch(_instance(calendar_id, event_id, original_start), fields(**given))
        return await self._transport.one(SandboxEvent, call)

    async def delete_instance(self, calendar_id: str, event_id: str, original_start: datetime | date) -> None:
        """Take one instance out of a series."""
        await self._transport.none(delete(_instance(calendar_id, event_id, original_start)))

    async def faults(self, calendar_id: str) -> tuple[Fault, ...]:
        """The faults that are still to come, the next one first."""
        return (await self._transport.one(Faults, get(f"{_calendar(calendar_id)}/faults"))).faults

    async def order_fault(
        self, calendar_id: str, kind: FaultKind, *, times: int | None = None
    ) -> tuple[Fault, ...]:
        """Let its next requests fail, `times` of them; all faults that are to come.

        `expire`: the credentials are refused, and the connection becomes `expired`; `rate_limit`: it asks to
        wait; `server_error`; `slow`; `lose_token`: the next reading of changes starts from the beginning.
        """
        call = post(f"{_calendar(calendar_id)}/faults", fields(kind=kind, times=times))
        return (await self._transport.one(Faults, call)).faults

    async def clear_faults(self, calendar_id: str) -> None:
        """Let no more of its requests fail. A connection that has expired stays so."""
        await self._transport.none(delete(f"{_calendar(calendar_id)}/faults"))

    async def clock(self) -> Clock:
        """The time that the account's test mode goes by."""
        return await self._transport.one(Clock, get("/sandbox/clock"))

    async def advance_clock(self, seconds: int) -> Clock:
        """Let time pass in test mode: what falls into it happens at once. It goes forward only."""
        return await self._transport.one(Clock, post("/sandbox/clock", {"advance_seconds": seconds}))


def _calendar(calendar_id: str) -> str:
    return f"/sandbox/calendars/{part(calendar_id)}"


def _event(calendar_id: str, event_id: str) -> str:
    return f"{_calendar(calendar_id)}/events/{part(event_id)}"


def _instance(calendar_id: str, event_id: str, original_start: datetime | date) -> str:
    return f"{_event(calendar_id, event_id)}/instances/{part(written(original_start))}"
