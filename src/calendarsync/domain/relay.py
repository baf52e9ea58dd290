"""Copies that travel on (rule 2, option `relay`): what they stand for in the end, and which of them do. Pure.

A copy is a source where the links behind it lead to an event of somebody's own, without a circle and without
passing the calendar that it is to be copied to (docs/decisions/relay.md). So no two copies keep each other alive
once their event is gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

MAX_HOPS = 32
"""Copies farther than that from their event are not followed back, nor copied on."""


class NotRelayed(StrEnum):
    """Why a copy does not travel on to a calendar."""

    ORIGIN_IS_HERE = "origin_is_here"
    """Its event stands there."""
    COPIED_ALREADY = "copied_already"
    """It came from there: a copy of the same event stands there."""
    IN_CIRCLE = "relayed_in_circle"
    """It came by way of its own calendar: nothing but copies stands behind it."""
    NOT_KNOWN = "origin_not_known"
    """Its event is not found at present. What was copied of it is neither changed nor deleted meanwhile."""


@dataclass(frozen=True, slots=True)
class Root:
    """What an event or a copy stands for.

    `uid` is the event's own, `original` the instance of it where that is all that it stands for, and `hops` how
    many pairs it came over.
    """

    origin: str
    uid: str
    original: str = ""
    hops: int = 0


@dataclass(frozen=True, slots=True)
class Upstream:
    """What a live link says of the copy `copy_id` in a calendar, and what is known of its source.

    `source_original` is the link's. `source_id` is the UID that the source has now, None where it is gone;
    `marked` tells whether it carries a mark that agrees with that, `kept` whether a removed pair left it there as
    an ordinary event.
    """

    calendar: str
    copy_id: str
    origin: str
    source_calendar: str
    source_original: str
    source_id: str | None
    marked: bool
    kept: bool


class Upstreams:
    """Live links, by the copies that they hold."""

    def __init__(self, known: Iterable[Upstream]) -> None:
        self._of: defaultdict[tuple[str, str], list[Upstream]] = defaultdict(list)
        for each in known:
            self._of[each.calendar, each.copy_id].append(each)

    def trace(self, calendar: str, copy_id: str, target: str) -> Root | NotRelayed:
        """What a copy stands for, if it travels on to `target`."""
        return self._trace(calendar, copy_id, target, (calendar,))

    def _trace(self, calendar: str, copy_id: str, target: str, passed: tuple[str, ...]) -> Root | NotRelayed:
        ends = [self._follow(each, target, passed) for each in self._of.get((calendar, copy_id), ())]
        roots = [end for end in ends if isinstance(end, Root)]
        if roots:
            return roots[0]
        return next((end for end in ends if isinstance(end, NotRelayed)), NotRelayed.NOT_KNOWN)

    def _follow(self, link: Upstream, target: str, passed: Sequence[str]) -> Root | NotRelayed:
        source = link.source_calendar
        if link.source_id is None or len(passed) > MAX_HOPS:
            return NotRelayed.NOT_KNOWN
        is_copy = link.marked or ((source, link.source_id) in self._of and not link.kept)
        if source == target:
            return NotRelayed.COPIED_ALREADY if is_copy else NotRelayed.ORIGIN_IS_HERE
        if not is_copy:
            return Root(link.origin, link.source_id, link.source_original, 1)
        if source in passed:
            return NotRelayed.IN_CIRCLE
        end = self._trace(source, link.source_id, target, (*passed, source))
        if isinstance(end, NotRelayed):
            return end
        # A series may have become single instances on the way, once.
        original = end.original or link.source_original
        return replace(end, origin=link.origin, original=original, hops=end.hops + 1)
