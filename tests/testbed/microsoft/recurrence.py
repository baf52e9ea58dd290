"""Recurrence patterns: what they must hold, and the days on which they fall.

Sources: https://learn.microsoft.com/graph/api/resources/recurrencepattern, recurrencerange and
outlook-schedule-recurring-events. That the last day of a shorter month stands for day 29 to 31 is how Outlook shows
such series, and written on no page of Graph's.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import date, datetime, time
from itertools import islice, takewhile
from typing import Any

from dateutil import rrule

from .errors import ApiError, bad_request

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAYS = (rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR, rrule.SA, rrule.SU)
_POSITIONS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": -1}
_REQUIRED = {
    "daily": (),
    "weekly": ("daysOfWeek",),
    "absolutemonthly": ("dayOfMonth",),
    "relativemonthly": ("daysOfWeek",),
    "absoluteyearly": ("dayOfMonth", "month"),
    "relativeyearly": ("daysOfWeek", "month"),
}
_LAST = date(4500, 8, 31)


def _refused(message: str) -> ApiError:
    return bad_request("ErrorPropertyValidationFailure", message)


def check(recurrence: dict[str, Any], first: date) -> None:
    """Raises 400 where a needed property is missing or out of its bounds.

    `first` is the day on which the event starts: range.startDate "must be the same value".
    """
    pattern, span = recurrence.get("pattern"), recurrence.get("range")
    if not isinstance(pattern, dict) or not isinstance(span, dict):
        raise _refused("A recurrence needs a pattern and a range.")
    _check_pattern(pattern)
    _check_range(span, first)


def _check_pattern(pattern: dict[str, Any]) -> None:
    """Properties that the type does not use are looked at all the same (outlook-schedule-recurring-events)."""
    kind = str(pattern.get("type", "")).casefold()
    if kind not in _REQUIRED:
        raise _refused("The recurrence pattern has no type.")
    missing = [name for name in _REQUIRED[kind] if not pattern.get(name)]
    if missing:
        raise _refused(f"The recurrence pattern lacks {missing[0]}.")
    given = [*(pattern.get("daysOfWeek") or ()), pattern.get("firstDayOfWeek") or "sunday"]
    if any(str(day).casefold() not in _DAYS for day in given):
        raise _refused("A day of the recurrence pattern is none of the week.")
    if str(pattern.get("index") or "first").casefold() not in _POSITIONS:
        raise _refused("The index of the recurrence pattern is none of the five.")
    bounds = {"interval": (1, 999), "dayOfMonth": (1, 31), "month": (1, 12)}
    for name, (low, high) in bounds.items():
        needed = name == "interval" or name in _REQUIRED[kind]
        if needed and not low <= (pattern.get(name) or 0) <= high:
            raise _refused(f"{name} of the recurrence pattern is out of bounds.")


def _check_range(span: dict[str, Any], first: date) -> None:
    kind = str(span.get("type", "")).casefold()
    if span.get("startDate") != first.isoformat():
        raise _refused("The startDate of the recurrence range must be the day on which the event starts.")
    if kind == "enddate":
        try:
            end = date.fromisoformat(span.get("endDate") or "0001-01-01")
        except ValueError:
            raise _refused("The endDate of the recurrence range is no date.") from None
        if not first <= end <= _LAST:
            raise bad_request("ErrorRecurrenceEndDateTooBig", "The recurrence must end after its start.")
    elif kind == "numbered":
        if not 1 <= (span.get("numberOfOccurrences") or 0) <= 999:
            raise _refused("numberOfOccurrences is out of bounds.")
    elif kind != "noend":
        raise _refused("The recurrence range has no type.")


def days(recurrence: dict[str, Any]) -> Iterator[date]:
    """The days of the series in order, without end where it has none. For a recurrence that passed `check`."""
    pattern, span = recurrence["pattern"], recurrence["range"]
    found = takewhile(lambda day: day <= _LAST, _pattern_days(pattern, date.fromisoformat(span["startDate"])))
    kind = span["type"].casefold()
    if kind == "numbered":
        return islice(found, span["numberOfOccurrences"])
    if kind == "enddate":
        end = date.fromisoformat(span["endDate"])
        return takewhile(lambda day: day <= end, found)
    return found


def _pattern_days(pattern: dict[str, Any], start: date) -> Iterator[date]:
    """Intervals of months and years count from the first day that fits, wherever the range starts: the first
    Thursday of every other month from 29 August is one in September (outlook-schedule-recurring-events)."""
    if pattern["type"].casefold() not in ("daily", "weekly") and pattern["interval"] > 1:
        first = next(_days_from(pattern | {"interval": 1}, start), None)
        return iter(()) if first is None else _days_from(pattern, first)
    return _days_from(pattern, start)


def _days_from(pattern: dict[str, Any], start: date) -> Iterator[date]:
    kind, interval = pattern["type"].casefold(), pattern["interval"]
    if kind == "absolutemonthly":
        return _absolute(start, interval, pattern["dayOfMonth"], start.month)
    if kind == "absoluteyearly":
        return _absolute(start, 12 * interval, pattern["dayOfMonth"], pattern["month"])
    common: dict[str, Any] = {"dtstart": datetime.combine(start, time()), "interval": interval}
    weekdays = [_WEEKDAYS[_DAYS.index(day.casefold())] for day in pattern.get("daysOfWeek") or ()]
    position = _POSITIONS[(pattern.get("index") or "first").casefold()]
    if kind == "daily":
        rule = rrule.rrule(rrule.DAILY, **common)
    elif kind == "weekly":
        week_start = _WEEKDAYS[_DAYS.index((pattern.get("firstDayOfWeek") or "sunday").casefold())]
        rule = rrule.rrule(rrule.WEEKLY, byweekday=weekdays, wkst=week_start, **common)
    elif kind == "relativemonthly":
        rule = rrule.rrule(rrule.MONTHLY, byweekday=weekdays, bysetpos=position, **common)
    else:
        rule = rrule.rrule(
            rrule.YEARLY, bymonth=pattern["month"], byweekday=weekdays, bysetpos=position, **common
        )
    return (found.date() for found in rule)


def _absolute(start: date, months: int, day_of_month: int, month: int) -> Iterator[date]:
    """Every `months` months on that day, or on the last day of a month that is shorter."""
    year = start.year
    while year <= _LAST.year:
        day = date(year, month, min(day_of_month, calendar.monthrange(year, month)[1]))
        if day >= start:
            yield day
        year, month = year + (month - 1 + months) // 12, (month - 1 + months) % 12 + 1
