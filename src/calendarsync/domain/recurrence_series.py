"""A series made ready to be laid out: its instances as local times, moved and measured.

`calendarsync.domain.recurrence` says how RFC 5545 is read here, and is what other modules use.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from calendarsync.domain.event import (
    Component,
    EventTime,
    Problem,
    Recurrence,
    RecurrenceDate,
    master_of,
)
from calendarsync.domain.occurrences import MAX_GIVEN
from calendarsync.domain.recurrence_ends import EndOf, end_of
from calendarsync.domain.recurrence_rule import Rule
from calendarsync.domain.rule_starts import (
    EARLIEST,
    LIMIT,
    MAX_RULES,
    RecurrenceError,
    final_starts,
    moved,
    rule_for,
    starts_of,
)
from calendarsync.domain.times import in_form_of
from calendarsync.domain.timezones import zone_info

_DAY = timedelta(days=1)


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
    zero: datetime = EARLIEST
    _ends: dict[int, EndOf] = field(default_factory=dict)

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
        """As `starts_of`, from the master's DTSTART."""
        assert self.master is not None
        return starts_of(rule, self.master.start, self.zone, after, before, counts_start=counts_start)

    def final_starts(self) -> tuple[list[datetime], bool]:
        """The last local start of every rule that ends, and whether any does not, or not within a hundred years."""
        assert self.master is not None
        return final_starts(self.rules, self.master.start, self.zone)

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
        end, end_time = end_of(component, self.floating)(start, instant)
        return instant, end, start, end_time

    def placed(self, component: Component, start: EventTime, instant: datetime | None = None) -> _Placed:
        """`component` as if it started at `start`."""
        if instant is None:
            instant = start.instant(self.floating)
        find_end = self._ends.get(id(component))
        if find_end is None:
            find_end = self._ends[id(component)] = end_of(component, self.floating)
        end, end_time = find_end(start, instant)
        return instant, end, start, end_time


def _turned(turn: _Turn, local: datetime) -> EventTime:
    start = turn.component.start
    moved = local + turn.shift
    return EventTime(moved.date()) if start.all_day else EventTime(moved, start.zone)
