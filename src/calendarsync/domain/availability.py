"""When a calendar's owner is busy: the entries of one calendar, laid out and merged. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from calendarsync.domain.entry import Entry
from calendarsync.domain.event import Problem
from calendarsync.domain.recurrence import RecurrenceError, expand
from calendarsync.domain.rules import Rules, SyncMode, Window

Interval = tuple[datetime, datetime]
"""[start, end) in UTC."""

_DEFAULTS = Rules(SyncMode.BLOCKER)


class TooManyInstances(Exception):  # noqa: N818 - it says what there is
    """More than were allowed to be laid out."""


class OutOfTime(Exception):  # noqa: N818 - it says what happened
    """It took longer than it was allowed to."""


@dataclass(frozen=True, slots=True)
class BusyTimes:
    """`intervals` are merged. `laid_out`: instances; `unreadable`: events whose times cannot be told."""

    intervals: list[Interval]
    laid_out: int
    unreadable: int


def busy_times(
    entries: Iterable[Entry], window: Window, floating: str, *, most: int, has_time: Callable[[], bool]
) -> BusyTimes:
    """When the entries block time in `window`: those that the default options of a pair copy (rule 6).

    Floating times and dates are read in the zone `floating`. `has_time` is asked before each entry, for a rule
    may take long that gives few instances. Raises TooManyInstances beyond `most`, OutOfTime.
    """
    intervals: list[Interval] = []
    laid_out = unreadable = 0
    for entry in entries:
        if not has_time():
            raise OutOfTime
        if entry.problem is not None:
            # A task or a journal entry takes no time.
            unreadable += entry.problem is not Problem.NO_EVENT
            continue
        try:
            instances = expand(entry.components, window.first, window.last, floating)
        except RecurrenceError:
            unreadable += 1
            continue
        laid_out += len(instances)
        if laid_out > most:
            raise TooManyInstances
        intervals += [
            (instance.start.instant(floating), instance.end.instant(floating))
            for instance in instances
            if _DEFAULTS.why_not(instance.component) is None
        ]
    return BusyTimes(merge(intervals, window), laid_out, unreadable)


def merge(intervals: Iterable[Interval], window: Window) -> list[Interval]:
    """The same time in as few intervals as there can be, sorted and cut to `window`.

    What touches becomes one; what has no length takes no time.
    """
    merged: list[Interval] = []
    cut = ((max(start, window.first), min(end, window.last)) for start, end in intervals)
    for start, end in sorted(each for each in cut if each[0] < each[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
