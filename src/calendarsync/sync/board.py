"""What planning one flow looks up, and the plan as it grows. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from calendarsync.domain.entry import Entry, by_copy_id
from calendarsync.domain.event import ORIGINAL_OF_MASTER, EventTime
from calendarsync.domain.link import Link, LinkState
from calendarsync.domain.origin import copy_id
from calendarsync.domain.recurrence import RecurrenceError, span
from calendarsync.domain.times import moment_key
from calendarsync.sync.actions import Case, Create, Delete, FlowInput, FlowPlan, Forget, Keep, Update, Write
from calendarsync.sync.shape import Wanted, times_of
from calendarsync.sync.wanted import Decision, Skipped, decide

DEFECT = "defect"
"""The reason of a skip that is our own fault: the event is told, and the others go on (rule 22)."""


class Board:
    """One flow, by the keys that its cases are told apart by, and `result`, the plan.

    `whole` and `single` are the source resources by the forms that are wanted of them, `held_back` those whose new
    form is held back.
    """

    def __init__(self, flow: FlowInput) -> None:
        self.flow = flow
        self.rules = flow.scene.rules
        self.fingerprinter = flow.scene.fingerprinter
        self.rules_version = self.rules.version(self.fingerprinter)
        self.result = FlowPlan(flow.direction)
        self.copies = by_copy_id(flow.target.values())
        self.links = {link.key: link for link in flow.links}
        self.by_origin: defaultdict[str, list[Entry]] = defaultdict(list)
        # Those whose mark does not verify.
        self.foreign: dict[str, Entry] = {}
        for entry in flow.target.values():
            if entry.mark is not None and entry.ours:
                self.by_origin[entry.mark.origin].append(entry)
            elif entry.mark is not None:
                self.foreign[entry.mark.origin] = entry
        self.links_of: defaultdict[str, list[Link]] = defaultdict(list)
        for link in flow.links:
            self.links_of[link.source_resource].append(link)
        self.whole: dict[str, Wanted] = {}
        self.single: set[str] = set()
        self.held_back: set[str] = set()
        # Instances, as source resource and key, whose own copies do not stand yet.
        self.missing: set[tuple[str, str]] = set()

    def decide(self, entry: Entry, respected: tuple[str, ...]) -> Decision:
        deleted = self.links.get((entry.id, ORIGINAL_OF_MASTER))
        try:
            if self._stays_away(entry, deleted):
                return Decision(skipped=(Skipped(entry.id, ORIGINAL_OF_MASTER, "copy_deleted_by_person"),))
            return decide(entry, self.flow.scene, respected, self._history(entry.id))
        except Exception:  # noqa: BLE001 - one event that we trip over must not stop its pair
            return Decision(skipped=(Skipped(entry.id, ORIGINAL_OF_MASTER, DEFECT, failed=True),))

    def _history(self, resource_id: str) -> frozenset[str]:
        """The instances of a resource whose own copies lie behind the window, and stay there."""
        found = set()
        for link in self.links_of[resource_id]:
            copy = self.copies.get(link.copy_id) if link.source_original else None
            if copy is not None and link.state is LinkState.LIVE and self.is_history(copy):
                found.add(self.key(link.source_original))
        return frozenset(found)

    def is_history(self, copy: Entry) -> bool:
        """Wholly behind the window (rules 7 and 26)."""
        if copy.problem is not None or not copy.components:
            return False
        try:
            _, last = span(copy.components, self.flow.target_floating)
        except RecurrenceError:
            return False
        return last is not None and last <= self.flow.scene.window.first

    def _stays_away(self, entry: Entry, deleted: Link | None) -> bool:
        """Whether a person deleted the copy of the whole resource, and its times are what they were."""
        if deleted is None or deleted.state is not LinkState.RESPECTED or deleted.times_hash is None:
            return False
        if not self.rules.respects_deletions or deleted.copy_id in self.copies:
            return False
        return deleted.times_hash == times_of(entry, self.flow.scene)

    def key(self, original: str) -> str:
        return moment_key(EventTime.parse(original), self.flow.scene.floating)

    def note(self, event_id: str, original: str, decision: str, reason: str, copy_id: str | None) -> None:
        self.result.cases.append(Case(event_id, original, decision, reason, copy_id))

    def skip(self, wanted: Wanted, reason: str, *, failed: bool = False) -> None:
        self.result.skipped.append(Skipped(wanted.entry.id, wanted.original, reason, failed))
        self.note(wanted.entry.id, wanted.original, "skip", reason, None)

    def keep(
        self, link: Link, action: str = "", reason: str = "", taken: tuple[Wanted, Entry] | None = None
    ) -> None:
        """Change our records alone; it is told of where `reason` is given."""
        self.result.keeps.append(Keep(link, action, reason, taken))
        if reason:
            self.result.processed.add(link.source_resource)
            self.note(link.source_resource, link.source_original, action, reason, link.copy_id)

    def forget(self, link: Link) -> None:
        self.result.forgets.append(Forget(link))

    def new_link(self, wanted: Wanted, respected: tuple[str, ...]) -> Link:
        """Of a copy that nothing is known of. `respected` are instances that stay away, as `Link` names them."""
        target = self.flow.target_calendar
        return Link(
            direction=self.flow.direction,
            source_resource=wanted.entry.id,
            source_original=wanted.original,
            source_uid=wanted.entry.uid,
            origin=wanted.origin,
            target_calendar=target,
            copy_id=copy_id(wanted.origin, target, 0),
            generation=0,
            state=LinkState.PENDING,
            respected=() if wanted.original else respected,
            hops=wanted.hops,
        )

    def as_written(self, link: Link, wanted: Wanted) -> Link:
        """The link once the copy is written."""
        return replace(
            link,
            state=LinkState.LIVE,
            pending_since=None,
            written_hash=wanted.written_hash,
            times_hash=wanted.times_hash,
            holes=wanted.holes,
            rules_version=self.rules_version,
            source_uid=wanted.entry.uid,
            copy_fields=None,
            propagating=None,
            accepted=None,
            hops=wanted.hops,
        )

    def surviving_twin(self, wanted: Wanted, linked_id: str | None) -> Entry | None:
        """The copy of this origin; where there are several, the lowest id, and the others go (rule 3)."""
        others = self.flow.other_links
        standing = self.by_origin.get(wanted.origin, ())
        candidates = {entry.uid: entry for entry in standing if entry.uid not in others}
        if linked_id is not None and linked_id in self.copies:
            candidates[linked_id] = self.copies[linked_id]
        if not candidates:
            return None
        survivor, *twins = sorted(candidates)
        for twin in twins:
            delete = Delete(None, candidates[twin], wanted.entry.id, wanted.original, "twin", exempt=True)
            self.write(delete)
        return candidates[survivor]

    def write(self, write: Write) -> None:
        failure = self.flow.failures.get((write.event_id, write.original))
        self.result.processed.add(write.event_id)
        if type(write) is Create and write.original:
            self.missing.add((write.event_id, self.key(write.original)))
        held_back = failure is not None and self.flow.now < failure.retry_at
        if failure is not None and held_back and failure.tried_hash == tried_hash(write, self.flow):
            self.result.skipped.append(Skipped(write.event_id, write.original, failure.code, failed=True))
            self.held_back.add(write.event_id)
            self.note(write.event_id, write.original, "skip", failure.code, write.copy_id)
            return
        if isinstance(write, Update) and self._opens_hole(write):
            if write.event_id in self.held_back:
                self.note(write.event_id, write.original, "none", "form_incomplete", write.copy_id)
                return
            write = replace(write, after=write.event_id)
        self.result.writes.append(write)
        self.note(write.event_id, write.original, write.action, write.reason, write.copy_id)

    def _opens_hole(self, update: Update) -> bool:
        """Whether a series shows an instance until now whose own copy does not stand yet (rule 12)."""
        link = self.links.get((update.event_id, update.original))
        new = set(update.wanted.holes).difference(link.holes if link is not None else ())
        return any((update.event_id, hole) in self.missing for hole in new)


def tried_hash(write: Write, flow: FlowInput) -> str:
    """What a write was tried with: the event, the pair's rules and the program's version (rule 22)."""
    fingerprinter = flow.scene.fingerprinter
    what = write.copy.meaning(fingerprinter) if isinstance(write, Delete) else write.wanted.written_hash
    return fingerprinter.of("tried", type(write).__name__, what, flow.scene.rules.signature(), flow.program)
