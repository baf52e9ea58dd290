"""One calendar on a CalDAV server (RFC 4791)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from calendarsync.domain.amendment import Change
from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Resource
from calendarsync.net import BasicCredentials, HttpClient
from calendarsync.providers.base import Batch, Known, Reading, Unreachable
from calendarsync.providers.caldav import quirks
from calendarsync.providers.caldav.cursor import Cursor, digest_of
from calendarsync.providers.caldav.event_writer import EventWriter
from calendarsync.providers.caldav.fetching import BATCH, Data, Fetcher
from calendarsync.providers.caldav.hrefs import canonical_url
from calendarsync.providers.caldav.listing import Entry, Lister
from calendarsync.providers.caldav.session import DavSession
from calendarsync.providers.concurrency import streamed

BATCHES_AT_ONCE = 3


class CalDavCalendar:
    """A calendar collection. Resource ids are names within the collection, as `hrefs` decodes them.

    `owner` are the addresses (lower case, without `mailto:`) whose responses are the calendar owner's own. At
    most `concurrency` requests are under way at once. With `confined` only allowed private networks are
    reached. A URL that is none raises Unreachable.
    """

    def __init__(
        self,
        client: HttpClient,
        url: str,
        credentials: BasicCredentials,
        *,
        owner: frozenset[str] = frozenset(),
        now: Callable[[], datetime],
        confined: bool = False,
        concurrency: int = 8,
    ) -> None:
        try:
            self._url = canonical_url(url)
        except ValueError as error:
            raise Unreachable("The calendar's address is not a valid URL.") from error
        self._session = DavSession(client, credentials, now=now, confined=confined, concurrency=concurrency)
        self._lister = Lister(self._session, self._url, now=now)
        self._fetcher = Fetcher(self._session, self._url)
        self._writer = EventWriter(self._session, self._fetcher, self._url, owner=owner, now=now)
        self._owner = owner

    batch_size = 1

    @property
    def requests(self) -> int:
        """HTTP requests made so far; one that was redirected counts once."""
        return self._session.requests

    async def read(
        self,
        cursor: str | None,
        known: Known,
        on_batch: Callable[[Batch], Awaitable[None]],
        *,
        full: bool = False,
    ) -> Reading:
        """One request where nothing changed; else one more for each 64 resources that did.

        `on_batch` is never called before its last call has returned.
        """
        last = None if full else Cursor.load(cursor)
        self._fetcher.multiget = last is None or last.multiget
        listing = await self._lister.list(last, known)
        token = listing.cursor.token if listing.cursor else None
        asks = bool(listing.present or listing.removed) or quirks.names_a_state(token)
        versions = await known() if asks else {}
        present = listing.present.keys() | listing.unreadable
        changed = [
            entry
            for entry in listing.present.values()
            if entry.etag is None or versions.get(entry.id) != entry.etag
        ]
        # A first sync-collection of Radicale names what was deleted long ago; others name foreign deletions.
        removed = sorted((listing.removed & versions.keys()) - present)
        if removed:
            await on_batch(Batch(removed=removed))

        one_at_a_time = asyncio.Lock()
        read: dict[str, str | None] = {}

        async def fetch(batch: Sequence[Entry]) -> None:
            resources = await self._read_all(await self._fetcher.fetch(batch))
            async with one_at_a_time:
                if resources:
                    read.update((resource.id, resource.version) for resource in resources)
                    await on_batch(Batch(changed=resources))

        complete, next_cursor = listing.complete, listing.cursor
        listed = frozenset(present) if complete else None
        del listing, present
        await streamed(_batches(changed), fetch, at_once=BATCHES_AT_ONCE)
        if next_cursor is not None:
            next_cursor = replace(next_cursor, multiget=self._fetcher.multiget)
            if quirks.names_a_state(token):
                gone = removed if listed is None else versions.keys() - listed
                kept = {name: version for name, version in versions.items() if name not in gone}
                next_cursor = replace(next_cursor, state=digest_of(kept | read))
        return Reading(next_cursor.dump() if next_cursor else None, listed)

    async def fetch(self, ids: Sequence[str]) -> list[Resource]:
        """One request for each 64 resources."""
        resources: list[Resource] = []

        async def fetch(batch: Sequence[Entry]) -> None:
            resources.extend(await self._read_all(await self._fetcher.fetch(batch)))

        entries = [self._fetcher.entry(resource_id) for resource_id in dict.fromkeys(ids)]
        await streamed(_batches(entries), fetch, at_once=BATCHES_AT_ONCE)
        return resources

    async def create(self, copy: Copy) -> Resource:
        """PUT at `<copy.id>.ics` (RFC 4791 section 5.3.2)."""
        return await self._writer.create(copy)

    async def update(self, resource_id: str, version: str | None, copy: Copy) -> Resource:
        """PUT with If-Match."""
        return await self._writer.update(resource_id, version, copy)

    async def delete(self, resource_id: str, version: str | None) -> None:
        """DELETE with If-Match."""
        await self._writer.delete(resource_id, version)

    async def unmark(self, resource_id: str, version: str | None) -> Resource | None:
        """Read, take the property off, PUT with If-Match."""
        return await self._writer.unmark(resource_id, version)

    async def amend(self, resource_id: str, version: str | None, changes: Sequence[Change]) -> Resource:
        """GET, for an answer in XML would not show every byte; change, PUT with If-Match."""
        return await self._writer.amend(resource_id, version, changes)

    async def _read_all(self, fetched: Sequence[Data]) -> list[Resource]:
        # In a thread, however small they are: a few lines may ask for seconds of work.
        return await asyncio.to_thread(lambda: [data.resource(self._owner) for data in fetched])


def _batches(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    return (entries[start : start + BATCH] for start in range(0, len(entries), BATCH))
