"""/availability"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import RowMapping

from calendarsync.accounts.keys import Identity
from calendarsync.accounts.scopes import Scope
from calendarsync.api.errors import invalid
from calendarsync.api.route import ApiRoute, Caller, needs
from calendarsync.api.services import Services, ServicesParam
from calendarsync.api.v1.fields import Text, Timestamp
from calendarsync.api.v1.pair_options import Zone
from calendarsync.domain.availability import Interval, OutOfTime, TooManyInstances, busy_times, merge
from calendarsync.domain.entry import Entry, ordinary
from calendarsync.domain.rules import Window
from calendarsync.store import connections as store
from calendarsync.store import index, links
from calendarsync.store.paging import Page

router = APIRouter(prefix="/availability", tags=["Availability"], route_class=ApiRoute)

MAX_DAYS = 366
MAX_CONNECTIONS = 100
MAX_EVENTS = 100_000
MAX_INSTANCES = 100_000
MAX_SECONDS = 15.0


class BusyInterval(BaseModel):
    start: datetime
    end: datetime


class ConnectionFreshness(BaseModel):
    """How far what is told of a calendar can be relied on."""

    id: str
    status: Literal["pending", "active", "expired", "error"]
    last_synced_at: datetime | None = Field(
        description="When a pair of the calendar was last synced. It is read for its pairs alone."
    )
    known: bool = Field(
        description="False where the calendar has never been read as a whole, such as before the first sync of its "
        "first pair: of its events some or all are missing."
    )
    unreadable_events: int = Field(description="Events whose times are not known; none of them is in `busy`.")


class Availability(BaseModel):
    """`busy` is sorted; its intervals neither overlap nor touch, and lie within what was asked for."""

    busy: list[BusyInterval]
    connections: list[ConnectionFreshness]


@dataclass(slots=True)
class _Found:
    """What the calendars that have been looked at hold."""

    intervals: list[Interval] = field(default_factory=list)
    connections: list[ConnectionFreshness] = field(default_factory=list)
    events: int = 0
    instances: int = 0


@router.get("", openapi_extra=needs(Scope.CONNECTIONS_READ))
async def get_availability(
    *,
    services: ServicesParam,
    caller: Caller,
    first: Annotated[Timestamp, Query(alias="from", description="The beginning of the span.")],
    last: Annotated[
        Timestamp,
        Query(alias="to", description=f"Its end, which is not part of it; {MAX_DAYS} days at most."),
    ],
    connection_id: Annotated[
        list[Text],
        Query(
            max_length=MAX_CONNECTIONS,
            description="May be given more than once. Default: all connections.",
        ),
    ] = [],  # noqa: B006 - FastAPI copies it
    timezone: Annotated[
        Zone,
        Query(description="In which all-day and floating events are read where their calendar has no zone."),
    ] = "UTC",
) -> Availability:
    """When the calendars' owners are busy, all calendars taken together; what copies block is not counted.

    Told from what the last sync has read: no provider is asked.
    """
    window = _window(first, last)
    rows = await _connections(services, caller, connection_id)
    found, over_at = _Found(), time.monotonic() + MAX_SECONDS
    for row in rows:
        await _look_at(services, row, window, timezone, found, has_time=lambda: time.monotonic() < over_at)
    merged = await asyncio.to_thread(merge, found.intervals, window)
    busy = [BusyInterval(start=start, end=end) for start, end in merged]
    return Availability(busy=busy, connections=found.connections)


def _window(first: datetime, last: datetime) -> Window:
    if first >= last:
        raise invalid(("to", "must be later than from"))
    if last - first > timedelta(days=MAX_DAYS):
        raise invalid(("to", f"must be at most {MAX_DAYS} days after from"))
    return Window(first, last)


async def _connections(services: Services, caller: Identity, named: Sequence[str]) -> Sequence[RowMapping]:
    """Raises ApiError 422."""
    async with services.db.read_as(caller.tenant) as connection:
        if named:
            found = await store.get_connections(connection, caller.tenant, set(named))
            if len(found) < len(set(named)):
                raise invalid(("connection_id", "no such connection"))
            return [found[each] for each in dict.fromkeys(named)]
        page = await store.list_connections(connection, caller.tenant, Page(MAX_CONNECTIONS))
    if page.has_more:
        raise invalid(("connection_id", f"is required: there are more than {MAX_CONNECTIONS} connections"))
    return page.rows


async def _look_at(
    services: Services,
    row: RowMapping,
    window: Window,
    timezone: str,
    found: _Found,
    *,
    has_time: Callable[[], bool],
) -> None:
    """Raises ApiError 422."""
    events = await _own_events(services, row)
    found.events += len(events)
    if found.events > MAX_EVENTS:
        raise invalid(("connection_id", f"these hold more than {MAX_EVENTS} events; name fewer connections"))
    try:
        # Pure, and with thousands of series it takes a while.
        times = await asyncio.to_thread(
            busy_times,
            events,
            window,
            row["timezone"] or timezone,
            most=MAX_INSTANCES - found.instances,
            has_time=has_time,
        )
    except TooManyInstances:
        message = f"there are more than {MAX_INSTANCES} events until then; ask for a shorter span"
        raise invalid(("to", message)) from None
    except OutOfTime:
        message = "telling it takes too long; ask for a shorter or nearer span, or for fewer connections"
        raise invalid(("to", message)) from None
    found.instances += times.laid_out
    found.intervals += times.intervals
    found.connections.append(
        ConnectionFreshness(
            id=row["id"],
            status=row["status"],
            last_synced_at=row["last_synced_at"],
            known=row["cursor"] is not None,
            unreadable_events=times.unreadable,
        )
    )


async def _own_events(services: Services, row: RowMapping) -> list[Entry]:
    """A calendar's events that are nobody's copies (rules 1 and 2)."""
    async with services.db.read() as db:
        entries = await index.load_entries(db, row["id"], row["calendar_key"], services.keyring.mark_keys)
        copies = await links.linked_copies(db, row["calendar_key"])
        kept = await links.load_kept(db, row["calendar_key"])
    return list(ordinary(entries.values(), copies, kept))
