"""In which form a provider's calendar can hold a series (SEMANTICS rule 12). Pure.

What is documented, and where:

- Microsoft: one of six patterns (`calendarsync.domain.patterns`), no RDATE. "An occurrence cannot be moved to or
  before the day of the previous occurrence, and cannot be moved to or after the day of the following occurrence"
  (https://learn.microsoft.com/graph/api/event-update, `ErrorOccurrenceCrossingBoundary`), and none may overlap
  another in time (`ErrorOccurrenceTimeSpanTooBig` in EWS's list of response codes).
- Google: the visibility of one instance spreads over its series or is ignored
  (https://developers.google.com/workspace/calendar/api/releases, 7 July 2026); an exception is an instance of its
  series (https://developers.google.com/workspace/calendar/api/guides/recurringevents).

What is assumed: a deleted occurrence still keeps others off its day (users of Outlook report so), and an exception
in Outlook is all-day or not, and private or not, as its series is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice, pairwise

from calendarsync.domain.event import Component, master_of
from calendarsync.domain.patterns import holds_rule
from calendarsync.domain.recurrence import holdable
from calendarsync.domain.recurrence_rule import DAILY, MONTHLY, WEEKLY, YEARLY
from calendarsync.domain.recurrence_series import Series
from calendarsync.domain.rule_starts import LONG, moved
from calendarsync.domain.times import moment_key, zoned, zoned_rule

_PERIODS = {DAILY: 7, WEEKLY: 14, MONTHLY: 62, YEARLY: 9 * 366}
"""Days within which a rule of interval 1 comes round again, if it does at all: 29 February may miss eight years."""

_FIRST_STARTS = 60
_DAY = timedelta(days=1)


class Holder(StrEnum):
    """Whose calendar a copy is written to."""

    ICALENDAR = "icalendar"
    GOOGLE = "google"
    MICROSOFT = "microsoft"

    @classmethod
    def of(cls, provider: str) -> Holder:
        """The holder behind a connection's provider; whoever keeps iCalendar data is `ICALENDAR`."""
        return cls(provider) if provider in {cls.GOOGLE, cls.MICROSOFT} else cls.ICALENDAR


@dataclass(frozen=True, slots=True)
class Holding:
    """Whether a series can be held as one, and the keys (`moment_key`) of the overrides that cannot be part of it.

    Those are holes in the series, and copied as events of their own.
    """

    series: bool
    apart: frozenset[str] = frozenset()


NOT_AS_SERIES = Holding(False)


def hold(
    components: Sequence[Component], holder: Holder, floating: str, left_out: Collection[str] = ()
) -> Holding:
    """How `holder` can hold these components. `left_out` are keys of overrides that are holes in any case.

    Floating times are read in the zone `floating`. Raises RecurrenceError.
    """
    master = master_of(components)
    if master is None or not holdable(components):
        return NOT_AS_SERIES
    if holder is Holder.ICALENDAR:
        return Holding(True)
    series = Series(components, floating)
    if _lasts_by_the_clock(series, master):
        return NOT_AS_SERIES
    if holder is Holder.MICROSOFT and not _fits_outlook(series, master):
        return NOT_AS_SERIES
    outlook = _Outlook(series, master) if holder is Holder.MICROSOFT else None
    apart = set()
    named = [(series.localised(name), name, each) for each in components if (name := each.recurrence_id)]
    for original, name, override in sorted(named, key=lambda each: each[0]):
        key = moment_key(name, floating)
        if key in left_out:
            continue
        in_line = override.visibility is master.visibility and _has(series, original)
        if not in_line or (outlook is not None and not outlook.admits(original, override)):
            apart.add(key)
    return Holding(True, frozenset(apart))


def _has(series: Series, original: datetime) -> bool:
    """Whether the series has an instance there, were it not overridden."""
    if series.utc(original) in series.excluded or original.date() in series.excluded_days:
        return False
    if original == series.zero or any(local == original for local, _ in series.dates):
        return True
    return any(original in series.starts(rule, original, original) for rule in series.rules)


def _lasts_by_the_clock(series: Series, master: Component) -> bool:
    """Whether its length is one in days (RFC 5545 section 3.8.5.3) that clock changes make longer or shorter.

    Where an event has an end and no duration, its instances are as long as its first.
    """
    if master.start.all_day or master.duration is None or not master.duration.days:
        return False
    months = (series.zero.replace(month=month, day=1) for month in range(1, 13))
    return len({series.zone.utcoffset(month) for month in months}) > 1


def _fits_outlook(series: Series, master: Component) -> bool:
    """Whether the series recurs as Outlook can say it, and none of its instances lasts into the next."""
    recurrence = master.recurrence
    if recurrence is None or recurrence.rdates or len(recurrence.rrules) != 1:
        return False
    start = zoned(master.start, series.floating)
    if not holds_rule(zoned_rule(recurrence.rrules[0], master.start, series.floating), start):
        return False
    length = _length(series, master)
    if length <= _DAY:
        return True
    starts = series.starts(series.rules[0], series.zero, moved(series.zero, LONG))
    firsts = list(islice(starts, _FIRST_STARTS))
    return all(one + length <= following for one, following in pairwise(firsts))


def _length(series: Series, component: Component) -> timedelta:
    begin, end = _on_the_clock(series, component)
    return end - begin


def _on_the_clock(series: Series, component: Component) -> tuple[datetime, datetime]:
    """Start and end of a component as the clocks of the series' zone show them."""
    _, _, *times = series.placed(component, component.start)
    begin, end = (
        time.local if time.all_day else _in_zone(time.instant(series.floating), series) for time in times
    )
    return begin, end


def _in_zone(instant: datetime, series: Series) -> datetime:
    return instant.astimezone(series.zone).replace(tzinfo=None)


class _Outlook:
    """Where the instances of a series may be moved to at Microsoft. Asked in the order of their originals.

    A neighbour keeps others off the day of its original start, and off the one that it was moved to: then it does
    not matter in which order the exceptions are written.
    """

    def __init__(self, series: Series, master: Component) -> None:
        self._series = series
        self._all_day = master.start.all_day
        self._length = _length(series, master)
        self._last: tuple[datetime, datetime, datetime] | None = None

    def admits(self, original: datetime, override: Component) -> bool:
        """Whether the override fits between its neighbours; if so, it is a neighbour of those to come."""
        if override.start.all_day is not self._all_day:
            return False
        begin, end = _on_the_clock(self._series, override)
        earlier, later = self._neighbours(original)
        if later is not None and (begin.date() >= later.date() or end > later):
            return False
        before = [] if earlier is None else [(earlier, earlier + self._length)]
        if self._last is not None and self._last[0] == earlier:
            before.append(self._last[1:])
        if any(begin.date() <= start.date() or begin < over for start, over in before):
            return False
        self._last = (original, begin, end)
        return True

    def _neighbours(self, original: datetime) -> tuple[datetime | None, datetime | None]:
        """The original starts before and after; None at the ends of the series."""
        (rule,) = self._series.rules
        reach = timedelta(days=rule.interval * _PERIODS[rule.freq])
        starts = list(self._series.starts(rule, moved(original, -reach), moved(original, reach)))
        place = bisect_left(starts, original)
        earlier = starts[place - 1] if place else None
        return earlier, next(iter(starts[place + 1 :]), None)
