"""From a connection's record to its opened calendar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from calendarsync.net import BasicCredentials, HttpClient
from calendarsync.providers.base import Calendar
from calendarsync.providers.caldav import CalDavCalendar


def open_calendar(
    provider: str,
    calendar_id: str,
    secret: Mapping[str, str],
    *,
    owner: frozenset[str],
    client: HttpClient,
    now: Callable[[], datetime],
    confined: bool,
) -> Calendar:
    """Open one calendar; nothing is asked of the server yet. `secret` is what the connection was made with.

    `confined` keeps to ALLOWED_PRIVATE_NETWORKS (test mode). Raises LookupError for an unknown provider.
    """
    if provider != "caldav":
        raise LookupError(f"no provider {provider!r}")
    credentials = BasicCredentials(secret["username"], secret["password"])
    return CalDavCalendar(client, calendar_id, credentials, owner=owner, now=now, confined=confined)
