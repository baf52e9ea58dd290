"""What a mailbox holds of one copy or event, and what tells it apart.

Source: https://learn.microsoft.com/graph/api/resources/event, extended-properties-overview.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any, Self

from calendarsync.domain.event import EventTime, Problem
from calendarsync.domain.origin import looks_derived
from calendarsync.providers.icalendar.values import UnusableError
from calendarsync.providers.microsoft.times import read_original, read_time, read_zone

Json = Mapping[str, Any]

MARK = "String {8f1fd6d8-60c1-4a5c-9a0e-3b6a5e6f1c42} Name calendarsync"
"""Our property among `singleValueExtendedProperties` (resources/extended-properties-overview)."""

SERIES_VERSION = "series."


@dataclass(frozen=True, slots=True, repr=False)
class Stored:
    """What the mailbox holds of a resource. `cancelled` are ids of instances, `OID.<series>.<day>` (event-get)."""

    event: Json
    exceptions: tuple[Json, ...] = ()
    cancelled: tuple[str, ...] = ()

    @classmethod
    def of(cls, event: Json) -> Self:
        """From an event that was asked for with its exceptions, or one that has none."""
        exceptions, cancelled = (
            event.get(name) or () for name in ("exceptionOccurrences", "cancelledOccurrences")
        )
        return cls(event, tuple(exceptions), tuple(str(name) for name in cancelled))

    @property
    def is_series(self) -> bool:
        return kind_of(self.event) == "seriesmaster"

    @property
    def version(self) -> str | None:
        """The changeKey; for a series a digest, since the pages do not say that an exception's change is one of
        its master."""
        if not self.is_series:
            return change_key(self.event)
        keys = sorted(f"{each.get('id')} {change_key(each)}" for each in self.exceptions)
        text = "\n".join([str(change_key(self.event)), *keys, *sorted(self.cancelled)])
        return SERIES_VERSION + sha256(text.encode()).hexdigest()[:40]

    @property
    def cancelled_days(self) -> frozenset[date]:
        """The days, in the zone of the series, on which instances were taken out. Raises UnusableError."""
        try:
            return frozenset(date.fromisoformat(name.rpartition(".")[2]) for name in self.cancelled)
        except ValueError:
            raise UnusableError(Problem.UNREADABLE) from None


def kind_of(event: Json) -> str:
    """Its `eventType` in lower case."""
    return str(event.get("type") or "").lower()


def change_key(event: Json) -> str | None:
    """The changeKey, which the ETag holds as well."""
    key = event.get("changeKey") or str(event.get("@odata.etag") or "").removeprefix("W/").strip('"')
    return str(key) or None


def uid_of(event: Json) -> str:
    """The derived id of a copy; else the UID, which every instance of a series has another of."""
    transaction = str(event.get("transactionId") or "")
    return transaction if looks_derived(transaction) else str(event.get("iCalUId") or "")


def mark_of(event: Json) -> str | None:
    """Our property, where the event was expanded with it; an empty one is none."""
    for each in event.get("singleValueExtendedProperties") or ():
        if str(each.get("id", "")).casefold() == MARK.casefold():
            return str(each.get("value") or "") or None
    return None


def series_zone(event: Json) -> str:
    """The zone that a series recurs in. Raises UnusableError: a custom one says nothing of its instances."""
    if event.get("isAllDay"):
        return "UTC"
    named = ((event.get("recurrence") or {}).get("range") or {}).get("recurrenceTimeZone")
    zone = read_zone(named or event.get("originalStartTimeZone")) or read_zone(
        event.get("originalStartTimeZone")
    )
    if zone is None:
        raise UnusableError(Problem.UNKNOWN_ZONE)
    return zone


def original_of(exception: Json, start: EventTime) -> EventTime:
    """The original start of an exception, in the terms of the series' start. Raises UnusableError."""
    zone = start.zone or read_zone(exception.get("originalStartTimeZone")) or "UTC"
    return read_original(exception.get("originalStart"), zone, all_day=start.all_day)


def series_start(event: Json) -> EventTime:
    """The start of a master on the clock of its series. Raises UnusableError."""
    return read_time(event.get("start"), series_zone(event), all_day=bool(event.get("isAllDay")))
