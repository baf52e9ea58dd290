"""One calendar of a Microsoft 365 mailbox or an Outlook.com account, through Microsoft Graph."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime

from calendarsync.domain.amendment import Change
from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Resource
from calendarsync.domain.rules import Window
from calendarsync.net import HttpClient
from calendarsync.providers.base import Batch, Known, Reading, Unavailable
from calendarsync.providers.limiter import OF_THIS_PROCESS, Limiter
from calendarsync.providers.microsoft.amending import Amender
from calendarsync.providers.microsoft.batching import BATCH_SIZE, Batcher
from calendarsync.providers.microsoft.delta import Cursor, DeltaReader, LostTokenError, span_for
from calendarsync.providers.microsoft.event_writer import EventWriter
from calendarsync.providers.microsoft.gathering import EventReader, Gatherer
from calendarsync.providers.microsoft.membership import Membership
from calendarsync.providers.microsoft.places import Places
from calendarsync.providers.microsoft.reading import resource_of
from calendarsync.providers.microsoft.session import GraphSession
from calendarsync.providers.microsoft.stored import Stored
from calendarsync.providers.tokens import Tokens


class MicrosoftCalendar:
    """Resource ids are immutable ids of single events and of masters of series.

    `api_url` is Graph's base URL, for a national cloud another than the usual one. `owner` are the addresses (lower
    case) whose responses are the calendar owner's own. `window` is what has to be known now; more than that is
    read, so that changes alone are asked for while it slides.
    """

    batch_size = BATCH_SIZE

    def __init__(
        self,
        client: HttpClient,
        tokens: Tokens,
        calendar_id: str,
        *,
        api_url: str,
        owner: frozenset[str] = frozenset(),
        now: Callable[[], datetime],
        window: Window | None = None,
        limiter: Limiter = OF_THIS_PROCESS,
    ) -> None:
        self._session = GraphSession(client, tokens, api_url=api_url, now=now, limiter=limiter)
        self._places = Places(calendar_id)
        batcher = Batcher(self._session)
        membership = Membership(batcher, self._places)
        self._reader = EventReader(batcher, self._places, membership, owner)
        self._writer = EventWriter(batcher, self._places, membership)
        self._amender = Amender(batcher, self._places, self._writer)
        self._owner = owner
        self._now = now
        self._window = window

    @property
    def requests(self) -> int:
        """HTTP requests made so far; a batch is one."""
        return self._session.requests

    async def read(
        self,
        cursor: str | None,
        known: Known,
        on_batch: Callable[[Batch], Awaitable[None]],
        *,
        full: bool = False,
    ) -> Reading:
        """One request where nothing changed; one more for each page, and for each 20 series and copies in it.

        What lies outside the span that was read is not listed, and an event that leaves it is called removed.
        """
        last = None if full else Cursor.load(cursor)
        if last is not None and last.reaches(self._window, self._now()) and self._session.owns(last.link):
            try:
                return await self._round(last.link, last.covered, known, on_batch)
            except LostTokenError:
                pass
        try:
            return await self._round(None, span_for(self._window, self._now()), known, on_batch)
        except LostTokenError:
            raise Unavailable("Microsoft does not list this calendar at the moment.") from None

    async def _round(
        self, link: str | None, covered: Window, known: Known, on_batch: Callable[[Batch], Awaitable[None]]
    ) -> Reading:
        whole = link is None
        gatherer = Gatherer(self._reader, known, on_batch, whole=whole)
        delta = DeltaReader(self._session, self._places)
        async with aclosing(delta.pages(link, covered)) as pages:
            async for rows in pages:
                await gatherer.page(rows)
        await gatherer.finish()
        assert delta.link is not None
        listed = frozenset(gatherer.present) if whole else None
        return Reading(Cursor(delta.link, covered).dump(), listed, covered, frozenset(gatherer.doubted))

    async def fetch(self, ids: Sequence[str]) -> list[Resource]:
        """One request for each 20 events, and one more for each 20 series."""
        found = await self._reader.whole(dict.fromkeys(ids))
        if ids and not found:
            await self._writer.check_calendar()
        return found

    async def create(self, copy: Copy) -> Resource:
        """POST with the copy's id as transactionId."""
        return self._resource(await self._writer.create(copy), copy.mark)

    async def update(self, resource_id: str, version: str | None, copy: Copy) -> Resource:
        """Read, compare, PATCH what differs."""
        return self._resource(await self._writer.update(resource_id, version, copy), copy.mark)

    async def delete(self, resource_id: str, version: str | None) -> None:
        """Read, compare, DELETE."""
        await self._writer.delete(resource_id, version)

    async def unmark(self, resource_id: str, version: str | None) -> Resource | None:
        """Our property is emptied. The transactionId stays for good: no request can change it (resources/event)."""
        stored = await self._writer.unmark(resource_id, version)
        return None if stored is None else self._resource(stored, None)

    async def amend(self, resource_id: str, version: str | None, changes: Sequence[Change]) -> Resource:
        """Read, compare, PATCH what changes."""
        return self._resource(await self._amender.amend(resource_id, version, changes), None)

    def _resource(self, stored: Stored, mark: str | None) -> Resource:
        return resource_of(stored, mark, self._owner)
