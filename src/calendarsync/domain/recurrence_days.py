"""Which days the parts of an RRULE leave (RFC 5545 section 3.3.10). Pure."""

from __future__ import annotations

from calendar import isleap, monthrange
from collections.abc import Mapping
from datetime import date
from typing import Any

_LAST_ORDINAL = date.max.toordinal()


def matches(day: date, by: Mapping[str, tuple[Any, ...]], wkst: int, *, within_month: bool) -> bool:
    """Whether BYMONTH, BYMONTHDAY, BYYEARDAY, BYWEEKNO and BYDAY all leave this day.

    `by` holds dateutil's keywords. Ordinals of weekdays count in the month (`within_month`), or in the year.
    """
    if "bymonth" in by and day.month not in by["bymonth"]:
        return False
    length = monthrange(day.year, day.month)[1]
    if "bymonthday" in by and not {day.day, day.day - length - 1} & set(by["bymonthday"]):
        return False
    number, days = day.timetuple().tm_yday, 365 + isleap(day.year)
    if "byyearday" in by and not {number, number - days - 1} & set(by["byyearday"]):
        return False
    if "byweekno" in by and not _week_numbers(day, wkst) & set(by["byweekno"]):
        return False
    if "byweekday" not in by:
        return True
    if within_month:
        number, days = day.day, length
    ordinals = {None, *_places(number, days)}
    wanted: set[tuple[int, int | None]] = {(one.weekday, one.n) for one in by["byweekday"]}
    return bool(wanted & {(day.weekday(), ordinal) for ordinal in ordinals})


def _week_numbers(day: date, wkst: int) -> set[int]:
    """The number of its week from the year's first and from its last.

    A week is in the year that has four days of it or more: the one of its fourth day.
    """
    fourth = day.toordinal() - (day.weekday() - wkst) % 7 + 3
    middle = date.fromordinal(min(max(fourth, 1), _LAST_ORDINAL))
    return _places(middle.timetuple().tm_yday, 365 + isleap(middle.year))


def _places(number: int, days: int) -> set[int]:
    """Which of its weekday the `number`-th of so many days is, counted from either end."""
    return {(number - 1) // 7 + 1, -((days - number) // 7) - 1}
