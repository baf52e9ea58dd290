"""Taking a pair away: its copies go, or stay as ordinary events; sources are never touched (rule 20)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from calendarsync.domain.link import Direction, Link, LinkState
from calendarsync.providers.base import Changed, ProviderError, Refused
from calendarsync.store import index, links
from calendarsync.store.schedule import PairRecord, delete_pair
from calendarsync.sync.apply import WRITES_IN_FLIGHT, Side
from calendarsync.sync.finish import Ending
from calendarsync.sync.report import Operation
from calendarsync.sync.round import ConnectionFailed, Reader, Round

MAX_ATTEMPTS = 3


@dataclass(slots=True)
class Remover:
    reader: Reader
    round_: Round

    async def remove(self, pair: PairRecord, ending: Ending) -> None:
        """Remove what the pair wrote, then the pair. Raises ConnectionFailed; what is left is done next time."""
        async with self.reader.db.read() as db:
            pair_links = await links.load_links(db, pair.id)
        for direction in Direction:
            mine = [link for link in pair_links if link.direction is direction]
            if mine:
                target = pair.connection_b_id if direction is Direction.A_TO_B else pair.connection_a_id
                await self._clear(pair, target, mine, ending)
        if not ending.failures:
            async with self.reader.db.write() as db:
                await delete_pair(db, pair)

    async def _clear(self, pair: PairRecord, target: str, mine: list[Link], ending: Ending) -> None:
        left = {link.copy_id: link for link in mine}
        for attempt in range(MAX_ATTEMPTS):
            side = await self.round_.read(target, again=attempt > 0)
            async with self.reader.db.read() as db:
                ids = await index.resource_ids(db, target, list(left))
            gone = [
                link for link in left.values() if link.copy_id not in ids or link.state is LinkState.RESPECTED
            ]
            await self._forget(pair, gone)
            left = {link.copy_id: link for link in left.values() if link not in gone}
            if not left:
                return
            left = await self._take_away(pair, side, left, ids, ending)
        ending.failures += len(left)
        ending.skipped += [
            Operation(
                link.direction, link.source_resource, link.source_original, "skip", "not_removed", copy_id
            )
            for copy_id, link in left.items()
        ]

    async def _take_away(
        self,
        pair: PairRecord,
        side: Side,
        left: Mapping[str, Link],
        ids: Mapping[str, tuple[str, str | None]],
        ending: Ending,
    ) -> dict[str, Link]:
        """Delete or unmark the copies; those that had changed meanwhile, or were refused, are left."""
        places = asyncio.Semaphore(WRITES_IN_FLIGHT)
        remaining: dict[str, Link] = {}
        errors: list[ProviderError] = []

        async def one(copy_id: str, link: Link) -> None:
            async with places:
                if errors:
                    return
                try:
                    await self._one(pair, side, link, ids[copy_id])
                except (Changed, Refused):
                    remaining[copy_id] = link
                except ProviderError as error:
                    errors.append(error)
                else:
                    done = ("keep", "pair_deleted") if pair.removal == "keep" else ("delete", "pair_deleted")
                    ending.operations.append(
                        Operation(link.direction, link.source_resource, link.source_original, *done, copy_id)
                    )

        async with asyncio.TaskGroup() as group:
            for copy_id, link in left.items():
                group.create_task(one(copy_id, link))
        if errors:
            failed = ConnectionFailed(side.connection, errors[0])
            await self.reader.note_error(failed)
            raise failed
        return remaining

    async def _one(self, pair: PairRecord, side: Side, link: Link, where: tuple[str, str | None]) -> None:
        resource_id, version = where
        if pair.removal == "keep":
            # Remembered first: from the moment that its mark is gone, the event has to count as a person's.
            async with self.reader.db.write() as db:
                await links.keep_copy(db, link.target_calendar, link.copy_id)
            await side.calendar.unmark(resource_id, version)
        else:
            await side.calendar.delete(resource_id, version)
        await self._forget(pair, [link])

    async def _forget(self, pair: PairRecord, gone: list[Link]) -> None:
        if gone:
            async with self.reader.db.write() as db:
                await links.delete_links(db, pair.id, gone)
