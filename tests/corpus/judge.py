"""When a calendar makes somebody busy: by our own expansion, and by recurring-ical-events.

Both speak of the same span, and count intervals: an all-day event by its dates, any other by its instants.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import icalendar
import recurring_ical_events
from icalendar.timezone import tzp

from calendarsync.domain.event import EventTime, Resource
from calendarsync.domain.recurrence import expand
from calendarsync.domain.rules import is_busy
from tests.corpus.files import FIRST, LAST

Busy = Counter[tuple[str, str]]
"""How often each interval occurs. An empty one, of an event without length, counts too."""


def ours(resource: Resource, floating: str, *, free: bool = False) -> Busy:
    """The busy times of a resource by our own expansion, or all times. Raises RecurrenceError."""
    return _within(
        (_our_time(instance.start, floating), _our_time(instance.end, floating))
        for instance in expand(resource.components, FIRST, LAST, floating)
        if free or is_busy(instance.component)
    )


def _our_time(value: EventTime, floating: str) -> str:
    return value.value.isoformat() if value.all_day else f"{value.instant(floating):%Y-%m-%dT%H:%M:%SZ}"


def theirs(data: bytes, floating: str, *, free: bool = False) -> Busy:
    """The same of a calendar by icalendar and recurring-ical-events. Raises whatever they raise."""
    tzp.use_default()  # it forgets the VTIMEZONEs of other files, which it keeps by TZID
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _times(icalendar.Calendar.from_ical(data, multiple=True), floating, free=free)


def _times(calendars: Iterable[icalendar.Component], floating: str, *, free: bool) -> Busy:
    found = []
    for calendar in calendars:
        query = recurring_ical_events.of(calendar, skip_bad_series=True, components=["VEVENT"])
        found += [event for event in query.between(FIRST, LAST) if free or not _is_free(event)]
    return _within((_their_time(event.start, floating), _their_time(event.end, floating)) for event in found)


def _within(intervals: Iterable[tuple[str, str]]) -> Busy:
    """Those that start within the span, be it as instants or as dates."""
    first, last = f"{FIRST:%Y-%m-%d}", f"{LAST:%Y-%m-%d}"
    return Busy(interval for interval in intervals if first <= interval[0] < last)


def _is_free(event: icalendar.Component) -> bool:
    return (
        str(event.get("TRANSP", "")).strip().upper() == "TRANSPARENT"
        or str(event.get("STATUS", "")).strip().upper() == "CANCELLED"
        or str(event.get("X-MICROSOFT-CDO-BUSYSTATUS", "")).upper() in {"FREE", "WORKINGELSEWHERE"}
    )


def _their_time(value: date | datetime, floating: str) -> str:
    if not isinstance(value, datetime):
        return value.isoformat()
    aware = value if value.tzinfo else value.replace(tzinfo=ZoneInfo(floating))
    return f"{aware.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
