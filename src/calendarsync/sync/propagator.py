"""Carrying edits of copies into their sources (rule 17): what was planned, done and noted.

What is begun is noted before anything is written, so that after a crash the edit is known as one that may have
arrived: it is neither lost nor taken for the source's own change. All edits of one source go in one write.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from calendarsync.domain.amendment import Change
from calendarsync.domain.event import Content, Resource
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.link import Link
from calendarsync.domain.rules import OnCopyEdited
from calendarsync.providers.base import Changed, ProviderError, Refused, ResourceGone, Unavailable
from calendarsync.store import links
from calendarsync.store.index_rows import meaning_of
from calendarsync.sync.actions import FlowInput, Keep, Propagate, Update
from calendarsync.sync.board import DEFECT, tried_hash
from calendarsync.sync.fields import Fields
from calendarsync.sync.hold import Hold
from calendarsync.sync.outcome import Outcome
from calendarsync.sync.own_writes import index_own
from calendarsync.sync.propagation import Amendment, amendment_of, standing
from calendarsync.sync.render import needs_contents, render_parts
from calendarsync.sync.report import Operation
from calendarsync.sync.sides import Side, Texts

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Ready:
    """An edit that travels."""

    write: Propagate
    amendment: Amendment


class Propagator:
    """For one flow of a pair. What comes of it goes into `outcome`."""

    def __init__(
        self,
        fingerprinter: Fingerprinter,
        hold: Hold,
        flow: FlowInput,
        *,
        source: Side,
        target: Side,
        outcome: Outcome,
    ) -> None:
        self._fingerprinter = fingerprinter
        self._hold = hold
        self._flow = flow
        self._source = source
        self._target = target
        self._outcome = outcome

    async def kept(self, keeps: Sequence[Keep]) -> list[Link]:
        """The links; of copies that are taken as they stand, with what they show where an edit of it may travel.

        What cannot be read is not remembered, and an edit of it is put right once.
        """
        taken = [keep.taken for keep in keeps if keep.taken is not None and needs_contents(keep.taken[0])]
        if not taken or self._flow.scene.rules.on_copy_edited is not OnCopyEdited.PROPAGATE:
            return [keep.link for keep in keeps]
        sources = await self._texts(self._source, {each.entry.id: each.entry.version for each, _ in taken})
        copies = await self._texts(self._target, {copy.id: copy.version for _, copy in taken})
        return [self._with_fields(keep, sources, copies) for keep in keeps]

    def _with_fields(self, keep: Keep, sources: Texts, copies: Texts) -> Link:
        if keep.taken is None:
            return keep.link
        wanted, copy = keep.taken
        source, shown = sources.get(wanted.entry.id), copies.get(copy.id)
        if source is None or shown is None:
            return keep.link
        written = render_parts(wanted, self._flow.scene.rules, source)
        fields = Fields(self._fingerprinter, self._flow.target_floating, keep.link.origin)
        return replace(keep.link, copy_fields=fields.noted(written, copy.components, shown))

    async def carry(self, writes: Sequence[Propagate]) -> list[Update]:
        """Amend the sources; the copies that are to be put right instead are returned."""
        entries = [each.wanted.entry for each in writes]
        sources = await self._texts(self._source, {each.id: each.version for each in entries})
        copies = await self._texts(self._target, {each.copy.id: each.copy.version for each in writes})
        if self._outcome.error is not None:
            return []
        updates: list[Update] = []
        ready: defaultdict[str, list[_Ready]] = defaultdict(list)
        for write in writes:
            source, copy = sources.get(write.event_id), copies.get(write.copy.id)
            if source is None or copy is None:
                self._outcome.again = True  # newer than the plan, or gone: read and plan again (rule 23)
                continue
            amendment = self._amendment(write, source, copy)
            if amendment is None:
                continue
            if amendment.title_lost:
                self._tell(write, "skip", "title_not_undone")
            if amendment.changes:
                ready[write.event_id].append(_Ready(write, amendment))
            else:
                updates.append(_instead(write, amendment.reason))
        await self._note_intentions(each.write for group in ready.values() for each in group)
        for group in ready.values():
            if self._outcome.error is None:
                updates += await self._amend(group)
        return updates

    def _amendment(
        self, write: Propagate, source: Mapping[str, Content], copy: Mapping[str, Content]
    ) -> Amendment | None:
        fields = Fields(self._fingerprinter, self._flow.target_floating, write.standing.origin)
        try:
            return amendment_of(write, source, copy, fields, self._flow.scene.rules)
        except Exception as defect:  # noqa: BLE001 - one event that we trip over must not stop its pair
            self._fail(write, DEFECT)
            _log.error("edit_not_carried", pair_id=self._hold.claim.pair_id, defect=type(defect).__name__)
            return None

    async def _texts(self, side: Side, versions: Mapping[str, str | None]) -> Texts:
        """As `Side.texts`; none where the provider refuses."""
        try:
            return await side.texts(versions)
        except ProviderError as error:
            self._outcome.blame(error, side.connection)
            return {}

    async def _note_intentions(self, writes: Iterable[Propagate]) -> None:
        begun = [
            replace(write.standing, propagating=write.copy.meaning(self._fingerprinter)) for write in writes
        ]
        if begun:
            async with self._hold.write() as db:
                await links.save_links(db, self._hold.claim.pair_id, begun)

    async def _amend(self, group: Sequence[_Ready]) -> list[Update]:
        """All edits of one source. Returned are the updates that put the copies right where it is refused."""
        entry = group[0].write.wanted.entry
        try:
            resource = await self._source.calendar.amend(entry.id, entry.version, _merged(group))
        except Refused:
            return _refused(group)
        except (Changed, ResourceGone) as conflict:
            # Nothing of it arrived: whoever changed it meanwhile wins.
            await self._forget(group)
            self._outcome.again = True
            self._fail_all(group, conflict.code)
        except Unavailable as outage:
            if outage.retry_after is not None:
                self._outcome.blame(outage, self._source.connection)
            self._fail_all(group, outage.code)
        except ProviderError as error:
            self._outcome.blame(error, self._source.connection)
        except Exception as defect:  # noqa: BLE001 - one event that we trip over must not stop its pair
            _log.error("edit_not_carried", pair_id=self._hold.claim.pair_id, defect=type(defect).__name__)
            self._fail_all(group, DEFECT)
        else:
            if meaning_of(resource, self._fingerprinter) == entry.meaning(self._fingerprinter):
                return _refused(group)  # taken, and not done
            await self._note(group, resource)
        return []

    async def _note(self, group: Sequence[_Ready], resource: Resource) -> None:
        """The source's row and the links, together; the copies are written anew by the next plan of this run."""
        source = self._source.connection.id
        done = [
            standing(
                replace(each.write.standing, restores=each.write.link.restores),
                each.write.copy.meaning(self._fingerprinter),
            )
            for each in group
        ]
        async with self._hold.write() as db:
            await index_own(db, source, [resource], self._fingerprinter, self._hold.db.now())
            await links.save_links(db, self._hold.claim.pair_id, done)
        self._source.contents.remember(resource)
        self._outcome.again = True
        for each in group:
            self._outcome.failed.pop((each.write.event_id, each.write.original), None)
            self._tell(each.write, each.write.action, each.write.reason)

    async def _forget(self, group: Sequence[_Ready]) -> None:
        async with self._hold.write() as db:
            kept = [replace(each.write.standing, propagating=None) for each in group]
            await links.save_links(db, self._hold.claim.pair_id, kept)

    def _fail_all(self, group: Sequence[_Ready], code: str) -> None:
        for each in group:
            self._fail(each.write, code)

    def _fail(self, write: Propagate, code: str) -> None:
        self._outcome.failed[(write.event_id, write.original)] = (code, tried_hash(write, self._flow))

    def _tell(self, write: Propagate, action: str, reason: str) -> None:
        self._outcome.operations.append(
            Operation(
                self._flow.direction, write.event_id, write.original, action, reason, write.link.copy_id
            )
        )


def _instead(write: Propagate, reason: str) -> Update:
    return Update(write.wanted, write.link, reason, write.copy, after=write.after)


def _refused(group: Sequence[_Ready]) -> list[Update]:
    return [_instead(each.write, "edit_refused") for each in group]


def _merged(group: Sequence[_Ready]) -> list[Change]:
    """Each component once: a series and copies of single instances of it may be edited at once."""
    changes = {change.original: change for each in group for change in each.amendment.changes}
    return list(changes.values())
