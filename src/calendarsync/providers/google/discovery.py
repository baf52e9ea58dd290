"""Which calendars somebody has at Google (reference of calendarList)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from calendarsync.domain.timezones import zone_of_name
from calendarsync.net import HttpClient
from calendarsync.providers.base import DiscoveredCalendar, Forbidden, Unavailable
from calendarsync.providers.google.calls import Call
from calendarsync.providers.google.fields import Row, rows, text
from calendarsync.providers.google.session import Session
from calendarsync.providers.tokens import Tokens

_FIELDS = "nextPageToken,items(id,summary,summaryOverride,timeZone,accessRole,primary)"
# `writerWithoutPrivateAccess` cannot change private events, and copies are private.
_WRITABLE = frozenset({"writer", "owner"})


async def discover(
    client: HttpClient, tokens: Tokens, *, api_url: str, now: Callable[[], datetime]
) -> list[DiscoveredCalendar]:
    """The calendars in somebody's list, the primary one first. Its id is their own e-mail address.

    Raises NotAuthorized, MissingScope, AppForbidden, Forbidden, RateLimited, Unavailable.
    """
    session = Session(client, tokens, api_url=api_url, now=now)
    found: list[Row] = []
    page: dict[str, str] = {}
    while True:
        query = {"maxResults": "250", "fields": _FIELDS, **page}
        answer = await session.send(Call("GET", "/users/me/calendarList", query))
        if answer.status == 403:
            raise Forbidden("Google does not let this account see its list of calendars.")
        if not answer.ok:
            raise Unavailable("Google Calendar did not understand the request.")
        found += rows(answer.data, "items")
        if not (following := text(answer.data, "nextPageToken")):
            break
        page = {"pageToken": following}
    found.sort(key=lambda row: row.get("primary") is not True)
    owner = tuple(text(row, "id").casefold() for row in found if row.get("primary") is True)
    return [_calendar(row, owner) for row in found if text(row, "id")]


def _calendar(row: Row, owner: tuple[str, ...]) -> DiscoveredCalendar:
    return DiscoveredCalendar(
        id=text(row, "id"),
        name=text(row, "summaryOverride") or text(row, "summary"),
        read_only=text(row, "accessRole") not in _WRITABLE,
        timezone=zone_of_name(text(row, "timeZone")),
        owner_addresses=owner,
        primary=row.get("primary") is True,
    )
