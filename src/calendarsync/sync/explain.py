"""Why an event is, or is not, where it was expected: what the planner decided, put beside the entries. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from calendarsync.domain.entry import Entry
from calendarsync.domain.event import ORIGINAL_OF_MASTER, Problem
from calendarsync.domain.link import Direction, Link
from calendarsync.domain.origin import MarkKind, copy_id
from calendarsync.domain.recurrence import Instance
from calendarsync.sync.actions import Case, FlowInput, FlowPlan
from calendarsync.sync.explain_instances import cases_of_instance, instance_at, key_of, overlapping
from calendarsync.sync.reasons import REASONS, Reason

_INSTANCE = re.compile(r"(.+)_(\d{8})(T\d{6}Z)?", re.DOTALL)
_MOMENT = timedelta(microseconds=1)
_BACK = {Direction.A_TO_B: Direction.B_TO_A, Direction.B_TO_A: Direction.A_TO_B}
_NEXT_RUN = {
    "create": "The next run writes the copy.",
    "update": "The next run writes the copy anew.",
    "delete": "The next run deletes the copy.",
    "adopt": "The next run takes the copy over.",
    "propagate": "The next run carries the edit into the event.",
}


class Role(StrEnum):
    """What an entry is in its calendar. A stray carries a mark that was written onto another event (rule 1)."""

    SOURCE = "source"
    COPY = "copy"
    STRAY = "stray"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was decided of one entry, or one instance of it, and why.

    `out_of` is the direction in which its calendar is the source, None where it is in neither, and `direction`
    that of the decision. `source_id` is set of a copy, `retry_at` where a failure holds it back. `since`: in the
    index since then.
    """

    event_id: str
    role: Role
    decision: str
    reason: str
    out_of: Direction | None
    direction: Direction | None = None
    original: str = ORIGINAL_OF_MASTER
    copy_id: str | None = None
    source_id: str | None = None
    since: datetime | None = None
    starts_at: datetime | None = None
    retry_at: datetime | None = None

    @property
    def because(self) -> Reason:
        return REASONS[self.reason]

    @property
    def text(self) -> str:
        return " ".join(filter(None, (self.because.explanation, _NEXT_RUN.get(self.decision))))


@dataclass(frozen=True, slots=True)
class Planned:
    flow: FlowInput
    plan: FlowPlan


class _Calendar:
    """One calendar of the pair: `out` is the flow that reads it, and `into` the one that writes it."""

    def __init__(self, out_of: Direction, out: Planned | None, into: Planned | None) -> None:
        self.out_of = out_of
        self.out = out
        self.into = into
        self.entries: Mapping[str, Entry] = {}
        self.floating = "UTC"
        self.copies: set[str] = set()
        self.kept: frozenset[str] = frozenset()
        self.links: dict[str, Link] = {}
        self.cases: defaultdict[str, list[Case]] = defaultdict(list)
        self.cases_of_copy: defaultdict[str, list[Case]] = defaultdict(list)
        if into is not None:
            self.entries, self.floating = into.flow.target, into.flow.target_floating
            self.links = {link.copy_id: link for link in into.flow.links}
            self.copies = {*self.links, *into.flow.other_links}
            for case in into.plan.cases:
                if case.copy_id is not None:
                    self.cases_of_copy[case.copy_id].append(case)
        if out is not None:
            if into is None:
                self.entries, self.floating = _as_they_stand(out.flow), out.flow.scene.floating
            self.copies |= out.flow.source_copies
            self.kept = out.flow.kept
            for case in out.plan.cases:
                self.cases[case.event_id].append(case)

    def role(self, entry: Entry) -> Role:
        if entry.mark is not None:
            return Role.COPY if entry.mark.kind is MarkKind.OWN else Role.FOREIGN
        if entry.uid in self.copies and entry.uid not in self.kept:
            return Role.COPY
        return Role.STRAY if entry.stray else Role.SOURCE

    def explain(self, entry: Entry, instance: Instance | None = None) -> list[Explanation]:
        """`instance` is the one that is asked about; None where the whole entry is."""
        role = self.role(entry)
        base = Explanation(
            event_id=entry.id,
            role=role,
            decision="none",
            reason="foreign_copy",
            out_of=self.out_of,
            original=str(instance.original) if instance and instance.original else ORIGINAL_OF_MASTER,
            copy_id=entry.uid if role in {Role.COPY, Role.FOREIGN} else None,
            since=entry.seen,
            starts_at=_start(entry, instance, self.floating),
        )
        if role is Role.FOREIGN:
            return [base]
        return self._copy(entry, base) if role is Role.COPY else self._source(entry, instance, base)

    def _source(self, entry: Entry, instance: Instance | None, base: Explanation) -> list[Explanation]:
        found = []
        if self.out is None or self.out.flow.withdrawn:
            found.append(replace(base, decision="skip", reason="direction_one_way", direction=self.out_of))
        if self.out is not None:
            cases: Sequence[Case] = self.cases[entry.id]
            if instance is not None and not self.out.flow.withdrawn:
                cases = cases_of_instance(self.out.flow, cases, entry, instance)
            found += [_decided(case, self.out, base, keep_original=instance is not None) for case in cases]
        return found

    def _copy(self, entry: Entry, base: Explanation) -> list[Explanation]:
        into = self.into
        link = self.links.get(entry.uid)
        cases = self.cases_of_copy[entry.uid]
        if not cases and link is not None and into is not None:
            cases = [case for case in into.plan.cases if (case.event_id, case.original) == link.key]
        if into is not None and cases:
            found = [_decided(case, into, base, keep_original=bool(base.original)) for case in cases]
            found = [replace(each, event_id=entry.id, source_id=each.event_id) for each in found]
        elif link is None and entry.uid in self.copies:
            found = [replace(base, reason="another_pairs_copy")]
        else:
            found = [replace(base, reason="copy_without_pair")]
        onward = self.cases[entry.id]
        if self.out is not None and onward:
            found += [_decided(case, self.out, base, keep_original=False) for case in onward]
        elif self.out is not None and not self.out.flow.withdrawn and found[0].reason != "another_pairs_copy":
            found.append(replace(base, decision="skip", reason="copy_is_no_source", direction=self.out_of))
        return found


def _as_they_stand(flow: FlowInput) -> Mapping[str, Entry]:
    """The source's entries; copies that travel on have the UID of their event in a flow."""
    own = {
        each: replace(entry, uid=copy_id(mark.origin, flow.scene.source_calendar, mark.generation))
        for each in flow.scene.roots
        if (mark := (entry := flow.source[each]).mark) is not None
    }
    return {**flow.source, **own}


class Picture:
    """Both calendars of a pair, and what was planned of them."""

    def __init__(self, planned: Sequence[Planned]) -> None:
        flows = {each.flow.direction: each for each in planned}
        self._calendars = [
            _Calendar(direction, flows.get(direction), flows.get(_BACK[direction])) for direction in Direction
        ]
        self._planned = planned

    def about(self, event_id: str) -> list[Explanation]:
        """Of an event or a copy by its id or UID, or of one instance, whose start in UTC is behind `_`, as Google
        writes it. Nothing where neither calendar nor the pair's records know it."""
        found = [
            row
            for calendar, entry in self._named(lambda entry: _has_name(entry, event_id))
            for row in calendar.explain(entry)
        ]
        return found or list(self._instance(event_id)) or list(self._gone(event_id))

    def at(self, moment: datetime) -> list[Explanation]:
        """Of all that covers a moment; behind that, of what cannot be read and may be at any time."""
        found: list[Explanation] = []
        unreadable: list[Explanation] = []
        for calendar in self._calendars:
            for entry in calendar.entries.values():
                if entry.problem is Problem.NO_EVENT:
                    continue
                instances = overlapping(entry, moment, moment + _MOMENT, calendar.floating)
                if instances is None or entry.problem is not None:
                    unreadable += calendar.explain(entry)
                    continue
                for instance in instances:
                    found += calendar.explain(entry, instance)
        return [*found, *unreadable]

    def _named(self, named: Callable[[Entry], bool]) -> Iterator[tuple[_Calendar, Entry]]:
        for calendar in self._calendars:
            yield from ((calendar, entry) for entry in calendar.entries.values() if named(entry))

    def _instance(self, event_id: str) -> Iterator[Explanation]:
        parts = _INSTANCE.fullmatch(event_id)
        if parts is None:
            return
        key = key_of(parts[2], parts[3])
        for calendar, entry in self._named(lambda entry: _has_name(entry, parts[1])):
            instance = None if key is None else instance_at(entry, key, calendar.floating)
            if instance is not None:
                yield from calendar.explain(entry, instance)
            elif key is not None:
                role = calendar.role(entry)
                yield Explanation(
                    entry.id,
                    role,
                    "none",
                    "no_such_instance",
                    calendar.out_of,
                    original=key,
                    since=entry.seen,
                )

    def _gone(self, event_id: str) -> Iterator[Explanation]:
        """What is in no calendar any more, and in the pair's records."""
        for each in self._planned:
            known = {
                link.key
                for link in each.flow.links
                if event_id in {link.source_resource, link.source_uid, link.copy_id}
            }
            for case in each.plan.cases:
                if (case.event_id, case.original) in known or event_id in {case.event_id, case.copy_id}:
                    base = Explanation(case.event_id, Role.SOURCE, "none", case.reason, each.flow.direction)
                    entry = each.flow.source.get(case.event_id)
                    since = entry.seen if entry is not None else None
                    yield replace(_decided(case, each, base, keep_original=False), since=since)


def _decided(case: Case, planned: Planned, base: Explanation, *, keep_original: bool) -> Explanation:
    failure = planned.flow.failures.get((case.event_id, case.original))
    held_back = failure is not None and failure.code == case.reason
    return replace(
        base,
        event_id=case.event_id,
        decision=case.decision,
        reason=case.reason,
        direction=planned.flow.direction,
        original=base.original if keep_original else case.original,
        copy_id=case.copy_id or base.copy_id,
        retry_at=failure.retry_at if failure is not None and held_back else None,
    )


def _has_name(entry: Entry, name: str) -> bool:
    return name in {entry.id, entry.uid, entry.id.removesuffix(".ics")}


def _start(entry: Entry, instance: Instance | None, floating: str) -> datetime | None:
    start = instance.start if instance is not None else next((each.start for each in entry.components), None)
    try:
        return None if start is None else start.instant(floating)
    except OverflowError:
        return None
