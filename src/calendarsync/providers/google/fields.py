"""The fields of Google Calendar's events that we ask for and write, and the names of our own properties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
"""An event as an answer carries it. Nothing is sure of it but that it is a JSON object."""

MARK = "calendarsync"
"""The private extended property that holds our mark (rule 1)."""

COPY, IS_COPY = "calendarsyncCopy", "1"
"""The property that all copies have alike: `privateExtendedProperty` finds only what equals a value."""

EVENT = (
    "id,etag,updated,status,iCalUID,summary,description,location,start,end,recurrence,recurringEventId,originalStartTime,"
    "transparency,visibility,eventType,attendees(email,displayName,self,responseStatus),attendeesOmitted,"
    "organizer(email,self),extendedProperties/private"
)
"""A partial response (guide "Performance"): without people's photos, conferences, attachments and links."""

EVENTS = f"nextPageToken,nextSyncToken,items({EVENT})"


def text(row: Row, name: str) -> str:
    """The text of a field; empty where there is none."""
    value = row.get(name)
    return value if isinstance(value, str) else ""


def table(row: Row, name: str) -> Row:
    value = row.get(name)
    return value if isinstance(value, Mapping) else {}


def rows(row: Row, name: str) -> Sequence[Row]:
    """The objects in an array; what is none is passed over."""
    values = row.get(name)
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, list) else []


def texts(row: Row, name: str) -> Sequence[str]:
    values = row.get(name)
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def private_of(row: Row) -> Row:
    """The private extended properties."""
    return table(table(row, "extendedProperties"), "private")


def mark_of(row: Row) -> str | None:
    """Our property as it stands, unverified."""
    value = private_of(row).get(MARK)
    return value if isinstance(value, str) else None


def is_cancelled(row: Row) -> bool:
    return row.get("status") == "cancelled"


def series_of(row: Row) -> str:
    """The id of the series that a row says something of: as its master or as an exception; empty for a single."""
    return text(row, "recurringEventId") or (text(row, "id") if row.get("recurrence") else "")
