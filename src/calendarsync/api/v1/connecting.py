"""Making, changing and ending connections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.keys import Identity
from calendarsync.api.conditional import Precondition
from calendarsync.api.errors import ApiError, conflict, invalid, not_found
from calendarsync.api.services import Services
from calendarsync.api.v1.choosing import NO_CALENDAR, choose, with_id
from calendarsync.api.v1.connection_models import (
    CalDavAccess,
    ConnectionChanges,
    IcsAccess,
    NewConnection,
    NewSandboxConnection,
    SandboxAccess,
    connection_out,
)
from calendarsync.api.v1.finding import AnyAccess, find_calendars
from calendarsync.api.v1.found import Found, row_of
from calendarsync.api.v1.grant_models import DelegatedAccess
from calendarsync.api.v1.granted import give_grant, has_lost_its_grant
from calendarsync.api.v1.removal import remove_pairs
from calendarsync.grants.registrations import NAMES
from calendarsync.providers.base import DiscoveredCalendar
from calendarsync.providers.caldav import canonical_url
from calendarsync.secrets import SecretError
from calendarsync.store import connections as store
from calendarsync.store import pairs as pair_store
from calendarsync.store import sandbox
from calendarsync.store.grants import get_grant
from calendarsync.store.ids import new_id

_CALENDAR_TAKEN = "this calendar is connected already"


async def discover(services: Services, caller: Identity, access: AnyAccess) -> list[DiscoveredCalendar]:
    """Raises ApiError 403, 422."""
    found = await find_calendars(services, caller, access)
    if isinstance(access, DelegatedAccess):
        await _drop_unused(services, caller, found)
    return [each.calendar for each in found]


async def connect(services: Services, caller: Identity, wanted: NewConnection) -> RowMapping:
    """The new connection. Raises ApiError 403, 409, 422."""
    found = await find_calendars(services, caller, wanted)
    try:
        return await _insert(services, caller, wanted, choose(found, wanted))
    except ApiError:
        if isinstance(wanted, DelegatedAccess):
            await _drop_unused(services, caller, found)
        raise


async def _insert(services: Services, caller: Identity, wanted: NewConnection, found: Found) -> RowMapping:
    connection_id = new_id("conn")
    email = getattr(wanted, "email", None) or getattr(wanted, "delegated_user", None)
    values = row_of(services.keyring, connection_id, found, email=email, now=services.now())
    try:
        async with services.db.write_as(caller.tenant) as connection:
            await _refuse_twin(connection, caller, values)
            if isinstance(wanted, NewSandboxConnection):
                await _keep_calendar(connection, caller, found.calendar.id)
            if found.grant_id is not None:
                known = await _taken_up(connection, services, caller, found, found.grant_id)
                if known is not None:
                    return await _get(connection, caller, known)
            await store.insert_connection(connection, caller.tenant, values)
            return await _get(connection, caller, connection_id)
    except IntegrityError:
        raise conflict(_CALENDAR_TAKEN) from None


async def _drop_unused(services: Services, caller: Identity, found: Iterable[Found]) -> None:
    """What a delegation reaches leaves nothing behind where no connection comes of it."""
    for grant_id in {each.grant_id for each in found if each.grant_id is not None}:
        await services.grants.end_if_unused(caller.tenant, grant_id)


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
    async with services.db.read_as(caller.tenant) as connection:
        if await pair_store.pairs_of_connection(connection, caller.tenant, connection_id):
            return row
    if row["grant_id"] is not None:
        await services.channels.end(connection_id)
    async with services.db.write_as(caller.tenant) as connection:
        if not pairs:
            await judge(connection)
        if await pair_store.pairs_of_connection(connection, caller.tenant, connection_id):
            return row
        await store.delete_connection(connection, caller.tenant, connection_id)
    if row["grant_id"] is not None:
        await services.grants.end_if_unused(caller.tenant, row["grant_id"])
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
        raise invalid(("calendar_id", NO_CALENDAR))


async def _taken_up(
    connection: AsyncConnection, services: Services, caller: Identity, found: Found, grant_id: str
) -> str | None:
    """The id of a connection to the calendar that had lost its grant, and goes on with this one.

    The grant is not ended, for want of connections, before the transaction is. Raises ApiError 409.
    """
    tenant = caller.tenant
    row = await store.get_by_calendar(connection, tenant, found.calendar_key)
    if row is not None and await has_lost_its_grant(connection, tenant, row):
        await give_grant(connection, services, tenant, row["id"], grant_id)
        return str(row["id"])
    if await get_grant(connection, tenant, grant_id, keep=True) is None:
        raise conflict("the grant has been ended meanwhile")
    return None


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
    if row["provider"] in NAMES:
        given = sorted(changes.model_fields_set & {"username", "password", "url"})
        raise invalid(*((field, "it has none; a person authorizes it anew") for field in given))
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
    return with_id(found, row["calendar_id"])


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
