"""Doing what was planned: idempotent writes, a few at a time, each noted as it is answered (DESIGN: apply)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Content, Resource
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.link import Link, LinkState
from calendarsync.domain.origin import copy_id
from calendarsync.providers.base import (
    Calendar,
    Changed,
    IdDead,
    IdTaken,
    ProviderError,
    Refused,
    ResourceGone,
    Unavailable,
)
from calendarsync.store import index, links
from calendarsync.store.schedule import ConnectionRecord, load_uses
from calendarsync.sync.actions import Create, Delete, FlowInput, FlowPlan, Propagate, Update, Write
from calendarsync.sync.board import DEFECT, tried_hash
from calendarsync.sync.fields import Fields
from calendarsync.sync.hold import Hold
from calendarsync.sync.propagator import Propagator
from calendarsync.sync.refresh import Contents
from calendarsync.sync.render import needs_contents, render
from calendarsync.sync.report import Operation

_log = structlog.get_logger(__name__)

GROUPS_IN_FLIGHT = 8
"""How many groups of writes are under way at once: single writes, or as many as a provider takes together."""

_CHUNK = 128
_NOTE_AFTER = 50
_OUTAGES = 3
_DEAD_IDS = 16
"""How many used up ids of one copy are passed by in one run."""


_Ready = tuple[Write, Mapping[str, Content]]


@dataclass(frozen=True, slots=True)
class Side:
    """One end of a flow: the connection, its opened calendar, and the texts read of it in this round."""

    connection: ConnectionRecord
    calendar: Calendar
    contents: Contents


@dataclass(slots=True)
class Outcome:
    """What came of one flow. `failed` holds (code, tried hash) by source resource and original start.

    `again`: something had changed under our hands, so that reading and planning once more will do the rest.
    `error`: a provider as a whole refused, and `blamed` is its connection; what was answered stays done.
    """

    operations: list[Operation] = field(default_factory=list)
    failed: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    again: bool = False
    error: ProviderError | None = None
    blamed: ConnectionRecord | None = None


class Applier:
    """Applies the plan of one flow of a pair."""

    def __init__(
        self,
        fingerprinter: Fingerprinter,
        hold: Hold,
        flow: FlowInput,
        *,
        source: Side,
        target: Side,
        mark_keys: Sequence[bytes],
        now: Callable[[], datetime],
    ) -> None:
        """`now` is the time by which the source's calendar stamps its events."""
        self._fingerprinter = fingerprinter
        self._hold = hold
        self._pair_id = hold.claim.pair_id
        self._flow = flow
        self._source = source
        self._target = target
        self._mark_keys = mark_keys
        self._now = now
        self._outcome = Outcome()
        self._propagator = Propagator(
            fingerprinter, hold, flow, source=source, target=target, outcome=self._outcome
        )
        self._incomplete: set[str] = set()
        self._waiting: deque[Write] = deque()
        self._ready: deque[_Ready] = deque()
        self._taking = asyncio.Lock()
        self._answered: list[tuple[Write, Resource | None, int | None]] = []
        self._outages: list[Unavailable] = []
        self._moved: list[Link] = []
        self._storing: asyncio.Task[None] | None = None

    async def apply(self, plan: FlowPlan) -> Outcome:
        """Write all of the plan. Provider errors come back in the outcome; others, ClaimLost too, are raised."""
        await self._note_intentions(plan)
        writes = await self._propagate(plan.writes)
        free = [write for write in writes if write.after is None]
        await self._write_all(sorted(free, key=lambda write: isinstance(write, Delete)))
        for kind in (Create, Delete):
            after = [write for write in writes if write.after is not None and isinstance(write, kind)]
            await self._write_all([write for write in after if write.after not in self._incomplete])
        if self._outages and not self._outcome.operations:
            self._blame(self._outages[-1], self._target)
        return self._outcome

    async def _note_intentions(self, plan: FlowPlan) -> None:
        """Links stand before their copies are written, so that no crash leaves a copy that nobody knows."""
        pending = [_pending(write.link, self._flow.now) for write in plan.writes if type(write) is Create]
        kept = await self._propagator.kept(plan.keeps)
        forgotten = [forget.link for forget in plan.forgets]
        if not (pending or kept or forgotten):
            return
        async with self._hold.write() as db:
            await links.save_links(db, self._pair_id, [*kept, *pending])
            await links.delete_links(db, self._pair_id, forgotten)
        for keep in plan.keeps:
            if keep.reason:
                self._log(keep.link, keep.action, keep.reason)

    async def _propagate(self, writes: Sequence[Write]) -> Sequence[Write]:
        """Carry the edits that travel; what is left to be written."""
        edited = [write for write in writes if isinstance(write, Propagate)]
        if not edited:
            return writes
        instead = await self._propagator.carry(edited)
        return [*instead, *(write for write in writes if not isinstance(write, Propagate))]

    async def _write_all(self, writes: Sequence[Write]) -> None:
        self._waiting.extend(writes)
        workers = min(GROUPS_IN_FLIGHT, -(-len(writes) // self._target.calendar.batch_size))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work())
        except ExceptionGroup as several:
            raise several.exceptions[0] from several
        finally:
            await self._note_answers()

    async def _work(self) -> None:
        try:
            while self._outcome.error is None and (group := await self._take()):
                await self._together(group)
                if len(self._answered) >= _NOTE_AFTER:
                    await self._note_answers()
        except ProviderError as error:
            self._blame(error, self._target)

    def _blame(self, error: ProviderError, side: Side) -> None:
        if self._outcome.error is None:
            self._outcome.error, self._outcome.blamed = error, side.connection

    async def _together(self, group: Sequence[_Ready]) -> None:
        """Hand over writes at the same moment; each comes to its end, whatever becomes of the others."""
        writing = (self._one(write, contents) for write, contents in group)
        failed = [end for end in await asyncio.gather(*writing, return_exceptions=True) if end is not None]
        if failed:
            raise failed[0]

    async def _take(self) -> Sequence[_Ready]:
        """The next writes with the texts that they need; texts are fetched for many writes at once."""
        size = self._target.calendar.batch_size
        async with self._taking:
            while len(self._ready) < size and self._waiting and self._outcome.error is None:
                count = min(_CHUNK, len(self._waiting))
                await self._prepare([self._waiting.popleft() for _ in range(count)])
            return [self._ready.popleft() for _ in range(min(size, len(self._ready)))]

    async def _prepare(self, chunk: Sequence[Write]) -> None:
        contents = self._source.contents
        texts: dict[str, Mapping[str, Content]] = {}
        missing: dict[str, None] = {}
        for write in chunk:
            if isinstance(write, Delete) or not needs_contents(write.wanted):
                continue
            entry = write.wanted.entry
            held = contents.of(entry.id, entry.version)
            if held is None:
                missing[entry.id] = None
            else:
                texts[entry.id] = held
        if missing:
            texts |= await self._fetch(list(missing), chunk)
        for write in chunk:
            if isinstance(write, Delete) or not needs_contents(write.wanted):
                self._ready.append((write, {}))
            elif write.wanted.entry.id in texts:
                self._ready.append((write, texts[write.wanted.entry.id]))
            else:
                # It is newer than the plan, or gone: read and plan again (rule 23).
                self._outcome.again = True
                self._incomplete.add(write.wanted.entry.id)

    async def _fetch(self, ids: Sequence[str], chunk: Sequence[Write]) -> dict[str, Mapping[str, Content]]:
        planned = {
            write.wanted.entry.id: write.wanted.entry.version
            for write in chunk
            if not isinstance(write, Delete)
        }
        try:
            fetched = await self._source.calendar.fetch(ids)
        except ProviderError as error:
            self._blame(error, self._source)
            return {}
        return {
            resource.id: resource.contents for resource in fetched if resource.version == planned[resource.id]
        }

    async def _one(self, write: Write, contents: Mapping[str, Content]) -> None:
        try:
            write, resource = await self._send(write, contents)
        except (Changed, ResourceGone, IdTaken) as conflict:
            self._outcome.again = True
            self._fail(write, conflict.code)
        except (Refused, IdDead) as refusal:
            self._fail(write, refusal.code)
        except Unavailable as outage:
            # A server may break on one event alone; when it breaks on several in a row, it is out of order.
            self._outages.append(outage)
            if outage.retry_after is not None or len(self._outages) >= _OUTAGES:
                raise
            self._fail(write, outage.code)
        except ProviderError:
            raise
        except Exception as defect:  # noqa: BLE001 - one event that we trip over must not stop its pair
            _log.error("event_not_written", pair_id=self._pair_id, defect=type(defect).__name__)
            self._fail(write, DEFECT)
        else:
            self._outages.clear()
            self._answered.append((write, resource, latency_ms(write, self._flow, self._now())))

    async def _send(self, write: Write, contents: Mapping[str, Content]) -> tuple[Write, Resource | None]:
        """The write as it was done in the end, and what stands there then."""
        calendar = self._target.calendar
        if isinstance(write, Delete):
            await calendar.delete(write.copy.id, write.copy.version)
            return write, None
        if isinstance(write, Update):
            copy = self._render(write, contents)
            written = await calendar.update(write.copy.id, write.copy.version, copy)
            return self._with_fields(write, copy, written), written
        for _ in range(_DEAD_IDS):
            copy = self._render(write, contents)
            try:
                written = await self._create(copy)
            except IdDead:
                write = await self._move_on(write)
            else:
                return self._with_fields(write, copy, written), written
        copy = self._render(write, contents)
        written = await self._create(copy)
        return self._with_fields(write, copy, written), written

    def _with_fields(self, write: Create, copy: Copy, written: Resource) -> Create:
        """A block says nothing that could travel back into its source."""
        if not needs_contents(write.wanted):
            return write
        fields = Fields(self._fingerprinter, self._flow.target_floating, write.link.origin)
        noted = fields.noted((copy.master, *copy.overrides), written.components, written.contents)
        return replace(write, link=replace(write.link, copy_fields=noted))

    async def _create(self, copy: Copy) -> Resource:
        """Raises Refused where the calendar shows the copy by another id than ours, and takes it back.

        From the next reading on it would be somebody's event, and be copied itself.
        """
        calendar = self._target.calendar
        made = await calendar.create(copy)
        if made.uid not in ("", copy.id):
            await calendar.delete(made.id, made.version)
            raise Refused("The calendar gives events other ids than they were written with.")
        return made

    def _render(self, write: Create, contents: Mapping[str, Content]) -> Copy:
        return render(write.wanted, write.link, self._flow.scene.rules, contents, self._mark_keys[0])

    async def _move_on(self, write: Create) -> Create:
        """The next generation, stored before anything is written under its id (rule 3)."""
        link = write.link
        next_id = copy_id(link.origin, link.target_calendar, link.generation + 1)
        moved = replace(link, generation=link.generation + 1, copy_id=next_id)
        self._moved.append(_pending(moved, self._flow.now))
        if self._storing is None:
            self._storing = asyncio.create_task(self._store_moved())
        await self._storing
        return replace(write, link=moved)

    async def _store_moved(self) -> None:
        """In one transaction for a whole group, which goes on together then."""
        await asyncio.sleep(0)
        moved, self._moved, self._storing = self._moved, [], None
        async with self._hold.write() as db:
            await links.save_links(db, self._pair_id, moved)

    def _fail(self, write: Write, code: str) -> None:
        key = (write.event_id, write.original)
        self._outcome.failed[key] = (code, tried_hash(write, self._flow))
        self._incomplete.add(write.event_id)

    async def _note_answers(self) -> None:
        """Links and index move on together, for what has been answered so far."""
        answered, self._answered = self._answered, []
        if not answered:
            return
        written = [resource for _, resource, _ in answered if resource is not None]
        removed = [write.copy.id for write, _, _ in answered if isinstance(write, Delete)]
        finished = [self._finished(write, resource) for write, resource, _ in answered]
        target = self._target.connection.id
        async with self._hold.write() as db:
            version = await index.next_version(db, target)
            uses = await load_uses(db, target)
            await index.store_resources(
                db,
                target,
                written,
                self._fingerprinter,
                version,
                now=self._hold.db.now(),
                filters=uses.filters,
            )
            await index.remove_resources(db, target, removed)
            await links.save_links(db, self._pair_id, [link for link, stays in finished if link and stays])
            await links.delete_links(
                db, self._pair_id, [link for link, stays in finished if link and not stays]
            )
        for write, _, latency in answered:
            self._outcome.failed.pop((write.event_id, write.original), None)
            self._log_write(write, latency)

    def _finished(self, write: Write, resource: Resource | None) -> tuple[Link | None, bool]:
        """The link after its write, and whether it stays."""
        if isinstance(write, Delete):
            if write.link is not None and write.link.respected and write.reason != "source_deleted":
                # Whatever becomes of the series, what a person deleted of it stays away.
                return replace(write.link, state=LinkState.RESPECTED, times_hash=None), True
            return write.link, False
        assert resource is not None
        meaning = index.meaning_of(resource, self._fingerprinter)
        return replace(write.link, copy_hash=meaning), True

    def _log(self, link: Link, action: str, reason: str) -> None:
        self._outcome.operations.append(
            Operation(
                direction=self._flow.direction,
                event_id=link.source_resource,
                original_start=link.source_original,
                action=action,
                reason=reason,
                copy_id=link.copy_id,
            )
        )

    def _log_write(self, write: Write, latency: int | None) -> None:
        copy_id = write.copy.uid if isinstance(write, Delete) else write.link.copy_id
        self._outcome.operations.append(
            Operation(
                self._flow.direction,
                write.event_id,
                write.original,
                write.action,
                write.reason,
                copy_id,
                latency,
            )
        )


_OF_SOURCE = frozenset({"new", "source_changed", "source_moved", "wanted_again", "unanswered_write"})
_LONGEST_MS = 2**31 - 1  # of the column
_MS = timedelta(milliseconds=1)


def latency_ms(write: Write, flow: FlowInput, now: datetime) -> int | None:
    """From the source's last change, as its provider stamped it, to `now`, when its copy was written.

    None where it was not that change that led to the write, or nobody knows when it was.
    """
    if isinstance(write, Delete) or write.reason not in _OF_SOURCE:
        return None
    entry = write.wanted.entry
    if entry.modified is None or not entry.changed_in > flow.looked_at_version >= 0:
        return None
    return min(max((now - entry.modified) // _MS, 0), _LONGEST_MS)


def _pending(link: Link, now: datetime) -> Link:
    """As it stands before its copy's first write."""
    return replace(link, state=LinkState.PENDING, written_hash=None, copy_hash=None, pending_since=now)
