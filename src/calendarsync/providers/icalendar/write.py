"""Writing copies as calendar object resources, and taking our mark off them again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from calendarsync.domain.copy import Copy, CopyComponent
from calendarsync.domain.event import Duration, EventTime, Recurrence, RecurrenceDate
from calendarsync.domain.recurrence_rule import parse_rule
from calendarsync.domain.timezones import zone_info
from calendarsync.providers.icalendar.lines import MARK_PROPERTY, unfold
from calendarsync.providers.icalendar.values import write_duration, write_local
from calendarsync.providers.icalendar.write_zone import write_zone

__all__ = ["MARK_PROPERTY", "without_mark", "write_copy", "write_recurrence"]

PRODID = "-//CalendarSync//CalendarSync//EN"
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_ESCAPES = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"})
_COLOR = re.compile(r"[a-z]{3,32}")
_LIMIT = 75
_FAR = 2037
"""Zones of series that have no UNTIL are laid out to here: what held when an old series began holds no longer."""


def write_copy(copy: Copy, *, now: datetime) -> bytes:
    """The copy as UTF-8 with CRLF, folded; `now` (aware) becomes DTSTAMP. UID is the copy's id.

    Raises ValueError for a rule that cannot be read.
    """
    components = (copy.master, *copy.overrides)
    first_year, last_year = _years(components)
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:{PRODID}"]
    for key in sorted(_zones(copy)):
        lines += write_zone(key, first_year, last_year)
    for component in components:
        lines += _event(copy, component, now)
    lines.append("END:VCALENDAR")
    return b"".join(folded(line) for line in lines)


def _event(copy: Copy, component: CopyComponent, now: datetime) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:{escaped(copy.id)}"
    yield f"DTSTAMP:{write_local(now.astimezone(UTC))}Z"
    yield _time("DTSTART", component.start)
    yield _end(component)
    if component.recurrence_id is not None:
        yield _time("RECURRENCE-ID", _named(component.recurrence_id, copy.master.start))
    if component.recurrence is not None:
        yield from write_recurrence(component.recurrence, component.start)
    yield f"SUMMARY:{escaped(component.title)}"
    if component.description:
        yield f"DESCRIPTION:{escaped(component.description)}"
    if component.location:
        yield f"LOCATION:{escaped(component.location)}"
    yield f"STATUS:{'TENTATIVE' if component.tentative else 'CONFIRMED'}"
    yield f"TRANSP:{'TRANSPARENT' if component.transparent else 'OPAQUE'}"
    yield f"CLASS:{component.visibility.value.upper()}"
    if copy.color is not None and _COLOR.fullmatch(copy.color):
        yield f"COLOR:{copy.color}"
    yield f"{MARK_PROPERTY}:{escaped(copy.mark)}"
    for minutes in copy.reminders:
        yield from ("BEGIN:VALARM", "ACTION:DISPLAY", f"TRIGGER:-PT{minutes}M")
        yield from (f"DESCRIPTION:{escaped(component.title)}", "END:VALARM")
    yield "END:VEVENT"


def _time(name: str, value: EventTime) -> str:
    if value.all_day:
        return f"{name};VALUE=DATE:{write_local(value.value)}"
    # The second of two equal readings of the clock has no local form in RFC 5545.
    if value.zone == "UTC" or (value.zone is not None and value.local.fold):
        return f"{name}:{write_local(value.instant('UTC'))}Z"
    if value.zone is None:
        return f"{name}:{write_local(value.value)}"
    return f"{name};TZID={value.zone}:{write_local(value.value)}"


def _end(component: CopyComponent) -> str:
    """DTEND, which iCloud insists on; DURATION only where no DTEND says the same.

    That is in a series whose days are nominal, and for floating times, whose zone is the reader's.
    """
    start, duration = component.start, component.duration
    if component.end is not None:
        return _time("DTEND", component.end)
    if duration is not None and not start.all_day and start.zone != "UTC":
        nominal = component.recurrence is not None and duration.days
        if nominal or start.zone is None:
            return f"DURATION:{write_duration(duration)}"
    return _time("DTEND", _end_of(start, duration))


def _end_of(start: EventTime, duration: Duration | None) -> EventTime:
    if start.all_day:
        whole = duration or Duration(days=1)
        days = max(whole.days + -(-whole.seconds // 86400), 1)
        return EventTime(start.local.date() + timedelta(days=days))
    length = duration or Duration()
    day = replace(start, value=start.local + timedelta(days=length.days))
    end = day.instant("UTC") + timedelta(seconds=length.seconds)
    return replace(day, value=end.astimezone(zone_info(start.zone or "UTC")).replace(tzinfo=None))


def _named(value: EventTime, start: EventTime) -> EventTime:
    """A time that names an instance, in the form of the master's DTSTART: many readers compare texts."""
    if value.all_day or start.all_day or value.zone is None or start.zone is None or value.zone == start.zone:
        return value
    try:
        local = value.instant("UTC").astimezone(zone_info(start.zone)).replace(tzinfo=None)
    except OverflowError:  # the calendar's ends, in a zone that is beyond them
        return value
    return EventTime(local, start.zone)


def write_recurrence(recurrence: Recurrence, start: EventTime) -> Iterator[str]:
    """The content lines, unfolded, beside a DTSTART. Raises ValueError for a rule that cannot be read."""
    for rule in recurrence.rrules:
        yield f"RRULE:{_rule(rule, start)}"
    for rule in recurrence.exrules:
        yield f"EXRULE:{_rule(rule, start)}"
    for extra in recurrence.rdates:
        yield _recurrence_date(extra, start)
    # One a line: several servers lose all but the first of a list.
    for excluded in recurrence.exdates:
        yield _time("EXDATE", _named(excluded, start))


def _recurrence_date(extra: RecurrenceDate, start: EventTime) -> str:
    if extra.end is None and extra.duration is None:
        return _time("RDATE", _named(extra.start, start))
    line = _time("RDATE", extra.start).replace("RDATE", "RDATE;VALUE=PERIOD", 1)
    if extra.duration is not None:
        return f"{line}/{write_duration(extra.duration)}"
    assert extra.end is not None
    zone = extra.start.zone
    if zone is None:
        return f"{line}/{write_local(extra.end.value)}"
    length = extra.end.instant("UTC") - extra.start.instant("UTC")
    return f"{line}/{write_duration(Duration(seconds=int(length.total_seconds())))}"


def _rule(text: str, start: EventTime) -> str:
    """The rule with its UNTIL in the form that RFC 5545 section 3.3.10 wants beside this DTSTART."""
    until = parse_rule(text).until
    if until is None:
        return text
    parts = [part for part in text.split(";") if not part.startswith("UNTIL=")]
    return ";".join([*parts, f"UNTIL={_until(until, start)}"])


def _until(until: date | datetime, start: EventTime) -> str:
    if start.all_day:
        return write_local(until.date() if isinstance(until, datetime) else until)
    if not isinstance(until, datetime):
        until = datetime(until.year, until.month, until.day, 23, 59, 59)  # noqa: DTZ001 - local time
    if start.zone is None:
        return write_local(until)
    if until.tzinfo is None:
        with suppress(OverflowError):  # some say "for ever" as 99991231; it is no less long in UTC
            until = EventTime(until, start.zone).instant("UTC")
    return f"{write_local(until)}Z"


def _times(component: CopyComponent) -> Iterator[EventTime]:
    yield component.start
    if component.end is not None:
        yield component.end
    if component.recurrence_id is not None:
        yield component.recurrence_id
    recurrence = component.recurrence or Recurrence()
    for extra in recurrence.rdates:
        yield extra.start
    yield from recurrence.exdates


def _zones(copy: Copy) -> set[str]:
    times = [time for component in (copy.master, *copy.overrides) for time in _times(component)]
    return {time.zone for time in times if time.zone is not None and time.zone != "UTC" and not time.all_day}


def _years(components: tuple[CopyComponent, ...]) -> tuple[int, int]:
    """The first and the last year that a zone's rules are needed for; an endless series needs those to come."""
    years = [time.local.year for component in components for time in _times(component)]
    for component in components:
        for text in (component.recurrence or Recurrence()).rrules:
            until = parse_rule(text).until
            years.append(until.year if until is not None else max(min(years), _FAR))
    return min(years), min(max(years) + 1, 9800)


def escaped(value: str) -> str:
    """A TEXT value, without control characters. icalendar's own escaping turns `C:\\New` into two lines."""
    return _CONTROLS.sub("", _BREAKS.sub("\n", value)).translate(_ESCAPES)


def folded(line: str) -> bytes:
    """The line in parts of at most 75 octets, no character divided (RFC 5545 section 3.1)."""
    data = line.encode()
    if len(data) <= _LIMIT:
        return data + b"\r\n"
    parts: list[bytes] = []
    begin, room = 0, _LIMIT
    while begin < len(data):
        end = min(begin + room, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        parts.append(data[begin:end])
        begin, room = end, _LIMIT - 1
    return b"\r\n ".join(parts) + b"\r\n"


def without_mark(data: bytes) -> bytes:
    """The resource without our property, whichever component has it; all other bytes are as they were."""
    for bom, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if data.startswith(bom):
            return bom + without_mark(
                data[2:].decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")
            ).decode("utf-8", "surrogatepass").encode(encoding, "surrogatepass")
    if MARK_PROPERTY.encode() not in unfold(data).upper():
        return data
    kept: list[bytes] = []
    line: list[bytes] = []
    for part in data.splitlines(keepends=True):
        if line and part[:1] not in {b" ", b"\t"}:
            kept += [] if _is_mark(line) else line
            line = []
        line.append(part)
    kept += [] if _is_mark(line) else line
    return b"".join(kept)


def _is_mark(line: list[bytes]) -> bool:
    if not line:
        return False
    unfolded = line[0].rstrip(b"\r\n") + b"".join(part[1:].rstrip(b"\r\n") for part in line[1:])
    name = re.split(rb"[;:]", unfolded, maxsplit=1)[0]
    return name.strip().upper() == MARK_PROPERTY.encode()
