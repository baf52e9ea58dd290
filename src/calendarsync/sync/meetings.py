"""The same meeting in two calendars: where the target's own entry is busy, no copy is needed (rule 5). Pure.

So it is where the copy of another pair stands for it: one of the same meeting, or one of the same origin in another
form (rule 3). Of two pairs the one gives way whose copy comes over more pairs, or of as many, which is the newer:
what a copy depends on has come a shorter way than itself, so no two of them give way to each other in turn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from calendarsync.domain.entry import Entry
from calendarsync.domain.event import EventTime
from calendarsync.domain.origin import instance_origin, meeting_key
from calendarsync.domain.recurrence import Instance, RecurrenceError, expand, span
from calendarsync.domain.relay import Root
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

    `original` is set where a copy stands for one instance, whose own times may be others. `hops` and `older` say
    over how many pairs a copy came, the other one included, and whether that is older than ours.
    """

    uid: str
    entry: Entry
    original: str = ""
    copied: bool = False
    origin: str = ""
    hops: int = 0
    older: bool = True

    @property
    def rank(self) -> tuple[int, int]:
        """Our copy of a source gives way to what is of a lower rank than itself."""
        return (self.hops, 0 if self.older else 2) if self.copied else (0, 0)


def _rank(root: Root) -> tuple[int, int]:
    return root.hops + 1, 1


class Meetings:
    """The target's entries by the meeting that they stand for."""

    def __init__(
        self, standing: Iterable[Standing] = (), floating: str = "UTC", *, relayed: bool = False
    ) -> None:
        """`floating` is the target's zone. `relayed`: there may be copies of one origin in several forms."""
        self._by_meeting: defaultdict[str, list[Standing]] = defaultdict(list)
        self._floating = floating
        self._copies: list[Standing] = []
        self._shown: dict[str, tuple[int, int]] | None = None
        for one in standing:
            if one.entry.problem is None:
                self._by_meeting[meeting_key(one.uid)].append(one)
                if relayed and one.copied:
                    self._copies.append(one)

    def knows(self, root: Root) -> bool:
        """Whether anything stands there that may cover a source."""
        known = bool(self._by_meeting) and meeting_key(root.uid) in self._by_meeting
        return known or any(one.rank < _rank(root) for one in self._copies)

    def coverage(
        self, entry: Entry, root: Root, instances: Sequence[Instance], floating: str, window: Window
    ) -> Coverage:
        """Which instances of a source `entry` stand in the target already, busy and at the same time.

        `instances` are the source's within the window. Where the target's entries end, instances outside the
        window are judged too, so that the answer does not change as the window slides.
        """
        if not self.knows(root):
            return Coverage()
        by_copy: dict[bool, set[str]] = {True: set(), False: set()}
        endless = False
        for own in self._by_meeting.get(meeting_key(root.uid), ()):
            if own.rank > _rank(root):
                continue
            try:
                first, last = span(own.entry.components, self._floating)
                endless = endless or last is None
                sources = instances if last is None else self._whole(entry, floating, first, last, instances)
                span_of_own = (window.first, window.last) if last is None else (first, last)
                by_copy[own.copied] |= self._covered(sources, root, own, floating, span_of_own)
            except RecurrenceError:
                continue
        if other_form := self._copied_in_other_form(entry, root, instances, floating, window):
            by_copy[True] |= other_form
            endless = True  # as far as it is known: within the window
        keys = by_copy[True] | by_copy[False]
        return Coverage(frozenset(keys), endless, frozenset(by_copy[True] - by_copy[False]))

    def _copied_in_other_form(
        self, entry: Entry, root: Root, instances: Sequence[Instance], floating: str, window: Window
    ) -> set[str]:
        """Instances of a source that copies of its origin show in the window: singly, or as part of a series."""
        if not self._copies:
            return set()
        single = len(entry.components) == 1 and entry.master is not None and entry.master.recurrence is None
        shown, rank = self._shown_in(window), _rank(root)
        keys = (moment_key(each.original or each.start, floating) for each in instances)
        return {
            key
            for key in keys
            if shown.get(root.origin if single else instance_origin(root.origin, key), rank) < rank
        }

    def _shown_in(self, window: Window) -> Mapping[str, tuple[int, int]]:
        """The origins that copies show in the window, and the lowest rank of those that do."""
        if self._shown is None:
            self._shown = {}
            for copy in self._copies:
                for origin in self._origins(copy, window):
                    self._shown[origin] = min(copy.rank, self._shown.get(origin, copy.rank))
        return self._shown

    def _origins(self, copy: Standing, window: Window) -> Iterator[str]:
        yield copy.origin
        master = copy.entry.master
        if master is None or master.recurrence is None:
            return
        try:
            instances = expand(copy.entry.components, window.first, window.last, self._floating)
        except RecurrenceError:
            return
        for each in instances:
            yield instance_origin(copy.origin, moment_key(each.original or each.start, self._floating))

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
        root: Root,
        own: Standing,
        floating: str,
        within: tuple[datetime, datetime],
    ) -> set[str]:
        busy = {
            self._key(own, instance, floating): instance
            for instance in expand(own.entry.components, *within, self._floating)
            if is_busy(instance.component)
        }
        covered = set()
        for source in sources:
            key = moment_key(source.original or source.start, floating)
            target = busy.get(moment_key(EventTime.parse(root.original), floating) if root.original else key)
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
