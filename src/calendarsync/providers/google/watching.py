"""Channels, through which Google tells that a calendar changed (guide "Get push notifications").

A notice names no event: it says that a reading will find something. A channel cannot be renewed; before it ends
another one is opened, and for a while both tell.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from calendarsync.net import HttpClient
from calendarsync.providers.base import Channel, Forbidden, Refused, Unavailable
from calendarsync.providers.google.calls import Call, events_path
from calendarsync.providers.google.errors import no_calendar
from calendarsync.providers.google.fields import Row, text
from calendarsync.providers.google.session import Session
from calendarsync.providers.tokens import Tokens


async def watch(
    client: HttpClient,
    tokens: Tokens,
    calendar_id: str,
    *,
    api_url: str,
    address: str,
    channel_id: str,
    token: str,
    now: Callable[[], datetime],
    expires_at: datetime | None = None,
) -> Channel:
    """Open a channel to `address`, an https URL. Notices carry `channel_id` (at most 64 characters) and `token`.

    `expires_at` is asked for; Google may end it sooner, and what is returned says when. Raises NotAuthorized,
    CalendarNotFound, Forbidden, Refused, RateLimited, Unavailable.
    """
    session = Session(client, tokens, api_url=api_url, now=now)
    body: dict[str, str] = {"id": channel_id, "type": "web_hook", "address": address, "token": token}
    if expires_at is not None:
        body["expiration"] = str(int(expires_at.timestamp() * 1000))
    answer = await session.send(Call("POST", f"{events_path(calendar_id)}/watch", body=body))
    if answer.gone:
        raise no_calendar()
    if answer.status == 403:
        raise Forbidden("Google does not let this account follow the calendar.")
    if not answer.ok:
        raise Refused("Google does not take this installation's address for its notices.")
    expires = _expiration(answer.data)
    resource_id = text(answer.data, "resourceId")
    if expires is None or not resource_id:
        raise Unavailable("Google Calendar's answer broke off.")
    return Channel(resource_id, expires)


async def unwatch(
    client: HttpClient,
    tokens: Tokens,
    channel_id: str,
    remote_id: str,
    *,
    api_url: str,
    now: Callable[[], datetime],
) -> None:
    """End a channel; `remote_id` is its resource's id. One that has ended already counts as done.

    Raises NotAuthorized, Refused, RateLimited, Unavailable.
    """
    session = Session(client, tokens, api_url=api_url, now=now)
    answer = await session.send(
        Call("POST", "/channels/stop", body={"id": channel_id, "resourceId": remote_id})
    )
    if not (answer.ok or answer.gone):
        raise Refused("Google does not end the channel.")


def _expiration(row: Row) -> datetime | None:
    """Milliseconds since 1970, as a text (reference of channels)."""
    value = text(row, "expiration")
    if not (value.isascii() and value.isdigit() and len(value) < 15):
        return None
    return datetime.fromtimestamp(int(value) / 1000, UTC)
