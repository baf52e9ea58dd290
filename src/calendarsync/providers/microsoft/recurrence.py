"""A patternedRecurrence as an RRULE, and an RRULE as a patternedRecurrence.

https://learn.microsoft.com/graph/api/resources/recurrencepattern and recurrencerange say what they hold. That a
day which a month lacks is its last is Exchange's rule ([MS-OXCICAL] section 2.1.3.2.2.3 for the 31st).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from calendarsync.domain.event import EventTime, Problem
from calendarsync.domain.occurrences import occurrences
from calendarsync.domain.patterns import EVERY_DAY, LAST, Pattern, PatternKind
from calendarsync.domain.rule_starts import RecurrenceError, rule_for
from calendarsync.providers.icalendar.values import UnusableError

Json = Mapping[str, Any]

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SHORT = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_INDEXES = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": LAST}
_WORDS = {index: word for word, index in _INDEXES.items()}
_KINDS = {kind.value.lower(): kind for kind in PatternKind}
_FREQUENCIES = {
    PatternKind.DAILY: "DAILY",
    PatternKind.WEEKLY: "WEEKLY",
    PatternKind.ABSOLUTE_MONTHLY: "MONTHLY",
    PatternKind.RELATIVE_MONTHLY: "MONTHLY",
    PatternKind.ABSOLUTE_YEARLY: "YEARLY",
    PatternKind.RELATIVE_YEARLY: "YEARLY",
}
_RELATIVE = {PatternKind.RELATIVE_MONTHLY, PatternKind.RELATIVE_YEARLY}
_ABSOLUTE = {PatternKind.ABSOLUTE_MONTHLY, PatternKind.ABSOLUTE_YEARLY}
_FAR = datetime(9999, 12, 1)  # noqa: DTZ001 - local time


def write_pattern(pattern: Pattern, start: EventTime, zone: str) -> dict[str, Any]:
    """A patternedRecurrence; `zone` is the name that the start is written in."""
    repeating: dict[str, Any] = {"type": pattern.kind.value, "interval": pattern.interval}
    if pattern.kind in _ABSOLUTE:
        repeating["dayOfMonth"] = pattern.month_day
    if pattern.days:
        repeating["daysOfWeek"] = [_DAYS[day] for day in pattern.days]
    if pattern.kind is PatternKind.WEEKLY:
        repeating["firstDayOfWeek"] = _DAYS[pattern.first_day]
    if pattern.kind in _RELATIVE:
        repeating["index"] = _WORDS[pattern.index]
    if pattern.month:
        repeating["month"] = pattern.month
    span: dict[str, Any] = {"startDate": start.local.date().isoformat(), "recurrenceTimeZone": zone}
    if pattern.count is not None:
        span |= {"type": "numbered", "numberOfOccurrences": pattern.count}
    elif pattern.until is not None:
        span |= {"type": "endDate", "endDate": pattern.until.isoformat()}
    else:
        span |= {"type": "noEnd"}
    return {"pattern": repeating, "range": span}


def read_pattern(recurrence: Json) -> Pattern:
    """The inverse of `write_pattern`; properties that the type has no use for are ignored. Raises UnusableError."""
    try:
        return _pattern(recurrence["pattern"], recurrence["range"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnusableError(Problem.BAD_RECURRENCE) from None


def _pattern(repeating: Json, span: Json) -> Pattern:
    kind = _KINDS[repeating["type"].lower()]
    relative, absolute = kind in _RELATIVE, kind in _ABSOLUTE
    weekly = kind is PatternKind.WEEKLY
    days = {_DAYS.index(day.lower()) for day in repeating.get("daysOfWeek") or ()}
    ends = span["type"].lower()
    if ends not in ("noend", "numbered", "enddate") or ((weekly or relative) and not days):
        raise ValueError("incomplete")
    return Pattern(
        kind,
        interval=int(repeating["interval"]),
        days=tuple(sorted(days)) if weekly or relative else (),
        first_day=_DAYS.index((repeating.get("firstDayOfWeek") or "sunday").lower()) if weekly else 0,
        index=_INDEXES[(repeating.get("index") or "first").lower()] if relative else 1,
        month_day=int(repeating["dayOfMonth"]) if absolute else 0,
        month=int(repeating["month"]) if kind.value.endswith("Yearly") else 0,
        count=int(span["numberOfOccurrences"]) if ends == "numbered" else None,
        until=date.fromisoformat(span["endDate"]) if ends == "enddate" else None,
    )


def rule_of(pattern: Pattern, start: EventTime) -> str:
    """The shortest RRULE value for a pattern that begins at `start`, which lies on one of its days."""
    parts = [f"FREQ={_FREQUENCIES[pattern.kind]}"]
    if pattern.interval > 1:
        parts.append(f"INTERVAL={pattern.interval}")
    if pattern.count is not None:
        parts.append(f"COUNT={pattern.count}")
    elif pattern.until is not None:
        parts.append(f"UNTIL={_until(pattern.until, start)}")
    parts += _days(pattern, start.local)
    return ";".join(parts)


def _until(day: date, start: EventTime) -> str:
    """RFC 5545 section 3.3.10: a date beside dates, else in UTC."""
    if start.all_day:
        return f"{day:%Y%m%d}"
    moment = EventTime(datetime.combine(day, start.local.time()), start.zone).instant("UTC")
    return f"{moment:%Y%m%dT%H%M%SZ}"


def _days(pattern: Pattern, start: datetime) -> list[str]:
    month = [f"BYMONTH={pattern.month}"] if pattern.month else []
    if pattern.kind is PatternKind.WEEKLY:
        return _weekdays(pattern, start)
    if pattern.kind in _ABSOLUTE:
        if (pattern.month_day, pattern.month or start.month) == (start.day, start.month) and start.day <= 28:
            return []
        return month + _month_day(pattern)
    if pattern.kind in _RELATIVE:
        return month + _relative(pattern)
    return []


def _weekdays(pattern: Pattern, start: datetime) -> list[str]:
    days = [] if pattern.days == (start.weekday(),) else [f"BYDAY={_names(pattern)}"]
    # Where a week begins matters only to every other week, and to more than one day of it.
    if pattern.interval > 1 and len(pattern.days) > 1 and pattern.first_day != 0:
        days.append(f"WKST={_SHORT[pattern.first_day]}")
    return days


def _month_day(pattern: Pattern) -> list[str]:
    day, month = pattern.month_day, pattern.month
    if day <= (28 if month in (0, 2) else 30 if month in (4, 6, 9, 11) else 31):
        return [f"BYMONTHDAY={day}"]
    if day == 31:
        return ["BYMONTHDAY=-1"]
    # The month's last day where it lacks that day.
    return ["BYMONTHDAY=" + ",".join(str(number) for number in range(28, day + 1)), "BYSETPOS=-1"]


def _relative(pattern: Pattern) -> list[str]:
    if pattern.days == EVERY_DAY:
        return [f"BYMONTHDAY={pattern.index}"]
    if len(pattern.days) == 1:
        return [f"BYDAY={pattern.index}{_names(pattern)}"]
    return [f"BYDAY={_names(pattern)}", f"BYSETPOS={pattern.index}"]


def _names(pattern: Pattern) -> str:
    return ",".join(_SHORT[day] for day in pattern.days)


def first_start(rule: str, start: EventTime) -> EventTime:
    """The first instance: a pattern need not fall on the day that a series starts on. Raises UnusableError."""
    try:
        found = rule_for(rule, start)
        local = next(occurrences(found, start.local, start.local, _FAR, counts_start=False), None)
    except (RecurrenceError, ValueError):
        raise UnusableError(Problem.BAD_RECURRENCE) from None
    if local is None:
        raise UnusableError(Problem.BAD_RECURRENCE)
    return EventTime(local.date() if start.all_day else local, start.zone)
