"""One calendar at Google."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from calendarsync.domain.amendment import Change
from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Resource
from calendarsync.net import HttpClient
from calendarsync.providers.base import Batch, Known, Reading
from calendarsync.providers.google import errors
from calendarsync.providers.google.amending import Amender
from calendarsync.providers.google.batching import BATCH
from calendarsync.providers.google.event import Event, etag_of, is_of_series
from calendarsync.providers.google.events import Events
from calendarsync.providers.google.exceptions import complete
from calendarsync.providers.google.fetching import Fetcher, together
from calendarsync.providers.google.fields import text
from calendarsync.providers.google.listing import Sink, TokenRejectedError, list_all, list_changes, token_of
from calendarsync.providers.google.reading import read_event
from calendarsync.providers.google.results import Results
from calendarsync.providers.google.series import SeriesWriter
from calendarsync.providers.google.session import Session
from calendarsync.providers.google.wholeness import ours
from calendarsync.providers.google.writing import patched, unmarked
from calendarsync.providers.tokens import Tokens


class GoogleCalendar:
    """Resource ids are event ids, those of series their master's; versions are ETags.

    `owner` are the addresses (lower case) whose responses are the calendar owner's own, beside `self`. `api_url`
    is the base of the service, such as https://www.googleapis.com.
    """

    batch_size = BATCH

    def __init__(
        self,
        client: HttpClient,
        tokens: Tokens,
        calendar_id: str,
        *,
        api_url: str,
        owner: frozenset[str] = frozenset(),
        now: Callable[[], datetime],
    ) -> None:
        self._session = Session(client, tokens, api_url=api_url, now=now)
        self._events = Events(self._session, calendar_id)
        self._fetcher = Fetcher(self._events)
        self._results = Results(self._events)
        self._series = SeriesWriter(self._events, self._fetcher, self._results)
        self._amender = Amender(self._events, self._fetcher, self._results)
        self._owner = owner

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
        """One request where nothing changed; else one more for each 50 series that did."""
        token = None if full else token_of(cursor)
        sink = Sink(known, on_batch, self._owner)
        if token is not None:
            try:
                return await list_changes(self._events, self._fetcher, sink, token)
            except TokenRejectedError:
                pass
        return await list_all(self._events, self._fetcher, sink)

    async def fetch(self, ids: Sequence[str]) -> list[Resource]:
        """One request for each 50 events, and one more for each 50 of them that are series."""
        return [self._resource(event) for event in await self._fetcher.fetch(ids)]

    async def create(self, copy: Copy) -> Resource:
        """events.insert with the copy's id; exceptions of a series are patches of its instances."""
        return self._resource(await self._series.create(complete(copy)))

    async def update(self, resource_id: str, version: str | None, copy: Copy) -> Resource:
        """events.patch with If-Match. A series is read first, for its exceptions have ETags of their own."""
        copy = complete(copy)
        if is_of_series(version):
            there = await self._at(resource_id, version)
            if there is None:
                raise errors.gone()
            return self._resource(await self._series.update(there, copy))
        if copy.overrides:
            standing = await self._events.get(resource_id)
            row = await self._results.updated(resource_id, standing)
            if text(row, "etag") != version:
                raise errors.changed()
            return self._resource(await self._series.update(Event(resource_id, row), copy))
        answer = await self._events.patch(resource_id, patched(copy, {}), version)
        return self._resource(Event(resource_id, await self._results.updated(resource_id, answer)))

    async def delete(self, resource_id: str, version: str | None) -> None:
        """events.delete with If-Match; the exceptions of a series go with it."""
        etag = etag_of(version)
        if is_of_series(version):
            there = await self._at(resource_id, version)
            if there is None or there.master is None:
                return
            etag = text(there.master, "etag") or None
        await self._results.deleted(resource_id, await self._events.delete(resource_id, etag))

    async def unmark(self, resource_id: str, version: str | None) -> Resource | None:
        """Patch our properties away, in a series those of its exceptions too."""
        there = await self._at(resource_id, version)
        if there is None:
            return None
        marked = [row for row in there.parts if ours(row)]
        answers = await together(
            self._events.patch(text(row, "id"), unmarked(row), text(row, "etag") or None) for row in marked
        )
        for row, answer in zip(marked, answers, strict=True):
            await self._results.updated(text(row, "id"), answer)
        found = await self._fetcher.fetch([resource_id])
        return self._resource(found[0]) if found else None

    async def amend(self, resource_id: str, version: str | None, changes: Sequence[Change]) -> Resource:
        """events.patch with If-Match; of a series its instances and itself, each for itself."""
        return self._resource(await self._amender.amend(resource_id, version, changes))

    async def _at(self, resource_id: str, version: str | None) -> Event | None:
        """The event, which has to be at this version; None where it is gone. Raises Changed."""
        there = await self._fetcher.series(resource_id)
        if there is not None and version is not None and there.version != version:
            raise errors.changed()
        return there

    def _resource(self, event: Event) -> Resource:
        return read_event(event, self._owner)
