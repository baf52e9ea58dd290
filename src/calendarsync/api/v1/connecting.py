"""Making, changing and ending connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.keys import Identity
from calendarsync.api.conditional import Precondition
from calendarsync.api.errors import conflict, invalid, not_found
from calendarsync.api.services import Services
from calendarsync.api.v1.connection_models import (
    CalDavAccess,
    ConnectionChanges,
    IcsAccess,
    NewConnection,
    NewSandboxConnection,
    SandboxAccess,
    connection_out,
)
from calendarsync.api.v1.finding import Found, find_calendars
from calendarsync.api.v1.removal import remove_pairs
from calendarsync.providers.caldav import canonical_url
from calendarsync.secrets import SecretError
from calendarsync.store import connections as store
from calendarsync.store import pairs as pair_store
from calendarsync.store import sandbox
from calendarsync.store.ids import new_id

_CALENDAR_TAKEN = "this calendar is connected already"
_NO_CALENDAR = "no such calendar here; it must be an id that discover tells"


async def connect(services: Services, caller: Identity, wanted: NewConnection) -> RowMapping:
    """The new connection. Raises ApiError 409, 422."""
    found = _choose(await find_calendars(services, caller, wanted), getattr(wanted, "calendar_id", None))
    calendar, connection_id, now = found.calendar, new_id("conn"), services.now()
    given = filter(None, (*calendar.owner_addresses, wanted.email))
    addresses = list(dict.fromkeys(address.casefold() for address in given))
    values: dict[str, Any] = {
        "id": connection_id,
        "provider": wanted.provider,
        "calendar_id": calendar.id,
        "calendar_key": found.calendar_key,
        "grant_hash": found.grant_hash,
        "calendar_name": calendar.name[:500],
        "email": wanted.email or next((address for address in addresses if "@" in address), None),
        "timezone": calendar.timezone,
        "owner_addresses": list(addresses),
        "read_only": calendar.read_only,
        "credentials_encrypted": store.seal_credentials(services.keyring, connection_id, found.secret),
        "status": "active",
        "created_at": now,
        "index_version": 0,
    }
    try:
        async with services.db.write_as(caller.tenant) as connection:
            await _refuse_twin(connection, caller, values)
            if isinstance(wanted, NewSandboxConnection):
                await _keep_calendar(connection, caller, calendar.id)
            await store.insert_connection(connection, caller.tenant, values)
            return await _get(connection, caller, connection_id)
    except IntegrityError:
        raise conflict(_CALENDAR_TAKEN) from None


async def change(
    services: Services,
    caller: Identity,
    connection_id: str,
    changes: ConnectionChanges,
    if_match: Precondition,
) -> RowMapping:
    """The connection as it is then. New credentials wake a connection that had expired (rule 25).

    Raises ApiError 404, 409, 412, 422.
    """
    async with services.db.read_as(caller.tenant) as connection:
        row = await _get(connection, caller, connection_id)
        if_match.check(connection_out(row))  # before a provider is asked; once more when it is written
    values: dict[str, Any] = {}
    if "calendar_name" in changes.model_fields_set:
        values["calendar_name"] = changes.calendar_name
    renewed = bool(changes.model_fields_set & {"username", "password", "url"})
    if renewed:
        values |= await _renewed_credentials(services, caller, row, changes)
    if not values:
        return row
    async with services.db.write_as(caller.tenant) as connection:
        await _refuse_twin(connection, caller, {**row, **values})
        if renewed:  # pairs before connections: every transaction locks them in this order
            await pair_store.mark_due(connection, caller.tenant, connection_id, services.now())
        if_match.check(connection_out(await _get(connection, caller, connection_id, lock=True)))
        await store.update_connection(connection, caller.tenant, connection_id, values)
        row = await _get(connection, caller, connection_id)
    services.wake()
    return row


async def disconnect(
    services: Services,
    caller: Identity,
    connection_id: str,
    if_match: Precondition,
    *,
    cascade: bool,
    keep_copies: bool,
    abandon: bool,
) -> RowMapping | None:
    """None where the connection is gone; else the connection, whose pairs' copies are still being removed.

    Raises ApiError 404, 409, 412.
    """

    async def judge(connection: AsyncConnection) -> None:
        await pair_store.pairs_of_connection(connection, caller.tenant, connection_id, lock=True)
        if_match.check(connection_out(await _get(connection, caller, connection_id, lock=True)))

    async with services.db.read_as(caller.tenant) as connection:
        row = await _get(connection, caller, connection_id)
        if_match.check(connection_out(row))
        pairs = await pair_store.pairs_of_connection(connection, caller.tenant, connection_id)
    if pairs and not cascade:
        raise conflict("sync pairs use this connection; delete them first, or send cascade=true")
    await remove_pairs(
        services, caller, [pair["id"] for pair in pairs], judge, keep_copies=keep_copies, abandon=abandon
    )
    async with services.db.write_as(caller.tenant) as connection:
        if not pairs:
            await judge(connection)
        if await pair_store.pairs_of_connection(connection, caller.tenant, connection_id):
            return row
        await store.delete_connection(connection, caller.tenant, connection_id)
    return None


async def _refuse_twin(connection: AsyncConnection, caller: Identity, values: Mapping[str, Any]) -> None:
    """A feed keeps its calendar's key when it moves, so the key alone does not tell one that is there already."""
    if values["provider"] == "ics" and await store.shares_grant(
        connection, caller.tenant, values["grant_hash"], other_than=values["id"]
    ):
        raise conflict(_CALENDAR_TAKEN)


async def _keep_calendar(connection: AsyncConnection, caller: Identity, calendar_id: str) -> None:
    """Until it is connected, nobody else deletes this sandbox calendar."""
    if await sandbox.lock_calendar(connection, caller.tenant, calendar_id) is None:
        raise invalid(("calendar_id", _NO_CALENDAR))


async def _get(
    connection: AsyncConnection, caller: Identity, connection_id: str, *, lock: bool = False
) -> RowMapping:
    row = await store.get_connection(connection, caller.tenant, connection_id, lock=lock)
    if row is None:
        raise not_found("connection")
    return row


async def _renewed_credentials(
    services: Services, caller: Identity, row: RowMapping, changes: ConnectionChanges
) -> dict[str, Any]:
    renew = {"ics": _renewed_feed, "sandbox": _renewed_sandbox}.get(row["provider"], _renewed_password)
    found = await renew(services, caller, row, changes)
    return {
        "calendar_id": found.calendar.id,
        "credentials_encrypted": store.seal_credentials(services.keyring, row["id"], found.secret),
        "grant_hash": found.grant_hash,
        "status": "active",
        "last_error_code": None,
        "last_error_message": None,
        "not_before": None,
    }


async def _renewed_feed(
    services: Services, caller: Identity, row: RowMapping, changes: ConnectionChanges
) -> Found:
    """The calendar's key stays, so that its events stay what they are (rule 3)."""
    wrong = sorted(changes.model_fields_set & {"username", "password"})
    if wrong:
        raise invalid(*((field, "a feed has none; its url is what it is read with") for field in wrong))
    (found,) = await find_calendars(services, caller, IcsAccess(provider="ics", url=changes.url))
    return found


async def _renewed_sandbox(
    services: Services, caller: Identity, row: RowMapping, changes: ConnectionChanges
) -> Found:
    """Any password is right: it stands for the click of a person who grants access again."""
    wrong = sorted(changes.model_fields_set & {"username", "url"})
    if wrong:
        raise invalid(*((field, "a sandbox calendar has none") for field in wrong))
    found = await find_calendars(services, caller, SandboxAccess(provider="sandbox"))
    return _choose(found, row["calendar_id"])


async def _renewed_password(
    services: Services, caller: Identity, row: RowMapping, changes: ConnectionChanges
) -> Found:
    if "url" in changes.model_fields_set:
        raise invalid(("url", "stays as it is; connect the other calendar instead"))
    if "password" not in changes.model_fields_set:
        raise invalid(("password", "is required with a new username"))
    username = changes.username or _known_username(services, row)
    access = CalDavAccess(
        provider="caldav", url=row["calendar_id"], username=username, password=changes.password
    )
    for found in await find_calendars(services, caller, access, url_field="username"):
        if canonical_url(found.calendar.id) == canonical_url(row["calendar_id"]):
            return replace(found, calendar=replace(found.calendar, id=row["calendar_id"]))
    raise invalid(("username", "this user does not see the calendar"))


def _known_username(services: Services, row: RowMapping) -> str:
    """Raises ApiError 422."""
    try:
        known = store.open_credentials(services.keyring, row["id"], row["credentials_encrypted"])
    except SecretError:  # of the installation, dropped since
        raise invalid(("username", "is required: the one before can be read no more")) from None
    return known["username"]


def _choose(found: list[Found], calendar_id: str | None) -> Found:
    if calendar_id is None:
        if len(found) != 1:
            raise invalid(("calendar_id", f"is required: the account has {len(found)} calendars"))
        return found[0]
    wanted = _spelled_alike(calendar_id)
    for each in found:
        if _spelled_alike(each.calendar.id) == wanted:
            return each
    raise invalid(("calendar_id", _NO_CALENDAR))


def _spelled_alike(calendar_id: str) -> str:
    """Equal for all spellings of a collection's URL; other ids have only one."""
    try:
        return canonical_url(calendar_id)
    except ValueError:
        return calendar_id
