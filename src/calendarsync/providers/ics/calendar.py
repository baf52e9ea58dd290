"""A feed as a calendar that can only be read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NoReturn

from calendarsync.domain.amendment import Change
from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Resource
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.origin import looks_derived, looks_marked
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

    batch_size = 1

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
        self._address_digest = fingerprinter.of("address", address.text)
        self._known: Known = _nothing
        self._last = Cursor(0)
        self._events: dict[str, Resource] | None = None

    async def read(
        self,
        cursor: str | None,
        known: Known,
        on_batch: Callable[[Batch], Awaitable[None]],
        *,
        full: bool = False,
    ) -> Reading:
        """One request, and one more where there is no cursor: to see whether the UIDs stay.

        What is left of a feed that breaks off, or of none, is an error, never a deletion. A feed that held events
        and comes empty counts as unchanged until it has done so for `EMPTY_DOUBT`.
        """
        now, remembered = self._now(), Cursor.load(cursor)
        before = None if remembered else frozenset(event.id for event in (await self._whole()).resources)
        last = self._last = remembered or Cursor(now.timestamp())
        self._known, self._events = known, None
        unseen = full or last.address != self._address_digest
        response = await self._get({} if unseen else last.validators(now))
        if response is None:
            return Reading(cursor, listed=None)
        fresh = replace(last, **self._seen(response, now))
        if fresh.digest == last.digest and not full:
            return Reading(fresh.dump(), listed=None)
        feed = await read(response, self._owner)
        if not feed.resources and last.doubts_emptiness(now) and await known():
            since = last.empty_since or now.timestamp()
            doubt = replace(last, etag=None, last_modified=None, empty_since=since)
            return Reading(doubt.dump(), listed=None)
        if before is not None:
            self._last = replace(last, volatile=_is_volatile(before, feed))
        events, versions = await self._match(feed), await known()
        changed = [event for event in events.values() if versions.get(event.id) != event.version]
        for start in range(0, len(changed), BATCH):
            await on_batch(Batch(changed=changed[start : start + BATCH]))
        memory = replace(fresh, volatile=self._last.volatile, aliases=self._last.aliases)
        return Reading(memory.dump(), frozenset(events))

    async def fetch(self, ids: Sequence[str]) -> list[Resource]:
        """No request where the feed was read a moment ago, else one."""
        events = self._events
        if events is None:
            events = await self._match(await self._whole())
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

    async def amend(self, resource_id: str, version: str | None, changes: Sequence[Change]) -> Resource:
        _refuse()

    async def _get(self, validators: Mapping[str, str]) -> Response | None:
        self.requests += 1
        return await download(self._client, self._address, validators, confined=self._confined, now=self._now)

    async def _whole(self) -> Feed:
        response = await self._get({})
        assert response is not None  # nothing was made conditional
        return await read(response, self._owner)

    async def _match(self, feed: Feed) -> dict[str, Resource]:
        sources = [event for event in feed.resources if not _is_copy(event)]
        if self._last.volatile:
            sources = [replace(event, id="", uid="") for event in sources]
        known, aliases = await self._known(), self._last.aliases
        matched = await asyncio.to_thread(match, sources, known, aliases, self._fingerprinter)
        self._last = replace(self._last, aliases=matched.aliases)
        self._events = {event.id: event for event in matched.resources}
        return self._events

    def _seen(self, response: Response, now: datetime) -> dict[str, Any]:
        """What a cursor remembers of an answer."""
        return {
            "read_at": now.timestamp(),
            "address": self._address_digest,
            "etag": response.headers.get("ETag"),
            "last_modified": response.headers.get("Last-Modified"),
            "digest": self._fingerprinter.of_bytes(response.body),
            "empty_since": None,
        }


def _is_volatile(before: frozenset[str], feed: Feed) -> bool:
    """Whether the feed makes its UIDs anew at every reading.

    They are no ids then: what a copy is known by would be lost together with our database (rule 4).
    """
    names = {event.id for event in feed.resources if event.id}
    return len(names & before) * 2 < len(names)


def _is_copy(event: Resource) -> bool:
    """Whether some installation wrote it, into the calendar that the feed shows (rule 2).

    Whether its mark verifies cannot tell, for the mark is bound to that calendar; some feeds leave it out, or
    give it another UID, and Google's add to the UID.
    """
    return looks_derived(event.uid.removesuffix("@google.com")) or looks_marked(event.mark)


async def _nothing() -> Mapping[str, str | None]:
    return {}


def _refuse() -> NoReturn:
    raise Forbidden("A feed can only be read.")
