"""Creating, changing and deleting copies: one request each for single events, a few for series.

The parts of a series are written one after the other, and our mark last: a copy that was left half done has its
draft, or an old one, and is written again. There is no If-Match for events, so an event is read and compared first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from calendarsync.domain.copy import Copy
from calendarsync.providers.base import (
    CalendarNotFound,
    Changed,
    IdDead,
    IdTaken,
    ProviderError,
    Refused,
    ResourceGone,
)
from calendarsync.providers.icalendar.values import UnusableError
from calendarsync.providers.microsoft import writing
from calendarsync.providers.microsoft.batching import Batcher, Request
from calendarsync.providers.microsoft.failures import refusal
from calendarsync.providers.microsoft.membership import Membership
from calendarsync.providers.microsoft.places import FIELDS, Places
from calendarsync.providers.microsoft.stored import (
    SERIES_VERSION,
    Json,
    Stored,
    kind_of,
    mark_of,
    original_of,
    series_start,
)
from calendarsync.providers.microsoft.times import as_read, read_time

_DAY = timedelta(days=1)
_ATTEMPTS = 3
_USED_TRANSACTION = "ErrorDuplicateTransactionId"

Body = Mapping[str, Any]


class EventWriter:
    """Writes into one calendar. Every method raises what GraphSession.send raises, too."""

    def __init__(self, batcher: Batcher, places: Places, membership: Membership) -> None:
        self._batcher = batcher
        self._places = places
        self._membership = membership

    async def create(self, copy: Copy) -> Stored:
        """Raises IdTaken, IdDead, Refused."""
        wanted = writing.event_of(copy, copy.master)
        parts = bool(copy.overrides or writing.holes_of(copy.master))
        mark = _draft_of(copy) if parts else writing.mark_field(copy.mark)
        body = {**wanted, "transactionId": copy.id, **mark}
        answer = await self._batcher.send(Request("POST", self._places.events, body))
        if answer.code == _USED_TRANSACTION or answer.status == 409:
            raise await self._used(copy)
        if answer.status == 404:
            raise _no_calendar()
        if not answer.ok:
            raise refusal(answer)
        if not await self._membership.holds(answer.data):
            raise IdDead("The id of this copy belongs to an event of another calendar by now.")
        if writing.is_earlier(answer.data, wanted):
            raise _taken()
        return await self._complete(Stored(answer.data), copy) if parts else Stored(answer.data)

    async def _complete(self, stored: Stored, copy: Copy) -> Stored:
        """Write the exceptions of a new series; where Outlook refuses one of them, nothing of it stays."""
        event_id = str(stored.event["id"])
        marked = self._places.event(event_id, select="id", marked=True)
        answer, work = await asyncio.gather(
            self._batcher.send(Request("GET", marked)), self._work(stored, copy), return_exceptions=True
        )
        if isinstance(answer, BaseException):
            raise answer
        if mark_of(answer.data) not in (None, copy.draft):
            raise _taken()  # it was there before, and is whole
        try:
            if isinstance(work, BaseException):
                raise work
            await self._in_order([*work, self._marking(event_id, copy.mark)])
        except Refused:
            await self._batcher.send(Request("DELETE", self._places.event(event_id)))
            raise
        return await self.series(event_id)

    async def update(self, resource_id: str, version: str | None, copy: Copy) -> Stored:
        """Raises Changed, ResourceGone, Refused."""
        stored = await self.standing(resource_id, version)
        if stored is None:
            raise ResourceGone("The event is no longer there.")
        wanted = writing.event_of(copy, copy.master)
        changes = writing.differences(stored.event, wanted)
        parts = copy.overrides or writing.holes_of(copy.master) or stored.exceptions or stored.cancelled
        if copy.master.recurrence is None or not parts:
            return await self._patch(resource_id, {**changes, **writing.mark_field(copy.mark)})
        for _ in range(_ATTEMPTS):
            begun = self._beginning(stored, copy, wanted, changes)
            if not begun:
                break
            await self._in_order([self._change(resource_id, {**_draft_of(copy), **body}) for body in begun])
            stored, changes = await self._reread(resource_id), {}
        else:
            raise Refused("Outlook does not put back an instance that was taken out of this series.")
        work = await self._work(stored, copy)
        if work:
            first = [self._change(resource_id, {**_draft_of(copy), **changes})] if changes else []
            await self._in_order([*first, *work, self._marking(resource_id, copy.mark)])
            return await self.series(resource_id)
        written = await self._patch(resource_id, {**changes, **writing.mark_field(copy.mark)})
        return await self.series(resource_id) if written.is_series else written

    def _beginning(self, stored: Stored, copy: Copy, wanted: Body, changes: Body) -> list[Body]:
        """What makes Graph drop the exceptions of a series, where they have to go or will go.

        It has no way to put back one instance that was taken out: the series gets another rule for a moment.
        """
        if writing.changes_instances(changes):
            return [changes]
        if _cancelled(stored) <= writing.holes_of(copy.master):
            return []
        times = {name: wanted[name] for name in ("start", "end", "isAllDay", "recurrence")}
        return [{"recurrence": writing.shorter(wanted["recurrence"])}, {**changes, **times}]

    async def delete(self, resource_id: str, version: str | None) -> None:
        """Raises Changed, Refused."""
        stored = await self.standing(resource_id, version)
        if stored is None:
            return
        answer = await self._batcher.send(Request("DELETE", self._places.event(resource_id)))
        if not answer.ok and answer.status not in (404, 410):
            raise refusal(answer)

    async def unmark(self, resource_id: str, version: str | None) -> Stored | None:
        """Raises Changed, Refused."""
        stored = await self.standing(resource_id, version)
        if stored is None:
            return None
        try:
            written = await self._patch(resource_id, writing.mark_field(""))
        except ResourceGone:
            return None
        return await self.series(resource_id) if stored.is_series else written

    async def standing(self, resource_id: str, version: str | None) -> Stored | None:
        """The event, which must be at this version and nobody's but its owner's; None where it is gone.

        Raises Changed; Refused where people were invited to it, who would get mail.
        """
        stored = await self._read(resource_id, version)
        if stored is None:
            return None
        if version is not None and stored.version != version:
            raise Changed("The event was changed meanwhile.")
        if any(event.get("attendees") for event in (stored.event, *stored.exceptions)):
            raise Refused("People were invited to this event: any change to it would send them mail.")
        return stored

    async def _read(self, resource_id: str, version: str | None) -> Stored | None:
        series = version is not None and version.startswith(SERIES_VERSION)
        path = self._places.series(resource_id) if series else self._places.event(resource_id, select=FIELDS)
        answer = await self._batcher.send(Request("GET", path))
        if answer.status in (404, 410) or (answer.ok and not await self._membership.holds(answer.data)):
            await self.check_calendar()
            return None
        if not answer.ok:
            raise refusal(answer)
        if kind_of(answer.data) == "seriesmaster" and not series:
            return await self.series(resource_id)
        return Stored.of(answer.data)

    async def check_calendar(self) -> None:
        """Raises CalendarNotFound: an event that is missing may be missing with its whole calendar."""
        answer = await self._batcher.send(Request("GET", f"{self._places.calendar}?$select=id"))
        if answer.status in (404, 410):
            raise _no_calendar()

    async def _work(self, stored: Stored, copy: Copy) -> list[Request]:
        """What has to be written into single instances of a series. Raises Refused for one that is not there."""
        there = _by_day(stored)
        overrides, holes = writing.overrides_of(copy), writing.holes_of(copy.master)
        bodies: dict[date, Body | None] = {}
        for day in sorted(overrides.keys() | there.keys() | holes):
            if day in holes:
                bodies[day] = None
                continue
            plain = writing.plain_instance(day, copy.master)
            wanted = writing.event_of(copy, overrides.get(day, plain))
            standing = there.get(day) or writing.event_of(copy, plain)
            if changes := writing.differences(standing, wanted, is_instance=True):
                bodies[day] = changes
        gone = _cancelled(stored)
        bodies = {day: body for day, body in bodies.items() if body is not None or day not in gone}
        found = await asyncio.gather(*(self._instance(stored, copy, day, there) for day in bodies))
        requests = []
        for (day, body), instance_id in zip(bodies.items(), found, strict=True):
            if instance_id is not None:
                method = "DELETE" if body is None else "PATCH"
                requests.append(Request(method, self._places.event(instance_id), body))
            elif day in overrides:
                raise Refused("The series has no such instance in Outlook.")
        return requests

    async def _instance(
        self, stored: Stored, copy: Copy, day: date, there: Mapping[date, Json]
    ) -> str | None:
        """The id of the instance of that day; None where the series has none."""
        if day in there:
            return str(there[day]["id"])
        start = as_read(writing.start_on(day, copy.master))
        moment = start.instant("UTC")
        # Outlook's instance in a gap of the clocks may end before it starts: it overlaps no shorter span.
        path = self._places.instances(str(stored.event["id"]), moment - _DAY, moment + _DAY)
        answer = await self._batcher.send(Request("GET", path))
        for row in answer.data.get("value") or ():
            read = read_time(row.get("start"), "UTC", all_day=start.all_day)
            if read.instant("UTC") == moment:
                return str(row["id"])
        return None

    async def _reread(self, event_id: str) -> Stored:
        stored = await self._read(event_id, SERIES_VERSION)
        if stored is None:
            raise ResourceGone("The event is no longer there.")
        return stored

    async def series(self, event_id: str) -> Stored:
        """A series with its exceptions, which has to be there."""
        answer = await self._batcher.send(Request("GET", self._places.series(event_id)))
        if not answer.ok:
            raise refusal(answer)
        return Stored.of(answer.data)

    async def _patch(self, event_id: str, body: Body) -> Stored:
        answer = await self._batcher.send(self._change(event_id, body))
        if not answer.ok:
            raise refusal(answer)
        return Stored(answer.data)

    async def _in_order(self, requests: Sequence[Request]) -> None:
        answers = await self._batcher.in_order(requests)
        if not answers[-1].ok:
            error = refusal(answers[-1])
            raise Changed("The event was changed meanwhile.") if isinstance(error, ResourceGone) else error

    def _change(self, event_id: str, body: Body) -> Request:
        return Request("PATCH", self._places.event(event_id), body)

    def _marking(self, event_id: str, mark: str) -> Request:
        return self._change(event_id, writing.mark_field(mark))

    async def _used(self, copy: Copy) -> ProviderError:
        """What it means that the transactionId of a copy was used before."""
        start = ";".join(copy.mark.split(";")[:3])
        answer = await self._batcher.send(Request("GET", self._places.marked(f"{start};")))
        for row in answer.data.get("value") or ():
            if row.get("transactionId") == copy.id and await self._read(str(row["id"]), None) is not None:
                return _taken()
        return IdDead("The id of this copy was used up by one that was deleted.")


def _draft_of(copy: Copy) -> Body:
    """Our property while a part of the copy is missing."""
    return writing.mark_field(copy.draft) if copy.draft else {}


def _by_day(stored: Stored) -> dict[date, Json]:
    """The exceptions by the day of their original start. Raises Refused where that cannot be told."""
    try:
        if not stored.is_series:
            return {}
        start = series_start(stored.event)
        return {original_of(each, start).local.date(): each for each in stored.exceptions}
    except UnusableError:
        raise Refused("Outlook's exceptions of this series cannot be read.") from None


def _cancelled(stored: Stored) -> frozenset[date]:
    try:
        return stored.cancelled_days
    except UnusableError:
        raise Refused("Outlook's exceptions of this series cannot be read.") from None


def _taken() -> IdTaken:
    return IdTaken("There is an event with this id already.")


def _no_calendar() -> CalendarNotFound:
    return CalendarNotFound("This calendar is no longer there, or no longer shared with you.")
