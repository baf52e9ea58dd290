"""The same meeting in two calendars: where the target's own entry is busy, no copy is needed (rule 5). Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from calendarsync.domain.entry import Entry
from calendarsync.domain.event import EventTime
from calendarsync.domain.origin import meeting_key
from calendarsync.domain.recurrence import Instance, RecurrenceError, expand, span
from calendarsync.domain.rules import Window, is_busy
from calendarsync.domain.times import moment_key


@dataclass(frozen=True, slots=True)
class Coverage:
    """Keys of instances that the target covers; `endless` where a series of it does so without end.

    `copied` are those that only the copy of another pair covers.
    """

    keys: frozenset[str] = frozenset()
    endless: bool = False
    copied: frozenset[str] = frozenset()

    def reason(self, key: str) -> str:
        return "copied_already" if key in self.copied else "same_meeting"


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands for the meeting `uid` in the target: an event of its own, or the copy of another pair.

    `original` is set where a copy stands for one instance, whose own times may be others.
    """

    uid: str
    entry: Entry
    original: str = ""
    copied: bool = False


class Meetings:
    """The target's entries by the meeting that they stand for."""

    def __init__(self, standing: Iterable[Standing] = (), floating: str = "UTC") -> None:
        """`floating` is the target's zone."""
        self._by_meeting: defaultdict[str, list[Standing]] = defaultdict(list)
        self._floating = floating
        for one in standing:
            if one.entry.problem is None:
                self._by_meeting[meeting_key(one.uid)].append(one)

    def knows(self, entry: Entry) -> bool:
        return bool(self._by_meeting) and meeting_key(entry.uid) in self._by_meeting

    def coverage(
        self, entry: Entry, instances: Sequence[Instance], floating: str, window: Window
    ) -> Coverage:
        """Which instances of a source `entry` stand in the target already, busy and at the same time.

        `instances` are the source's within the window. Where the target's entries end, instances outside the
        window are judged too, so that the answer does not change as the window slides.
        """
        if not self.knows(entry):
            return Coverage()
        by_copy: dict[bool, set[str]] = {True: set(), False: set()}
        endless = False
        for own in self._by_meeting[meeting_key(entry.uid)]:
            try:
                first, last = span(own.entry.components, self._floating)
                endless = endless or last is None
                sources = instances if last is None else self._whole(entry, floating, first, last, instances)
                by_copy[own.copied] |= self._covered(sources, own, floating, window, (first, last))
            except RecurrenceError:
                continue
        keys = by_copy[True] | by_copy[False]
        return Coverage(frozenset(keys), endless, frozenset(by_copy[True] - by_copy[False]))

    @staticmethod
    def _whole(
        entry: Entry, floating: str, first: datetime, last: datetime, instances: Sequence[Instance]
    ) -> Sequence[Instance]:
        if entry.master is None or entry.master.recurrence is None:
            return instances
        return expand(entry.components, first, last, floating)

    def _covered(
        self,
        sources: Sequence[Instance],
        own: Standing,
        floating: str,
        window: Window,
        whole: tuple[datetime, datetime | None],
    ) -> set[str]:
        first, last = (whole[0], whole[1]) if whole[1] is not None else (window.first, window.last)
        busy = {
            self._key(own, instance, floating): instance
            for instance in expand(own.entry.components, first, last, self._floating)
            if is_busy(instance.component)
        }
        covered = set()
        for source in sources:
            key = moment_key(source.original or source.start, floating)
            target = busy.get(key)
            if target is not None and self._spans(target, source, floating):
                covered.add(key)
        return covered

    def _key(self, own: Standing, instance: Instance, floating: str) -> str:
        if own.original:
            return moment_key(EventTime.parse(own.original), floating)
        return moment_key(instance.original or instance.start, self._floating)

    def _spans(self, target: Instance, source: Instance, floating: str) -> bool:
        if target.start.all_day != source.start.all_day:
            return False
        starts_before = target.start.instant(self._floating) <= source.start.instant(floating)
        return starts_before and target.end.instant(self._floating) >= source.end.instant(floating)
