"""The copy that once stood for an event, as it would be written now, whatever the pair's rules say of it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

from calendarsync.domain.entry import Entry
from calendarsync.domain.event import Component
from calendarsync.domain.holding import hold
from calendarsync.domain.link import Link
from calendarsync.domain.recurrence import Instance, RecurrenceError, expand
from calendarsync.domain.rules import SyncMode
from calendarsync.domain.times import moment_key
from calendarsync.sync.board import Board
from calendarsync.sync.eligible import Judge, TextsUnknown
from calendarsync.sync.meetings import Coverage
from calendarsync.sync.relay import links_of_root, sources
from calendarsync.sync.respect import respected
from calendarsync.sync.shape import (
    Scene,
    Wanted,
    instance_copy,
    override_key,
    series_copy,
    shown_visibility,
    single_copy,
)
from calendarsync.sync.wanted import still_respected


class Former:
    """For one flow. What is nobody's source stays without copy, and so does what a person deleted."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._scene = board.flow.scene
        self._sources = {entry.id: entry for entry in sources(board.flow)}
        self._links: defaultdict[str, list[Link]] = defaultdict(list)
        for link in board.flow.links:
            self._links[link.source_resource].append(link)
        self._as_now = cache(self._wanted_now)
        self._instances = cache(self._expanded)
        self._covered = cache(self._coverage)

    def copy_of(self, event_id: str, original: str) -> Wanted | str:
        """The copy that had this place, or the reason for which there is none."""
        entry = self._sources.get(event_id)
        if entry is None:
            return self._board.flow.not_relayed.get(event_id) or "source_is_copy"
        if entry.problem is not None:
            return "form_not_possible"
        key = self._board.key(original) if original else ""
        as_now = self._as_now(event_id).get(key)
        if as_now is not None:
            return as_now
        try:
            return self._instance(entry, key) if key else self._whole(entry)
        except RecurrenceError:
            return "form_not_possible"

    def respected(self, event_id: str) -> tuple[str, ...]:
        """The instances that stay away because a person deleted them, as `Link` names them (rule 17)."""
        if not self._board.rules.respects_deletions:
            return ()
        links = self._links[event_id] or links_of_root(self._board.flow, self._sources[event_id])
        return respected(links)

    def _wanted_now(self, event_id: str) -> Mapping[str, Wanted]:
        found = self._board.decide(self._sources[event_id], self.respected(event_id)).wanted
        return {self._board.key(each.original) if each.original else "": each for each in found}

    def _expanded(self, event_id: str) -> Mapping[str, Instance]:
        scene = self._scene
        components = self._sources[event_id].components
        found = expand(components, scene.window.first, scene.window.last, scene.floating)
        return {moment_key(each.original or each.start, scene.floating): each for each in found}

    def _coverage(self, event_id: str) -> Coverage:
        """What the target shows already, as the same meeting (rule 5)."""
        scene, entry = self._scene, self._sources[event_id]
        instances = list(self._instances(event_id).values())
        return scene.meetings.coverage(entry, scene.root(entry), instances, scene.floating, scene.window)

    def _away(self, entry: Entry) -> frozenset[str]:
        return still_respected(entry, self.respected(entry.id), self._scene)

    def _instance(self, entry: Entry, key: str) -> Wanted | str:
        instance, coverage = self._instances(entry.id).get(key), self._covered(entry.id)
        if key in self._away(entry):
            return "copy_deleted_by_person"
        if key in coverage.keys:
            return coverage.reason(key)
        return "form_not_possible" if instance is None else instance_copy(entry, instance, self._shown(entry))

    def _whole(self, entry: Entry) -> Wanted | str:
        scene, master, coverage = self._shown(entry), entry.master, self._covered(entry.id)
        if master is None:
            return "form_not_possible"
        if master.recurrence is None and len(entry.components) == 1:
            for key in coverage.keys:
                return coverage.reason(key)
            return single_copy(entry, master, scene)
        left_out = coverage.keys | self._away(entry) | self._other_than(entry, master)
        shown = [
            replace(component, visibility=shown_visibility(component, scene.rules))
            for component in entry.components
        ]
        holding = hold(shown, scene.holder, scene.floating, left_out)
        if not holding.series:
            return "form_not_possible"
        return series_copy(entry, master, left_out | holding.apart, scene)

    def _shown(self, entry: Entry) -> Scene:
        """What a filter keeps out for its words comes back as a block: other words may have stood there."""
        judge = Judge(entry, self._scene)
        if all(_why_not(judge.why_not_texts, component) is None for component in entry.components):
            return self._scene
        return replace(self._scene, rules=replace(self._scene.rules, sync_mode=SyncMode.BLOCKER))

    def _other_than(self, entry: Entry, master: Component) -> frozenset[str]:
        """Overrides that are kept out for themselves, and not for what keeps out the series now."""
        judge = Judge(entry, self._scene)
        of_series = _why_not(judge.why_not, master)
        found = set()
        for component in entry.components:
            key = override_key(component, self._scene)
            if key is not None and _why_not(judge.why_not_override, component) not in {None, of_series}:
                found.add(key)
        return frozenset(found)


def _why_not(judged: Callable[[Component], str | None], component: Component) -> str | None:
    try:
        return judged(component)
    except TextsUnknown:
        return "texts_unknown"
