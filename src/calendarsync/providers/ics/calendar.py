"""A feed as a calendar that can only be read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NoReturn

from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Resource
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.origin import looks_derived
from calendarsync.net import HttpClient, Response
from calendarsync.providers.base import Batch, Forbidden, Known, Reading
from calendarsync.providers.icalendar import Feed
from calendarsync.providers.ics.address import FeedAddress
from calendarsync.providers.ics.cursor import Cursor
from calendarsync.providers.ics.download import download, read
from calendarsync.providers.ics.matching import match

BATCH = 100


class IcsCalendar:
    """Resource ids are UIDs where the feed has them and keeps them; `matching` tells the rest.

    `owner` are the addresses (lower case, without `mailto:`) whose responses are the calendar owner's own. With
    `confined` only allowed private networks are reached.
    """

    def __init__(
        self,
        client: HttpClient,
        address: FeedAddress,
        *,
        fingerprinter: Fingerprinter,
        now: Callable[[], datetime],
        owner: frozenset[str] = frozenset(),
        confined: bool = False,
    ) -> None:
        self.requests = 0
        self._client = client
        self._address = address
        self._fingerprinter = fingerprinter
        self._now = now
        self._owner = owner
        self._confined = confined
        self._known: Known = _nothing
        self._aliases: Mapping[str, str] = {}
        self._events: dict[str, Resource] | None = None

    async def read(
        self, cursor: str | None, known: Known, on_batch: Callable[[Batch], Awaitable[None]]
    ) -> Reading:
        """One request. What is left of a feed that breaks off, or of none, is an error, never a deletion.

        A feed that held events and comes empty counts as unchanged until it has done so for `EMPTY_DOUBT`.
        """
        now = self._now()
        last = Cursor.load(cursor) or Cursor(read_at=now.timestamp())
        self._known, self._aliases, self._events = known, last.aliases, None
        response = await self._get(last.validators(now))
        if response is None:
            return Reading(cursor, listed=None)
        fresh = _fresh(response, now, self._fingerprinter)
        if fresh.digest == last.digest:
            return Reading(replace(fresh, aliases=last.aliases).dump(), listed=None)
        feed = await read(response, self._owner)
        if not feed.resources and last.doubts_emptiness(now) and await known():
            since = last.empty_since or now.timestamp()
            return Reading(
                replace(last, etag=None, last_modified=None, empty_since=since).dump(), listed=None
            )
        events, versions = await self._match(feed), await known()
        changed = [event for event in events.values() if versions.get(event.id) != event.version]
        for start in range(0, len(changed), BATCH):
            await on_batch(Batch(changed=changed[start : start + BATCH]))
        return Reading(replace(fresh, aliases=self._aliases).dump(), frozenset(events))

    async def fetch(self, ids: Sequence[str]) -> list[Resource]:
        """No request where the feed was read a moment ago, else one."""
        events = self._events
        if events is None:
            response = await self._get({})
            assert response is not None  # nothing was made conditional
            events = await self._match(await read(response, self._owner))
        return [events[event_id] for event_id in dict.fromkeys(ids) if event_id in events]

    async def create(self, copy: Copy) -> Resource:
        """Raises Forbidden, as all that writes does."""
        _refuse()

    async def update(self, resource_id: str, version: str | None, copy: Copy) -> Resource:
        _refuse()

    async def delete(self, resource_id: str, version: str | None) -> None:
        _refuse()

    async def unmark(self, resource_id: str, version: str | None) -> Resource | None:
        _refuse()

    async def _get(self, validators: Mapping[str, str]) -> Response | None:
        self.requests += 1
        return await download(self._client, self._address, validators, confined=self._confined, now=self._now)

    async def _match(self, feed: Feed) -> dict[str, Resource]:
        sources = [event for event in feed.resources if not _is_copy(event)]
        known = await self._known()
        matched = await asyncio.to_thread(match, sources, known, self._aliases, self._fingerprinter)
        self._aliases = matched.aliases
        self._events = {event.id: event for event in matched.resources}
        return self._events


def _is_copy(event: Resource) -> bool:
    """Whether some installation wrote it, into the calendar that the feed shows (rule 2).

    The mark cannot tell, for it is bound to that calendar; and Google's feeds leave it out, and add to the id.
    """
    return looks_derived(event.uid.removesuffix("@google.com"))


def _fresh(response: Response, now: datetime, fingerprinter: Fingerprinter) -> Cursor:
    return Cursor(
        read_at=now.timestamp(),
        etag=response.headers.get("ETag"),
        last_modified=response.headers.get("Last-Modified"),
        digest=fingerprinter.of_bytes(response.body),
    )


async def _nothing() -> Mapping[str, str | None]:
    return {}


def _refuse() -> NoReturn:
    raise Forbidden("A feed can only be read.")
