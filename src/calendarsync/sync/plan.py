"""What one flow of a pair has to do: index rows and links in, actions out. Pure.

The table of cases; `wanted` is a copy that the rules ask for, `link` our record of it, `copy` the event that
stands in the target, `written` and `as read` the link's two fingerprints:

    wanted  link       copy     fingerprints                  action    reason
    ──────  ─────────  ───────  ────────────────────────────  ────────  ─────────────────────────────────────
    yes     none       none                                   create    new
    yes     none       ours     current                       adopt     adopted
    yes     none       ours     out of date                   update    adopted
    yes     none       ours, in another pair's link           skip      copied_already
    yes     none       another's, at our id                   skip      id_taken (rule 4: adopt, if confirmed)
    yes     pending    none                                   create    unanswered
    yes     live       none                                   respect   copy_deleted_by_person
    yes     respected  none     times as they were            —
    yes     respected  none     times changed                 create    source_moved
    yes     respected  ours                                   as live   it came back
    yes     any        ours     written ≠ wanted              update    source_changed or rules_changed
    yes     any        ours     written ≠ wanted, mark = it   adopt     unanswered (the write had arrived)
    yes     live       ours     as read ≠ copy, instance out  update    instance_deleted_by_person
    yes     live       ours     as read ≠ copy                update    copy_edited (restored, at most twice)
    yes     live       ours     all equal                     —
    no      any        none                                   forget    —
    no      any        ours     source unreadable             —         left as it is
    no      any        ours     wholly behind the window      —         left as history, unless its source is gone
    no      any        ours                                   delete    source_deleted, form_changed or why not
    —       —          twin     a higher id of one origin     delete    twin
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import ClassVar

from calendarsync.domain.entry import Entry
from calendarsync.domain.event import Status
from calendarsync.domain.link import Direction, Link, LinkState
from calendarsync.domain.origin import MarkKind, copy_id
from calendarsync.domain.recurrence import RecurrenceError, span
from calendarsync.domain.times import moment_key
from calendarsync.sync.wanted import Scene, Skipped, Wanted, decide

MAX_RESTORES = 2


@dataclass(frozen=True, slots=True)
class Create:
    """`link` is as it shall be once the write is answered, but for its `copy_hash`."""

    wanted: Wanted
    link: Link
    reason: str
    action: ClassVar = "create"

    @property
    def event_id(self) -> str:
        return self.wanted.entry.id

    @property
    def original(self) -> str:
        return self.wanted.original


@dataclass(frozen=True, slots=True)
class Update(Create):
    """As a create, of a copy that is there."""

    copy: Entry
    action: ClassVar = "update"


@dataclass(frozen=True, slots=True)
class Delete:
    """`link` is None for a twin. `exempt` deletions were asked for by the owner's own change (rule 21).

    `after` names the source resource whose new form has to be complete first (rule 12).
    """

    link: Link | None
    copy: Entry
    event_id: str
    original: str
    reason: str
    exempt: bool = False
    after: str | None = None
    action: ClassVar = "delete"


@dataclass(frozen=True, slots=True)
class Keep:
    """A change of our records alone; `action` and `reason` are logged where `reason` is given."""

    link: Link
    action: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Forget:
    """A link whose copy and source are both gone."""

    link: Link


Write = Create | Update | Delete


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that failed before: it is tried again when `tried_hash` differs or at `retry_at` (rule 22)."""

    code: str
    tried_hash: str
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class FlowInput:
    """One direction of a pair, as the database shows it.

    `other_links`: copy ids in the target calendar that links of other pairs hold. `source_copies`: ids in the
    source calendar that links hold or that are derived from the target's events: copies, though their mark may
    be stripped. `kept`: ids in the source calendar that a removed pair left as ordinary events (rule 20).
    `withdrawn`: the pair does not go in this direction any more.
    """

    direction: Direction
    scene: Scene
    target_calendar: str
    target_floating: str
    source: Mapping[str, Entry]
    target: Mapping[str, Entry]
    links: tuple[Link, ...]
    other_links: frozenset[str]
    source_copies: frozenset[str]
    kept: frozenset[str]
    failures: Mapping[tuple[str, str], Failure]
    looked_at_version: int
    now: datetime
    program: str
    adopt_foreign: bool = False
    withdrawn: bool = False


@dataclass(slots=True)
class FlowPlan:
    """`processed` are the source resources that changed, or that something is done for."""

    direction: Direction
    writes: list[Write] = field(default_factory=list)
    keeps: list[Keep] = field(default_factory=list)
    forgets: list[Forget] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    processed: set[str] = field(default_factory=set)
    live_copies: int = 0
    vanished: list[Link] = field(default_factory=list)
    foreign_copies: int = 0

    @property
    def deletes(self) -> list[Delete]:
        return [write for write in self.writes if isinstance(write, Delete)]


def ordinary(flow: FlowInput) -> Iterator[Entry]:
    """The source's events that are nobody's copies (rule 2)."""
    for entry in () if flow.withdrawn else flow.source.values():
        if entry.uid in flow.kept or (entry.mark is None and entry.uid not in flow.source_copies):
            yield entry


def plan(flow: FlowInput) -> FlowPlan:
    return _Planner(flow).run()


class _Planner:
    def __init__(self, flow: FlowInput) -> None:
        self.flow = flow
        self.fingerprinter = flow.scene.fingerprinter
        self.rules_version = flow.scene.rules.version(self.fingerprinter)
        self.result = FlowPlan(flow.direction)
        self.copies = {entry.uid: entry for entry in flow.target.values()}
        self.links = {link.key: link for link in flow.links}
        self.by_origin: defaultdict[str, list[Entry]] = defaultdict(list)
        for entry in flow.target.values():
            if entry.mark is not None and entry.mark.kind is MarkKind.OWN:
                self.by_origin[entry.mark.origin].append(entry)

    def run(self) -> FlowPlan:
        flow, result = self.flow, self.result
        result.live_copies = sum(link.state is LinkState.LIVE for link in flow.links)
        links_of: defaultdict[str, list[Link]] = defaultdict(list)
        for link in flow.links:
            links_of[link.source_resource].append(link)
        unreadable: set[str] = set()
        wanted_keys: set[tuple[str, str]] = set()
        why_not: dict[str, str] = {}
        for entry in ordinary(flow):
            respected = _respected(links_of[entry.id])
            decision = decide(entry, flow.scene, respected)
            if entry.changed_in > flow.looked_at_version:
                result.processed.add(entry.id)
            unreadable.update(skip.event_id for skip in decision.skipped if skip.failed)
            why_not.update((skip.event_id, skip.reason) for skip in decision.skipped)
            self._note_skips(entry, decision.skipped)
            for wanted in decision.wanted:
                wanted_keys.add((entry.id, wanted.original))
                self._place(wanted, respected)
        for link in flow.links:
            if link.key not in wanted_keys and link.source_resource not in unreadable:
                self._withdraw(link, wanted_keys, why_not.get(link.source_resource))
        return result

    def _note_skips(self, entry: Entry, skipped: tuple[Skipped, ...]) -> None:
        """Faults are told in every run, decisions where they are news."""
        news = entry.changed_in > self.flow.looked_at_version
        self.result.skipped += [
            skip for skip in skipped if skip.failed or (news and skip.reason != "outside_window")
        ]

    def _skip(self, wanted: Wanted, reason: str, *, failed: bool = False) -> None:
        self.result.skipped.append(Skipped(wanted.entry.id, wanted.original, reason, failed))

    # A copy that is wanted

    def _place(self, wanted: Wanted, respected: tuple[str, ...]) -> None:
        link = self.links.get((wanted.entry.id, wanted.original))
        if link is None:
            self._place_unlinked(wanted, respected)
            return
        # Before its first answered write an id proves nothing: only a verified mark does.
        copy = self._surviving_twin(wanted, None if link.state is LinkState.PENDING else link.copy_id)
        if copy is not None:
            self._bring_in_line(wanted, replace(link, copy_id=copy.uid), copy)
        elif link.state is LinkState.PENDING:
            self._create_at_free_id(wanted, link, "unanswered")
        elif link.state is LinkState.LIVE:
            self.result.vanished.append(link)
            gone = replace(link, state=LinkState.RESPECTED, times_hash=wanted.times_hash)
            self.result.keeps.append(Keep(gone, "skip", "copy_deleted_by_person"))
            self.result.processed.add(wanted.entry.id)
        elif link.times_hash != wanted.times_hash:
            pending = replace(link, state=LinkState.PENDING, respected=())
            self._write(Create(wanted, self._as_written(pending, wanted), "source_moved"))

    def _place_unlinked(self, wanted: Wanted, respected: tuple[str, ...]) -> None:
        flow = self.flow
        link = Link(
            direction=flow.direction,
            source_resource=wanted.entry.id,
            source_original=wanted.original,
            source_uid=wanted.entry.uid,
            origin=wanted.origin,
            target_calendar=flow.target_calendar,
            copy_id=copy_id(wanted.origin, flow.target_calendar, 0),
            generation=0,
            state=LinkState.PENDING,
            respected=() if wanted.original else respected,
        )
        copy = self._surviving_twin(wanted, None)
        if copy is not None and copy.mark is not None:
            if copy.uid in flow.other_links:
                self._skip(wanted, "copied_already")
                return
            found = replace(link, copy_id=copy.uid, generation=copy.mark.generation)
            self._adopt_or_update(wanted, found, copy, "adopted")
            return
        self._create_at_free_id(wanted, link, "new")

    def _create_at_free_id(self, wanted: Wanted, link: Link, reason: str) -> None:
        taken = self.copies.get(link.copy_id)
        if taken is None and link.copy_id not in self.flow.other_links:
            self._write(Create(wanted, self._as_written(link, wanted), reason))
        elif taken is not None and taken.mark is not None and taken.mark.kind is MarkKind.FOREIGN:
            self._meet_foreign(wanted, link, taken)
        else:
            self._skip(wanted, "copied_already" if link.copy_id in self.flow.other_links else "id_taken")

    def _meet_foreign(self, wanted: Wanted, link: Link, copy: Entry) -> None:
        """A copy of this very source whose mark does not verify: the installation's key may be lost (rule 4)."""
        if self.flow.adopt_foreign and _same_times(wanted, copy, self.flow.target_floating):
            self._write(Update(wanted, self._as_written(link, wanted), "adopted", copy))
            return
        self.result.foreign_copies += 1
        self._skip(wanted, "id_taken")

    def _bring_in_line(self, wanted: Wanted, link: Link, copy: Entry) -> None:
        current = copy.meaning(self.fingerprinter)
        if link.state is not LinkState.LIVE or link.written_hash != wanted.written_hash:
            rules_changed = link.rules_version is not None and link.rules_version != self.rules_version
            reason = "rules_changed" if rules_changed else "source_changed"
            self._adopt_or_update(wanted, link, copy, "unanswered" if link.written_hash is None else reason)
        elif link.copy_hash != current:
            self._undo_edit(wanted, link, copy, current)
        elif link.restores or link.copy_id != self.links[link.key].copy_id:
            self.result.keeps.append(Keep(replace(link, restores=0)))

    def _adopt_or_update(self, wanted: Wanted, link: Link, copy: Entry, reason: str) -> None:
        ours = copy.mark is not None and copy.mark.kind is MarkKind.OWN
        if ours and copy.mark is not None and copy.mark.fingerprint == wanted.written_hash:
            adopted = replace(self._as_written(link, wanted), copy_hash=copy.meaning(self.fingerprinter))
            self.result.keeps.append(Keep(adopted, "adopt", reason))
            self.result.processed.add(wanted.entry.id)
        else:
            self._write(Update(wanted, self._as_written(link, wanted), reason, copy))

    def _undo_edit(self, wanted: Wanted, link: Link, copy: Entry, current: str) -> None:
        """A person, or the provider, changed the copy (rule 17)."""
        lost = self._lost_instances(wanted, copy)
        if lost:
            respected = (*link.respected, *lost)
            again = decide(wanted.entry, self.flow.scene, respected).wanted
            same_form = [other for other in again if other.original == wanted.original]
            settled = replace(link, respected=respected)
            if same_form:
                link = self._as_written(settled, same_form[0])
                self._write(Update(same_form[0], link, "instance_deleted_by_person", copy))
            else:
                self.result.keeps.append(Keep(settled, "skip", "instance_deleted_by_person"))
        elif link.restores >= MAX_RESTORES:
            self.result.keeps.append(Keep(replace(link, copy_hash=current), "skip", "rewritten_by_provider"))
            self.result.processed.add(wanted.entry.id)
        else:
            restored = replace(self._as_written(link, wanted), restores=link.restores + 1)
            self._write(Update(wanted, restored, "copy_edited", copy))

    def _lost_instances(self, wanted: Wanted, copy: Entry) -> tuple[str, ...]:
        """Original starts that the copy leaves out and we did not."""
        recurrence = wanted.parts[0].skeleton.recurrence
        master = copy.master
        if recurrence is None or master is None or master.recurrence is None:
            return ()
        floating = self.flow.target_floating
        ours = {moment_key(exdate, floating) for exdate in recurrence.exdates}
        cancelled = [
            component.recurrence_id
            for component in copy.components
            if component.recurrence_id is not None and component.status is Status.CANCELLED
        ]
        out = [*master.recurrence.exdates, *cancelled]
        return tuple(str(time) for time in out if moment_key(time, floating) not in ours)

    def _as_written(self, link: Link, wanted: Wanted) -> Link:
        return replace(
            link,
            state=LinkState.LIVE,
            written_hash=wanted.written_hash,
            times_hash=wanted.times_hash,
            rules_version=self.rules_version,
            source_uid=wanted.entry.uid,
        )

    def _surviving_twin(self, wanted: Wanted, linked_id: str | None) -> Entry | None:
        """The copy of this origin; where there are several, the lowest id, and the others go (rule 3)."""
        candidates = {entry.uid: entry for entry in self.by_origin.get(wanted.origin, ())}
        if linked_id is not None and linked_id in self.copies:
            candidates[linked_id] = self.copies[linked_id]
        if not candidates:
            return None
        survivor, *twins = sorted(candidates)
        for twin in twins:
            if twin not in self.flow.other_links:
                delete = Delete(None, candidates[twin], wanted.entry.id, wanted.original, "twin", exempt=True)
                self._write(delete)
        return candidates[survivor]

    # A copy that is wanted no more

    def _withdraw(self, link: Link, wanted_keys: set[tuple[str, str]], why_not: str | None) -> None:
        flow = self.flow
        copy = self.copies.get(link.copy_id)
        source_there = link.source_resource in flow.source
        if copy is None:
            if not source_there or link.state is not LinkState.RESPECTED:
                self.result.forgets.append(Forget(link))
            return
        if source_there and self._is_history(copy):
            return
        form_changed = any(resource == link.source_resource for resource, _ in wanted_keys)
        reason = "source_deleted" if not source_there else "form_changed" if form_changed else why_not
        if flow.withdrawn:
            reason = "direction_changed"
        self._write(
            Delete(
                link,
                copy,
                link.source_resource,
                link.source_original,
                reason or "not_wanted",
                exempt=source_there
                and (form_changed or flow.withdrawn or link.rules_version != self.rules_version),
                after=link.source_resource if form_changed else None,
            )
        )

    def _is_history(self, copy: Entry) -> bool:
        """Wholly behind the window (rules 7 and 26)."""
        if copy.problem is not None or not copy.components:
            return False
        try:
            _, last = span(copy.components, self.flow.target_floating)
        except RecurrenceError:
            return False
        return last is not None and last <= self.flow.scene.window.first

    def _write(self, write: Write) -> None:
        failure = self.flow.failures.get((write.event_id, write.original))
        self.result.processed.add(write.event_id)
        held_back = failure is not None and self.flow.now < failure.retry_at
        if failure is not None and held_back and failure.tried_hash == tried_hash(write, self.flow):
            self.result.skipped.append(Skipped(write.event_id, write.original, failure.code, failed=True))
        else:
            self.result.writes.append(write)


def tried_hash(write: Write, flow: FlowInput) -> str:
    """What a write was tried with: the event, the pair's rules and the program's version (rule 22)."""
    fingerprinter = flow.scene.fingerprinter
    what = write.copy.meaning(fingerprinter) if isinstance(write, Delete) else write.wanted.written_hash
    return fingerprinter.of("tried", type(write).__name__, what, flow.scene.rules.signature(), flow.program)


def _respected(links: list[Link]) -> tuple[str, ...]:
    """Original starts that stay away, whichever form their series was copied in."""
    single = [link.source_original for link in links if link.state is LinkState.RESPECTED]
    return tuple(text for text in [*single, *(text for link in links for text in link.respected)] if text)


def _same_times(wanted: Wanted, copy: Entry, floating: str) -> bool:
    master = copy.master
    skeleton = wanted.parts[0].skeleton
    return master is not None and moment_key(master.start, floating) == moment_key(skeleton.start, floating)
