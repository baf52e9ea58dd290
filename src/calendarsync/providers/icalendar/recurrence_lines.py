"""RRULE, RDATE and EXDATE lines that somebody sends us beside a start, read strictly.

What a calendar holds is read leniently (`read`); what is sent to us is refused where RFC 5545 leaves a doubt, and
the message says what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from calendarsync.domain.event import Component, EventTime, Problem, Recurrence, RecurrenceDate
from calendarsync.domain.recurrence import LIMIT, validate
from calendarsync.domain.recurrence_rule import HOURLY, parse_rule
from calendarsync.domain.timezones import is_exact, zone_of_name
from calendarsync.providers.icalendar.values import UnusableError, read_duration, read_time

_LINE = re.compile(r"(RRULE|RDATE|EXDATE)((?:;[A-Z-]+=[^;:,\"]+)*):([\x21-\x7e]+)", re.ASCII)
_DATE = re.compile(r"\d{8}", re.ASCII)
_DATE_TIME = re.compile(r"\d{8}T\d{6}Z?", re.ASCII)
_KINDS = {"DATE": _DATE, "DATE-TIME": _DATE_TIME}


class RecurrenceLineError(ValueError):
    """What is wrong with the line at `position`, counted from 0; with all together where it is None."""

    def __init__(self, position: int | None, message: str) -> None:
        super().__init__(message)
        self.position = position
        self.message = message


def read_recurrence(lines: Sequence[str], start: EventTime) -> Recurrence | None:
    """The recurrence of an event that starts at `start`; None for no lines. Raises RecurrenceLineError."""
    rrules: list[str] = []
    rdates: list[RecurrenceDate] = []
    exdates: list[EventTime] = []
    for position, line in enumerate(lines):
        try:
            name, parameters, value = _parts(line)
            if name == "RRULE":
                rrules.append(_rule(value, parameters))
            elif name == "RDATE":
                rdates += _dates(value, parameters, start)
            else:
                exdates += [_single(date) for date in _dates(value, parameters, start)]
        except ValueError as error:
            raise RecurrenceLineError(position, str(error)) from None
        except UnusableError as error:
            raise RecurrenceLineError(position, _WORDS[error.problem]) from None
    if not lines:
        return None
    recurrence = Recurrence(tuple(rrules), tuple(rdates), tuple(exdates))
    problem = validate([Component("", start, end=start, recurrence=recurrence)])
    if problem is not None:
        raise RecurrenceLineError(None, _WORDS[problem])
    return recurrence


def _parts(line: str) -> tuple[str, dict[str, str], str]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("must be an RRULE, RDATE or EXDATE line, such as RRULE:FREQ=WEEKLY;COUNT=4")
    given = [parameter.split("=", 1) for parameter in match[2].split(";")[1:]]
    parameters = dict(given)
    if len(parameters) < len(given) or parameters.keys() - {"VALUE", "TZID"}:
        raise ValueError("may have the parameters VALUE and TZID, each once")
    return match[1], parameters, match[3]


def _rule(value: str, parameters: dict[str, str]) -> str:
    if parameters:
        raise ValueError("an RRULE has no parameters")
    try:
        rule = parse_rule(value)
    except ValueError:
        raise ValueError("is no recurrence rule of RFC 5545, section 3.3.10") from None
    if rule.count is not None and rule.count > LIMIT:  # to find one instance, all before it are counted
        raise ValueError(f"must have a COUNT of at most {LIMIT:,}")
    if rule.freq >= HOURLY and rule.chooses_days:  # decades of hours may be gone through to find the next
        raise ValueError("must not choose days with a FREQ finer than DAILY; DAILY with BYHOUR can say it")
    return value.upper()


def _dates(value: str, parameters: dict[str, str], start: EventTime) -> list[RecurrenceDate]:
    kind = parameters.get("VALUE", "DATE-TIME")
    if start.all_day != (kind == "DATE"):
        wanted = "dates, with VALUE=DATE" if start.all_day else "times"
        raise ValueError(f"must hold {wanted}, for such is the event's start")
    return [_date(one, kind, parameters) for one in value.split(",")]


def _date(value: str, kind: str, parameters: dict[str, str]) -> RecurrenceDate:
    if kind != "PERIOD":
        return RecurrenceDate(_time(value, kind, parameters))
    first, _, second = value.partition("/")
    start = _time(first, "DATE-TIME", parameters)
    if second.startswith("P"):
        return RecurrenceDate(start, duration=read_duration(second, Problem.BAD_RECURRENCE))
    end = _time(second, "DATE-TIME", parameters)
    if end.instant("UTC") < start.instant("UTC"):
        raise ValueError("holds a period that ends before it starts")
    return RecurrenceDate(start, end=end)


def _time(value: str, kind: str, parameters: dict[str, str]) -> EventTime:
    form = _KINDS.get(kind)
    if form is None or not form.fullmatch(value):
        raise ValueError("must hold values such as 20260309T080000Z, or 20260309 with VALUE=DATE")
    zone = parameters.get("TZID")
    if zone is not None and (kind == "DATE" or value.endswith("Z")):
        raise ValueError("must have no TZID beside dates, or times in UTC")
    time = read_time(value, parameters, _in_zone, Problem.BAD_RECURRENCE)
    if not time.all_day and time.zone is None:
        raise ValueError("must say the zone of its times: TZID=Europe/Berlin, or a Z for UTC")
    return time


def _in_zone(tzid: str, local: datetime) -> EventTime | None:
    zone = zone_of_name(tzid)
    return EventTime(local, zone) if zone is not None and is_exact(tzid) else None


def _single(date: RecurrenceDate) -> EventTime:
    if date.end is not None or date.duration is not None:
        raise ValueError("must hold times, not periods")
    return date.start


_WORDS = {
    Problem.UNKNOWN_ZONE: "has a TZID that is no IANA name of a time zone",
    Problem.BAD_RECURRENCE: "is not possible as a recurrence of RFC 5545",
    Problem.END_BEFORE_START: "holds a period that ends before it starts",
    Problem.TOO_MANY_INSTANCES: "gives more instances than an event may have",
}
