"""Taking a pair away: its copies go, or stay as ordinary events; sources are never touched (rule 20)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from calendarsync.domain.entry import Entry, by_copy_id
from calendarsync.domain.event import Resource
from calendarsync.domain.link import Direction, Link, LinkState
from calendarsync.providers.base import Changed, ProviderError, Refused
from calendarsync.store import index, links
from calendarsync.store.schedule import PairRecord
from calendarsync.sync.apply import GROUPS_IN_FLIGHT
from calendarsync.sync.ending import Ending
from calendarsync.sync.hold import Hold
from calendarsync.sync.inputs import directions
from calendarsync.sync.own_writes import index_own
from calendarsync.sync.report import Operation
from calendarsync.sync.round import ConnectionFailed, Reader, Round
from calendarsync.sync.sides import Side

MAX_ATTEMPTS = 3


@dataclass(slots=True)
class Remover:
    reader: Reader
    round_: Round
    mark_keys: Sequence[bytes]
    hold: Hold

    async def remove(self, pair: PairRecord, ending: Ending) -> None:
        """Remove what the pair wrote. Raises ConnectionFailed, ClaimLost; what is left is done next time.

        Where nothing is left the pair itself may go, which `ending` then says.
        """
        async with self.reader.db.read() as db:
            pair_links = await links.load_links(db, pair.id)
        failed: ConnectionFailed | None = None
        for direction in Direction:
            mine = [link for link in pair_links if link.direction is direction]
            target = pair.connection_b_id if direction is Direction.A_TO_B else pair.connection_a_id
            mine += await self._unclaimed(pair, direction, target)
            try:
                await self._clear(pair, target, mine, ending)
            except ConnectionFailed as failure:
                failed = failure
        if failed is not None:
            raise failed
        ending.removed = not ending.failures

    async def _unclaimed(self, pair: PairRecord, direction: Direction, target: str) -> list[Link]:
        """Links for copies that none has: their sources were gone, or behind the window, when a lost database was
        made anew (rule 4). They go with the pair, unless another one writes there: nothing tells whose they are.
        """
        if pair.removal != "remove" or pair.last_synced_at is None or direction not in directions(pair):
            return []
        calendar = pair.calendar_b if direction is Direction.A_TO_B else pair.calendar_a
        async with self.reader.db.read() as db:
            if await links.is_written_by_others(db, calendar, pair.id):
                return []
            known = await links.linked_copies(db, calendar) | await links.load_kept(db, calendar)
            entries = await index.load_entries(db, target, calendar, self.mark_keys)
        return [
            Link(direction, "", "", "", entry.mark.origin, calendar, entry.uid, 0, LinkState.LIVE)
            for entry in entries.values()
            if entry.mark is not None and entry.ours and entry.uid not in known
        ]

    async def _clear(self, pair: PairRecord, target: str, mine: list[Link], ending: Ending) -> None:
        left = mine
        standing: Mapping[str, Entry] = {}
        for attempt in range(MAX_ATTEMPTS):
            if not left:
                return
            (connection,) = await self.round_.admit(target)
            side = await self.round_.read(connection, self.hold, again=attempt > 0)
            if attempt > 0:
                # What lies outside the span that a reading covers shows by its id alone how it has changed.
                ids = [standing[link.copy_id].id for link in left]
                side = await self.round_.read_texts(side, ids, self.hold)
            standing = await self._standing(pair, side, left)
            await self._forget(pair, [link for link in left if link.copy_id not in standing], side)
            here = [link for link in left if link.copy_id in standing]
            left = await self._take_away(pair, side, here, standing, ending)
        ending.failures += len(left)
        ending.skipped += [self._operation(link, "skip", "not_removed") for link in left]

    async def _standing(self, pair: PairRecord, side: Side, left: Sequence[Link]) -> dict[str, Entry]:
        """What stands in the calendar of these links' copies, and is this pair's to take away."""
        connection = side.connection
        async with self.reader.db.read() as db:
            entries = await index.load_entries(db, connection.id, connection.calendar_key, self.mark_keys)
            others = await links.copies_of_others(db, connection.calendar_key, pair.id)
        held = {other.copy_id for other in others if other.state is LinkState.LIVE}
        standing = by_copy_id(entries.values())
        return {
            link.copy_id: standing[link.copy_id]
            for link in left
            if link.copy_id in standing
            and link.copy_id not in held
            and (link.state is LinkState.LIVE or standing[link.copy_id].ours)
        }

    async def _take_away(
        self,
        pair: PairRecord,
        side: Side,
        left: Sequence[Link],
        standing: Mapping[str, Entry],
        ending: Ending,
    ) -> list[Link]:
        """Delete or unmark the copies; those that had changed meanwhile, or were refused, are left."""
        size = side.calendar.batch_size
        groups = deque(left[start : start + size] for start in range(0, len(left), size))
        remaining: list[Link] = []
        errors: list[ProviderError] = []
        action = "keep" if pair.removal == "keep" else "delete"

        async def work() -> None:
            while groups and not errors:
                group = groups.popleft()
                ends = await self._together(pair, side, [(link, standing[link.copy_id]) for link in group])
                gone = [link for link, end in zip(group, ends, strict=True) if end is None or _is_left(end)]
                deleted = [standing[link.copy_id].id for link in gone] if action == "delete" else []
                await self._forget(pair, gone, side, deleted, list(filter(_is_left, ends)))
                ending.operations.extend(self._operation(link, action, "pair_deleted") for link in gone)
                for link, end in zip(group, ends, strict=True):
                    if isinstance(end, Changed | Refused):
                        remaining.append(link)
                    elif isinstance(end, ProviderError):
                        errors.append(end)
                    elif isinstance(end, BaseException):
                        raise end

        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(GROUPS_IN_FLIGHT, len(groups))):
                    tasks.create_task(work())
        except ExceptionGroup as several:
            raise several.exceptions[0] from several
        if errors:
            failed = ConnectionFailed(side.connection, errors[0])
            await self.reader.note_error(failed, self.hold)
            raise failed
        return remaining

    async def _together(
        self, pair: PairRecord, side: Side, group: Sequence[tuple[Link, Entry]]
    ) -> list[Resource | BaseException | None]:
        """Delete or unmark these at the same moment; for each what is left of it, or why not."""
        keep = pair.removal == "keep"
        if keep:
            # Remembered first: from the moment that its mark is gone, the event has to count as a person's.
            async with self.hold.write() as db:
                for link, _ in group:
                    await links.keep_copy(db, link.target_calendar, link.copy_id)

        async def one(copy: Entry) -> Resource | None:
            if keep:
                return await side.calendar.unmark(copy.id, copy.version)
            await side.calendar.delete(copy.id, copy.version)
            return None

        return await asyncio.gather(*(one(copy) for _, copy in group), return_exceptions=True)

    async def _forget(
        self,
        pair: PairRecord,
        gone: Sequence[Link],
        side: Side,
        deleted: Sequence[str] = (),
        left: Sequence[Resource] = (),
    ) -> None:
        """What we deleted leaves the index with its link: who copied it on must not wonder where it went.

        What is left without its mark stands there so at once: a pair that is made before the calendar tells of that
        would take it for a copy.
        """
        if gone:
            async with self.hold.write() as db:
                if deleted or left:
                    fingerprinter = self.reader.refresher.fingerprinter
                    now = self.hold.db.now()
                    await index_own(db, side.connection.id, left, fingerprinter, now, removed=deleted)
                await links.delete_links(db, pair.id, gone)

    @staticmethod
    def _operation(link: Link, action: str, reason: str) -> Operation:
        source = link.source_resource or link.copy_id
        return Operation(link.direction, source, link.source_original, action, reason, link.copy_id)


def _is_left(end: Resource | BaseException | None) -> TypeGuard[Resource]:
    return isinstance(end, Resource)
