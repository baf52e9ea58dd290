"""Times as Graph writes them: a wall time and the name of its zone (resources/datetimetimezone).

Every request prefers UTC, so that an answer's times are moments; the zone whose clock they are meant on is named
beside them. All-day events stay at midnight whatever zone is preferred.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from calendarsync.domain.copy import CopyComponent
from calendarsync.domain.event import Component, EventTime, Problem
from calendarsync.domain.recurrence_ends import own_end
from calendarsync.domain.timezone_to_windows import windows_name
from calendarsync.domain.timezones import zone_info, zone_of_name
from calendarsync.providers.icalendar.values import YEARS, UnusableError


def read_zone(name: object) -> str | None:
    """The IANA key, or `"UTC"`, of a zone's name; None for a custom one (`tzone://Microsoft/Custom`)."""
    return zone_of_name(name) if isinstance(name, str) else None


def read_time(value: object, zone: str, *, all_day: bool) -> EventTime:
    """A dateTimeTimeZone on the clock of `zone`. Raises UnusableError."""
    if not isinstance(value, Mapping):
        raise UnusableError(Problem.NO_START)
    try:
        read = datetime.fromisoformat(value["dateTime"]).replace(microsecond=0)
    except (ValueError, TypeError, KeyError):
        raise UnusableError(Problem.UNREADABLE) from None
    if read.year not in YEARS:
        raise UnusableError(Problem.UNREADABLE)
    if all_day:
        return EventTime(read.date())
    if read.tzinfo is not None:
        return at(read, zone)
    named = read_zone(value.get("timeZone") or "UTC")
    if named is None:
        raise UnusableError(Problem.UNKNOWN_ZONE)
    return at(EventTime(read, named).instant("UTC"), zone)


def read_original(text: object, zone: str, *, all_day: bool) -> EventTime:
    """`originalStart`, a moment in UTC: of an all-day series the midnight of UTC, or of its zone (not documented).

    Raises UnusableError.
    """
    try:
        moment = datetime.fromisoformat(str(text)).replace(microsecond=0)
    except ValueError:
        raise UnusableError(Problem.UNREADABLE) from None
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment.year not in YEARS:
        raise UnusableError(Problem.UNREADABLE)
    if not all_day:
        return at(moment, zone)
    local = moment if moment.hour == moment.minute == 0 else moment.astimezone(zone_info(zone))
    return EventTime((local + timedelta(hours=12)).date() if local.hour >= 12 else local.date())


def at(moment: datetime, zone: str) -> EventTime:
    """A moment on the clock of a zone; the second of two equal readings has no local form and is kept in UTC."""
    local = moment.astimezone(zone_info(zone)).replace(tzinfo=None)
    if local.fold:
        return EventTime(moment.astimezone(UTC).replace(tzinfo=None), "UTC")
    return EventTime(local, zone)


def write_time(time: EventTime) -> dict[str, str]:
    """In the zone's own name where Windows has one, else in UTC."""
    if time.all_day:
        return {"dateTime": f"{time.local:%Y-%m-%dT00:00:00}", "timeZone": "UTC"}
    name = windows_name(time.zone or "UTC") or "UTC"
    zone = read_zone(name) or "UTC"
    written = at(time.instant("UTC"), zone)
    local = written.local.isoformat(timespec="seconds")
    return {"dateTime": local, "timeZone": name if written.zone == zone else "UTC"}


def as_read(time: EventTime) -> EventTime:
    """What a later reading gives for a time that was written."""
    written = write_time(time)
    zone = read_zone(written["timeZone"]) or "UTC"
    return read_time(written, zone, all_day=time.all_day)


def end_of(component: CopyComponent) -> EventTime:
    """The end of a component whose length may be given as a duration (RFC 5545 section 3.3.6)."""
    if component.end is not None:
        return component.end
    part = Component("", component.start, duration=component.duration)
    return own_end(part, "UTC")[1]


def query_time(moment: datetime) -> str:
    """For startDateTime and endDateTime, which are UTC where they have no offset."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"
