"""A person's hand and eye on the CalDAV server, past CalendarSync: what the demo shows comes from here."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from urllib.parse import unquote, urljoin, urlsplit

from icalendar import Calendar, Event
from lxml import etree

_DAV = "{DAV:}"
_CAL = "{urn:ietf:params:xml:ns:caldav}"
_MARK = "X-CALENDARSYNC"
_STAMP = "%Y%m%dT%H%M%SZ"

_MAKE = (
    '<C:mkcalendar xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">'
    "<set><prop><displayname>{name}</displayname></prop></set></C:mkcalendar>"
)
_QUERY = (
    '<C:calendar-query xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">'
    "<prop><C:calendar-data>{expand}</C:calendar-data></prop>"
    '<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT">{within}</C:comp-filter>'
    "</C:comp-filter></C:filter></C:calendar-query>"
)


class CalDavError(Exception):
    """The server answered what it should not."""


@dataclass(frozen=True)
class Shown:
    """One occurrence as the server tells it. Times are dates for all-day events, else moments in UTC."""

    start: datetime | date
    end: datetime | date
    uid: str
    resource: str
    title: str
    copy: bool
    busy: bool
    tentative: bool

    @property
    def all_day(self) -> bool:
        return not isinstance(self.start, datetime)


@dataclass(frozen=True)
class Owner:
    """One person's access to one calendar at the server."""

    name: str
    url: str
    username: str
    password: str
    address: str

    @property
    def root(self) -> str:
        """The server's own address, as a person would type it."""
        return urljoin(self.url, "/")

    def look(self) -> None:
        """Raises CalDavError where the server does not let this user in.

        Radicale makes the user's home at the first look.
        """
        home = self.url[: self.url.rindex("/", 0, -1) + 1]
        self._request("PROPFIND", home, b"", expect=(207,), timeout=2)

    def make_calendar(self) -> None:
        self._request("MKCALENDAR", self.url, _MAKE.format(name=self.name).encode(), expect=(201,))

    def put(self, resource: str, data: bytes) -> None:
        self._request(
            "PUT", self.url + resource, data, kind="text/calendar; charset=utf-8", expect=(201, 204)
        )

    def resources(self) -> dict[str, bytes]:
        """Every stored object by its name, as it stands there."""
        return dict(self._report(_QUERY.format(expand="", within="")))

    def occurrences(self, start: datetime, end: datetime) -> list[Shown]:
        """All that the calendar shows between two moments. The server expands the series, not we."""
        between = f'start="{start.astimezone(UTC):{_STAMP}}" end="{end.astimezone(UTC):{_STAMP}}"'
        query = _QUERY.format(expand=f"<C:expand {between}/>", within=f"<C:time-range {between}/>")
        return [
            self._shown(resource, event)
            for resource, data in self._report(query)
            for event in Calendar.from_ical(data).walk("VEVENT")
            if isinstance(event, Event)
        ]

    def _report(self, body: str) -> Iterator[tuple[str, bytes]]:
        answer = self._request("REPORT", self.url, body.encode(), expect=(207,), depth="1")
        for row in etree.fromstring(answer).iter(f"{_DAV}response"):
            href, data = row.findtext(f"{_DAV}href"), row.findtext(f".//{_CAL}calendar-data")
            if href and data:
                yield unquote(href).rsplit("/", 1)[-1], data.encode()

    def _shown(self, resource: str, event: Event) -> Shown:
        status = str(event.get("STATUS", ""))
        busy = str(event.get("TRANSP", "")) != "TRANSPARENT" and status != "CANCELLED"
        return Shown(
            start=_utc(event.start),
            end=_utc(event.end),
            uid=str(event["UID"]),
            resource=resource,
            title=str(event.get("SUMMARY", "")),
            copy=any(name.startswith(_MARK) for name in event),
            busy=busy and self._answer(event) != "DECLINED",
            tentative=status == "TENTATIVE",
        )

    def _answer(self, event: Event) -> str | None:
        """The owner's answer to an invitation."""
        found = event.get("ATTENDEE", [])
        for guest in found if isinstance(found, list) else [found]:
            if str(guest).lower() == f"mailto:{self.address}":
                return str(guest.params.get("PARTSTAT", ""))
        return None

    def _request(
        self,
        method: str,
        url: str,
        body: bytes,
        *,
        expect: tuple[int, ...],
        kind: str = "text/xml; charset=utf-8",
        depth: str = "0",
        timeout: float = 30,
    ) -> bytes:
        parts = urlsplit(url)
        token = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Content-Type": kind, "Depth": depth}
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        try:
            connection.request(method, parts.path, body, headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise CalDavError(f"the CalDAV server does not answer: {error}") from error
        finally:
            connection.close()
        if response.status not in expect:
            raise CalDavError(f"the CalDAV server answered {response.status} to {method} {parts.path}")
        return answer


def _utc(value: datetime | date) -> datetime | date:
    return value.astimezone(UTC) if isinstance(value, datetime) else value
