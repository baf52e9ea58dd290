"""What one flow of a pair has to do: index rows and links in, actions out. Pure.

The table of cases; `wanted` is a copy that the rules ask for, `link` our record of it, `copy` the event that
stands in the target, `written` and `as read` the link's two fingerprints:

    wanted  link       copy     fingerprints                  action    reason
    ──────  ─────────  ───────  ────────────────────────────  ────────  ─────────────────────────────────────
    yes     none       none                                   create    new
    yes     none       ours     current                       adopt     adopted
    yes     none       ours     out of date                   update    adopted
    yes     none       another pair's                         skip      copied_already
    yes     none       another's, at our id                   skip      id_taken (rule 4: adopt, if confirmed)
    yes     pending    none                                   create    unanswered
    yes     live       none                                   respect   copy_deleted_by_person
    yes     respected  none     times as they were            —
    yes     respected  none     times changed                 create    source_moved
    yes     respected  ours                                   as live   it came back
    yes     live       unreadable                             update    copy_unreadable (at most twice)
    yes     any        ours     written ≠ wanted              update    source_changed or rules_changed
    yes     any        ours     written ≠ wanted, mark = it   adopt     unanswered (the write had arrived)
    yes     live       ours     mark ≠ written = wanted       update    unanswered (at most twice in a row)
    yes     live       ours     as read ≠ copy, instance out  update    instance_deleted_by_person
    yes     live       ours     as read ≠ copy                update    copy_edited (restored, at most twice)
    yes     live       ours     all equal                     —
    no      any        none                                   forget    —
    no      any        another pair's, or not verified        forget    —
    no      any        ours     source unreadable             —         left as it is
    no      any        ours     its new form is not complete  —         left as it is
    no      any        ours     wholly behind the window      —         left as history, unless its source is gone
    no      any        ours                                   delete    source_deleted, form_changed or why not
    —       —          twin     a higher id of one origin     delete    twin
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from calendarsync.domain.entry import Entry, by_copy_id, ordinary
from calendarsync.domain.event import ORIGINAL_OF_MASTER, EventTime, Status
from calendarsync.domain.link import Link, LinkState
from calendarsync.domain.origin import MarkKind, copy_id
from calendarsync.domain.recurrence import RecurrenceError, span
from calendarsync.domain.times import moment_key
from calendarsync.sync.actions import Create, Delete, FlowInput, FlowPlan, Forget, Keep, Update, Write
from calendarsync.sync.shape import Wanted, times_of
from calendarsync.sync.wanted import Decision, Skipped, decide

MAX_RESTORES = 2
DEFECT = "defect"
"""The reason of a skip that is our own fault: the event is told, and the others go on (rule 22)."""


def plan(flow: FlowInput) -> FlowPlan:
    return _Planner(flow).run()


class _Planner:
    def __init__(self, flow: FlowInput) -> None:
        self.flow = flow
        self.fingerprinter = flow.scene.fingerprinter
        self.rules_version = flow.scene.rules.version(self.fingerprinter)
        self.result = FlowPlan(flow.direction)
        self.copies = by_copy_id(flow.target.values())
        self.links = {link.key: link for link in flow.links}
        self.by_origin: defaultdict[str, list[Entry]] = defaultdict(list)
        for entry in flow.target.values():
            if entry.mark is not None and entry.ours:
                self.by_origin[entry.mark.origin].append(entry)
        # Source resources by the forms that are wanted of them, and those whose new form is held back.
        self.whole: dict[str, Wanted] = {}
        self.single: set[str] = set()
        self.held_back: set[str] = set()
        # Instances, as source resource and key, whose own copies do not stand yet.
        self.missing: set[tuple[str, str]] = set()

    def run(self) -> FlowPlan:
        flow, result = self.flow, self.result
        result.live_copies = sum(link.state is LinkState.LIVE for link in flow.links)
        links_of: defaultdict[str, list[Link]] = defaultdict(list)
        for link in flow.links:
            links_of[link.source_resource].append(link)
        unreadable: set[str] = set()
        wanted_keys: set[tuple[str, str]] = set()
        why_not: dict[tuple[str, str], str] = {}
        sources = () if flow.withdrawn else flow.source.values()
        for entry in ordinary(sources, flow.source_copies, flow.kept):
            respected = _respected(links_of[entry.id])
            decision = self._decide(entry, respected)
            if entry.changed_in > flow.looked_at_version:
                result.processed.add(entry.id)
            unreadable.update(skip.event_id for skip in decision.skipped if skip.failed)
            why_not.update(((skip.event_id, skip.original), skip.reason) for skip in decision.skipped)
            self._note_skips(entry, decision.skipped)
            for wanted in decision.wanted:
                wanted_keys.add((entry.id, wanted.original))
                if wanted.original:
                    self.single.add(entry.id)
                else:
                    self.whole[entry.id] = wanted
                self._place(wanted, respected)
        for link in flow.links:
            if link.key not in wanted_keys and link.source_resource not in unreadable:
                reason = why_not.get(link.key) or why_not.get((link.source_resource, ORIGINAL_OF_MASTER))
                self._withdraw(link, reason)
        return result

    def _decide(self, entry: Entry, respected: tuple[str, ...]) -> Decision:
        deleted = self.links.get((entry.id, ORIGINAL_OF_MASTER))
        try:
            if (
                deleted is not None
                and deleted.state is LinkState.RESPECTED
                and deleted.times_hash is not None
            ):
                copy_is_back = deleted.copy_id in self.copies
                if not copy_is_back and deleted.times_hash == times_of(entry, self.flow.scene):
                    return Decision()
            return decide(entry, self.flow.scene, respected)
        except Exception:  # noqa: BLE001 - one event that we trip over must not stop its pair
            return Decision(skipped=(Skipped(entry.id, ORIGINAL_OF_MASTER, DEFECT, failed=True),))

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
            self._place_unlinked(wanted, self._new_link(wanted, respected), "new")
        elif link.state is LinkState.PENDING:
            # Before its first answered write an id proves nothing: only a verified mark does.
            self._place_unlinked(wanted, link, "unanswered")
        else:
            self._place_linked(wanted, link)

    def _place_linked(self, wanted: Wanted, link: Link) -> None:
        copy = self._surviving_twin(wanted, link.copy_id)
        if copy is not None and copy.problem is not None:
            self._mend(wanted, link, copy)
        elif copy is not None:
            # Its id and its generation belong together: a mark that names another one makes no copy.
            generation = copy.mark.generation if copy.mark is not None and copy.ours else link.generation
            found = replace(link, copy_id=copy.uid, generation=generation, state=LinkState.LIVE)
            self._bring_in_line(wanted, found, copy)
        elif link.state is LinkState.LIVE:
            self.result.vanished.append(link)
            self.result.keeps.append(Keep(_respecting(link, wanted), "skip", "copy_deleted_by_person"))
            self.result.processed.add(wanted.entry.id)
            if not wanted.original and wanted.entry.id in self.single:
                self.result.again = True  # with the series go the copies of instances beside it
        elif link.times_hash != wanted.times_hash:
            reason = "wanted_again" if link.times_hash is None else "source_moved"
            self._create_at_free_id(wanted, replace(link, state=LinkState.PENDING), reason)

    def _mend(self, wanted: Wanted, link: Link, copy: Entry) -> None:
        """Something broke the copy: it is written anew, but not for ever."""
        if link.restores >= MAX_RESTORES:
            self._skip(wanted, "copy_unreadable", failed=True)
        else:
            mended = replace(self._as_written(link, wanted), restores=link.restores + 1)
            self._write(Update(wanted, mended, "copy_unreadable", copy))

    def _new_link(self, wanted: Wanted, respected: tuple[str, ...]) -> Link:
        return Link(
            direction=self.flow.direction,
            source_resource=wanted.entry.id,
            source_original=wanted.original,
            source_uid=wanted.entry.uid,
            origin=wanted.origin,
            target_calendar=self.flow.target_calendar,
            copy_id=copy_id(wanted.origin, self.flow.target_calendar, 0),
            generation=0,
            state=LinkState.PENDING,
            respected=() if wanted.original else respected,
        )

    def _place_unlinked(self, wanted: Wanted, link: Link, reason: str) -> None:
        """Nothing of ours was ever seen there: adopt what a verified mark shows, else create."""
        standing = self.by_origin.get(wanted.origin, ())
        if any(entry.uid in self.flow.other_links for entry in standing):
            self._leave_to_others(wanted, link)
            return
        copy = self._surviving_twin(wanted, None)
        if copy is not None and copy.mark is not None:
            found = replace(link, copy_id=copy.uid, generation=copy.mark.generation)
            self._adopt_or_update(wanted, found, copy, "adopted" if reason == "new" else reason)
        else:
            self._create_at_free_id(wanted, link, reason)

    def _leave_to_others(self, wanted: Wanted, link: Link) -> None:
        self._skip(wanted, "copied_already")
        if link.id is not None:
            self.result.forgets.append(Forget(link))

    def _create_at_free_id(self, wanted: Wanted, link: Link, reason: str) -> None:
        taken = self.copies.get(link.copy_id)
        if link.copy_id in self.flow.other_links:
            self._leave_to_others(wanted, link)
        elif taken is None:
            self._write(Create(wanted, self._as_written(link, wanted), reason))
        elif taken.mark is not None and taken.mark.kind is MarkKind.FOREIGN:
            self._meet_foreign(wanted, link, taken)
        else:
            self._skip(wanted, "id_taken")

    def _meet_foreign(self, wanted: Wanted, link: Link, copy: Entry) -> None:
        """A copy of this very source whose mark does not verify: the installation's key may be lost (rule 4)."""
        if _same_times(wanted, copy, self.flow.target_floating):
            if self.flow.adopt_foreign:
                self._write(Update(wanted, self._as_written(link, wanted), "adopted", copy))
                return
            self.result.foreign_copies += 1
        self._skip(wanted, "id_taken")

    def _bring_in_line(self, wanted: Wanted, link: Link, copy: Entry) -> None:
        current = copy.meaning(self.fingerprinter)
        written_since = copy.ours and copy.mark is not None and copy.mark.fingerprint != link.written_hash
        edited = link.copy_hash != current and not written_since
        lost = self._lost_instances(link, copy) if edited else ()
        if lost:
            self._respect_instances(wanted, link, copy, lost)
        elif link.written_hash != wanted.written_hash:
            rules_changed = link.rules_version is not None and link.rules_version != self.rules_version
            self._adopt_or_update(wanted, link, copy, "rules_changed" if rules_changed else "source_changed")
        elif written_since and (link.restores < MAX_RESTORES or link.copy_hash != current):
            self._undo_edit(wanted, link, copy, current, "unanswered")
        elif edited:
            self._undo_edit(wanted, link, copy, current)
        else:
            settled = link if written_since else replace(link, restores=0)
            if settled != self.links[link.key]:
                self.result.keeps.append(Keep(settled))

    def _adopt_or_update(self, wanted: Wanted, link: Link, copy: Entry, reason: str) -> None:
        if copy.mark is not None and copy.ours and copy.mark.fingerprint == wanted.written_hash:
            adopted = replace(self._as_written(link, wanted), copy_hash=copy.meaning(self.fingerprinter))
            self.result.keeps.append(Keep(adopted, "adopt", reason))
            self.result.processed.add(wanted.entry.id)
        else:
            self._write(Update(wanted, self._as_written(link, wanted), reason, copy))

    def _respect_instances(self, wanted: Wanted, link: Link, copy: Entry, lost: tuple[str, ...]) -> None:
        """A person took instances out of the copied series: they stay away (rule 17)."""
        starts = {key: key for key in lost}
        for component in wanted.entry.components:
            if component.recurrence_id is not None:
                key = moment_key(component.recurrence_id, self.flow.scene.floating)
                starts[key] = moment_key(component.start, self.flow.scene.floating)
        noted = tuple(f"{key}>{starts[key]}" for key in lost)
        respecting = replace(link, respected=tuple(dict.fromkeys((*link.respected, *noted))))
        again = self._decide(wanted.entry, respecting.respected).wanted
        same_form = next((other for other in again if other.original == wanted.original), None)
        if same_form is None:
            self.result.keeps.append(Keep(respecting, "skip", "instance_deleted_by_person"))
            self.result.again = True
        else:
            written = self._as_written(respecting, same_form)
            self._write(Update(same_form, written, "instance_deleted_by_person", copy))

    def _undo_edit(
        self, wanted: Wanted, link: Link, copy: Entry, current: str, reason: str = "copy_edited"
    ) -> None:
        """A person, or the provider, changed the copy, or what it says of itself (rule 17)."""
        if link.restores >= MAX_RESTORES:
            self.result.keeps.append(Keep(replace(link, copy_hash=current), "skip", "rewritten_by_provider"))
            self.result.processed.add(wanted.entry.id)
        else:
            restored = replace(self._as_written(link, wanted), restores=link.restores + 1)
            self._write(Update(wanted, restored, reason, copy))

    def _lost_instances(self, link: Link, copy: Entry) -> tuple[str, ...]:
        """Keys of instances that the copy leaves out, and that we did not leave out when we wrote it."""
        master = copy.master
        if link.source_original or master is None or master.recurrence is None:
            return ()
        cancelled = [
            component.recurrence_id
            for component in copy.components
            if component.recurrence_id is not None and component.status is Status.CANCELLED
        ]
        out = [
            moment_key(time, self.flow.target_floating) for time in (*master.recurrence.exdates, *cancelled)
        ]
        return tuple(key for key in dict.fromkeys(out) if key not in link.holes)

    def _as_written(self, link: Link, wanted: Wanted) -> Link:
        return replace(
            link,
            state=LinkState.LIVE,
            written_hash=wanted.written_hash,
            times_hash=wanted.times_hash,
            holes=wanted.holes,
            rules_version=self.rules_version,
            source_uid=wanted.entry.uid,
        )

    def _surviving_twin(self, wanted: Wanted, linked_id: str | None) -> Entry | None:
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
            self._write(delete)
        return candidates[survivor]

    # A copy that is wanted no more

    def _withdraw(self, link: Link, why_not: str | None) -> None:
        flow = self.flow
        copy = self.copies.get(link.copy_id)
        source_there = link.source_resource in flow.source
        if copy is None:
            if not source_there or link.state is not LinkState.RESPECTED:
                self.result.forgets.append(Forget(link))
            return
        if link.copy_id in flow.other_links or (link.state is not LinkState.LIVE and not copy.ours):
            self.result.forgets.append(Forget(link))
            return
        if source_there and (link.source_resource in self.held_back or self._is_history(copy)):
            return
        form_changed = self._form_changed(link)
        reason = "source_deleted" if not source_there else "form_changed" if form_changed else why_not
        if flow.withdrawn:
            reason = "direction_changed"
        owners_wish = form_changed or flow.withdrawn or link.rules_version != self.rules_version
        self._write(
            Delete(
                link,
                copy,
                link.source_resource,
                link.source_original,
                reason or "not_wanted",
                exempt=source_there and owners_wish,
                after=link.source_resource if form_changed else None,
            )
        )

    def _form_changed(self, link: Link) -> bool:
        """Whether another copy of the source shows from now on what this one did."""
        if not link.source_original:
            return link.source_resource in self.single
        series = self.whole.get(link.source_resource)
        return series is not None and self._key(link.source_original) not in series.holes

    def _key(self, original: str) -> str:
        return moment_key(EventTime.parse(original), self.flow.scene.floating)

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
        if type(write) is Create and write.original:
            self.missing.add((write.event_id, self._key(write.original)))
        held_back = failure is not None and self.flow.now < failure.retry_at
        if failure is not None and held_back and failure.tried_hash == tried_hash(write, self.flow):
            self.result.skipped.append(Skipped(write.event_id, write.original, failure.code, failed=True))
            self.held_back.add(write.event_id)
        elif not isinstance(write, Update) or not self._opens_hole(write):
            self.result.writes.append(write)
        elif write.event_id not in self.held_back:
            self.result.writes.append(replace(write, after=write.event_id))

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


def _respecting(link: Link, wanted: Wanted) -> Link:
    """The link of a copy that a person deleted. A single instance is named, so that it outlives its form."""
    named = (*link.respected, wanted.instance_key) if wanted.original else link.respected
    respected = tuple(dict.fromkeys(named))
    return replace(link, state=LinkState.RESPECTED, times_hash=wanted.times_hash, respected=respected)


def _respected(links: list[Link]) -> tuple[str, ...]:
    """The instances of a series that stay away, whichever form it was copied in."""
    return tuple(dict.fromkeys(text for link in links for text in link.respected))


def _same_times(wanted: Wanted, copy: Entry, floating: str) -> bool:
    master = copy.master
    skeleton = wanted.parts[0].skeleton
    return master is not None and moment_key(master.start, floating) == moment_key(skeleton.start, floating)
