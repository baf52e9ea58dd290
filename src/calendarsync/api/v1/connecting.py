"""Making, changing and ending connections."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.keys import Identity, Mode
from calendarsync.api.errors import conflict, invalid, not_found
from calendarsync.api.services import Services
from calendarsync.api.v1.connection_models import CalDavAccess, ConnectionChanges, NewConnection
from calendarsync.api.v1.removal import remove_pairs
from calendarsync.net import BasicCredentials
from calendarsync.providers.base import DiscoveredCalendar, NotAuthorized, ProviderError
from calendarsync.providers.caldav import canonical_url, discover
from calendarsync.store import connections as store
from calendarsync.store import pairs as pair_store
from calendarsync.store.ids import new_id

_CALENDAR_TAKEN = "this calendar is connected already"


async def find_calendars(
    services: Services, caller: Identity, access: CalDavAccess
) -> list[DiscoveredCalendar]:
    """Raises ApiError 422, which names the field that the server, or our own safety, did not accept."""
    credentials = BasicCredentials(access.username, access.password.get_secret_value())
    return await _discover(services, caller, access.url, credentials, url_field="url")


async def connect(services: Services, caller: Identity, wanted: NewConnection) -> RowMapping:
    """The new connection. Raises ApiError 409, 422."""
    found = await find_calendars(services, caller, wanted)
    calendar = _choose(found, wanted.calendar_id)
    connection_id, now = new_id("conn"), services.now()
    credentials = {"username": wanted.username, "password": wanted.password.get_secret_value()}
    given = filter(None, (*calendar.owner_addresses, wanted.email))
    addresses = list(dict.fromkeys(address.casefold() for address in given))
    values: dict[str, Any] = {
        "id": connection_id,
        "provider": wanted.provider,
        "calendar_id": calendar.id,
        "calendar_key": sha256(canonical_url(calendar.id).encode()).hexdigest(),
        "grant_hash": _grant_hash(services, calendar.id, wanted.username),
        "calendar_name": calendar.name[:500],
        "email": wanted.email or next((address for address in addresses if "@" in address), None),
        "timezone": calendar.timezone,
        "owner_addresses": list(addresses),
        "read_only": calendar.read_only,
        "credentials_encrypted": store.seal_credentials(services.keyring, connection_id, credentials),
        "status": "active",
        "created_at": now,
        "index_version": 0,
        "next_refresh_at": now,
    }
    try:
        async with services.db.write() as connection:
            await store.insert_connection(connection, caller.account_id, caller.mode, values)
            return await _get(connection, caller, connection_id)
    except IntegrityError:
        raise conflict(_CALENDAR_TAKEN) from None


async def change(
    services: Services, caller: Identity, connection_id: str, changes: ConnectionChanges
) -> RowMapping:
    """The connection as it is then. New credentials wake a connection that had expired (rule 25)."""
    async with services.db.read() as connection:
        row = await _get(connection, caller, connection_id)
    values: dict[str, Any] = {}
    if "calendar_name" in changes.model_fields_set:
        values["calendar_name"] = changes.calendar_name
    renewed = bool(changes.model_fields_set & {"username", "password"})
    if renewed:
        values |= await _renewed_credentials(services, caller, row, changes)
    if not values:
        return row
    async with services.db.write() as connection:
        await store.update_connection(connection, caller.account_id, caller.mode, connection_id, values)
        if renewed:
            await pair_store.mark_dirty(
                connection, caller.account_id, caller.mode, connection_id, services.now()
            )
        row = await _get(connection, caller, connection_id)
    services.runner.wake()
    return row


async def disconnect(
    services: Services,
    caller: Identity,
    connection_id: str,
    *,
    cascade: bool,
    keep_copies: bool,
    abandon: bool,
) -> RowMapping | None:
    """None where the connection is gone; else the connection, whose pairs' copies are still being removed.

    Raises ApiError 404, 409.
    """
    async with services.db.read() as connection:
        row = await _get(connection, caller, connection_id)
        pairs = await pair_store.pairs_of_connection(
            connection, caller.account_id, caller.mode, connection_id
        )
    if pairs and not cascade:
        raise conflict("sync pairs use this connection; delete them first, or send cascade=true")
    await remove_pairs(
        services, caller, [pair["id"] for pair in pairs], keep_copies=keep_copies, abandon=abandon
    )
    async with services.db.write() as connection:
        if await pair_store.pairs_of_connection(connection, caller.account_id, caller.mode, connection_id):
            return row
        await store.delete_connection(connection, caller.account_id, caller.mode, connection_id)
    return None


async def _get(connection: AsyncConnection, caller: Identity, connection_id: str) -> RowMapping:
    row = await store.get_connection(connection, caller.account_id, caller.mode, connection_id)
    if row is None:
        raise not_found("connection")
    return row


async def _renewed_credentials(
    services: Services, caller: Identity, row: RowMapping, changes: ConnectionChanges
) -> dict[str, Any]:
    if "password" not in changes.model_fields_set:
        raise invalid(("password", "is required with a new username"))
    known = store.open_credentials(services.keyring, row["id"], row["credentials_encrypted"])
    username = changes.username or known["username"]
    password = changes.password.get_secret_value()
    found = await _discover(
        services, caller, row["calendar_id"], BasicCredentials(username, password), url_field="username"
    )
    if canonical_url(row["calendar_id"]) not in {canonical_url(calendar.id) for calendar in found}:
        raise invalid(("username", "this user does not see the calendar"))
    sealed = store.seal_credentials(services.keyring, row["id"], {"username": username, "password": password})
    return {
        "credentials_encrypted": sealed,
        "grant_hash": _grant_hash(services, row["calendar_id"], username),
        "status": "active",
        "last_error_code": None,
        "last_error_message": None,
        "next_refresh_at": services.now(),
        "not_before": None,
    }


async def _discover(
    services: Services, caller: Identity, url: str, credentials: BasicCredentials, *, url_field: str
) -> list[DiscoveredCalendar]:
    """In test mode, only servers inside the private networks that the operator opened are asked."""
    try:
        return await discover(services.http, url, credentials, confined=caller.mode is Mode.TEST)
    except NotAuthorized as error:
        raise invalid(("username", error.message), ("password", error.message)) from None
    except ProviderError as error:
        raise invalid((url_field, error.message)) from None


def _choose(found: list[DiscoveredCalendar], calendar_id: str | None) -> DiscoveredCalendar:
    if calendar_id is None:
        if len(found) != 1:
            raise invalid(("calendar_id", f"is required: the account has {len(found)} calendars"))
        return found[0]
    try:
        wanted = canonical_url(calendar_id)
    except ValueError:
        raise invalid(("calendar_id", "must be the id of a calendar, as discover tells it")) from None
    for calendar in found:
        if canonical_url(calendar.id) == wanted:
            return calendar
    raise invalid(("calendar_id", "no such calendar at this address"))


def _grant_hash(services: Services, calendar_url: str, username: str) -> str:
    parts = urlsplit(canonical_url(calendar_url))
    return services.keyring.grant_hash(f"{parts.scheme}://{parts.netloc}\n{username}")
