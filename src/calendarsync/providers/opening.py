"""From a connection's record to its opened calendar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.rules import Window
from calendarsync.net import BasicCredentials, HttpClient
from calendarsync.providers.base import Calendar
from calendarsync.providers.caldav import CalDavCalendar
from calendarsync.providers.google import GoogleCalendar
from calendarsync.providers.ics import FeedAddress, IcsCalendar
from calendarsync.providers.microsoft import MicrosoftCalendar
from calendarsync.providers.sandbox import SandboxCalendar
from calendarsync.providers.tokens import Access
from calendarsync.store.database import Database
from calendarsync.store.tenancy import Tenant

READ_BY_WINDOW = frozenset({"microsoft"})
"""Providers that give the events of a span of time, and no others."""

BY_ACCOUNTS_CLOCK = frozenset({"sandbox"})
"""Whose events are stamped by the account's clock, which test mode may advance."""


def open_calendar(
    provider: str,
    calendar_id: str,
    secret: Mapping[str, str],
    *,
    owner: frozenset[str],
    db: Database,
    tenant: Tenant,
    client: HttpClient,
    fingerprinter: Fingerprinter,
    now: Callable[[], datetime],
    confined: bool,
    access: Access | None = None,
    window: Window | None = None,
) -> Calendar:
    """Open one calendar; nothing is asked of the server yet. `secret` is what the connection was made with.

    `tenant` is whose connection it is: the sandbox shows nobody else's calendars. `confined` keeps to
    ALLOWED_PRIVATE_NETWORKS (test mode). Raises LookupError for an unknown provider.
    """
    if provider == "caldav":
        credentials = BasicCredentials(secret["username"], secret["password"])
        return CalDavCalendar(client, calendar_id, credentials, owner=owner, now=now, confined=confined)
    if provider == "ics":
        address = FeedAddress.parse(secret["url"])
        return IcsCalendar(
            client, address, fingerprinter=fingerprinter, owner=owner, now=now, confined=confined
        )
    if provider == "sandbox":
        return SandboxCalendar(db, tenant, calendar_id, owner=owner)
    if access is not None and provider == "google":
        return GoogleCalendar(
            client, access.tokens, calendar_id, api_url=access.api_url, owner=owner, now=now
        )
    if access is not None and provider == "microsoft":
        return MicrosoftCalendar(
            client, access.tokens, calendar_id, api_url=access.api_url, owner=owner, now=now, window=window
        )
    raise LookupError(f"no provider {provider!r}")
