"""One rule laid out over local time (RFC 5545 section 3.3.10).

Times are naive; a zone is attached afterwards. dateutil does the arithmetic. Around it stand what RFC 5545 says and
dateutil does not, and bounds on the time that a hostile rule may take.
"""

from __future__ import annotations

from calendar import isleap
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from itertools import count as count_up
from itertools import dropwhile, product
from typing import Any, Literal, cast

from dateutil.rrule import rrule, weekday

from calendarsync.domain.recurrence_days import matches
from calendarsync.domain.recurrence_rule import (
    DAILY,
    DATE_PARTS,
    HOURLY,
    MINUTELY,
    MONTHLY,
    SECONDLY,
    SECONDS,
    WEEKLY,
    YEARLY,
    Rule,
)

MAX_GIVEN = 50_000
"""How many times are gone through, of a rule or a series, to lay it out over a window."""


class TooManyGiven(ValueError):  # noqa: N818 - it says what it is
    """More than `MAX_GIVEN` times would have to be gone through."""


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
    period = step * SECONDS[rule.freq]
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
    selectors = by.keys() & set(DATE_PARTS)
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
    step = rule.interval * 86400 if rule.freq == DAILY else rule.interval * SECONDS.get(rule.freq, 0)
    for number in range(22_000):
        try:
            yield (start + timedelta(seconds=number * max(step, 86400))).date()
        except OverflowError:
            return


def _leaves(day: date, rule: Rule, by: Mapping[str, tuple[Any, ...]]) -> bool:
    return matches(day, by, rule.wkst, within_month=rule.freq == MONTHLY or "bymonth" in by)
