"""The patterns by which Outlook and Exchange let an event recur, and which RRULEs they can say.

Six kinds are there (https://learn.microsoft.com/graph/api/resources/recurrencepattern), each with one rule, one
time of day and one start. What an RRULE says beyond them, and RDATE, a series there cannot hold; nor has it an
instance at its start that its rule does not give, as DTSTART is in RFC 5545.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from calendarsync.domain.event import EventTime
from calendarsync.domain.occurrences import occurrences
from calendarsync.domain.recurrence_rule import DAILY, MONTHLY, WEEKLY, YEARLY, Rule
from calendarsync.domain.rule_starts import RecurrenceError, rule_for
from calendarsync.domain.timezone_to_windows import windows_name

MAX_COUNT = 999
MAX_INTERVALS = {DAILY: 999, WEEKLY: 99, MONTHLY: 99, YEARLY: 8}
"""The limits of EWS and of [MS-OXOCAL], which keeps years as at most 99 months. Assumed to hold for Graph too."""

YEAR_WITHOUT_END = 4500
"""A series that ends in it or later has no end ([MS-OXOCAL] section 2.2.1.44.1, EndDate)."""

EVERY_DAY = tuple(range(7))
LAST = -1
_MONTH_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_CLOCK = {"byhour", "byminute", "bysecond"}


class PatternKind(StrEnum):
    """The values of Graph's `recurrencePatternType`."""

    DAILY = "daily"
    WEEKLY = "weekly"
    ABSOLUTE_MONTHLY = "absoluteMonthly"
    RELATIVE_MONTHLY = "relativeMonthly"
    ABSOLUTE_YEARLY = "absoluteYearly"
    RELATIVE_YEARLY = "relativeYearly"


@dataclass(frozen=True, slots=True)
class Pattern:
    """One rule. Days of the week count from Monday = 0.

    `days` and `first_day` belong to weekly patterns; `days` and `index` (1 to 4, or `LAST`) to relative ones,
    which fall on the `index`-th of all those days together; `month_day` to absolute ones: a day that a month
    lacks is its last. It ends after `count` instances, or with the day `until`, or never.
    """

    kind: PatternKind
    interval: int = 1
    days: tuple[int, ...] = ()
    first_day: int = 0
    index: int = 1
    month_day: int = 0
    month: int = 0
    count: int | None = None
    until: date | None = None


def holds_rule(rrule: str, start: EventTime) -> bool:
    """Whether a series in Outlook can recur exactly so: rule, start and zone. `rrule` is an RRULE value.

    Its zone has to be one that Windows has a name for. A floating start is none.
    """
    if not start.all_day and (start.zone is None or windows_name(start.zone) is None):
        return False
    return pattern_of(rrule, start) is not None


@lru_cache(maxsize=1024)
def pattern_of(rrule: str, start: EventTime) -> Pattern | None:
    """The pattern that gives the same instances as this RRULE does from `start` on; None where there is none."""
    try:
        rule = rule_for(rrule, start)
    except RecurrenceError:
        return None
    limit = MAX_INTERVALS.get(rule.written_freq, 0)
    if rule.interval > limit or (rule.count or 1) > MAX_COUNT or not _one_time_of_day(rule, start.local):
        return None
    if next(occurrences(rule, start.local, start.local, start.local), None) != start.local:
        return None
    pattern = _repeating(rule, start.local)
    ends = rule.until is not None and rule.until.year < YEAR_WITHOUT_END
    until = _last_day(rule.until, start) if rule.until is not None and ends else None
    if pattern is None or (until is not None and until < start.local.date()):
        return None
    return replace(pattern, interval=rule.interval, count=rule.count, until=until)


def _repeating(rule: Rule, start: datetime) -> Pattern | None:
    """The days alone: neither interval nor end."""
    parts = rule.by.keys() - _CLOCK
    if rule.written_freq == DAILY:
        return _daily(rule, parts)
    if rule.written_freq == WEEKLY:
        return _weekly(rule, parts, start)
    months = rule.by.get("bymonth", (start.month,) if _takes_month_of_start(rule) else ())
    if rule.written_freq == YEARLY and len(months) != 1:
        return None
    if rule.written_freq == MONTHLY and months:
        return None
    month = months[0] if months else None
    if "byweekday" in parts:
        return _relative(rule, parts, month)
    return _absolute(rule, parts, month, start)


def _daily(rule: Rule, parts: Collection[str]) -> Pattern | None:
    if not parts:
        return Pattern(PatternKind.DAILY)
    if set(parts) == {"byweekday"} and rule.interval == 1:
        return Pattern(PatternKind.WEEKLY, days=_days(rule), first_day=rule.wkst)
    return None


def _weekly(rule: Rule, parts: Collection[str], start: datetime) -> Pattern | None:
    if set(parts) - {"byweekday"}:
        return None
    days = _days(rule) or (start.weekday(),)
    return Pattern(PatternKind.WEEKLY, days=days, first_day=rule.wkst)


def _takes_month_of_start(rule: Rule) -> bool:
    """RFC 5545: a yearly rule without BYMONTH and BYDAY takes both from DTSTART, with BYMONTHDAY it means all."""
    return rule.written_freq == YEARLY and not rule.by.keys() - _CLOCK


def _absolute(rule: Rule, parts: Collection[str], month: int | None, start: datetime) -> Pattern | None:
    if set(parts) - {"bymonth", "bymonthday", "bysetpos"}:
        return None
    days = rule.by.get("bymonthday", (start.day,))
    shortest = 28 if month is None else _MONTH_LENGTHS[month - 1]
    day: int | None = None
    if "bysetpos" in parts:
        # The 28th to the 30th, the last of them that there is: the 30th, or the month's end.
        ending = days == tuple(range(28, days[-1] + 1)) and rule.by["bysetpos"] == (-1,)
        day = days[-1] if ending and days[-1] > 28 and month in (None, 2) else None
    elif len(days) == 1 and 1 <= days[0] <= shortest:
        day = days[0]
    elif days == (-1,):
        return Pattern(_kind("relative", month), days=EVERY_DAY, index=LAST, month=month or 0)
    if day is None:
        return None
    return Pattern(_kind("absolute", month), month_day=day, month=month or 0)


def _relative(rule: Rule, parts: Collection[str], month: int | None) -> Pattern | None:
    """BYDAY with one ordinal, or with one BYSETPOS over all its days."""
    if set(parts) - {"bymonth", "byweekday", "bysetpos"}:
        return None
    ordinals = {day.n for day in rule.by["byweekday"]}
    positions = rule.by.get("bysetpos", ())
    if ordinals == {None} and len(positions) == 1:
        index = positions[0]
    elif len(rule.by["byweekday"]) == 1 and None not in ordinals and not positions:
        index = ordinals.pop()
    else:
        return None
    if index not in (1, 2, 3, 4, LAST):
        return None
    return Pattern(_kind("relative", month), days=_days(rule), index=index, month=month or 0)


def _kind(way: str, month: int | None) -> PatternKind:
    return PatternKind(way + ("Monthly" if month is None else "Yearly"))


def _days(rule: Rule) -> tuple[int, ...]:
    return tuple(sorted({day.weekday for day in rule.by.get("byweekday", ())}))


def _one_time_of_day(rule: Rule, start: datetime) -> bool:
    own = {"byhour": start.hour, "byminute": start.minute, "bysecond": start.second}
    return all(rule.by[part] == (own[part],) for part in rule.by.keys() & _CLOCK)


def _last_day(until: date | datetime, start: EventTime) -> date:
    """The last day on which an instance may start, in the zone of `start`."""
    if not isinstance(until, datetime):
        return until
    if start.all_day:
        return until.date()
    day = until.date() + timedelta(days=1)
    latest = until if until.tzinfo is None else None
    for _ in range(3):
        local = datetime.combine(day, start.local.time())
        if (local <= latest) if latest else (EventTime(local, start.zone).instant("UTC") <= until):
            break
        day -= timedelta(days=1)
    return day
