"""Changing events that are not ours: the fields that change, and nothing beside them (rule 17)."""

from __future__ import annotations

from collections.abc import Sequence

from calendarsync.domain.amendment import Change
from calendarsync.domain.event import EventTime
from calendarsync.domain.times import moment_key
from calendarsync.providers.base import Refused
from calendarsync.providers.google import errors
from calendarsync.providers.google.event import Event, is_of_series
from calendarsync.providers.google.events import Events
from calendarsync.providers.google.fetching import Fetcher
from calendarsync.providers.google.fields import Row, is_cancelled, text
from calendarsync.providers.google.reading import originals
from calendarsync.providers.google.results import Results
from calendarsync.providers.google.times import patched_time
from calendarsync.providers.google.writing import Body, cleaned, instance_id
from calendarsync.providers.icalendar.values import UnusableError

_NAMES = {"title": "summary", "description": "description", "location": "location"}


class Amender:
    def __init__(self, events: Events, fetcher: Fetcher, results: Results) -> None:
        self._events = events
        self._fetcher = fetcher
        self._results = results

    async def amend(self, event_id: str, version: str | None, changes: Sequence[Change]) -> Event:
        """One request; a series is read before and after it. Raises Changed, ResourceGone, Refused."""
        if not is_of_series(version):
            (change,) = changes
            row = await self._patch(event_id, change, version)
            return Event(event_id, row)
        there = await self._fetcher.series(event_id)
        if there is None:
            raise errors.gone()
        if version is not None and there.version != version:
            raise errors.changed()
        standing = _standing(there)
        # The series last: its own ETag says that nothing of it has changed.
        for change in sorted(changes, key=lambda change: change.original is None):
            if change.original is None:
                await self._patch(event_id, change, text(there.master or {}, "etag") or None)
            else:
                await self._instance(event_id, change, change.original, standing.get(_key(change.original)))
        found = await self._fetcher.series(event_id)
        if found is None:
            raise errors.gone()
        return found

    async def _instance(self, series_id: str, change: Change, original: EventTime, row: Row | None) -> None:
        if row is not None:
            if is_cancelled(row):
                raise errors.no_instance()
            await self._patch(text(row, "id"), change, text(row, "etag") or None)
            return
        likely = instance_id(series_id, original)
        answer = await self._events.patch(likely, _body(change))
        if answer.gone:
            found = await self._events.instance_id(series_id, original)
            if found is None:
                raise errors.no_instance()
            answer = await self._events.patch(found, _body(change))
        await self._results.updated(likely, answer)

    async def _patch(self, event_id: str, change: Change, etag: str | None) -> Row:
        return await self._results.updated(event_id, await self._events.patch(event_id, _body(change), etag))


def _standing(there: Event) -> dict[str, Row]:
    try:
        return dict(originals(there))
    except UnusableError:
        raise Refused("The exceptions of this series cannot be read.") from None


def _key(original: EventTime) -> str:
    return moment_key(original, "UTC")


def _body(change: Change) -> Body:
    body: Body = {_NAMES[name]: cleaned(value) for name, value in change.texts.items()}
    if change.times is not None:
        body |= {"start": patched_time(change.times.start), "end": patched_time(change.times.end)}
    return body
