"""The paths of one calendar from its mailbox on, and what is asked of an event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote

from calendarsync.providers.microsoft.stored import MARK
from calendarsync.providers.microsoft.times import query_time

FIELDS = (
    "id,changeKey,lastModifiedDateTime,type,seriesMasterId,originalStart,iCalUId,transactionId,subject,body,start,end,"
    "originalStartTimeZone,originalEndTimeZone,isAllDay,location,categories,showAs,sensitivity,isCancelled,"
    "isOrganizer,responseStatus,attendees,recurrence,isReminderOn,reminderMinutesBeforeStart"
)
_MARKED = f"$expand=singleValueExtendedProperties($filter=id eq '{MARK}')"


class Places:
    """`calendar_id` is Graph's; calendars have no immutable ids and need none (outlook-immutable-id)."""

    def __init__(self, calendar_id: str) -> None:
        self.calendar = f"/calendars/{_quoted(calendar_id)}"
        self.events = f"{self.calendar}/events"
        self._calendar_id = calendar_id

    def event(self, event_id: str, *, select: str | None = None, marked: bool = False) -> str:
        """One event; with `marked` it shows our property as well (singlevaluelegacyextendedproperty-get)."""
        options = [f"$select={select}"] if select is not None else []
        options += [_encoded(_MARKED)] if marked else []
        path = f"{self.events}/{_quoted(event_id)}"
        return f"{path}?{'&'.join(options)}" if options else path

    def series(self, event_id: str) -> str:
        """A master with its exceptions and the instances that were taken out, which come on $select and $expand
        alone (resources/event). Our property is not asked for beside them: no page shows the two together."""
        select = f"{FIELDS},exceptionOccurrences,cancelledOccurrences"
        return f"{self.event(event_id, select=select)}&$expand=exceptionOccurrences"

    def instances(self, event_id: str, first: datetime, last: datetime) -> str:
        """event-list-instances."""
        span = f"startDateTime={query_time(first)}&endDateTime={query_time(last)}"
        return f"{self.event(event_id)}/instances?{span}&$select=id,type,start,originalStart,isAllDay&$top=50"

    def delta(self, first: datetime, last: datetime) -> str:
        """The first request of a round over a span of time (event-delta)."""
        span = f"startDateTime={query_time(first)}&endDateTime={query_time(last)}"
        return f"{self.calendar}/calendarView/delta?{span}"

    def marked(self, start: str) -> str:
        """Events of the mailbox with our property, whose value begins with `start`."""
        value = start.replace("'", "''")
        test = f"ep/id eq '{MARK}' and startswith(ep/value,'{value}')"
        query = _encoded(f"$filter=singleValueExtendedProperties/Any(ep: {test})")
        return f"{self.events}?{query}&$select=id,transactionId&$top=1000"

    def elsewhere(self, event: Mapping[str, Any]) -> str | None:
        """The calendar that an answer names as the event's, where it is not this one's id.

        A link of OData (event-get shows it). Of a calendar that somebody shares, the owner's name may stand there.
        """
        _, named, rest = str(event.get("calendar@odata.navigationLink") or "").rpartition("/calendars('")
        name = unquote(rest).removesuffix("')")
        return name if named and name != self._calendar_id else None

    def other(self, calendar_id: str) -> str:
        """Another calendar of the mailbox."""
        return f"/calendars/{_quoted(calendar_id)}?$select=id"


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _encoded(query: str) -> str:
    """Spaces, colons, slashes and braces; what OData needs stays."""
    return quote(query, safe="$=()',&;{}")
