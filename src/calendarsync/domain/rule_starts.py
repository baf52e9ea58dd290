"""The local starts that a rule gives from its DTSTART on, its UNTIL and the ends of time applied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from calendarsync.domain.event import EventTime, Problem
from calendarsync.domain.occurrences import MAX_GIVEN, TooManyGiven, occurrences
from calendarsync.domain.recurrence_rule import HOURLY, Rule, parse_rule, too_dense

LIMIT = 10_000
"""Most instances that one resource may have in one window, and most dates that it may list."""

MAX_RULES = 16
"""Most rules that a component may have, RRULE and EXRULE together."""

LONG = timedelta(days=36_525)
"""A rule that has not run out in a hundred years counts as endless: some hardly ever match."""

EARLIEST = datetime(1, 1, 3)  # noqa: DTZ001 - local time
_LATEST = datetime(9999, 12, 29)  # noqa: DTZ001 - local time
_DAY = timedelta(days=1)


class RecurrenceError(Exception):
    """A recurrence set that cannot be laid out; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.value)
        self.problem = problem


def rule_for(text: str, start: EventTime) -> Rule:
    """The rule as it is meant for this DTSTART. Raises RecurrenceError."""
    try:
        rule = parse_rule(text)
    except (ValueError, KeyError) as error:
        raise RecurrenceError(Problem.BAD_RECURRENCE) from error
    if start.all_day:
        if rule.written_freq >= HOURLY:
            raise RecurrenceError(Problem.BAD_RECURRENCE)
        # RFC 5545 section 3.3.10: these "MUST be ignored" where DTSTART is a date.
        clock = {"byhour", "byminute", "bysecond"}
        if clock & rule.by.keys():
            by = {name: values for name, values in rule.by.items() if name not in clock}
            rule = Rule(rule.freq, rule.written_freq, rule.interval, rule.count, rule.until, rule.wkst, by)
    if too_dense(rule, start.local, LIMIT):
        raise RecurrenceError(Problem.TOO_MANY_INSTANCES)
    return rule


def starts_of(
    rule: Rule,
    start: EventTime,
    zone: ZoneInfo,
    after: datetime,
    before: datetime,
    *,
    counts_start: bool = True,
) -> Iterator[datetime]:
    """The local starts that one rule gives between two local times, its UNTIL applied."""
    bound, exact = _until(rule, start)
    slack = moved(bound, -2 * _DAY)
    try:
        for local in occurrences(rule, start.local, after, min(before, bound), counts_start=counts_start):
            if exact is None or local < slack or local.replace(tzinfo=zone).astimezone(UTC) <= exact:
                yield local
    except TooManyGiven as error:
        raise RecurrenceError(Problem.TOO_MANY_INSTANCES) from error
    except ValueError as error:
        raise RecurrenceError(Problem.BAD_RECURRENCE) from error


def _until(rule: Rule, start: EventTime) -> tuple[datetime, datetime | None]:
    """The latest local start that UNTIL allows, and where it is given in UTC, that instant.

    RFC 5545 section 3.3.10 wants UNTIL to be of DTSTART's kind. A date beside a time means that whole
    day, a time beside a date means its date.
    """
    until = rule.until
    if until is None:
        return _LATEST, None
    if not isinstance(until, datetime):
        return datetime.combine(until, time.max), None
    if start.all_day:
        return datetime.combine(until.date(), time.max), None
    if until.tzinfo is None:
        return until, None
    return moved(until.replace(tzinfo=None), _DAY), until


def final_starts(rules: Sequence[Rule], start: EventTime, zone: ZoneInfo) -> tuple[list[datetime], bool]:
    """The last local start of every rule that ends, and whether any does not, or not within a hundred years."""
    finals: list[datetime] = []
    for rule in rules:
        if rule.endless:
            return finals, True
        if rule.count is not None:
            far = moved(start.local, LONG)
            counted = starts_of(rule, start, zone, start.local, far, counts_start=len(rules) == 1)
            starts = list(islice(counted, MAX_GIVEN))
            if len(starts) == MAX_GIVEN or not used_up(rule.count, starts):
                return finals, True
        else:
            starts = _final_before_until(rule, start, zone)
        finals += starts[-1:]
    return finals, False


def _final_before_until(rule: Rule, start: EventTime, zone: ZoneInfo) -> list[datetime]:
    bound = _until(rule, start)[0]
    back = 32 * _DAY
    while True:
        begin = moved(bound, -back)
        starts = list(islice(starts_of(rule, start, zone, max(begin, start.local), bound), MAX_GIVEN))
        if starts or begin <= start.local:
            return starts
        back *= 8


def used_up(count: int, starts: Sequence[datetime]) -> bool:
    """Whether a rule's COUNT is spent on these starts; DTSTART may take one of it without being among them."""
    return not starts or len(starts) >= count - 1


def moved(value: datetime, distance: timedelta) -> datetime:
    """`value + distance`, kept within the years that datetime knows, with room for any UTC offset."""
    try:
        return min(max(value + distance, EARLIEST), _LATEST)
    except OverflowError:
        return _LATEST if distance > timedelta() else EARLIEST
