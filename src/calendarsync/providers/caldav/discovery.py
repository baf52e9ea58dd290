"""From whatever address a person has to the calendars behind it (RFC 6764 section 6, RFC 5397, RFC 4791).

The way: `/.well-known/caldav` where only a host is named, else the address itself, then what it says of
principal and home set. SRV records are not looked up: nearly every server answers at `.well-known` too.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import unquote, urljoin, urlsplit

from yarl import URL

from calendarsync.domain.timezones import zone_info
from calendarsync.net import BasicCredentials, HttpClient
from calendarsync.net.redirects import keeps_credentials
from calendarsync.providers.base import (
    CalendarNotFound,
    DiscoveredCalendar,
    Forbidden,
    NotACalendar,
    ProviderError,
    Unavailable,
    Unreachable,
)
from calendarsync.providers.caldav.hrefs import absolute, canonical_url
from calendarsync.providers.caldav.privileges import PRIVILEGES, may_write
from calendarsync.providers.caldav.session import LOOK_MAX_BYTES, DavSession, read_rows
from calendarsync.providers.caldav.xml import Row, caldav, dav, propfind

HOME_MAX_BYTES = 8 * 1024 * 1024  # a thousand calendars, each with its time zone
MAX_HOMES = 16
DEADLINE_SECONDS = 60.0

_TYPE = dav("resourcetype")
_NAME = dav("displayname")
_PRINCIPAL = dav("current-user-principal")
_HOMES = caldav("calendar-home-set")
_ADDRESSES = caldav("calendar-user-address-set")
_COMPONENTS = caldav("supported-calendar-component-set")
_ZONE = caldav("calendar-timezone")
_ZONE_ID = caldav("calendar-timezone-id")

_OF_CALENDARS = (_TYPE, _NAME, PRIVILEGES, _COMPONENTS, _ZONE, _ZONE_ID)
_OF_PRINCIPALS = (_PRINCIPAL, _HOMES, _ADDRESSES)
_TZID = re.compile(r"^(?:X-LIC-LOCATION|TZID)(?:;[^:\r\n]*)?:[ \t]*([^\r\n]+)", re.MULTILINE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


async def discover(
    client: HttpClient, url: str, credentials: BasicCredentials, *, confined: bool = False
) -> list[DiscoveredCalendar]:
    """The calendars that can hold events, by name; one alone where `url` is that of a calendar.

    `url` may be a host name, a server's root, a principal, a home set or a calendar; https where no scheme is
    given. `id` is the canonical URL of the collection. Raises CalendarNotFound where there is none, and
    NotAuthorized, Forbidden, NotACalendar, RateLimited, Unavailable, Unreachable.
    """
    url = url.strip()
    start = url if _SCHEME.match(url) else f"https://{url}"
    try:
        canonical_url(start)
    except ValueError as error:
        raise Unreachable("The address is not a valid URL: it must name a host.") from error
    session = DavSession(client, credentials, now=lambda: datetime.now(UTC), confined=confined)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            calendars = await _Discovery(session).run(start)
    except TimeoutError as error:
        raise Unavailable("The server takes too long to name its calendars.") from error
    if not calendars:
        raise CalendarNotFound("The account has no calendar that can hold events.")
    return sorted(calendars, key=lambda calendar: (calendar.name.casefold(), calendar.id))


@dataclass(slots=True)
class _Found:
    """What one PROPFIND said: calendars among its rows, and where to look further."""

    calendars: dict[str, DiscoveredCalendar] = field(default_factory=dict)
    principals: list[str] = field(default_factory=list)
    homes: list[str] = field(default_factory=list)
    addresses: set[str] = field(default_factory=set)
    itself: str | None = None


class _Discovery:
    def __init__(self, session: DavSession) -> None:
        self._session = session
        self._addresses: set[str] = set()

    async def run(self, start: str) -> list[DiscoveredCalendar]:
        failure: ProviderError | None = None
        for place in _places(start):
            try:
                found = await self._look(place, "0")
                calendars = await self._calendars(place, found)
            except (CalendarNotFound, Forbidden, NotACalendar) as error:
                failure = failure or error
                continue
            if calendars:
                return [self._with_addresses(calendar) for calendar in calendars.values()]
        if failure is not None:
            raise failure
        return []

    async def _calendars(self, place: str, found: _Found) -> dict[str, DiscoveredCalendar]:
        """The calendars that a first look at `place` leads to."""
        homes = await self._homes(place, found)
        if found.itself is not None:
            return found.calendars
        calendars: dict[str, DiscoveredCalendar] = {}
        failure: ProviderError | None = None
        for home in homes[:MAX_HOMES] or [place]:
            try:
                calendars |= (await self._look(home, "1")).calendars
            except (CalendarNotFound, Forbidden, NotACalendar) as error:
                failure = error  # one of several may be somebody else's
        if failure is not None and not calendars:
            raise failure
        return calendars

    async def _homes(self, place: str, found: _Found) -> list[str]:
        """The home sets of the principal; notes the owner's addresses on the way."""
        self._addresses |= found.addresses
        if found.homes:
            return list(_reachable(place, found.homes))
        for principal in _reachable(place, found.principals):
            more = await self._look(principal, "0")
            self._addresses |= more.addresses
            if more.homes:
                return list(_reachable(place, more.homes))
        return []

    async def _look(self, url: str, depth: str) -> _Found:
        names = _OF_CALENDARS if depth == "1" else _OF_CALENDARS + _OF_PRINCIPALS
        limit = LOOK_MAX_BYTES if depth == "0" else HOME_MAX_BYTES
        response = await self._session.send("PROPFIND", url, propfind(names), depth=depth, max_bytes=limit)
        found = _Found()

        def read(row: Row) -> None:
            if row.status is not None and row.status >= 300:
                return
            calendar = _calendar(absolute(response.url, row.href), row)
            # A listing may name other hosts; the password that was given for this one is not for them.
            if calendar is not None and list(_reachable(response.url, [calendar.id])):
                found.calendars[calendar.id] = calendar
                found.itself = calendar.id if depth == "0" else None
            found.principals += _targets(response.url, row.hrefs(_PRINCIPAL))
            found.homes += _targets(response.url, row.hrefs(_HOMES))
            found.addresses |= set(_addresses(row))

        await read_rows(response, read)
        return found

    def _with_addresses(self, calendar: DiscoveredCalendar) -> DiscoveredCalendar:
        return DiscoveredCalendar(
            calendar.id,
            calendar.name,
            calendar.read_only,
            calendar.timezone,
            tuple(sorted(self._addresses)),
        )


def _places(start: str) -> list[str]:
    """Where to look, in order. A path that was given is meant; without one the host knows better."""
    well_known, root = urljoin(start, "/.well-known/caldav"), urljoin(start, "/")
    bare = urlsplit(start).path in ("", "/")
    return [well_known, root] if bare else [start, well_known, root]


def _reachable(source: str, targets: list[str]) -> Iterator[str]:
    """Those that the credentials may be shown to: iCloud's home sets are on another host of its domain."""
    for target in targets:
        try:
            if keeps_credentials(URL(source), URL(target)):
                yield target
        except ValueError:
            continue


def _targets(base: str, hrefs: list[str]) -> Iterator[str]:
    return filter(None, (absolute(base, href) for href in hrefs))


def _calendar(url: str | None, row: Row) -> DiscoveredCalendar | None:
    """The row as a calendar; None where it is none or cannot hold events."""
    if url is None or caldav("calendar") not in row.children(_TYPE):
        return None
    components = row.properties.get(_COMPONENTS)
    names = {str(part.get("name", "")).upper() for part in components} if components is not None else set()
    if names and "VEVENT" not in names:
        return None
    try:
        identity = canonical_url(url)
    except ValueError:
        return None
    name = row.text(_NAME) or unquote(urlsplit(identity).path.rstrip("/").rpartition("/")[2])
    return DiscoveredCalendar(identity, name, may_write(row) is False, _timezone(row))


def _timezone(row: Row) -> str | None:
    """The IANA key of the calendar's zone (RFC 7809 section 5.2, RFC 4791 section 5.2.2)."""
    candidates = [row.text(_ZONE_ID), *_TZID.findall(row.text(_ZONE) or "")]
    for candidate in filter(None, candidates):
        parts = candidate.strip().split("/")
        # Some put a prefix of their own before the key: /freeassociation.sourceforge.net/Europe/Berlin
        for start in range(len(parts)):
            key = "/".join(parts[start:])
            if _is_zone(key):
                return key
    return None


def _is_zone(key: str) -> bool:
    try:
        zone_info(key)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _addresses(row: Row) -> Iterator[str]:
    """E-mail addresses of the owner (RFC 6638 section 2.4.1). Radicale's is a path, which is no address."""
    for href in row.hrefs(_ADDRESSES):
        scheme, _, address = href.partition(":")
        if scheme.lower() == "mailto" and "@" in address:
            yield unquote(address).strip().lower()
