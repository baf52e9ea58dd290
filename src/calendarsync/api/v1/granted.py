"""The calendars of a grant: of a person who gave it, or of somebody whose organisation did."""

from __future__ import annotations

from hashlib import sha256

from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.keys import Identity
from calendarsync.accounts.scopes import Scope
from calendarsync.api.errors import ApiError, invalid
from calendarsync.api.route import check_scope
from calendarsync.api.services import Services
from calendarsync.api.v1.authorizing import refuse_test
from calendarsync.api.v1.found import Found
from calendarsync.api.v1.grant_models import DelegatedAccess, GrantAccess
from calendarsync.grants import delegated_grant, serves
from calendarsync.grants.registrations import NAMES
from calendarsync.providers import google, microsoft
from calendarsync.providers.base import ProviderError
from calendarsync.store.columns import AT_ONCE
from calendarsync.store.connections import get_connection, seal_credentials, update_connection
from calendarsync.store.delegations import delegations_to
from calendarsync.store.grants import get_grant
from calendarsync.store.pairs import mark_due
from calendarsync.store.tenancy import Tenant

_PROVIDERS = {"google": google, "microsoft": microsoft}


async def calendars_of(services: Services, grant: RowMapping) -> list[Found]:
    """Raises ProviderError."""
    provider: str = grant["provider"]
    access = services.grants.access(provider, grant["id"])
    found = await _PROVIDERS[provider].discover(
        services.http, access.tokens, api_url=access.api_url, now=services.now
    )
    return [
        Found(
            provider,
            calendar,
            # An id is one calendar's whoever asks: at Google the owner's address, say, or an address of its own.
            calendar_key=sha256(f"{provider}\n{calendar.id}".encode()).hexdigest(),
            grant_hash=grant["subject_hash"],
            secret={},
            grant_id=grant["id"],
        )
        for calendar in found
    ]


async def find_in_grant(services: Services, caller: Identity, access: GrantAccess) -> list[Found]:
    """Raises ApiError 403, 422."""
    async with services.db.read_as(caller.tenant) as connection:
        row = await get_connection(connection, caller.tenant, access.grant_of)
        if row is None:
            raise invalid(("grant_of", "no such connection"))
        grant = await get_grant(connection, caller.tenant, row["grant_id"] or "")
    if grant is None:
        raise invalid(("grant_of", "this connection has no grant: nobody has authorized it"))
    if grant["delegation_id"] is not None:
        check_scope(caller, Scope.CONNECTIONS_DELEGATE)
    try:
        return await calendars_of(services, grant)
    except ProviderError as error:
        raise invalid(("grant_of", error.message)) from None


async def find_delegated(services: Services, caller: Identity, access: DelegatedAccess) -> list[Found]:
    """The grant stays only where a connection comes of it: the caller ends it else. Raises ApiError 403, 422."""
    check_scope(caller, Scope.CONNECTIONS_DELEGATE)
    refuse_test(caller)
    tenant = caller.tenant
    try:
        grant = await _delegated(services, tenant, access)
    except IntegrityError:  # another request has made it at this moment
        grant = await _delegated(services, tenant, access)
    try:
        return await calendars_of(services, grant)
    except ProviderError as error:
        await services.grants.end_if_unused(tenant, grant["id"])
        raise invalid(("delegated_user", error.message)) from None


async def _delegated(services: Services, tenant: Tenant, access: DelegatedAccess) -> RowMapping:
    """The grant for somebody, through the latest delegation that serves the address. Raises ApiError 403."""
    user = access.delegated_user
    async with services.db.write_as(tenant) as connection:
        delegations = await delegations_to(connection, tenant, access.provider)
        serving = next((each for each in delegations if serves(each["domains"], user)), None)
        if serving is None:
            where = f"at {NAMES[access.provider]} for the domain of delegated_user"
            raise ApiError(403, f"the account has no delegation {where}")
        grant_id = await delegated_grant(
            connection, tenant, services.keyring, serving, user, now=services.now()
        )
        grant = await get_grant(connection, tenant, grant_id)
    assert grant is not None
    return grant


async def has_lost_its_grant(connection: AsyncConnection, tenant: Tenant, row: RowMapping) -> bool:
    """Whether the grant of a connection is gone, as with a delegation that was deleted."""
    if row["grant_id"] is None:
        return False
    return await get_grant(connection, tenant, row["grant_id"]) is None


async def give_grant(
    connection: AsyncConnection, services: Services, tenant: Tenant, connection_id: str, grant_id: str
) -> None:
    """A connection that had lost its grant goes on with another where it stood. The caller has locked none."""
    grant = await get_grant(connection, tenant, grant_id)
    assert grant is not None
    await mark_due(connection, tenant, connection_id, services.now())
    values = {
        "grant_id": grant_id,
        "grant_hash": grant["subject_hash"],
        "credentials_encrypted": seal_credentials(services.keyring, connection_id, {}),
        "status": "active",
        "last_error_code": None,
        "last_error_message": None,
        "not_before": None,
        "watch_at": AT_ONCE,
    }
    await update_connection(connection, tenant, connection_id, values)
