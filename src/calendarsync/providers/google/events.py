"""The events of one calendar: one method for each method of the API that is used here (reference of events)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from calendarsync.domain.event import EventTime
from calendarsync.providers.google.batching import Batcher
from calendarsync.providers.google.calls import Call, events_path
from calendarsync.providers.google.errors import Answer, no_calendar, not_readable
from calendarsync.providers.google.fields import EVENT, EVENTS, Row, rows, text
from calendarsync.providers.google.session import Session
from calendarsync.providers.google.times import write_time

MAX_RESULTS = "2500"
SILENT = {"sendUpdates": "none"}
"""Nobody gets an e-mail because of us (rule 10)."""


class Events:
    """Answers are returned as they are, but for those that say something of the grant, the app or the service."""

    def __init__(self, session: Session, calendar_id: str) -> None:
        self._session = session
        self._batcher = Batcher(session)
        self._path = events_path(calendar_id)

    async def pages(self, query: Mapping[str, str]) -> AsyncIterator[Answer]:
        """events.list, page by page; the last answer may be an error."""
        given = {"maxResults": MAX_RESULTS, "fields": EVENTS, **query}
        page: dict[str, str] = {}
        while True:
            answer = await self._session.send(Call("GET", self._path, {**given, **page}))
            yield answer
            following = text(answer.data, "nextPageToken")
            if not answer.ok or not following:
                return
            page = {"pageToken": following}

    async def get(self, event_id: str) -> Answer:
        """An event, or an instance; of one that was deleted mostly a `cancelled` row."""
        return await self._batcher.send(Call("GET", self._at(event_id), {"fields": EVENT}))

    async def of_uid(self, uid: str) -> Sequence[Row]:
        """All rows with an iCalUID: a series, its exceptions, holes among them. Raises CalendarNotFound, Forbidden.

        "Cancelled instances of recurring events will still be included if showDeleted and singleEvents are both
        False" (events.list).
        """
        query = {"iCalUID": uid, "maxResults": MAX_RESULTS, "fields": EVENTS}
        found: list[Row] = []
        while True:
            answer = await self._batcher.send(Call("GET", self._path, query))
            if not answer.ok:
                raise not_readable(answer)
            found += rows(answer.data, "items")
            following = text(answer.data, "nextPageToken")
            if not following:
                return found
            query["pageToken"] = following

    async def instance_id(self, series_id: str, original: EventTime) -> str | None:
        """The id of the instance that would start at `original`, if there is one."""
        start = write_time(original)
        query = {"originalStart": start.get("dateTime") or start["date"], "fields": "items(id)"}
        answer = await self._batcher.send(Call("GET", f"{self._at(series_id)}/instances", query))
        found = (text(row, "id") for row in rows(answer.data, "items"))
        return next((name for name in found if name), None)

    async def insert(self, body: Mapping[str, Any]) -> Answer:
        return await self._batcher.send(Call("POST", self._path, {**SILENT, "fields": EVENT}, body))

    async def patch(self, event_id: str, body: Mapping[str, Any], etag: str | None = None) -> Answer:
        query = {**SILENT, "fields": EVENT}
        return await self._batcher.send(Call("PATCH", self._at(event_id), query, body, etag))

    async def delete(self, event_id: str, etag: str | None = None) -> Answer:
        return await self._batcher.send(Call("DELETE", self._at(event_id), SILENT, if_match=etag))

    async def access_role(self) -> str:
        """What the grant may do with this calendar. Raises CalendarNotFound, Forbidden."""
        answer = await self._batcher.send(
            Call("GET", self._path, {"maxResults": "1", "fields": "accessRole"})
        )
        if answer.gone:
            raise no_calendar()
        if not answer.ok:
            raise not_readable(answer)
        return text(answer.data, "accessRole")

    def _at(self, event_id: str) -> str:
        return f"{self._path}/{quote(event_id, safe='')}"
