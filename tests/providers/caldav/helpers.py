"""What the CalDAV tests share."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from calendarsync.net import BasicCredentials, HttpClient
from calendarsync.providers.caldav import CalDavCalendar
from tests.testbed.dav import DavServer
from tests.testbed.proxy import Answer, Request

SYNC = b"sync-collection>"
TOKEN = re.compile(rb"<D:sync-token>(.*?)</D:sync-token>")


def is_sync(request: Request) -> bool:
    return request.method == "REPORT" and SYNC in request.body


def is_multiget(request: Request) -> bool:
    return request.method == "REPORT" and b"calendar-multiget" in request.body


def without_token(request: Request) -> Request:
    return Request(request.method, request.path, request.headers, TOKEN.sub(b"<D:sync-token/>", request.body))


def own_tokens(change: Callable[[bytes], bytes]) -> Callable[[Answer], Answer]:
    """An answer whose sync tokens look like those of another server."""

    def rewrite(answer: Answer) -> Answer:
        body = re.sub(
            rb"(<(?:\w+:)?sync-token>)(.*?)(</)",
            lambda found: found[1] + change(found[2]) + found[3],
            answer.body,
        )
        return Answer(answer.status, body, answer.headers)

    return rewrite


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.time = datetime(2026, 2, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **parts: float) -> None:
        self.time += timedelta(**parts)


def event(uid: str, title: str = "Standup", more: str = "") -> str:
    lines = [
        *("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", "BEGIN:VEVENT", f"UID:{uid}"),
        *("DTSTAMP:20260101T000000Z", "DTSTART:20260302T090000Z", "DTEND:20260302T100000Z"),
        *(f"SUMMARY:{_escaped(title)}", *more.splitlines(), "END:VEVENT", "END:VCALENDAR", ""),
    ]
    return "\r\n".join(lines)


def _escaped(text: str) -> str:
    """TEXT of RFC 5545 section 3.3.11; Radicale cuts a bare comma and all that follows off."""
    return re.sub(r"([\\;,])", r"\\\1", text).replace("\n", "\\n")


def retitled(data: str, title: str) -> str:
    """The resource with another title, and all else, our mark included, as other programs leave it."""
    before, _, rest = data.partition("SUMMARY:")
    return f"{before}SUMMARY:{_escaped(title)}\r\n{rest.partition(chr(10))[2]}"


def credentials_of(server: DavServer) -> BasicCredentials:
    return BasicCredentials(server.username, server.password)


def opened(client: HttpClient, server: DavServer, url: str, **options: Any) -> CalDavCalendar:
    """The calendar at `url` (perhaps a proxy's), with the server's credentials."""
    return CalDavCalendar(client, url, credentials_of(server), **{"now": Clock(), **options})


class DavPerson:
    """Somebody who edits a calendar by hand, past the proxy and the program under test."""

    def __init__(self, server: DavServer, calendar: str) -> None:
        self._server = server
        self._calendar = calendar

    async def add(self, title: str, name: str | None = None, more: str = "") -> str:
        """Add an event; its file has the decoded `name`."""
        uid = uuid.uuid4().hex
        name = name or f"{uid}.ics"
        self._server.put(self._calendar, quote(name), event(uid, title, more))
        return name

    async def fill(self, count: int) -> None:
        """Add that many events."""
        for number in range(count):
            await self.add(f"Event {number}")

    async def edit(self, resource_id: str, title: str) -> None:
        data = (self._server.get(self._calendar, quote(resource_id)) or b"").decode()
        self._server.put(self._calendar, quote(resource_id), retitled(data, title))

    async def remove(self, resource_id: str) -> None:
        self._server.delete(self._calendar, quote(resource_id))


class RadicalePerson(DavPerson):
    """Radicale takes a whole calendar at once, and needs ever longer for single events."""

    async def fill(self, count: int) -> None:
        events = "".join(event(f"uid{number}", f"Event {number}") for number in range(count))
        data = events.replace("END:VCALENDAR\r\nBEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n", "")
        self._server.delete(self._calendar)
        self._server.put(self._calendar, "", data)
