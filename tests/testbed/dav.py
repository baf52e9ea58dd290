"""A person's hand on a CalDAV server: blocking requests that go past the program under test."""

from __future__ import annotations

import base64
import http.client
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urljoin, urlsplit

from lxml import etree

from tests.testbed.process import Service

_LISTING = '<propfind xmlns="DAV:"><prop><getetag/></prop></propfind>'
_DATA = "{urn:ietf:params:xml:ns:caldav}calendar-data"
_QUERY = (
    '<C:calendar-query xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><prop><C:calendar-data/></prop>'
    '<C:filter><C:comp-filter name="VCALENDAR"/></C:filter></C:calendar-query>'
)
_ROW = re.compile(
    r"<(?:\w+:)?response\b.*?<(?:\w+:)?href>(.*?)</.*?<(?:\w+:)?getetag>(.*?)</(?:\w+:)?getetag>", re.DOTALL
)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class DavServer:
    """One user's view of a server. `home` is the folder (URL) in which the user's calendars are."""

    url: str
    home: str
    username: str
    password: str
    service: Service | None = field(default=None, kw_only=True, repr=False)

    def newcomer(self) -> DavServer:
        """The view of a person who has nothing here yet, where the server minds what one person has."""
        return self

    def make_calendar(self, name: str | None = None, properties: str = "") -> str:
        """MKCALENDAR; returns the URL. `properties` is XML for DAV:prop; a name is made up if none."""
        url = f"{self.home}{name or uuid.uuid4().hex}/"
        body = (
            '<C:mkcalendar xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">'
            f"<set><prop>{properties}</prop></set></C:mkcalendar>"
        )
        answer = self.request("MKCALENDAR", url, body, {"Content-Type": "text/xml"})
        assert answer.status == 201, answer
        return url

    def put(self, calendar: str, name: str, data: bytes | str) -> str | None:
        """PUT a resource at `name` (already percent-encoded) and return its ETag, where one is told."""
        headers = {"Content-Type": "text/calendar; charset=utf-8"}
        answer = self.request("PUT", urljoin(calendar, name), data, headers)
        assert answer.status in (200, 201, 204), answer
        return answer.headers.get("etag")

    def get(self, calendar: str, name: str) -> bytes | None:
        """The resource's data; None where it is not there."""
        answer = self.request("GET", urljoin(calendar, name))
        assert answer.status in (200, 404, 410), answer
        return answer.body if answer.status == 200 else None

    def delete(self, calendar: str, name: str = "") -> None:
        """Delete a resource, or the calendar itself where no name is given."""
        answer = self.request("DELETE", urljoin(calendar, name))
        assert answer.status in (200, 204), answer

    def list(self, calendar: str) -> dict[str, str]:
        """Decoded resource name to ETag, for all that the calendar holds."""
        answer = self.request("PROPFIND", calendar, _LISTING, {"Depth": "1", "Content-Type": "text/xml"})
        assert answer.status == 207, answer
        here = unquote(urlsplit(calendar).path)
        rows = {unquote(href): etag for href, etag in _ROW.findall(answer.body.decode())}
        return {href[len(here) :]: etag.replace("&quot;", '"') for href, etag in rows.items() if href != here}

    def read_all(self, calendar: str) -> dict[str, bytes]:
        """Decoded resource name to data, for all that the calendar holds, in one request."""
        answer = self.request("REPORT", calendar, _QUERY, {"Depth": "1", "Content-Type": "text/xml"})
        assert answer.status == 207, answer
        here = unquote(urlsplit(calendar).path)
        rows = etree.fromstring(answer.body).iterfind("{DAV:}response")
        found = {unquote(row.findtext("{DAV:}href", "")): row.findtext(f".//{_DATA}") for row in rows}
        return {href[len(here) :]: data.encode() for href, data in found.items() if data is not None}

    def request(
        self, method: str, url: str, body: bytes | str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        parts = urlsplit(url)
        token = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        try:
            data = body.encode() if isinstance(body, str) else body
            connection.request(
                method, parts.path or "/", data, {"Authorization": f"Basic {token}", **(headers or {})}
            )
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()
