"""Reading a calendar: all of it, or what changed since a sync token (guide "Synchronize resources efficiently").

All is listed without `timeMin`: whether a series' exceptions are listed with it is not documented. A later listing
repeats the parameters of the first, and names what was deleted; a token that is no longer good is answered 410.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from calendarsync.domain.event import Resource
from calendarsync.providers.base import Batch, Known, Reading
from calendarsync.providers.concurrency import aside
from calendarsync.providers.google.errors import not_readable
from calendarsync.providers.google.event import Event, put_together
from calendarsync.providers.google.events import Events
from calendarsync.providers.google.fetching import Fetcher
from calendarsync.providers.google.fields import Row, is_cancelled, rows, series_of, text
from calendarsync.providers.google.reading import read_event

BATCH = 100
_CURSOR = (
    "1:"  # moves on when the parameters of a listing change: a token holds for those that it was born with
)
_ROW_BYTES = 1024

OnBatch = Callable[[Batch], Awaitable[None]]


class TokenRejectedError(Exception):
    """The sync token is no longer good."""


def token_of(cursor: str | None) -> str | None:
    """The sync token; None where a cursor is none of ours, or of an older listing."""
    return cursor.removeprefix(_CURSOR) if cursor is not None and cursor.startswith(_CURSOR) else None


@dataclass(slots=True)
class Sink:
    """Hands on what is not known yet, in batches. The index is asked at the first event, and only once."""

    known: Known
    on_batch: OnBatch
    owner: frozenset[str]
    listed: set[str] = field(default_factory=set)
    _versions: Mapping[str, str | None] | None = None
    _ready: list[Resource] = field(default_factory=list)

    async def versions(self) -> Mapping[str, str | None]:
        if self._versions is None:
            self._versions = await self.known()
        return self._versions

    async def take(self, events: Sequence[Event]) -> None:
        if not events:
            return
        versions = await self.versions()
        self.listed.update(event.id for event in events)
        new = [event for event in events if event.version is None or versions.get(event.id) != event.version]
        size = _ROW_BYTES * sum(len(event.parts) for event in new)
        self._ready += await aside(size, lambda: [read_event(event, self.owner) for event in new])
        while len(self._ready) >= BATCH:
            await self._hand_on()

    async def end(self, removed: Iterable[str] = ()) -> None:
        """Hand on the rest, and those of the deleted that are known."""
        while self._ready:
            await self._hand_on()
        deleted = set(removed)
        if deleted:
            gone = sorted(deleted & (await self.versions()).keys())
            if gone:
                await self.on_batch(Batch(removed=gone))

    async def _hand_on(self) -> None:
        batch, self._ready = self._ready[:BATCH], self._ready[BATCH:]
        await self.on_batch(Batch(changed=batch))


async def list_all(events: Events, fetcher: Fetcher, sink: Sink) -> Reading:
    """One request for each 2,500 rows. The parts of a series may lie pages apart: they are kept until the end."""
    parts: list[Row] = []
    token = ""
    async for answer in events.pages({}):
        if not answer.ok:
            raise not_readable(answer)
        token = text(answer.data, "nextSyncToken")
        found = rows(answer.data, "items")
        parts += [row for row in found if series_of(row)]
        await sink.take(_singles(found))
    series = [event for event in put_together(parts) if event.parts]
    # A single that has exceptions is what was left of a series, and is read whole.
    odd = [event.id for event in series if event.master is None and event.id in sink.listed]
    await sink.take([event for event in series if event.id not in odd])
    await sink.take(await fetcher.fetch(odd))
    await sink.end()
    return Reading(_cursor(token), frozenset(sink.listed))


async def list_changes(events: Events, fetcher: Fetcher, sink: Sink, token: str) -> Reading:
    """One request where nothing changed. A row that says something of a series stands for all of it.

    Raises TokenRejectedError before anything was handed on.
    """
    found: list[Row] = []
    following = ""
    async for answer in events.pages({"syncToken": token}):
        if answer.status in (400, 410):
            raise TokenRejectedError
        if not answer.ok:
            raise not_readable(answer)
        following = text(answer.data, "nextSyncToken")
        found += rows(answer.data, "items")
    if not found:
        return Reading(_cursor(following), None)
    deleted = {text(row, "id") for row in found if is_cancelled(row) and not row.get("recurringEventId")}
    touched = {series_of(row) for row in found} - {""}
    versions = await sink.versions()
    series = [
        event
        for event in put_together([row for row in found if {series_of(row), text(row, "id")} & touched])
        # Our own writes come back whole; then there is nothing to ask for.
        if event.version is None or versions.get(event.id) != event.version
        if event.parts or event.id not in deleted
    ]
    read = await fetcher.whole(series)
    await sink.take([event for event in _singles(found) if event.id not in touched])
    await sink.take(read)
    await sink.end((deleted | {event.id for event in series}) - {event.id for event in read})
    return Reading(_cursor(following), None)


def _singles(found: Sequence[Row]) -> list[Event]:
    return [
        Event(text(row, "id"), row)
        for row in found
        if text(row, "id") and not series_of(row) and not is_cancelled(row)
    ]


def _cursor(token: str) -> str | None:
    return f"{_CURSOR}{token}" if token else None
