"""Which calendars somebody has in Outlook (user-list-calendars), and under which addresses they are invited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from calendarsync.net import HttpClient
from calendarsync.providers.base import (
    AppForbidden,
    DiscoveredCalendar,
    Forbidden,
    MissingScope,
    NoMailbox,
    Unavailable,
)
from calendarsync.providers.microsoft.batching import Batcher, Request
from calendarsync.providers.microsoft.failures import Answer
from calendarsync.providers.microsoft.session import GraphSession
from calendarsync.providers.microsoft.times import read_zone
from calendarsync.providers.tokens import Tokens

Json = Mapping[str, Any]

_CALENDARS = "/calendars?$select=id,name,canEdit,isDefaultCalendar,owner&$top=100"
_PERSON = "?$select=mail,userPrincipalName,proxyAddresses"


async def discover(
    client: HttpClient, tokens: Tokens, *, api_url: str, now: Callable[[], datetime]
) -> list[DiscoveredCalendar]:
    """The calendars of a mailbox, those that others share with it among them; the default one first.

    What the person is called and which zone the mailbox keeps is left out where it may not be asked. Raises
    NotAuthorized, MissingScope, AppForbidden, Forbidden, NoMailbox, RateLimited, Unavailable.
    """
    batcher = Batcher(GraphSession(client, tokens, api_url=api_url, now=now))
    answer, person, zone = await asyncio.gather(
        batcher.send(Request("GET", _CALENDARS)),
        _asked(batcher, _PERSON),
        _asked(batcher, "/mailboxSettings/timeZone"),
    )
    rows: list[Json] = []
    while True:
        if not answer.ok:
            raise _unlisted(answer)
        rows += answer.data.get("value") or ()
        if "@odata.nextLink" not in answer.data:
            break
        answer = await batcher.follow(answer.data["@odata.nextLink"])
    own, timezone = _addresses(person), read_zone(zone.get("value"))
    rows.sort(key=lambda row: row.get("isDefaultCalendar") is not True)
    return [_calendar(row, own, timezone) for row in rows if row.get("id")]


async def _asked(batcher: Batcher, path: str) -> Json:
    """Empty where the grant does not go so far, or Graph has no answer."""
    try:
        answer = await batcher.send(Request("GET", path))
    except (Forbidden, MissingScope, AppForbidden, NoMailbox, Unavailable):
        return {}
    return answer.data if answer.ok else {}


def _unlisted(answer: Answer) -> Exception:
    if answer.status == 404:
        return NoMailbox("There is no such mailbox at Microsoft, or it has no calendars.")
    return Unavailable("Microsoft does not list the calendars at the moment.")


def _addresses(person: Json) -> tuple[str, ...]:
    """In lower case, the main one first."""
    others = [str(each).partition(":") for each in person.get("proxyAddresses") or ()]
    found = [person.get("mail"), person.get("userPrincipalName")]
    found += [address for kind, _, address in others if kind.lower() == "smtp"]
    return tuple(dict.fromkeys(str(address).casefold() for address in found if address))


def _calendar(row: Json, own: tuple[str, ...], timezone: str | None) -> DiscoveredCalendar:
    """Somebody else's calendar answers to its owner's address, not to that of whom it is shared with."""
    owner = str((row.get("owner") or {}).get("address") or "").casefold()
    return DiscoveredCalendar(
        id=str(row["id"]),
        name=str(row.get("name") or ""),
        read_only=row.get("canEdit") is not True,
        timezone=timezone,
        owner_addresses=own if owner in ("", *own) else (owner,),
        primary=row.get("isDefaultCalendar") is True and owner in ("", *own),
    )
