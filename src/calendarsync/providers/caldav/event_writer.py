"""Creating, changing and deleting resources of a collection, under preconditions (RFC 4791 section 5.3.2)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from calendarsync.domain.amendment import Change
from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Resource
from calendarsync.net import Response
from calendarsync.providers.base import CalendarNotFound, Changed, Forbidden, IdTaken, Refused, ResourceGone
from calendarsync.providers.caldav import quirks
from calendarsync.providers.caldav.fetching import Data, Fetcher
from calendarsync.providers.caldav.hrefs import decode, member_id, member_url
from calendarsync.providers.caldav.privileges import PRIVILEGES, may_write
from calendarsync.providers.caldav.session import DavSession
from calendarsync.providers.caldav.writing import (
    NEED_PRIVILEGES,
    conditions,
    finds_invalid,
    names_a_reason,
    refusal,
    strong_etag,
    uid_is_taken,
)
from calendarsync.providers.caldav.xml import Row, propfind
from calendarsync.providers.icalendar import NotAmendable, amend, read_resource, without_mark, write_copy

_CALENDAR_TYPE = {"Content-Type": "text/calendar; charset=utf-8"}
_LINE_END = re.compile(rb"\r?\n")


class EventWriter:
    """Writes into the collection at `url`. Every method raises what DavSession raises, too."""

    def __init__(
        self,
        session: DavSession,
        fetcher: Fetcher,
        url: str,
        *,
        owner: frozenset[str],
        now: Callable[[], datetime],
    ) -> None:
        self._session = session
        self._fetcher = fetcher
        self._url = url
        self._owner = owner
        self._now = now

    async def create(self, copy: Copy) -> Resource:
        """Raises IdTaken, Refused, Forbidden."""
        resource_id = f"{copy.id}.ics"
        if quirks.ignores_preconditions(self._url) and await self._is_there(resource_id):
            raise _taken()
        response, data = await self._put(resource_id, self._spellings(copy), {"If-None-Match": "*"})
        if response.status in (200, 201, 204):
            place = self._place(response, resource_id)
            return await self._written(place, response, data, moved=place != resource_id)
        await self._raise_for_create(resource_id, response)
        raise await self._refused(response)

    async def _raise_for_create(self, resource_id: str, response: Response) -> None:
        """Find out whether the place or the UID is taken: 409, 412 and 403 are all in use for both."""
        if uid_is_taken(response):
            raise _taken()
        if names_a_reason(response):
            return
        if response.status == 412 and await self._is_there(resource_id):
            raise _taken()
        if response.status == 409:  # either a UID, or the calendar is gone (RFC 4918 section 9.7.1)
            await self._privileges()
            raise _taken()

    async def update(self, resource_id: str, version: str | None, copy: Copy) -> Resource:
        """Raises Changed, ResourceGone, Refused, Forbidden."""
        answer = await self._put_over(resource_id, version, self._spellings(copy))
        if answer is None:
            raise ResourceGone("The event is no longer there.")
        return await self._written(resource_id, *answer)

    async def delete(self, resource_id: str, version: str | None) -> None:
        """Nothing where it is gone. Raises Changed, Refused, Forbidden."""
        if quirks.ignores_preconditions(self._url):
            current = await self._current(resource_id)
            if current is None:
                return
            if version is not None and current.etag != version:
                raise _changed()
        url = member_url(self._url, resource_id)
        response = await self._session.write("DELETE", url, headers=_if_match(version))
        if response.status == 412:
            if not await self._may_be_overwritten(resource_id, version):
                return
            response = await self._session.write("DELETE", url, headers={})
        if not (200 <= response.status < 300 or response.status in (404, 410)):
            raise await self._refused(response)

    async def unmark(self, resource_id: str, version: str | None) -> Resource | None:
        """None where it is gone. Raises Changed, Refused, Forbidden."""
        current = await self._current(resource_id)
        if current is None:
            return None
        if version is not None and current.etag != version:
            raise _changed()
        if current.problem is not None:
            return current.resource(self._owner)
        data = _LINE_END.sub(b"\r\n", without_mark(current.content))  # XML turned CRLF into LF
        answer = await self._put_over(resource_id, current.etag, [data])
        return None if answer is None else await self._written(resource_id, *answer)

    async def amend(self, resource_id: str, version: str | None, changes: Sequence[Change]) -> Resource:
        """Read by GET, for XML would not show every byte. Raises Changed, ResourceGone, Refused, Forbidden."""
        current = await self._fetcher.get(resource_id)
        if current is None:
            await self._privileges()  # or is it the calendar that is gone?
            raise ResourceGone("The event is no longer there.")
        if None not in (version, current.etag) and _opaque(version) != _opaque(current.etag):
            raise _changed()
        if current.problem is not None:
            raise Refused("The event cannot be read.")
        try:
            data = await asyncio.to_thread(amend, current.content, changes, now=self._now())
        except NotAmendable:
            raise Refused("The event has a form in which this cannot be changed.") from None
        answer = await self._put_over(resource_id, version or current.etag, [data])
        if answer is None:
            raise ResourceGone("The event is no longer there.")
        return await self._written(resource_id, *answer)

    def _spellings(self, copy: Copy) -> list[bytes]:
        return [write_copy(each, now=self._now()) for each in quirks.spellings(copy, self._url)]

    async def _put_over(
        self, resource_id: str, version: str | None, spellings: Sequence[bytes]
    ) -> tuple[Response, bytes] | None:
        """The answer to a PUT that succeeded, and what was sent; None where nothing is left to write over."""
        response, data = await self._put(resource_id, spellings, _if_match(version))
        if response.status == 412 and not names_a_reason(response):
            if not await self._may_be_overwritten(resource_id, version):
                return None
            response, data = await self._put(resource_id, spellings, {})
        if response.status in (404, 410):
            await self._privileges()  # or is it the calendar that is gone?
            return None
        if 200 <= response.status < 300:
            return response, data
        raise await self._refused(response)

    async def _may_be_overwritten(self, resource_id: str, version: str | None) -> bool:
        """After a 412: False where the resource is gone. Raises Changed.

        A weak ETag never matches where a server compares as RFC 9110 section 13.1.1 says. If it is still the
        current one, the condition holds though the server cannot tell.
        """
        current = await self._current(resource_id)
        if current is None:
            return False
        if version is None or not version.startswith("W/") or current.etag != version:
            raise _changed()
        return True

    async def _put(
        self, resource_id: str, spellings: Sequence[bytes], condition: Mapping[str, str]
    ) -> tuple[Response, bytes]:
        """The answer to the first spelling that the server does not find invalid, else to the last."""
        url, headers = member_url(self._url, resource_id), {**_CALENDAR_TYPE, **condition}
        for data in spellings[:-1]:
            response = await self._session.write("PUT", url, data, headers=headers)
            if not finds_invalid(response):
                return response, data
        return await self._session.write("PUT", url, spellings[-1], headers=headers), spellings[-1]

    async def _written(
        self, resource_id: str, response: Response, data: bytes, *, moved: bool = False
    ) -> Resource:
        """What was written, as a later reading will show it.

        Without a strong ETag the server does not say what it stored (sabre and DAViCal, where they changed
        the data): it is read again, as it is where the server `moved` it, whatever it says. A server that does
        not show it yet keeps the version unknown.
        """
        etag = None if moved else strong_etag(response)
        if etag is None:
            current = await self._current(resource_id)
            if current is not None:
                return current.resource(self._owner)
        return read_resource(resource_id, etag, data, owner=self._owner)

    async def _refused(self, response: Response) -> Exception:
        """A bare 403 may mean this event or the whole calendar; the privileges tell."""
        if response.status == 403 and not names_a_reason(response):
            writable = None if NEED_PRIVILEGES in conditions(response) else await self._privileges()
            if writable is not True:
                return Forbidden("The server does not allow writing to this calendar.")
        return refusal(response)

    async def _privileges(self) -> bool | None:
        """Whether the calendar may be written to; None where the server does not tell."""
        rows: list[bool | None] = []

        def read(row: Row) -> None:
            if row.status in (404, 410):
                raise CalendarNotFound("There is no calendar at this address.")
            rows.append(may_write(row))

        await self._session.multistatus("PROPFIND", self._url, propfind([PRIVILEGES]), read, depth="0")
        return rows[0] if rows else None

    async def _is_there(self, resource_id: str) -> bool:
        return await self._current(resource_id) is not None

    async def _current(self, resource_id: str) -> Data | None:
        found = await self._fetcher.fetch([self._fetcher.entry(resource_id)])
        return found[0] if found else None

    def _place(self, response: Response, resource_id: str) -> str:
        """Where a new resource is: no server may choose, but some answer a Location of their own."""
        location = response.headers.get("Location")
        collection = decode(urlsplit(self._url).path)
        return (location and member_id(collection, location)) or resource_id


def _if_match(version: str | None) -> dict[str, str]:
    """Never `If-Match: *`: iCloud reads it the wrong way round."""
    return {"If-Match": version} if version is not None else {}


def _opaque(etag: str | None) -> str:
    """For a weak comparison (RFC 9110 section 8.8.3.2): there are servers that answer GET with a weak ETag."""
    return (etag or "").removeprefix("W/")


def _taken() -> IdTaken:
    return IdTaken("There is an event with this id already.")


def _changed() -> Changed:
    return Changed("The event was changed meanwhile.")
