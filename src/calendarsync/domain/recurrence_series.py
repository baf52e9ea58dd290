"""A series made ready to be laid out: its instances as local times, moved and measured.

`calendarsync.domain.recurrence` says how RFC 5545 is read here, and is what other modules use.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from calendarsync.domain.event import (
    Component,
    Duration,
    EventTime,
    Problem,
    Recurrence,
    RecurrenceDate,
    master_of,
)
from calendarsync.domain.occurrences import MAX_GIVEN, TooManyGiven, occurrences
from calendarsync.domain.recurrence_rule import HOURLY, Rule, parse_rule, too_dense
from calendarsync.domain.times import in_form_of
from calendarsync.domain.timezones import zone_info

LIMIT = 10_000
"""Most instances that one resource may have in one window, and most dates that it may list."""

MAX_RULES = 16
LONG = timedelta(days=36_525)
"""A rule that has not run out in a hundred years counts as endless: some hardly ever match."""
_DAY = timedelta(days=1)
_EARLIEST = datetime(1, 1, 3)  # noqa: DTZ001 - local time
_LATEST = datetime(9999, 12, 29)  # noqa: DTZ001 - local time


def used_up(count: int, starts: Sequence[datetime]) -> bool:
    """Whether a rule's COUNT is spent on these starts; DTSTART may take one of it without being among them."""
    return not starts or len(starts) >= count - 1


class RecurrenceError(Exception):
    """A recurrence set that cannot be laid out; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.value)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a resource. Cancelled overrides are instances too: `component.status` tells.

    `component` is the override that it comes from, else the master. `original` is its original start in the
    master's own terms, or the RECURRENCE-ID of an override that matches nothing; None for a single event.
    """

    component: Component
    original: EventTime | None
    start: EventTime
    end: EventTime


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


_Placed = tuple[datetime, datetime, EventTime, EventTime]
"""Start and end in UTC, and the same as event times."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """An override for this and future instances: from `instant` on, `shift` on the clock."""

    instant: datetime
    component: Component
    shift: timedelta


@dataclass(slots=True)
class Series:
    """A resource made ready to be laid out; local times are those of the master's zone."""

    components: Sequence[Component]
    floating: str
    master: Component | None = None
    overrides: list[Component] = field(default_factory=list)
    originals: dict[datetime, Component] = field(default_factory=dict)
    skipped: set[datetime] = field(default_factory=set)
    turns: list[_Turn] = field(default_factory=list)
    dates: list[tuple[datetime, RecurrenceDate | None]] = field(default_factory=list)
    excluded: set[datetime] = field(default_factory=set)
    excluded_days: set[date] = field(default_factory=set)
    rules: list[Rule] = field(default_factory=list)
    exrules: list[Rule] = field(default_factory=list)
    zone: ZoneInfo = field(default_factory=lambda: zone_info("UTC"))
    zero: datetime = _EARLIEST
    _ends: dict[int, Callable[[EventTime, datetime], tuple[datetime, EventTime]]] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        self.master = master_of(self.components)
        self.overrides = [component for component in self.components if component.recurrence_id is not None]
        if self.master is None:
            return
        start = self.master.start
        self.zone = zone_info(start.zone or self.floating)
        self.zero = start.local
        self._read_recurrence(self.master.recurrence or Recurrence())
        for component in self.overrides:
            assert component.recurrence_id is not None
            local = self.localised(component.recurrence_id)
            instant = self._named(local)
            self.originals[instant] = component
            if component.this_and_future:
                self.turns.append(_Turn(instant, component, component.start.local - local))
        self.turns.sort(key=lambda turn: turn.instant)

    def _read_recurrence(self, recurrence: Recurrence) -> None:
        assert self.master is not None
        start = self.master.start
        if max(len(recurrence.rdates), len(recurrence.exdates)) > LIMIT:
            raise RecurrenceError(Problem.TOO_MANY_INSTANCES)
        self.rules = [rule_for(text, start) for text in recurrence.rrules[:MAX_RULES]]
        self.exrules = [rule_for(text, start) for text in recurrence.exrules[:MAX_RULES]]
        for extra in recurrence.rdates:
            plain = extra.end is None and extra.duration is None
            self.dates.append((self.localised(extra.start), None if plain else extra))
        self.dates.sort(key=lambda pair: pair[0])
        for excluded in recurrence.exdates:
            if excluded.all_day and not start.all_day:
                self.excluded_days.add(excluded.local.date())
            else:
                self.excluded.add(self._named(self.localised(excluded)))

    def _named(self, local: datetime) -> datetime:
        """The instant of an instance that is named so; noted in `skipped` where no clock shows that local time."""
        instant = self.utc(local)
        if self._shown(instant) != local:
            self.skipped.add(instant)
        return instant

    def _shown(self, instant: datetime) -> datetime:
        return instant.astimezone(self.zone).replace(tzinfo=None)

    def utc(self, local: datetime) -> datetime:
        return local.replace(tzinfo=self.zone).astimezone(UTC)

    def localised(self, value: EventTime) -> datetime:
        """A time that names an instance, in the master's terms."""
        assert self.master is not None
        return in_form_of(value, self.master.start, self.floating).local

    def instances(self, first: datetime, last: datetime) -> Iterator[tuple[datetime, datetime, Instance]]:
        """Instances that may overlap [first, last), with their starts and ends in UTC; unsorted."""
        single = self.master is not None and self.master.recurrence is None and not self.overrides
        for component in self.overrides:
            start, end, start_time, end_time = self.placed(component, component.start)
            yield start, end, Instance(component, self._original(component), start_time, end_time)
        if self.master is None:
            return
        reach = self._reach()
        after = moved(first.astimezone(UTC).replace(tzinfo=None), -reach)
        before = moved(last.astimezone(UTC).replace(tzinfo=None), reach)
        seen: set[datetime] = set()
        is_hole = self._holes(after, before)
        for number, (local, period) in enumerate(self._locals(after, before)):
            if number > MAX_GIVEN:  # one that is long makes the window wide for many that are short
                raise RecurrenceError(Problem.TOO_MANY_INSTANCES)
            instant = self.utc(local)
            if instant in seen or self._is_named(instant, local):
                continue
            if (self.excluded_days and local.date() in self.excluded_days) or is_hole(local):
                continue
            seen.add(instant)
            placed = self.resolve(local, period, instant)
            if placed is None:
                continue
            start, end, start_time, end_time, component = placed
            original = None if single else self._time(local)
            yield start, end, Instance(component, original, start_time, end_time)

    def _is_named(self, instant: datetime, local: datetime) -> bool:
        """Whether an override or an EXDATE names this instance.

        Where clocks leave out a day, two days have one instant: the name of the first is not one of the second.
        """
        if instant not in self.originals and instant not in self.excluded:
            return False
        return instant not in self.skipped or self._shown(instant) != local

    def _original(self, component: Component) -> EventTime:
        assert component.recurrence_id is not None
        if self.master is None:
            return component.recurrence_id
        return self._time(self.localised(component.recurrence_id))

    def _time(self, local: datetime) -> EventTime:
        assert self.master is not None
        start = self.master.start
        return EventTime(local.date()) if start.all_day else EventTime(local, start.zone)

    def _reach(self) -> timedelta:
        """How far outside the window an instance may begin that reaches into it, on any clock."""
        assert self.master is not None
        lengths = [timedelta()]
        for component in (self.master, *(turn.component for turn in self.turns)):
            start, end = self.placed(component, component.start)[:2]
            lengths.append(end - start)
        for local, period in self.dates:
            placed = self.resolve(local, period) if period is not None else None
            if placed is not None:
                lengths.append(placed[1] - placed[0])
        shifts = [abs(turn.shift) for turn in self.turns]
        return max(lengths) + max(shifts, default=timedelta()) + 2 * _DAY

    def _locals(self, after: datetime, before: datetime) -> Iterator[tuple[datetime, RecurrenceDate | None]]:
        """Candidates in local time, ascending; a PERIOD comes before a plain date at the same time."""
        # A list is sorted once; merged with the rules' generators, nothing is laid out before it is needed.
        dates = sorted([(self.zero, None), *self.dates], key=lambda pair: (pair[0], pair[1] is None))
        within = (pair for pair in dates if after <= pair[0] <= before)
        if not self.rules:
            return iter(list(within))
        streams: list[Iterable[tuple[datetime, RecurrenceDate | None]]] = [within]
        # DTSTART may belong to any one of several rules; only a single one is sure to have it among its COUNT.
        alone = len(self.rules) == 1
        for rule in self.rules:
            starts = self.starts(rule, after, before, counts_start=alone)
            streams.append((local, None) for local in starts)
        return heapq.merge(*streams, key=lambda pair: pair[0])

    def starts(
        self, rule: Rule, after: datetime, before: datetime, *, counts_start: bool = True
    ) -> Iterator[datetime]:
        """The local starts that one rule gives between two local times, its UNTIL applied."""
        bound, exact = self._until(rule)
        slack = moved(bound, -2 * _DAY)
        try:
            for local in occurrences(rule, self.zero, after, min(before, bound), counts_start=counts_start):
                if exact is None or local < slack or self.utc(local) <= exact:
                    yield local
        except TooManyGiven as error:
            raise RecurrenceError(Problem.TOO_MANY_INSTANCES) from error
        except ValueError as error:
            raise RecurrenceError(Problem.BAD_RECURRENCE) from error

    def _until(self, rule: Rule) -> tuple[datetime, datetime | None]:
        """The latest local start that UNTIL allows, and where it is given in UTC, that instant.

        RFC 5545 section 3.3.10 wants UNTIL to be of DTSTART's kind. A date beside a time means that whole
        day, a time beside a date means its date.
        """
        assert self.master is not None
        until = rule.until
        if until is None:
            return _LATEST, None
        if not isinstance(until, datetime):
            return datetime.combine(until, time.max), None
        if self.master.start.all_day:
            return datetime.combine(until.date(), time.max), None
        if until.tzinfo is None:
            return until, None
        return moved(until.replace(tzinfo=None), _DAY), until

    def _holes(self, after: datetime, before: datetime) -> Callable[[datetime], bool]:
        """Whether an EXRULE takes out a local time, asked in ascending order.

        EXRULE is of RFC 2445; RFC 5545 deprecates it, calendars still have it.
        """
        rules = [self.starts(rule, after, before, counts_start=False) for rule in self.exrules]
        merged = heapq.merge(*rules)
        current = next(merged, None)

        def is_hole(local: datetime) -> bool:
            nonlocal current
            while current is not None and current < local:
                current = next(merged, None)
            return current == local

        return is_hole

    def final_starts(self) -> tuple[list[datetime], bool]:
        """The last local start of every rule that ends, and whether any does not, or not within a hundred years."""
        finals: list[datetime] = []
        for rule in self.rules:
            if rule.endless:
                return finals, True
            if rule.count is not None:
                far = moved(self.zero, LONG)
                counted = self.starts(rule, self.zero, far, counts_start=len(self.rules) == 1)
                starts = list(islice(counted, MAX_GIVEN))
                if len(starts) == MAX_GIVEN or not used_up(rule.count, starts):
                    return finals, True
            else:
                starts = self._final_before_until(rule)
            finals += starts[-1:]
        return finals, False

    def _final_before_until(self, rule: Rule) -> list[datetime]:
        bound = self._until(rule)[0]
        back = 32 * _DAY
        while True:
            begin = moved(bound, -back)
            starts = list(islice(self.starts(rule, max(begin, self.zero), bound), MAX_GIVEN))
            if starts or begin <= self.zero:
                return starts
            back *= 8

    def resolve(
        self, local: datetime, period: RecurrenceDate | None, instant: datetime | None = None
    ) -> tuple[datetime, datetime, EventTime, EventTime, Component] | None:
        """Where the instance that originally starts at `local` lies; None beyond the calendar's ends."""
        assert self.master is not None
        component = self.master
        try:
            start = self._time(local)
            if self.turns:
                instant = instant or self.utc(local)
                turn = next((turn for turn in reversed(self.turns) if turn.instant <= instant), None)
                if turn is not None:
                    component = turn.component
                    start, instant = _turned(turn, local), None
            if period is not None:
                component_end = Component("", start, end=period.end, duration=period.duration)
                return *self._measured(component_end, start), component
            return *self.placed(component, start, instant), component
        except OverflowError:
            return None

    def _measured(self, component: Component, start: EventTime) -> _Placed:
        instant = start.instant(self.floating)
        end, end_time = self._end_of(component)(start, instant)
        return instant, end, start, end_time

    def placed(self, component: Component, start: EventTime, instant: datetime | None = None) -> _Placed:
        """`component` as if it started at `start`."""
        if instant is None:
            instant = start.instant(self.floating)
        end_of = self._ends.get(id(component))
        if end_of is None:
            end_of = self._ends[id(component)] = self._end_of(component)
        end, end_time = end_of(start, instant)
        return instant, end, start, end_time

    def _end_of(self, component: Component) -> Callable[[EventTime, datetime], tuple[datetime, EventTime]]:
        """How to find the end: DTEND is an exact distance, DURATION is nominal in its days (3.8.5.3)."""
        floating = self.floating
        if component.start.all_day:
            return _all_day_end(component, floating)
        if component.end is not None:
            length = component.end.instant(floating) - component.start.instant(floating)
            name = component.end.zone if not component.end.all_day else component.start.zone
        else:
            duration = component.duration or Duration()
            if duration.days:
                return _nominal_end(duration, floating)
            length = timedelta(seconds=duration.seconds)
            name = component.start.zone
        zone = zone_info(name or floating)

        def exact_end(start: EventTime, instant: datetime) -> tuple[datetime, EventTime]:
            end = instant + length
            return end, EventTime(end.astimezone(zone).replace(tzinfo=None), name)

        return exact_end


def _all_day_end(
    component: Component, floating: str
) -> Callable[[EventTime, datetime], tuple[datetime, EventTime]]:
    if component.end is not None:
        length = component.end.local.date() - component.start.local.date()
    else:
        duration = component.duration or Duration(days=1)
        length = timedelta(days=duration.days + -(-duration.seconds // 86400))

    def end_of(start: EventTime, instant: datetime) -> tuple[datetime, EventTime]:
        end = EventTime(start.local.date() + length)
        return end.instant(floating), end

    return end_of


def _nominal_end(
    duration: Duration, floating: str
) -> Callable[[EventTime, datetime], tuple[datetime, EventTime]]:
    def end_of(start: EventTime, instant: datetime) -> tuple[datetime, EventTime]:
        day = EventTime(start.local + timedelta(days=duration.days), start.zone)
        end = day.instant(floating) + timedelta(seconds=duration.seconds)
        local = end.astimezone(zone_info(start.zone or floating)).replace(tzinfo=None)
        return end, EventTime(local, start.zone)

    return end_of


def _turned(turn: _Turn, local: datetime) -> EventTime:
    start = turn.component.start
    moved = local + turn.shift
    return EventTime(moved.date()) if start.all_day else EventTime(moved, start.zone)


def moved(value: datetime, distance: timedelta) -> datetime:
    """`value + distance`, kept within the years that datetime knows, with room for any UTC offset."""
    try:
        return min(max(value + distance, _EARLIEST), _LATEST)
    except OverflowError:
        return _LATEST if distance > timedelta() else _EARLIEST
