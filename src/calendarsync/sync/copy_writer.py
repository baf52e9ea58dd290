"""One write of a copy: rendered, sent, and under the next id where its own is used up (rule 3)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Content, Resource
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.link import Link, LinkState
from calendarsync.domain.origin import copy_id
from calendarsync.providers.base import Calendar, IdDead, Refused
from calendarsync.store import links
from calendarsync.sync.actions import Create, Delete, FlowInput, Update, Write
from calendarsync.sync.fields import Fields
from calendarsync.sync.hold import Hold
from calendarsync.sync.render import needs_contents, render

_DEAD_IDS = 16
"""How many used up ids of one copy are passed by in one run."""


class CopyWriter:
    """Writes the copies of one flow into its target."""

    def __init__(
        self, fingerprinter: Fingerprinter, hold: Hold, flow: FlowInput, calendar: Calendar, mark_key: bytes
    ) -> None:
        self._fingerprinter = fingerprinter
        self._hold = hold
        self._flow = flow
        self._calendar = calendar
        self._mark_key = mark_key
        self._moved: list[Link] = []
        self._storing: asyncio.Task[None] | None = None

    async def send(self, write: Write, contents: Mapping[str, Content]) -> tuple[Write, Resource | None]:
        """The write as it was done in the end, and what stands there then. Raises ProviderError, ClaimLost."""
        if isinstance(write, Delete):
            await self._calendar.delete(write.copy.id, write.copy.version)
            return write, None
        if isinstance(write, Update):
            copy = self._render(write, contents)
            written = await self._calendar.update(write.copy.id, write.copy.version, copy)
            return self._with_fields(write, copy, written), written
        for _ in range(_DEAD_IDS):
            try:
                return await self._create(write, contents)
            except IdDead:
                write = await self._move_on(write)
        return await self._create(write, contents)

    def _with_fields(self, write: Create, copy: Copy, written: Resource) -> Create:
        """A block says nothing that could travel back into its source."""
        if not needs_contents(write.wanted):
            return write
        fields = Fields(self._fingerprinter, self._flow.target_floating, write.link.origin)
        noted = fields.noted((copy.master, *copy.overrides), written.components, written.contents)
        return replace(write, link=replace(write.link, copy_fields=noted))

    async def _create(self, write: Create, contents: Mapping[str, Content]) -> tuple[Create, Resource]:
        """Raises Refused where the calendar shows the copy by another id than ours, and takes it back.

        From the next reading on it would be somebody's event, and be copied itself.
        """
        copy = self._render(write, contents)
        made = await self._calendar.create(copy)
        if made.uid not in ("", copy.id):
            await self._calendar.delete(made.id, made.version)
            raise Refused("The calendar gives events other ids than they were written with.")
        return self._with_fields(write, copy, made), made

    def _render(self, write: Create, contents: Mapping[str, Content]) -> Copy:
        return render(write.wanted, write.link, self._flow.scene.rules, contents, self._mark_key)

    async def _move_on(self, write: Create) -> Create:
        """The next generation, stored before anything is written under its id (rule 3)."""
        link = write.link
        next_id = copy_id(link.origin, link.target_calendar, link.generation + 1)
        moved = replace(link, generation=link.generation + 1, copy_id=next_id)
        self._moved.append(pending(moved, self._flow.now))
        if self._storing is None:
            self._storing = asyncio.create_task(self._store_moved())
        await self._storing
        return replace(write, link=moved)

    async def _store_moved(self) -> None:
        """In one transaction for a whole group, which goes on together then."""
        await asyncio.sleep(0)
        moved, self._moved, self._storing = self._moved, [], None
        async with self._hold.write() as db:
            await links.save_links(db, self._hold.claim.pair_id, moved)


def pending(link: Link, now: datetime) -> Link:
    """As it stands before its copy's first write."""
    return replace(link, state=LinkState.PENDING, written_hash=None, copy_hash=None, pending_since=now)
