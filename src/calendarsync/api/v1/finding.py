"""Looking for the calendars that an access leads to, with whatever a connection keeps of them."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from urllib.parse import urlsplit

from calendarsync.accounts.keys import Identity, Mode
from calendarsync.api.errors import invalid
from calendarsync.api.services import Services
from calendarsync.api.v1.connection_models import CalDavAccess, IcsAccess, SandboxAccess
from calendarsync.api.v1.found import Found
from calendarsync.api.v1.grant_models import DelegatedAccess, GrantAccess
from calendarsync.api.v1.granted import find_delegated, find_in_grant
from calendarsync.api.v1.testers import refuse_live
from calendarsync.net import BasicCredentials
from calendarsync.providers.base import DiscoveredCalendar, NotAuthorized, ProviderError
from calendarsync.providers.caldav import canonical_url, discover
from calendarsync.providers.ics import find_feed
from calendarsync.store import sandbox
from calendarsync.store.paging import EVERYTHING

AnyAccess = CalDavAccess | IcsAccess | SandboxAccess | DelegatedAccess | GrantAccess


async def find_calendars(
    services: Services,
    caller: Identity,
    access: AnyAccess,
    *,
    url_field: str = "url",
) -> list[Found]:
    """Raises ApiError 422, which names the field that the server, or our own safety, did not accept.

    In test mode, only servers inside the private networks that the operator opened are asked. The sandbox is there
    in test mode alone, what a delegation reaches only for keys with the scope and in live mode: ApiError 403.
    """
    if isinstance(access, GrantAccess):
        return await find_in_grant(services, caller, access)
    if isinstance(access, DelegatedAccess):
        return await find_delegated(services, caller, access)
    if isinstance(access, SandboxAccess):
        return await _find_sandbox(services, caller)
    confined = caller.mode is Mode.TEST
    try:
        if isinstance(access, IcsAccess):
            return [await _find_feed(services, access, confined=confined)]
        return await _find_collections(services, access, confined=confined)
    except NotAuthorized as error:
        fields = ("url",) if isinstance(access, IcsAccess) else ("username", "password")
        raise invalid(*((field, error.message) for field in fields)) from None
    except ProviderError as error:
        raise invalid((url_field, error.message)) from None


async def _find_collections(services: Services, access: CalDavAccess, *, confined: bool) -> list[Found]:
    password = access.password.get_secret_value()
    credentials = BasicCredentials(access.username, password)
    found = await discover(services.http, access.url, credentials, confined=confined)
    return [
        Found(
            access.provider,
            calendar,
            calendar_key=sha256(canonical_url(calendar.id).encode()).hexdigest(),
            grant_hash=_grant_hash(services, calendar.id, access.username),
            secret={"username": access.username, "password": password},
        )
        for calendar in found
    ]


async def _find_feed(services: Services, access: IcsAccess, *, confined: bool) -> Found:
    url = access.url.get_secret_value()
    found = await find_feed(services.http, url, confined=confined, now=services.now)
    return Found(
        access.provider,
        found.calendar,
        calendar_key=await asyncio.to_thread(found.address.make_key),
        grant_hash=services.keyring.grant_hash(found.address.text),
        secret={"url": found.address.text},
    )


async def _find_sandbox(services: Services, caller: Identity) -> list[Found]:
    """Each calendar is a grant of its own, so that a fault of one leaves the others alone."""
    refuse_live(caller)
    async with services.db.read_as(caller.tenant) as connection:
        rows = (await sandbox.list_calendars(connection, caller.tenant, EVERYTHING)).rows
    return [
        Found(
            sandbox.PROVIDER,
            DiscoveredCalendar(
                row["id"],
                row["name"],
                read_only=False,
                timezone=row["timezone"],
                owner_addresses=(row["email"],) if row["email"] else (),
            ),
            calendar_key=sha256(f"{sandbox.PROVIDER}\n{row['id']}".encode()).hexdigest(),
            grant_hash=services.keyring.grant_hash(f"{sandbox.PROVIDER}\n{row['id']}"),
            secret={},
        )
        for row in rows
    ]


def _grant_hash(services: Services, calendar_url: str, username: str) -> str:
    parts = urlsplit(canonical_url(calendar_url))
    return services.keyring.grant_hash(f"{parts.scheme}://{parts.netloc}\n{username}")
