"""One RRULE value: read, kept within bounds, and laid out over local time (RFC 5545 section 3.3.10).

Rules are laid out in naive local time; a zone is attached afterwards. dateutil does the arithmetic. Around it
stand what RFC 5545 says and dateutil does not, and bounds on the time that a hostile rule may take.
"""

from __future__ import annotations

import re
from calendar import isleap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import count as count_up
from itertools import dropwhile, product
from types import MappingProxyType
from typing import Any, Literal, cast

from dateutil.rrule import rrule, weekday

from calendarsync.domain.recurrence_days import matches

YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY, SECONDLY = range(7)
FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")
_SECONDS = {HOURLY: 3600, MINUTELY: 60, SECONDLY: 1}
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_MAX_LENGTH = 4000
_STEPS_PER_DAY = 1440
MAX_GIVEN = 50_000
"""How many times are gone through, of a rule or a series, to lay it out over a window."""

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
_DATE_PARTS = ("bymonth", "bymonthday", "byyearday", "byweekno", "byweekday")


class TooManyGiven(ValueError):  # noqa: N818 - it says what it is
    """More than `MAX_GIVEN` times would have to be gone through."""


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
        return bool(self.by.keys() & set(_DATE_PARTS))


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
        if rule.freq < DAILY and not by.keys() & set(_DATE_PARTS):
            days = {YEARLY: 1.0, MONTHLY: 12.0, WEEKLY: 53.0}[rule.freq]
    else:
        per_day = 86400 / (_SECONDS[rule.freq] * rule.interval)
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


def occurrences(
    rule: Rule, start: datetime, after: datetime, before: datetime, *, counts_start: bool = True
) -> Iterator[datetime]:
    """The rule's local times from about `after` to `before`, ascending; UNTIL is left to the caller.

    `start` is DTSTART's local reading. It takes one of COUNT's instances also where it does not match the
    rule (`counts_start`), but is given only where it does. Raises TooManyGiven where it gives too many: a COUNT is
    counted from the start, whatever `after` is.
    """
    keywords: dict[str, Any] = _filled(rule, start)
    if _never(rule, keywords, start):
        return
    begin = start if rule.count is not None else _jump(rule, start, after)
    left = rule.count
    generator = dropwhile(lambda value: value < start, _times(rule, keywords, begin, before))
    first = True
    for number in count_up(1):
        try:
            value = next(generator)
        except StopIteration:
            return
        except (IndexError, OverflowError, ValueError):
            return  # dateutil stumbles over the end of time, or finds that nothing can match
        if left is not None:
            if first and counts_start and value != start:
                left -= 1
            left -= 1
            if left < 0:
                return
        first = False
        if value > before:
            return
        if number > MAX_GIVEN:
            raise TooManyGiven
        if value >= after:
            yield value


def _filled(rule: Rule, start: datetime) -> dict[str, Any]:
    """The rule's parts with what DTSTART adds to them: any start in step then gives the same times."""
    by = dict(rule.by)
    if "byweekno" in by and not by.keys() & {"byweekday", "bymonthday", "byyearday"}:
        by["byweekday"] = (weekday(start.weekday()),)  # dateutil would take all seven days
    if not by.keys() & {"byweekno", "byyearday", "bymonthday", "byweekday"}:
        if rule.freq == YEARLY:
            by.setdefault("bymonth", (start.month,))
        if rule.freq <= MONTHLY:
            by["bymonthday"] = (start.day,)
        elif rule.freq == WEEKLY:
            by["byweekday"] = (weekday(start.weekday()),)
    if rule.freq < HOURLY:
        by.setdefault("byhour", (start.hour,))
    if rule.freq < MINUTELY:
        by.setdefault("byminute", (start.minute,))
    if rule.freq < SECONDLY:
        by.setdefault("bysecond", (start.second,))
    return by


def _jump(rule: Rule, start: datetime, after: datetime) -> datetime:
    """A start in step with the rule's interval, one period or more before `after`."""
    step = rule.interval
    if rule.freq == YEARLY:
        years = (after.year - start.year - 1) // step * step
        return datetime(start.year + years, 1, 1) if years > 0 else start  # noqa: DTZ001 - local time
    if rule.freq == MONTHLY:
        months = ((after.year - start.year) * 12 + after.month - start.month - 1) // step * step
        years, month = divmod(start.month - 1 + months, 12)
        return datetime(start.year + years, month + 1, 1) if months > 0 else start  # noqa: DTZ001 - local time
    if rule.freq in {WEEKLY, DAILY}:
        days = step * (7 if rule.freq == WEEKLY else 1)
        midnight = datetime(start.year, start.month, start.day)  # noqa: DTZ001 - local time
        ahead = ((after - midnight).days // days - 1) * days
        return midnight + timedelta(days=ahead) if ahead > 0 else start
    period = step * _SECONDS[rule.freq]
    ahead = (int((after - start).total_seconds()) // period - 1) * period
    return start + timedelta(seconds=ahead) if ahead > 0 else start


def _times(rule: Rule, by: dict[str, Any], begin: datetime, before: datetime) -> Iterator[datetime]:
    """All times from about `begin` on. Raises IndexError, OverflowError and ValueError at the end of time."""
    if "byweekno" in by and rule.freq == YEARLY:
        return _by_weeks(rule, by, begin, before)
    if "bysetpos" in by and rule.freq == WEEKLY and begin.toordinal() > 7:
        # dateutil counts them in what is left of the week that it begins in: that has to be all of it.
        begin -= timedelta(days=(begin.weekday() - rule.wkst) % 7)
    freq = cast("Literal[0, 1, 2, 3, 4, 5, 6]", rule.freq)
    try:
        return iter(rrule(freq, dtstart=begin, interval=rule.interval, wkst=rule.wkst, **by))
    except ValueError:
        return iter(())  # its steps never meet the hours, minutes or seconds that it names


def _by_weeks(
    rule: Rule, by: Mapping[str, tuple[Any, ...]], begin: datetime, before: datetime
) -> Iterator[datetime]:
    """A yearly rule with BYWEEKNO: dateutil mistakes the weeks that lie in two years."""
    parts = [sorted(by[part]) for part in ("byhour", "byminute", "bysecond")]
    times = [
        timedelta(hours=hour, minutes=minute, seconds=second) for hour, minute, second in product(*parts)
    ]
    for year in range(begin.year, before.year + 1, rule.interval):
        first = datetime(year, 1, 1)  # noqa: DTZ001 - local time
        days = (first + timedelta(days=number) for number in range(365 + isleap(year)))
        found = [day + each for day in days if _leaves(day.date(), rule, by) for each in times]
        places = {place - (place > 0) for place in by.get("bysetpos", ())}
        if "bysetpos" in by:
            size = len(found)
            found = [found[n] for n in sorted({place % size for place in places if -size <= place < size})]
        yield from found


def _never(rule: Rule, by: Mapping[str, tuple[Any, ...]], start: datetime) -> bool:
    """Whether nothing can match: dateutil would look for it up to the year 9999, for seconds."""
    if _beyond_any_set(rule, by):
        return True
    months = by.get("bymonth", range(1, 13))
    longest = max(29 if month == 2 else 30 if month in {4, 6, 9, 11} else 31 for month in months)
    if "bymonthday" in by and min(abs(day) for day in by["bymonthday"]) > longest:
        return True
    selectors = by.keys() & set(_DATE_PARTS)
    if rule.freq >= DAILY:
        doubtful = bool(selectors)
    elif rule.freq == WEEKLY:
        doubtful = bool(selectors & {"bymonthday", "byyearday", "byweekno"})
    else:
        doubtful = len(selectors - {"bymonth"}) > 1 or bool(selectors & {"byyearday", "byweekno"})
    return doubtful and not any(_leaves(day, rule, by) for day in _candidates(rule, start))


def _beyond_any_set(rule: Rule, by: Mapping[str, tuple[Any, ...]]) -> bool:
    """Whether every BYSETPOS lies past the greatest number of times that one period can hold."""
    if "bysetpos" not in by:
        return False
    days = (366, 31, len(by.get("byweekday", range(7))))[rule.freq] if rule.freq < DAILY else 1
    times = days
    for freq, name in ((HOURLY, "byhour"), (MINUTELY, "byminute"), (SECONDLY, "bysecond")):
        times *= len(by[name]) if rule.freq < freq else 1
    positions: tuple[int, ...] = by["bysetpos"]
    return min(abs(position) for position in positions) > times


def _candidates(rule: Rule, start: datetime) -> Iterator[date]:
    """Days that the rule looks at, over 60 years or more: weekdays and leap years come round in less."""
    step = rule.interval * 86400 if rule.freq == DAILY else rule.interval * _SECONDS.get(rule.freq, 0)
    for number in range(22_000):
        try:
            yield (start + timedelta(seconds=number * max(step, 86400))).date()
        except OverflowError:
            return


def _leaves(day: date, rule: Rule, by: Mapping[str, tuple[Any, ...]]) -> bool:
    return matches(day, by, rule.wkst, within_month=rule.freq == MONTHLY or "bymonth" in by)
