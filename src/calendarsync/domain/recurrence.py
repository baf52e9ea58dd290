"""Recurrence sets: which instances a series has, and when (RFC 5545 section 3.8.5).

Where RFC 5545 leaves room, this is how it is read here:

- DTSTART is always an instance, and one of COUNT's, also where the rule does not match it.
- A local time in a gap of the clocks is moved, not left out (section 3.3.5 over the older words of 3.3.10).
- Overrides, EXDATE and RDATE are matched by instant, whatever form they are written in. A date among them
  means the instances of that day where the series has times.
- An override that matches no instance stands alone. It wins over an EXDATE at its own place.
- `RANGE=THISANDFUTURE` moves the instances that follow by the same distance on the clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from itertools import islice

from calendarsync.domain.event import Component, EventTime, Problem, Recurrence, master_of
from calendarsync.domain.occurrences import occurrences
from calendarsync.domain.recurrence_rule import HOURLY, Rule
from calendarsync.domain.recurrence_series import Instance, Series
from calendarsync.domain.rule_starts import LIMIT, MAX_RULES, RecurrenceError, rule_for

__all__ = ["LIMIT", "Instance", "RecurrenceError", "expand", "holdable", "occurs_in", "span", "validate"]

_CLOCK = ("byhour", "byminute", "bysecond")


def expand(
    components: Sequence[Component], first: datetime, last: datetime, floating: str, *, limit: int = LIMIT
) -> list[Instance]:
    """All instances that overlap [first, last), sorted by start; without length, those that start within it.

    `first` and `last` are aware. Floating times and dates are read in the zone `floating`. Raises
    RecurrenceError for a rule that cannot be read, and for more than `limit` instances.
    """
    found = list(islice(_overlapping(components, first, last, floating), limit + 1))
    if len(found) > limit:
        raise RecurrenceError(Problem.TOO_MANY_INSTANCES)
    found.sort(key=lambda pair: pair[0])
    return [instance for _, instance in found]


def occurs_in(components: Sequence[Component], first: datetime, last: datetime, floating: str) -> bool:
    """Whether `expand` would give any instance. Raises RecurrenceError as `expand` does."""
    return next(_overlapping(components, first, last, floating), None) is not None


def span(components: Sequence[Component], floating: str) -> tuple[datetime, datetime | None]:
    """The first start and the last end in UTC over everything, instances left out by EXDATE included.

    The end is None where the series has none, or one too far off to look for. Raises RecurrenceError, and
    ValueError where there are no components.
    """
    series = Series(components, floating)
    firsts: list[datetime] = []
    lasts: list[datetime] = []
    for component in series.overrides:
        start, end = series.placed(component, component.start)[:2]
        firsts.append(start)
        lasts.append(end)
    endless = False
    if series.master is not None:
        finals, endless = series.final_starts()
        for local, period in [(series.zero, None), *series.dates, *((local, None) for local in finals)]:
            placed = series.resolve(local, period)
            if placed is not None:
                firsts.append(placed[0])
                lasts.append(placed[1])
    return min(firsts), None if endless else max(lasts)


def may_touch(components: Sequence[Component], first: datetime, last: datetime, floating: str) -> bool:
    """Whether the span of this reaches into [first, last); True where that cannot be told."""
    if not components:
        return True
    try:
        start, end = span(components, floating)
    except (RecurrenceError, ValueError, OverflowError):
        return True  # at the ends of time there may be no instance that can be said in UTC
    return start < last and (end is None or end > first or start == end == first)


def validate(components: Sequence[Component]) -> Problem | None:
    """What makes this recurrence set unusable, decided without a clock and without laying it out."""
    for component in components:
        recurrence = component.recurrence
        if recurrence is None:
            continue
        texts = (*recurrence.rrules, *recurrence.exrules)
        if len(texts) > MAX_RULES:
            return Problem.BAD_RECURRENCE
        if max(len(recurrence.rdates), len(recurrence.exdates)) > LIMIT:
            return Problem.TOO_MANY_INSTANCES
        try:
            for text in texts:
                rule_for(text, component.start)
        except RecurrenceError as error:
            return error.problem
    return None


def holdable(components: Sequence[Component]) -> bool:
    """Whether a CalDAV target can hold this as one series: RRULE, RDATE, EXDATE and overrides of one kind.

    Not so for what readers read differently or not at all: several RRULEs, EXRULE, RDATE with a PERIOD,
    THISANDFUTURE, rules by the hour or finer, a DTSTART that its rule does not match or that lies past its
    UNTIL; nor for what has no one form: a date that leaves out several times of its day, an override named by
    the other kind of time.
    """
    master = master_of(components)
    if master is None or any(component.this_and_future for component in components):
        return False
    recurrence = master.recurrence or Recurrence()
    if recurrence.exrules or len(recurrence.rrules) > 1:
        return False
    if any(extra.end is not None or extra.duration is not None for extra in recurrence.rdates):
        return False
    try:
        rules = [rule_for(text, master.start) for text in recurrence.rrules]
    except RecurrenceError:
        return False
    if not _of_one_form(components, master, recurrence, rules):
        return False
    return all(rule.written_freq < HOURLY and _in_step(rule, master.start) for rule in rules)


def _of_one_form(
    components: Sequence[Component], master: Component, recurrence: Recurrence, rules: Sequence[Rule]
) -> bool:
    """Whether all times that name instances can be written in the form of DTSTART, and mean the same."""
    names = [component.recurrence_id for component in components if component.recurrence_id is not None]
    if any(name.all_day != master.start.all_day for name in names):
        return False
    if master.start.all_day or not any(exdate.all_day for exdate in recurrence.exdates):
        return True
    once_a_day = all(len(rule.by.get(part, ())) < 2 for rule in rules for part in _CLOCK)
    return once_a_day and not recurrence.rdates


def _in_step(rule: Rule, start: EventTime) -> bool:
    local = start.local
    return next(occurrences(rule, local, local, local), None) == local and not _past(rule.until, start)


def _past(until: date | datetime | None, start: EventTime) -> bool:
    if until is None:
        return False
    if start.all_day or not isinstance(until, datetime):
        return start.local.date() > (until.date() if isinstance(until, datetime) else until)
    return start.instant("UTC") > until if until.tzinfo is not None else start.local > until


def _overlapping(
    components: Sequence[Component], first: datetime, last: datetime, floating: str
) -> Iterator[tuple[datetime, Instance]]:
    series = Series(components, floating)
    for start, end, instance in series.instances(first, last):
        if start < last and (end > first or (end == start and start >= first)):
            yield start, instance
