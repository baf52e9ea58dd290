"""One RRULE value: read, and kept within bounds (RFC 5545 section 3.3.10)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from dateutil.rrule import weekday

YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY, SECONDLY = range(7)
FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")
SECONDS = {HOURLY: 3600, MINUTELY: 60, SECONDLY: 1}
"""Length of a period, by frequency."""

DATE_PARTS = ("bymonth", "bymonthday", "byyearday", "byweekno", "byweekday")
"""dateutil's names of the parts that choose days."""

_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_MAX_LENGTH = 4000
_STEPS_PER_DAY = 1440

# part: dateutil's name, the least and greatest value, whether negative values count from the end
_NUMBERS = {
    "BYSECOND": ("bysecond", 0, 60, False),
    "BYMINUTE": ("byminute", 0, 59, False),
    "BYHOUR": ("byhour", 0, 23, False),
    "BYMONTHDAY": ("bymonthday", 1, 31, True),
    "BYYEARDAY": ("byyearday", 1, 366, True),
    "BYWEEKNO": ("byweekno", 1, 53, True),
    "BYMONTH": ("bymonth", 1, 12, False),
    "BYSETPOS": ("bysetpos", 1, 366, True),
}
_UNTIL = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?")
_BYDAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as written. `until` is a date, a naive local datetime, or an aware one in UTC; it is inclusive.

    `by` holds dateutil's keywords. `freq` may be coarser than `written_freq`: `FREQ=MINUTELY;BYMINUTE=0` says
    the same as `FREQ=HOURLY;BYMINUTE=0` and is laid out sixty times as fast.
    """

    freq: int
    written_freq: int
    interval: int = 1
    count: int | None = None
    until: date | datetime | None = None
    wkst: int = 0
    by: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def endless(self) -> bool:
        return self.count is None and self.until is None

    @property
    def chooses_days(self) -> bool:
        """Whether it has a part that leaves out days."""
        return bool(self.by.keys() & set(DATE_PARTS))


@lru_cache(maxsize=4096)
def parse_rule(text: str) -> Rule:
    """Read an RRULE value. Raises ValueError for what RFC 5545 does not know or that has no meaning."""
    if len(text) > _MAX_LENGTH:
        raise ValueError("rule too long")
    parts: dict[str, str] = {}
    for part in text.upper().replace(" ", "").rstrip(";").split(";"):
        name, separator, value = part.partition("=")
        if not separator or parts.setdefault(name, value) != value:
            raise ValueError("malformed rule part")
    freq = FREQUENCIES.index(parts.pop("FREQ", ""))
    interval = _number(parts.pop("INTERVAL", "1"), 1, 10**6)
    count = _number(parts.pop("COUNT"), 1, 10**9) if "COUNT" in parts else None
    until = _parse_until(parts.pop("UNTIL")) if "UNTIL" in parts else None
    wkst = _WEEKDAYS.index(parts.pop("WKST", "MO"))
    # RFC 7529: the only calendar and the only way of skipping that are the ones of RFC 5545.
    if parts.pop("RSCALE", "GREGORIAN") != "GREGORIAN" or parts.pop("SKIP", "OMIT") != "OMIT":
        raise ValueError("unknown calendar scale")
    by: dict[str, tuple[Any, ...]] = {}
    if "BYDAY" in parts:
        by["byweekday"] = _parse_days(parts.pop("BYDAY"), freq, "BYMONTH" in parts)
    for name, value in parts.items():
        keyword, least, greatest, negative = _NUMBERS.get(name, ("", 0, 0, False))
        if not keyword:
            raise ValueError("unknown rule part")
        by[keyword] = _parse_numbers(value, least, greatest, negative=negative)
    if "bysecond" in by:  # a leap second, which datetime does not know
        by["bysecond"] = tuple(sorted({min(second, 59) for second in by["bysecond"]}))
    coarse = _coarser(freq, interval, by)
    return Rule(coarse, freq, interval, count, until, wkst, MappingProxyType(by))


def _number(text: str, least: int, greatest: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 10 or not least <= int(text) <= greatest:
        raise ValueError("number out of range")
    return int(text)


def _parse_numbers(text: str, least: int, greatest: int, *, negative: bool) -> tuple[int, ...]:
    values: set[int] = set()
    for item in text.split(","):
        number = _number(item.lstrip("+-"), least, greatest)
        if item.startswith("-") and not negative:
            raise ValueError("number out of range")
        values.add(-number if item.startswith("-") else number)
    return tuple(sorted(values))


def _parse_days(text: str, freq: int, within_months: bool) -> tuple[weekday, ...]:
    days: set[tuple[int, int]] = set()
    for item in text.split(","):
        match = _BYDAY.fullmatch(item)
        number = int(match[1] or 0) if match else 54
        if match is None or abs(number) > 53 or (match[1] and not number):
            raise ValueError("malformed day")
        days.add((_WEEKDAYS.index(match[2]), number if freq <= MONTHLY else 0))
    if any(number for _, number in days):
        # dateutil would read "MO,1TU" as both at once; and an ordinal past the month's end trips it.
        greatest = 5 if freq == MONTHLY or within_months else 53
        every = {(day, n) for day, number in days if not number for n in range(1, greatest + 1)}
        days = {(day, n) for day, n in days if 0 < abs(n) <= greatest} | every
        if not days:
            raise ValueError("no such day")
    return tuple(weekday(day, number or None) for day, number in sorted(days))


def _parse_until(text: str) -> date | datetime:
    match = _UNTIL.fullmatch(text)
    if match is None:
        raise ValueError("malformed UNTIL")
    if match[4] is None:
        return date(int(match[1]), int(match[2]), int(match[3]))
    year, month, day, hour, minute, second = (int(number) for number in match.groups()[:6])
    return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC if match[7] else None)


def _coarser(freq: int, interval: int, by: Mapping[str, tuple[Any, ...]]) -> int:
    own = {SECONDLY: "bysecond", MINUTELY: "byminute", HOURLY: "byhour"}
    while interval == 1 and "bysetpos" not in by and freq in own and own[freq] in by:
        freq -= 1
    return freq


def too_dense(rule: Rule, start: datetime, limit: int) -> bool:
    """Whether the rule makes more than `limit` instances within a year, or costs too much to lay out."""
    if rule.count is not None and rule.count <= limit and not rule.by:
        return False
    by = {name: len(values) for name, values in rule.by.items()}
    seconds, minutes, hours = by.get("bysecond", 1), by.get("byminute", 1), by.get("byhour", 1)
    days = 366.0 * len({day.weekday for day in rule.by.get("byweekday", ())} or range(7)) / 7
    if rule.freq < HOURLY:
        per_day = float(seconds * minutes * hours)
        days /= rule.interval if rule.freq in {WEEKLY, DAILY} else 1
        if rule.freq < DAILY and not by.keys() & set(DATE_PARTS):
            days = {YEARLY: 1.0, MONTHLY: 12.0, WEEKLY: 53.0}[rule.freq]
    else:
        per_day = 86400 / (SECONDS[rule.freq] * rule.interval)
        if per_day > _STEPS_PER_DAY:
            return True
        per_day *= hours / 24 if "byhour" in by else 1
        if rule.freq == HOURLY:
            per_day *= minutes * seconds
        else:
            per_day *= minutes / 60 if "byminute" in by else 1
            per_day *= seconds if rule.freq == MINUTELY else seconds / 60 if "bysecond" in by else 1
    if rule.until is not None:
        days = min(days, max((_naive(rule.until) - start).days + 2, 0))
    total = min(per_day * days, rule.count or float("inf"))
    return per_day > limit or total > limit


def _naive(value: date | datetime) -> datetime:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return datetime.combine(value, datetime.max.time().replace(microsecond=0))
