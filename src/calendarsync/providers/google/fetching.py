"""Reading events by their ids, a series with all of its exceptions.

A series' rows have its iCalUID in common, and are listed by it. Where only the id is known, the iCalUID that Google
gives to an id is tried, which is seen in every answer and documented nowhere.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Iterable, Sequence
from typing import TypeVar

from calendarsync.providers.google.errors import not_readable
from calendarsync.providers.google.event import Event, put_together
from calendarsync.providers.google.events import Events
from calendarsync.providers.google.fields import is_cancelled, text

T = TypeVar("T")


def likely_uid(event_id: str) -> str:
    """`<id>@google.com`; behind an underscore, an iCalUID from elsewhere in base32hex."""
    if event_id.startswith("_"):
        digits = event_id[1:].upper()
        try:
            return base64.b32hexdecode(digits + "=" * (-len(digits) % 8)).decode()
        except ValueError:
            pass
    return f"{event_id}@google.com"


class Fetcher:
    def __init__(self, events: Events) -> None:
        self._events = events

    async def fetch(self, ids: Iterable[str]) -> list[Event]:
        """Those that are there, in any order; one request for 50 singles, and one more for 50 series."""
        found = await together(self._one(event_id) for event_id in dict.fromkeys(ids))
        return [event for event in found if event is not None]

    async def whole(self, parts: Iterable[Event]) -> list[Event]:
        """Events of which some parts are known, read as they are now; those that are gone are left out."""
        found = await together(self.series(event.id, _uid(event)) for event in parts)
        return [event for event in found if event is not None]

    async def series(self, event_id: str, uid: str = "") -> Event | None:
        """A series with its exceptions, or what it has become; None where nothing of it is left."""
        tried = uid or likely_uid(event_id)
        listed = await self._of_uid(event_id, tried)
        if listed is not None and listed.master is not None:
            return listed
        answer = await self._events.get(event_id)
        if not answer.ok or is_cancelled(answer.data):
            return listed
        known = text(answer.data, "iCalUID")
        found = await self._of_uid(event_id, known) if known not in ("", tried) else None
        return found or Event(event_id, answer.data)

    async def _one(self, event_id: str) -> Event | None:
        answer = await self._events.get(event_id)
        if answer.ok and not is_cancelled(answer.data):
            if not answer.data.get("recurrence"):
                return Event(event_id, answer.data)
            return await self.series(event_id, text(answer.data, "iCalUID"))
        if not (answer.ok or answer.gone):
            raise not_readable(answer)
        # Somebody may be invited to single instances of a series that is not in this calendar.
        return await self._of_uid(event_id, likely_uid(event_id))

    async def _of_uid(self, event_id: str, uid: str) -> Event | None:
        events = put_together(await self._events.of_uid(uid))
        return next((event for event in events if event.id == event_id and event.parts), None)


def _uid(event: Event) -> str:
    rows = (*event.parts, *event.exceptions)
    return next((uid for uid in (text(row, "iCalUID") for row in rows) if uid), "")


async def together(work: Iterable[Awaitable[T]]) -> Sequence[T]:
    """Do it all at once, so that the calls of each step share requests; the first error is raised at the end."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
