"""`recurrence` of an event: RRULE, EXRULE, RDATE and EXDATE lines (reference of events), read leniently."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from calendarsync.domain.event import EventTime, Problem, Recurrence
from calendarsync.domain.times import in_form_of, moment_key
from calendarsync.domain.timezones import zone_of_name
from calendarsync.providers.icalendar.lines import MalformedError, TooLargeError, parse
from calendarsync.providers.icalendar.read_event import recurrence_of
from calendarsync.providers.icalendar.values import UnusableError

_UTC = "UTC"  # what no time here is read in: events have zones


def read_lines(lines: object, start: EventTime) -> Recurrence | None:
    """The recurrence of an event that starts at `start`; None where it has none. Raises UnusableError."""
    if not lines:
        return None
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise UnusableError(Problem.BAD_RECURRENCE)
    whole = "\n".join(("BEGIN:VEVENT", *(" ".join(line.split()) for line in lines), "END:VEVENT"))
    try:
        (event,) = parse(whole.encode("utf-8", "replace")).children
    except (MalformedError, ValueError):
        raise UnusableError(Problem.BAD_RECURRENCE) from None
    except TooLargeError:
        raise UnusableError(Problem.TOO_LARGE) from None
    recurrence = None if event.broken else recurrence_of(event, _in_zone)
    if recurrence is None:
        raise UnusableError(Problem.BAD_RECURRENCE)
    return recurrence


def _in_zone(tzid: str, local: datetime) -> EventTime | None:
    zone = zone_of_name(tzid)
    return None if zone is None else EventTime(local, zone)


def in_form(time: EventTime, start: EventTime) -> EventTime:
    """A time that names an instance, as the series' start is written; a time of the other kind stays as it is."""
    return time if time.all_day != start.all_day else in_form_of(time, start, _UTC)


def with_holes(
    recurrence: Recurrence,
    start: EventTime,
    holes: Iterable[EventTime] = (),
    filled: Iterable[EventTime] = (),
) -> Recurrence:
    """The recurrence with further holes and without those that are `filled`; each once, in order."""
    named = (in_form(hole, start) for hole in (*recurrence.exdates, *holes))
    exdates = {moment_key(hole, _UTC): hole for hole in named}
    for time in filled:
        exdates.pop(moment_key(time, _UTC), None)
    rdates = (
        extra if extra.end or extra.duration else replace(extra, start=in_form(extra.start, start))
        for extra in recurrence.rdates
    )
    return replace(
        recurrence, rdates=tuple(rdates), exdates=tuple(hole for _, hole in sorted(exdates.items()))
    )
