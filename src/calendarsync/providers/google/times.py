"""Times as Google Calendar writes them (reference of events, `start`, `end` and `originalStartTime`).

A day is `{"date"}`, a time `{"dateTime", "timeZone"}`: a moment with its offset, and the zone whose clock it is
read on. The offset of an answer is that of the calendar or of the zone, so the moment counts, never the offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from calendarsync.domain.copy import CopyComponent
from calendarsync.domain.event import Duration, EventTime, Problem
from calendarsync.domain.timezones import resolve_zone, zone_info
from calendarsync.providers.base import Refused
from calendarsync.providers.icalendar.values import YEARS, UnusableError

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


def read_time(value: object, problem: Problem) -> EventTime:
    """Raises UnusableError with `problem` where it is no time, or with UNKNOWN_ZONE."""
    if not isinstance(value, Mapping):
        raise UnusableError(problem)
    day, moment, zone = (value.get(name) for name in ("date", "dateTime", "timeZone"))
    try:
        if isinstance(moment, str):
            return _on_the_clock(datetime.fromisoformat(moment).replace(microsecond=0), zone, problem)
        if isinstance(day, str):
            return EventTime(_day(date.fromisoformat(day), problem))
    except (ValueError, OverflowError):
        raise UnusableError(problem) from None
    raise UnusableError(problem)


def _on_the_clock(moment: datetime, zone: object, problem: Problem) -> EventTime:
    _day(moment, problem)
    key: str | None = "UTC"  # a single event needs no zone: the moment alone says when it is
    if isinstance(zone, str) and zone:
        key = resolve_zone(zone, None, moment, None)
    elif moment.tzinfo is None:
        raise UnusableError(problem)
    if key is None:
        raise UnusableError(Problem.UNKNOWN_ZONE)
    if moment.tzinfo is None:
        return EventTime(moment, key)
    return at(moment, key)


def at(moment: datetime, zone: str) -> EventTime:
    """A moment on the clock of a zone; the second of two equal readings has no local form and is kept in UTC."""
    local = moment.astimezone(zone_info(zone)).replace(tzinfo=None)
    if local.fold:
        return EventTime(moment.astimezone(UTC).replace(tzinfo=None), "UTC")
    return EventTime(local, zone)


def _day(value: date, problem: Problem) -> date:
    """Raises UnusableError for a year in which no event may lie."""
    if value.year not in YEARS:
        raise UnusableError(problem)
    return value


def write_time(time: EventTime) -> dict[str, str]:
    """Raises Refused for a floating time, which Google has no form for."""
    if time.all_day:
        return {"date": time.value.isoformat()}
    if time.zone is None:
        raise Refused("Google Calendar does not take times without a time zone.")
    moment = time.local.replace(tzinfo=zone_info(time.zone))
    offset = moment.utcoffset() or timedelta()
    if offset.seconds % 60:  # mean solar time, as before there were zones: RFC 3339 has no seconds in offsets
        moment = moment.astimezone(UTC)
    return {"dateTime": moment.isoformat(timespec="seconds"), "timeZone": time.zone}


def as_answered(time: EventTime) -> EventTime:
    """A time as it will be read once it is written: no reading of the clock that there is not, or is twice."""
    return read_time(write_time(time), Problem.NO_START)


def patched_time(time: EventTime) -> dict[str, str | None]:
    """As a patch, which would leave a day's `date` beside a new `dateTime`; null deletes (guide "Performance")."""
    return {"date": None, "dateTime": None, "timeZone": None, **write_time(time)}


def original_suffix(original: EventTime) -> str:
    """What the id of an instance ends in behind its series' id and `_`.

    Seen in every answer and documented nowhere, so an instance that it does not find has to be looked up.
    """
    if original.all_day:
        return f"{original.value:%Y%m%d}"
    return f"{original.instant('UTC'):%Y%m%dT%H%M%SZ}"


def end_of(component: CopyComponent) -> EventTime:
    """The end of a component whose length may be given as a duration (RFC 5545 section 3.3.6).

    An event without length gets a minute: Google answers `timeRangeEmpty` to one that does not end after its start.
    """
    end = component.end or _end_of_duration(component.start, component.duration or Duration())
    start = component.start
    if start.all_day or end.all_day or end.instant("UTC") > start.instant("UTC"):
        return end
    return at(start.instant("UTC") + _MINUTE, start.zone) if start.zone else end


def _end_of_duration(start: EventTime, length: Duration) -> EventTime:
    if start.all_day:
        days = max(length.days - (-length.seconds // 86_400), 1)
        return EventTime((start.local + days * _DAY).date())
    day = EventTime(start.local + length.days * _DAY, start.zone)
    if not length.seconds or start.zone is None:
        return EventTime(day.local + timedelta(seconds=length.seconds), start.zone)
    return at(day.instant("UTC") + timedelta(seconds=length.seconds), start.zone)
