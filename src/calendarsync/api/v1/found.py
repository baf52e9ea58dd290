"""A calendar that was found, and what a connection to it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from calendarsync.providers.base import DiscoveredCalendar
from calendarsync.secrets import Keyring
from calendarsync.store.connections import seal_credentials


@dataclass(frozen=True, slots=True)
class Found:
    """`secret` is what `open_calendar` takes; with Google and Microsoft there is a grant instead."""

    provider: str
    calendar: DiscoveredCalendar
    calendar_key: str
    grant_hash: str
    secret: Mapping[str, str] = field(repr=False)
    grant_id: str | None = None


def row_of(
    keyring: Keyring, connection_id: str, found: Found, *, email: str | None, now: datetime
) -> dict[str, Any]:
    """The row of a new connection. `email` is the owner's, where that was told."""
    calendar = found.calendar
    given = filter(None, (*calendar.owner_addresses, email))
    addresses = list(dict.fromkeys(address.casefold() for address in given))
    return {
        "id": connection_id,
        "provider": found.provider,
        "calendar_id": calendar.id,
        "calendar_key": found.calendar_key,
        "grant_hash": found.grant_hash,
        "grant_id": found.grant_id,
        "calendar_name": calendar.name[:500],
        "email": email or next((address for address in addresses if "@" in address), None),
        "timezone": calendar.timezone,
        "owner_addresses": addresses,
        "read_only": calendar.read_only,
        "credentials_encrypted": seal_credentials(keyring, connection_id, found.secret),
        "status": "active",
        "created_at": now,
        "index_version": 0,
    }
