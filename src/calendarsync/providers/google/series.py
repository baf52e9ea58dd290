"""Writing a series with its exceptions, which takes several calls.

The copy's mark goes with the last of them. Until then its draft stands there, or the mark of what it was before:
whoever finds a copy that was left half-way writes it again (rule 3).
"""

from __future__ import annotations

from collections.abc import Sequence

from calendarsync.domain.copy import Copy
from calendarsync.providers.base import Changed
from calendarsync.providers.google import errors
from calendarsync.providers.google.errors import Answer
from calendarsync.providers.google.events import Events
from calendarsync.providers.google.exceptions import Change, changes, has_other_holes, is_moved
from calendarsync.providers.google.fetching import Fetcher, together
from calendarsync.providers.google.fields import Row, text
from calendarsync.providers.google.reading import Event
from calendarsync.providers.google.results import Results
from calendarsync.providers.google.writing import inserted, instance, marked, patched


class SeriesWriter:
    def __init__(self, events: Events, fetcher: Fetcher, results: Results) -> None:
        self._events = events
        self._fetcher = fetcher
        self._results = results

    async def create(self, copy: Copy) -> Event:
        """One request; with exceptions three, and one to read it again. Raises IdTaken, IdDead, Refused."""
        first = (copy.draft or copy.mark) if copy.overrides else copy.mark
        answer = await self._events.insert(inserted(copy, first))
        created = await self._results.inserted(copy, first, answer)
        if not copy.overrides:
            return Event(copy.id, created)
        await self._carry_out(copy.id, changes(copy, Event(copy.id, created)))
        return await self._finish(copy.id, text(created, "iCalUID"), copy)

    async def update(self, there: Event, copy: Copy) -> Event:
        """One request; with exceptions two, or three where its times change too, and up to two to read it again.

        Raises Changed, ResourceGone, Refused.
        """
        if there.master is None:
            raise errors.gone()
        uid = text(there.master, "iCalUID")
        if not (there.exceptions or copy.overrides):
            return Event(there.id, await self._patch(there, copy, copy.mark))
        todo = changes(copy, there)
        if is_moved(copy, there.master) or (todo and has_other_holes(copy, there.master)):
            await self._patch(there, copy, copy.draft or None)
            now = await self._again(there.id, uid)
            whole = await self._carry_out(there.id, changes(copy, now))
            written = await self._finish(there.id, uid, copy)
        else:
            whole = await self._carry_out(there.id, todo)
            await self._patch_last(there, copy, uid)
            written = await self._put_right(await self._again(there.id, uid), uid, copy)
        if not whole:
            raise errors.not_revived()
        return written

    async def _put_right(self, written: Event, uid: str, copy: Copy) -> Event:
        """What a series says may have been passed on to exceptions that said the same as it did (rule 13)."""
        todo = [change for change in changes(copy, written) if not change.revives]
        if not todo:
            return written
        await self._carry_out(written.id, todo)
        return await self._again(written.id, uid)

    async def _patch(self, there: Event, copy: Copy, mark: str | None) -> Row:
        etag = text(there.master or {}, "etag") or None
        body = patched(copy, mark, was_series=there.recurs)
        return await self._results.updated(there.id, await self._events.patch(there.id, body, etag))

    async def _patch_last(self, there: Event, copy: Copy, uid: str) -> None:
        """Our own writes to exceptions may have given the series another ETag."""
        try:
            await self._patch(there, copy, copy.mark)
        except Changed:
            now = await self._again(there.id, uid)
            if _without_etag(now.master) != _without_etag(there.master):
                raise
            await self._patch(now, copy, copy.mark)

    async def _finish(self, event_id: str, uid: str, copy: Copy) -> Event:
        """All is written: the mark says so from now on."""
        await self._results.updated(event_id, await self._events.patch(event_id, marked(copy.mark)))
        return await self._again(event_id, uid)

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
        return await self._events.patch(event_id, instance(change.component), change.etag)


def _without_etag(row: Row | None) -> Row:
    return {name: value for name, value in (row or {}).items() if name != "etag"}
