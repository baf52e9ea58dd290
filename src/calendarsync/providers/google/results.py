"""What came of a write, found out where the answer alone does not tell."""

from __future__ import annotations

from calendarsync.domain.copy import Copy
from calendarsync.providers.base import ProviderError
from calendarsync.providers.google import errors
from calendarsync.providers.google.errors import Answer
from calendarsync.providers.google.events import Events
from calendarsync.providers.google.fields import Row, is_cancelled, mark_of, text

WRITERS = frozenset({"writer", "owner", "writerWithoutPrivateAccess"})
"""Access roles that may write (reference of calendarList)."""


class Results:
    def __init__(self, events: Events) -> None:
        self._events = events

    async def inserted(self, copy: Copy, answer: Answer) -> Row:
        """The new event. Raises IdTaken, IdDead, Refused, CalendarNotFound, Forbidden.

        "We cannot guarantee that ID collisions will be detected at event creation time" (reference of events): an
        answer that does not show what was sent shows the event that was there.
        """
        if answer.ok:
            if text(answer.data, "id") != copy.id or mark_of(answer.data) != copy.mark:
                raise errors.taken()
            return answer.data
        if answer.status == 409:
            raise errors.taken() if await self.is_there(copy.id) else errors.dead()
        if answer.gone:
            raise errors.no_calendar()
        raise await self.refusal(answer)

    async def updated(self, event_id: str, answer: Answer) -> Row:
        """The event as it is after a patch. Raises Changed, ResourceGone, Refused, CalendarNotFound, Forbidden."""
        if answer.ok and not is_cancelled(answer.data):
            return answer.data
        if answer.gone:
            await self._events.access_role()  # or is it the calendar that is gone?
        elif not answer.ok and await self.is_there(event_id):
            raise errors.changed() if answer.status == 412 else await self.refusal(answer)
        raise errors.gone()

    async def deleted(self, event_id: str, answer: Answer) -> None:
        """What is gone already counts as done. Raises Changed, Refused, Forbidden."""
        if answer.ok or answer.gone or not await self.is_there(event_id):
            return
        raise errors.changed() if answer.status == 412 else await self.refusal(answer)

    async def is_there(self, event_id: str) -> bool:
        """A deleted event is answered as `cancelled`, later perhaps not at all."""
        answer = await self._events.get(event_id)
        return answer.ok and not is_cancelled(answer.data)

    async def refusal(self, answer: Answer) -> ProviderError:
        """A 403 may mean this event or the whole calendar; what may be done with the calendar tells."""
        if answer.status == 403 and await self._events.access_role() not in WRITERS:
            return errors.read_only()
        return errors.refused(answer)
