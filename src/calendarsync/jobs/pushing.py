"""Whether and where providers can tell this installation of changes, and how each is asked to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from calendarsync.grants import Grants
from calendarsync.jobs.push_services import SERVICES, Service
from calendarsync.net import HttpClient
from calendarsync.settings import PREFIX, Settings
from calendarsync.store.schedule import ConnectionRecord

ON = "on"
OFF = f"off: {PREFIX}PUBLIC_URL is not a public https address; calendars are polled"


@dataclass(frozen=True, slots=True)
class Push:
    """`address` is where a provider sends its notices, None where it cannot reach this installation."""

    address: Callable[[str], str | None]
    service: Callable[[ConnectionRecord], Service]


def push_of(settings: Settings, http: HttpClient, grants: Grants, *, now: Callable[[], datetime]) -> Push:
    """What the channels of a process are made with."""

    def service(connection: ConnectionRecord) -> Service:
        access = grants.access(connection.provider, connection.grant_id or "")
        address = address_of(settings, connection.provider) or settings.public_url
        return SERVICES[connection.provider](http, access, connection.calendar_id, address, now)

    return Push(partial(address_of, settings), service)


def address_of(settings: Settings, provider: str) -> str | None:
    """Where a provider sends its notices; None where it cannot reach this installation.

    Google and Microsoft call https alone, at a name that everybody can resolve and with a certificate that they
    trust (https://developers.google.com/workspace/calendar/api/guides/push,
    https://learn.microsoft.com/graph/change-notifications-delivery-webhooks). Their models on this machine call
    plain http on it as well, where that address was set.
    """
    api_url = {"google": settings.google_api_url, "microsoft": settings.microsoft_api_url}.get(provider)
    if api_url is None:
        return None
    public = urlsplit(settings.public_url)
    among_us = _is_here(public) and _is_here(urlsplit(api_url)) and "public_url" in settings.model_fields_set
    return f"{settings.public_url}/push/{provider}" if among_us or _is_public(public) else None


def state_of_push(settings: Settings) -> str:
    """In words for people: `on`, or `off` and why."""
    return ON if any(address_of(settings, provider) for provider in SERVICES) else OFF


def _is_public(url: SplitResult) -> bool:
    if url.scheme != "https" or _is_here(url):
        return False
    try:
        return ip_address(url.hostname or "").is_global
    except ValueError:
        return True  # a name


def _is_here(url: SplitResult) -> bool:
    host = url.hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")  # RFC 6761 section 6.3
