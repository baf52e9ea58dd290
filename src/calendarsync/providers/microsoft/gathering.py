"""What the rows of a round of delta come to: resources that are new or changed, and ids that are in doubt.

Delta takes no `$expand` and no `$select` (event-delta). So our property is asked for event by event where the
transactionId, or a listing, says that it may be there; and a row that names a series, be it an occurrence with
nothing but its times, means that the whole series is read: of an occurrence that was deleted there is no row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice

from calendarsync.domain.event import Resource
from calendarsync.domain.origin import looks_derived
from calendarsync.providers.base import Batch, Known
from calendarsync.providers.microsoft.batching import Batcher, Request
from calendarsync.providers.microsoft.failures import refusal
from calendarsync.providers.microsoft.membership import Membership
from calendarsync.providers.microsoft.places import FIELDS, Places
from calendarsync.providers.microsoft.reading import resource_of
from calendarsync.providers.microsoft.stored import Json, Stored, kind_of, mark_of

BATCH = 100
_MARK_START = "1;"


class EventReader:
    """Reads events of one calendar by their ids, many at once."""

    def __init__(
        self, batcher: Batcher, places: Places, membership: Membership, owner: frozenset[str]
    ) -> None:
        self._batcher = batcher
        self._places = places
        self._membership = membership
        self._owner = owner

    async def whole(self, ids: Iterable[str]) -> list[Resource]:
        """Events and series with their marks; one that is gone, or in another calendar now, is left out."""
        found = await asyncio.gather(*(self._whole(event_id) for event_id in ids))
        return await self.resources([pair for pair in found if pair is not None])

    async def _whole(self, event_id: str) -> tuple[Stored, str | None] | None:
        event = await self._get(event_id, self._places.event(event_id, select=FIELDS, marked=True))
        if event is None:
            return None
        if kind_of(event) != "seriesmaster":
            return Stored(event), mark_of(event)
        series = await self.series(event_id)
        return None if series is None else (series, mark_of(event))

    async def series(self, event_id: str) -> Stored | None:
        """A series with its exceptions; None where it is not in this calendar."""
        event = await self._get(event_id, self._places.series(event_id))
        return None if event is None else Stored.of(event)

    async def identity(self, event_id: str) -> Json:
        """What makes an event a copy: its transactionId and our property, as far as it has them."""
        path = self._places.event(event_id, select="id,transactionId", marked=True)
        return await self._get(event_id, path) or {}

    async def marked_ids(self) -> frozenset[str]:
        """The events of the whole mailbox that have our property (singlevaluelegacyextendedproperty-get)."""
        found: set[str] = set()
        answer = await self._batcher.send(Request("GET", self._places.marked(_MARK_START)))
        while True:
            if not answer.ok:
                raise refusal(answer)
            found.update(str(row["id"]) for row in answer.data.get("value") or ())
            if "@odata.nextLink" not in answer.data:
                return frozenset(found)
            answer = await self._batcher.follow(answer.data["@odata.nextLink"])

    async def resources(self, pairs: Sequence[tuple[Stored, str | None]]) -> list[Resource]:
        # In a thread, however few they are: a rule may ask for seconds of work.
        return await asyncio.to_thread(lambda: [resource_of(*pair, self._owner) for pair in pairs])

    async def _get(self, event_id: str, path: str) -> Json | None:
        """An event that Graph does not show is there all the same, and cannot be read (rule 22)."""
        answer = await self._batcher.send(Request("GET", path))
        if answer.status in (404, 410) or answer.code == "ErrorInvalidIdMalformed":
            return None
        if not answer.ok:
            return {"id": event_id, "start": {}}
        return answer.data if await self._membership.holds(answer.data) else None


class Gatherer:
    """Takes the rows of one round, page by page, and hands over what differs from what is known.

    With `whole` the round lists all of the span: `present` is then every id in it.
    """

    def __init__(
        self, reader: EventReader, known: Known, on_batch: Callable[[Batch], Awaitable[None]], *, whole: bool
    ) -> None:
        self.present: set[str] = set()
        self.doubted: set[str] = set()
        self._reader = reader
        self._known = known
        self._on_batch = on_batch
        self._whole = whole
        self._versions: dict[str, str | None] | None = None
        self._series: dict[str, list[Json]] = {}
        self._marked: frozenset[str] | None = None

    async def page(self, rows: Sequence[Json]) -> None:
        """An event may come twice in a round: the last row of it counts."""
        singles: dict[str, Json] = {}
        for row in rows:
            event_id = str(row["id"])
            singles.pop(event_id, None)
            if "@removed" in row:
                self.doubted.add(event_id)
                self.present.discard(event_id)
                self._series.pop(event_id, None)
                continue
            self.doubted.discard(event_id)
            series = event_id if kind_of(row) == "seriesmaster" else row.get("seriesMasterId")
            if series:
                exceptions = self._series.setdefault(str(series), [])
                exceptions += [row] if kind_of(row) == "exception" else []
            else:
                self.present.add(event_id)
                singles[event_id] = row
        changed = [stored for row in singles.values() if await self._is_news(stored := Stored(row))]
        for start in range(0, len(changed), BATCH):
            await self._hand_over(changed[start : start + BATCH])

    async def finish(self) -> None:
        """Read every series that a row named."""
        names = iter(self._series)
        while chunk := list(islice(names, BATCH)):
            found = await asyncio.gather(*(self._reader.series(name) for name in chunk))
            changed = []
            for name, series in zip(chunk, found, strict=True):
                parts = await self._without_master(name) if series is None else [series]
                self.present.update(str(part.event["id"]) for part in parts)
                changed += [part for part in parts if await self._is_news(part)]
            for start in range(0, len(changed), BATCH):
                await self._hand_over(changed[start : start + BATCH], rows=False)

    async def _without_master(self, name: str) -> list[Stored]:
        """The instances that stand alone: invitations to single instances of somebody's series.

        A series that was known before has been deleted meanwhile, and its rows say nothing any more.
        """
        if name in await self._index():
            self.doubted.add(name)
            return []
        return [Stored(row) for row in {str(row["id"]): row for row in self._series[name]}.values()]

    async def _is_news(self, stored: Stored) -> bool:
        """Whether this version is neither known nor handed over already."""
        versions = await self._index()
        event_id = str(stored.event["id"])
        if stored.version is not None and versions.get(event_id) == stored.version:
            return False
        versions[event_id] = stored.version
        return True

    async def _index(self) -> dict[str, str | None]:
        if self._versions is None:
            self._versions = dict(await self._known())
        return self._versions

    async def _hand_over(self, changed: Sequence[Stored], *, rows: bool = True) -> None:
        asked = [each for each in changed if await self._may_be_marked(each, row=rows)]
        ids = [str(each.event["id"]) for each in asked]
        found = dict(zip(ids, await asyncio.gather(*map(self._reader.identity, ids)), strict=True))
        pairs = []
        for stored in changed:
            identity = found.get(str(stored.event["id"]), {})
            transaction = identity.get("transactionId") or stored.event.get("transactionId")
            event = {**stored.event, "transactionId": transaction}
            pairs.append((replace(stored, event=event), mark_of(identity)))
        await self._on_batch(Batch(changed=await self._reader.resources(pairs)))

    async def _may_be_marked(self, stored: Stored, *, row: bool) -> bool:
        """That a row of delta shows the transactionId is assumed: where it has none, that is no answer."""
        transaction = stored.event.get("transactionId")
        if transaction or not row:
            return looks_derived(str(transaction or ""))
        if not self._whole:
            return True
        if self._marked is None:
            self._marked = await self._reader.marked_ids()
        return str(stored.event["id"]) in self._marked
