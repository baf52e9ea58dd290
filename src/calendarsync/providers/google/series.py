"""Writing events, a series with its exceptions: first itself, then what differs from it (rule 13).

Until all of it is written, its mark does not count (`wholeness`).
"""

from __future__ import annotations

from collections.abc import Sequence

from calendarsync.domain.copy import Copy
from calendarsync.providers.google import errors
from calendarsync.providers.google.errors import Answer
from calendarsync.providers.google.event import Event
from calendarsync.providers.google.events import Events
from calendarsync.providers.google.exceptions import Change, changes
from calendarsync.providers.google.fetching import Fetcher, together
from calendarsync.providers.google.fields import text
from calendarsync.providers.google.results import Results
from calendarsync.providers.google.writing import inserted, instance, patched


class SeriesWriter:
    def __init__(self, events: Events, fetcher: Fetcher, results: Results) -> None:
        self._events = events
        self._fetcher = fetcher
        self._results = results

    async def create(self, copy: Copy) -> Event:
        """One request; with exceptions two, and one to read it again. Raises IdTaken, IdDead, Refused."""
        created = await self._results.inserted(copy, await self._events.insert(inserted(copy)))
        event = Event(copy.id, created)
        if not copy.overrides:
            return event
        await self._carry_out(copy.id, changes(copy, event))
        return await self._again(copy.id, text(created, "iCalUID"))

    async def update(self, there: Event, copy: Copy) -> Event:
        """One request; where exceptions change two, and up to two to read it again.

        What becomes of exceptions when their series changes is read, not guessed. Raises Changed, ResourceGone,
        Refused.
        """
        if there.master is None:
            raise errors.gone()
        etag, uid = (text(there.master, name) for name in ("etag", "iCalUID"))
        answer = await self._events.patch(there.id, patched(copy, there.master), etag or None)
        row = await self._results.updated(there.id, answer)
        if not (there.exceptions or copy.overrides):
            return Event(there.id, row)
        now = await self._again(there.id, uid)
        todo = changes(copy, now)
        if not todo:
            return now
        whole = await self._carry_out(there.id, todo)
        written = await self._again(there.id, uid)
        if not whole:
            raise errors.not_revived()
        return written

    async def _again(self, event_id: str, uid: str) -> Event:
        """As a later reading will show it. Raises ResourceGone."""
        found = await self._fetcher.series(event_id, uid)
        if found is None or found.master is None:
            raise errors.gone()
        return found

    async def _carry_out(self, series_id: str, todo: Sequence[Change]) -> bool:
        """Whether all could be done: a deleted instance may be one that Google does not bring back."""
        return all(await together(self._change(series_id, change) for change in todo))

    async def _change(self, series_id: str, change: Change) -> bool:
        answer = await self._send(change.event_id, change)
        if answer.gone and not change.known:
            found = await self._events.instance_id(series_id, change.original)
            if found is None:
                raise errors.no_instance()
            answer = await self._send(found, change)
        if change.revives and (answer.gone or answer.status == 403):
            return False
        if change.component is None:
            await self._results.deleted(change.event_id, answer)
        else:
            await self._results.updated(change.event_id, answer)
        return True

    async def _send(self, event_id: str, change: Change) -> Answer:
        if change.component is None:
            return await self._events.delete(event_id, change.etag)
        return await self._events.patch(event_id, instance(change.component, change.part), change.etag)
