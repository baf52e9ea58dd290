"""Value types of RFC 5545 section 3.3, read leniently and written strictly."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta

from calendarsync.domain.event import Duration, EventTime, Problem
from calendarsync.domain.recurrence import LIMIT
from calendarsync.providers.icalendar import quirks
from calendarsync.providers.icalendar.lines import Property

_DURATION = re.compile(
    r"([+-]?)P(?:(\d{1,6})W)?(?:(\d{1,7})D)?(?:T(?:(\d{1,8})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"\d{8}T\d{6}Z?")
YEARS = range(1000, 9900)
"""Years in which an event may lie: any offset and any length stays within what datetime knows."""

_MAX_DURATION_DAYS = 366 * 200

ZoneResolver = Callable[[str, datetime], EventTime | None]
"""From a TZID and a reading of the clock to the time that they mean; None where the TZID says nothing."""


class UnusableError(Exception):
    """A value that makes its event unusable."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.value)
        self.problem = problem


def read_time(
    value: str, parameters: Mapping[str, str], resolve: ZoneResolver, problem: Problem
) -> EventTime:
    """A DATE or DATE-TIME. Raises UnusableError with `problem` where it is neither, or with UNKNOWN_ZONE."""
    local, is_utc = read_local(value, problem)
    if not isinstance(local, datetime):
        return EventTime(local)
    if parameters.get("VALUE", "").upper() == "DATE":
        return EventTime(local.date())
    if is_utc:
        return EventTime(local, "UTC")
    tzid = parameters.get("TZID")
    if not tzid:
        return EventTime(local)
    time = resolve(tzid, local)
    if time is None:
        raise UnusableError(Problem.UNKNOWN_ZONE)
    return time


def read_local(value: str, problem: Problem, years: range = YEARS) -> tuple[date | datetime, bool]:
    """The reading of the clock, and whether it is UTC. An 8-digit value is a date, whatever VALUE says."""
    value = value.strip()
    try:
        if _PLAIN.fullmatch(value) and value[13:15] != "60" and value[9:11] != "24":
            day = (int(value[:4]), int(value[4:6]), int(value[6:8]))
            clock = (int(value[9:11]), int(value[11:13]), int(value[13:15]))
            result: date | datetime = datetime(*day, *clock)  # noqa: DTZ001 - local time
            is_utc = value[-1] == "Z"
        else:
            result, is_utc = _read_odd(value)
    except (ValueError, OverflowError) as error:
        raise UnusableError(problem) from error
    if result.year not in years:
        raise UnusableError(problem)
    return result, is_utc


def _read_odd(value: str) -> tuple[date | datetime, bool]:
    found = quirks.date_time_numbers(value)
    if found is None:
        raise ValueError("no date or time")
    numbers, is_utc = found
    if len(numbers) == 3:
        return date(*numbers), False
    year, month, day, hour, minute, second = numbers
    # 24:00 is the next midnight (ISO 8601); a leap second is read as the one before it.
    extra = timedelta(days=1) if hour == 24 else timedelta()
    return datetime(year, month, day, hour % 24, minute, min(second, 59)) + extra, is_utc  # noqa: DTZ001


def read_duration(value: str, problem: Problem) -> Duration:
    """A DURATION; weeks and days are nominal. Raises UnusableError, with END_BEFORE_START where negative."""
    match = _DURATION.fullmatch(value.strip())
    if match is None or not any(match.groups()[1:]):
        raise UnusableError(problem)
    weeks, days, hours, minutes, seconds = (int(number or 0) for number in match.groups()[1:])
    duration = Duration(weeks * 7 + days, hours * 3600 + minutes * 60 + seconds)
    if duration.days + duration.seconds // 86400 > _MAX_DURATION_DAYS:
        raise UnusableError(problem)
    if match[1] == "-" and duration != Duration():
        raise UnusableError(Problem.END_BEFORE_START)
    return duration


def write_local(value: date | datetime) -> str:
    if isinstance(value, datetime):
        return (
            f"{value.year:04}{value.month:02}{value.day:02}T{value.hour:02}{value.minute:02}{value.second:02}"
        )
    return f"{value.year:04}{value.month:02}{value.day:02}"


def write_duration(duration: Duration) -> str:
    time = f"T{duration.seconds}S" if duration.seconds or not duration.days else ""
    return f"P{duration.days}D{time}" if duration.days else f"P{time}"


def listed(properties: Sequence[Property]) -> list[tuple[Mapping[str, str], str]]:
    """The values of properties that hold lists, each with its parameters. Raises UnusableError for too many."""
    found: list[tuple[Mapping[str, str], str]] = []
    for one in properties:
        parameters = one.parameters
        found += [(parameters, value) for value in one.value.split(",") if quirks.is_listed(value)]
        if len(found) > LIMIT:
            raise UnusableError(Problem.TOO_MANY_INSTANCES)
    return found
