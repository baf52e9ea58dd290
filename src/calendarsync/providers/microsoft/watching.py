"""Subscriptions, through which Graph tells that a calendar changed (resources/subscription).

A notice is taken as a hint that a reading will find something. Graph makes sure first that the address answers to
it, by a token that it sends there and wants back (change-notifications-delivery-webhooks). Lifecycle notifications
go to the same address. That the events of one calendar may be subscribed to is on no page: they name `me/events`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from calendarsync.net import HttpClient
from calendarsync.providers.base import CalendarNotFound, Channel, ProviderError, Refused
from calendarsync.providers.microsoft.failures import Answer, incomplete
from calendarsync.providers.microsoft.session import GraphSession
from calendarsync.providers.tokens import Tokens

LONGEST = timedelta(minutes=4200)
"""A little less than 4,230 minutes, which used to be the most for events; by now it is 10,080."""

_SUBSCRIPTIONS = "/subscriptions"


async def watch(
    client: HttpClient,
    tokens: Tokens,
    calendar_id: str,
    *,
    api_url: str,
    address: str,
    token: str,
    now: Callable[[], datetime],
    expires_at: datetime | None = None,
) -> Channel:
    """Subscribe to a calendar's changes. Notices go to `address`, an https URL, and carry `token` as clientState.

    `token` has at most 128 characters. The subscription ends at `expires_at`, or as late as Graph allows. One to
    the same address that was there before is replaced. Raises NotAuthorized, CalendarNotFound, Forbidden, Refused,
    RateLimited, Unavailable.
    """
    session = GraphSession(client, tokens, api_url=api_url, now=now)
    mailbox = (await session.mailbox()).removeprefix("/")
    body = {
        "changeType": "created,updated,deleted",
        "notificationUrl": address,
        "lifecycleNotificationUrl": address,
        "resource": f"{mailbox}/calendars/{calendar_id}/events",
        "expirationDateTime": _until(expires_at, now()),
        "clientState": token,
    }
    answer = await session.send("POST", _SUBSCRIPTIONS, body)
    if answer.status == 409:
        await _end_the_same(session, body)
        answer = await session.send("POST", _SUBSCRIPTIONS, body)
    if answer.status == 404:
        raise CalendarNotFound("This calendar is no longer there, or no longer shared with you.")
    if not answer.ok:
        raise Refused("Microsoft does not take this installation's address for its notices.")
    return _channel(answer)


async def renew(
    client: HttpClient,
    tokens: Tokens,
    remote_id: str,
    *,
    api_url: str,
    now: Callable[[], datetime],
    expires_at: datetime | None = None,
) -> Channel | None:
    """Let a subscription live on, which also authorizes it anew; None where it is gone. Raises as `watch` does."""
    session = GraphSession(client, tokens, api_url=api_url, now=now)
    body = {"expirationDateTime": _until(expires_at, now())}
    answer = await session.send("PATCH", f"{_SUBSCRIPTIONS}/{remote_id}", body)
    if answer.status in (404, 410):
        return None
    if not answer.ok:
        raise _refused()
    return _channel(answer)


async def unwatch(
    client: HttpClient, tokens: Tokens, remote_id: str, *, api_url: str, now: Callable[[], datetime]
) -> None:
    """End a subscription. One that has ended already counts as done. Raises as `watch` does."""
    await _end(GraphSession(client, tokens, api_url=api_url, now=now), remote_id)


async def _end(session: GraphSession, remote_id: str) -> None:
    answer = await session.send("DELETE", f"{_SUBSCRIPTIONS}/{remote_id}")
    if not answer.ok and answer.status not in (404, 410):
        raise _refused()


async def _end_the_same(session: GraphSession, body: Mapping[str, Any]) -> None:
    """A second one to the same changes is refused (subscription-post-subscriptions), and nobody knows its token."""
    answer = await session.send("GET", _SUBSCRIPTIONS)
    for row in answer.data.get("value") or ():
        if all(row.get(name) == body[name] for name in ("resource", "notificationUrl")):
            await _end(session, str(row["id"]))


def _until(expires_at: datetime | None, now: datetime) -> str:
    until = min(expires_at or now + LONGEST, now + LONGEST)
    return f"{until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _channel(answer: Answer) -> Channel:
    try:
        expires_at = datetime.fromisoformat(answer.data["expirationDateTime"]).astimezone(UTC)
        return Channel(str(answer.data["id"]), expires_at)
    except (KeyError, ValueError, TypeError):
        raise incomplete() from None


def _refused() -> ProviderError:
    return Refused("Microsoft does not take changes to this subscription.")
