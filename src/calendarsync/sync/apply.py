"""Doing what was planned: idempotent writes, a few at a time, each noted as it is answered (DESIGN: apply)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from calendarsync.domain.event import Content, Resource
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.link import Link, LinkState
from calendarsync.providers.base import (
    Changed,
    IdDead,
    IdTaken,
    ProviderError,
    Refused,
    ResourceGone,
    Unavailable,
)
from calendarsync.store import links
from calendarsync.store.claims import ClaimLost
from calendarsync.store.errors import DatabaseUnavailable
from calendarsync.store.index_rows import meaning_of
from calendarsync.sync.actions import Create, Delete, FlowInput, FlowPlan, Propagate, Write
from calendarsync.sync.board import DEFECT, tried_hash
from calendarsync.sync.copy_writer import CopyWriter, pending
from calendarsync.sync.hold import Hold
from calendarsync.sync.latency import latency_ms
from calendarsync.sync.outcome import Outcome, noted
from calendarsync.sync.own_writes import index_own
from calendarsync.sync.propagator import Propagator
from calendarsync.sync.render import needs_contents
from calendarsync.sync.report import Operation
from calendarsync.sync.sides import Side

_log = structlog.get_logger(__name__)

GROUPS_IN_FLIGHT = 8
"""How many groups of writes are under way at once: single writes, or as many as a provider takes together."""

_CHUNK = 128
_NOTE_AFTER = 50
_OUTAGES = 3

_Ready = tuple[Write, Mapping[str, Content]]


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
        self._now = now
        self._outcome = Outcome()
        self._writer = CopyWriter(fingerprinter, hold, flow, target.calendar, mark_keys[0])
        self._propagator = Propagator(
            fingerprinter, hold, flow, source=source, target=target, outcome=self._outcome
        )
        self._incomplete: set[str] = set()
        self._waiting: deque[Write] = deque()
        self._ready: deque[_Ready] = deque()
        self._taking = asyncio.Lock()
        self._answered: list[tuple[Write, Resource | None, int | None]] = []
        self._outages: list[Unavailable] = []

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
            self._outcome.blame(self._outages[-1], self._target.connection)
        return self._outcome

    async def _note_intentions(self, plan: FlowPlan) -> None:
        """Links stand before their copies are written, so that no crash leaves a copy that nobody knows."""
        created = [pending(write.link, self._flow.now) for write in plan.writes if type(write) is Create]
        kept = await self._propagator.kept(plan.keeps)
        forgotten = [forget.link for forget in plan.forgets]
        if not (created or kept or forgotten):
            return
        async with self._hold.write() as db:
            await links.save_links(db, self._pair_id, [*kept, *created])
            await links.delete_links(db, self._pair_id, forgotten)
        self._outcome.operations += noted(plan)

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
            self._outcome.blame(error, self._target.connection)

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
        needed = {
            write.wanted.entry.id: write.wanted.entry.version
            for write in chunk
            if not isinstance(write, Delete) and needs_contents(write.wanted)
        }
        try:
            texts = await self._source.texts(needed)
        except ProviderError as error:
            self._outcome.blame(error, self._source.connection)
            texts = self._source.held(needed)
        for write in chunk:
            if isinstance(write, Delete) or not needs_contents(write.wanted):
                self._ready.append((write, {}))
            elif write.wanted.entry.id in texts:
                self._ready.append((write, texts[write.wanted.entry.id]))
            else:
                # It is newer than the plan, or gone: read and plan again (rule 23).
                self._outcome.again = True
                self._incomplete.add(write.wanted.entry.id)

    async def _one(self, write: Write, contents: Mapping[str, Content]) -> None:
        try:
            write, resource = await self._writer.send(write, contents)
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
        except (ProviderError, ClaimLost, DatabaseUnavailable):
            raise
        except Exception as defect:  # noqa: BLE001 - one event that we trip over must not stop its pair
            _log.error("event_not_written", pair_id=self._pair_id, defect=type(defect).__name__)
            self._fail(write, DEFECT)
        else:
            self._outages.clear()
            self._answered.append((write, resource, latency_ms(write, self._flow, self._now())))

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
            await index_own(db, target, written, self._fingerprinter, self._hold.db.now(), removed=removed)
            await links.save_links(db, self._pair_id, [link for link, stays in finished if link and stays])
            await links.delete_links(
                db, self._pair_id, [link for link, stays in finished if link and not stays]
            )
        for write, _, latency in answered:
            self._outcome.failed.pop((write.event_id, write.original), None)
            self._outcome.operations.append(
                Operation(
                    self._flow.direction,
                    write.event_id,
                    write.original,
                    write.action,
                    write.reason,
                    write.copy_id,
                    latency,
                )
            )

    def _finished(self, write: Write, resource: Resource | None) -> tuple[Link | None, bool]:
        """The link after its write, and whether it stays."""
        if isinstance(write, Delete):
            if write.link is not None and write.link.respected and write.reason != "source_deleted":
                # Whatever becomes of the series, what a person deleted of it stays away.
                return replace(write.link, state=LinkState.RESPECTED, times_hash=None), True
            return write.link, False
        assert resource is not None
        meaning = meaning_of(resource, self._fingerprinter)
        return replace(write.link, copy_hash=meaning), True
