"""Changing events that are not ours: the fields that change, and nothing beside them (rule 17).

There is no If-Match for events, so an event is read and compared first, as for our own (`event_writer`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from calendarsync.domain.amendment import Change, Times
from calendarsync.domain.event import EventTime
from calendarsync.providers.base import Refused, ResourceGone
from calendarsync.providers.icalendar.values import UnusableError
from calendarsync.providers.microsoft.batching import Batcher, Request
from calendarsync.providers.microsoft.event_writer import EventWriter
from calendarsync.providers.microsoft.failures import refusal
from calendarsync.providers.microsoft.places import Places
from calendarsync.providers.microsoft.stored import Json, Stored, original_of, series_start
from calendarsync.providers.microsoft.times import as_read, read_time, write_time

_DAY = timedelta(days=1)


class Amender:
    def __init__(self, batcher: Batcher, places: Places, writer: EventWriter) -> None:
        self._batcher = batcher
        self._places = places
        self._writer = writer

    async def amend(self, event_id: str, version: str | None, changes: Sequence[Change]) -> Stored:
        """A request to compare, one to write; a series is read again. Raises Changed, ResourceGone, Refused."""
        stored = await self._writer.standing(event_id, version)
        if stored is None:
            raise ResourceGone("The event is no longer there.")
        if any(change.description is not None for change in changes):
            await self._check_body(event_id)
        if not stored.is_series:
            (change,) = changes
            return Stored(await self._patch(event_id, change))
        names = {change.original: await self._name(stored, change) for change in changes}
        for change in sorted(changes, key=lambda change: change.original is None):
            await self._patch(names[change.original], change)
        return await self._writer.series(event_id)

    async def _check_body(self, event_id: str) -> None:
        """A body without the part that an online meeting has in it takes the meeting away (event-update)."""
        path = self._places.event(event_id, select="id,isOnlineMeeting")
        answer = await self._batcher.send(Request("GET", path))
        if answer.ok and answer.data.get("isOnlineMeeting"):
            raise Refused("The description of an online meeting belongs to the meeting.")

    async def _name(self, stored: Stored, change: Change) -> str:
        """The id of what a change is of. Raises Refused for an instance that is not there."""
        event_id = str(stored.event["id"])
        if change.original is None:
            return event_id
        there = _exception(stored, change.original)
        if there is not None:
            return str(there["id"])
        found = await self._occurrence(event_id, change.usual)
        if found is None:
            raise Refused("The series has no such instance in Outlook.")
        return found

    async def _occurrence(self, event_id: str, usual: Times | None) -> str | None:
        if usual is None:
            return None
        start = as_read(usual.start)
        moment = start.instant("UTC")
        # Outlook's instance in a gap of the clocks may end before it starts: it overlaps no shorter span.
        path = self._places.instances(event_id, moment - _DAY, moment + _DAY)
        answer = await self._batcher.send(Request("GET", path))
        for row in answer.data.get("value") or ():
            if read_time(row.get("start"), "UTC", all_day=start.all_day).instant("UTC") == moment:
                return str(row["id"])
        return None

    async def _patch(self, event_id: str, change: Change) -> Json:
        answer = await self._batcher.send(Request("PATCH", self._places.event(event_id), _body(change)))
        if not answer.ok:
            raise refusal(answer)
        return answer.data


def _exception(stored: Stored, original: EventTime) -> Json | None:
    try:
        start = series_start(stored.event)
        return next((each for each in stored.exceptions if original_of(each, start) == original), None)
    except UnusableError:
        raise Refused("Outlook's exceptions of this series cannot be read.") from None


def _body(change: Change) -> Mapping[str, Any]:
    body: dict[str, Any] = {}
    if change.title is not None:
        body["subject"] = change.title
    if change.description is not None:
        body["body"] = {"contentType": "text", "content": change.description}
    if change.location is not None:
        body["location"] = {"displayName": change.location}
    if change.times is not None:
        start, end = write_time(change.times.start), write_time(change.times.end)
        body |= {"start": start, "end": end, "isAllDay": change.times.start.all_day}
    return body
