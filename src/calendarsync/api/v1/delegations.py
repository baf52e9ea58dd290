"""/delegations"""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import RowMapping

from calendarsync.accounts.keys import Identity
from calendarsync.accounts.scopes import Scope
from calendarsync.api.conditional import IfMatch
from calendarsync.api.errors import not_found
from calendarsync.api.paging import PageParam, known_start
from calendarsync.api.route import ApiRoute, Caller, needs
from calendarsync.api.services import Services, ServicesParam
from calendarsync.api.v1.authorizing import refuse_test
from calendarsync.api.v1.delegation_keys import key_of, renewed_key
from calendarsync.api.v1.delegation_models import (
    DelegationChanges,
    DelegationList,
    DelegationOut,
    NewDelegation,
    delegation_out,
)
from calendarsync.api.v1.fields import DelegationId
from calendarsync.api.v1.responses import NOT_FOUND
from calendarsync.grants import delegated_grant, seal_key
from calendarsync.store import delegations as store
from calendarsync.store.connections import get_connection
from calendarsync.store.ids import new_id
from calendarsync.store.outbox import emit
from calendarsync.sync.telling import of_expired

router = APIRouter(prefix="/delegations", tags=["Delegations"], route_class=ApiRoute)

_ENDED = "delegation_ended"
_ENDED_MESSAGE = "The delegation that this calendar was reached through has been deleted; connect it anew."


@router.get("", openapi_extra=needs(Scope.ACCOUNT_ADMIN))
async def list_delegations(services: ServicesParam, caller: Caller, page: PageParam) -> DelegationList:
    """All delegations, the oldest first, without their credentials."""
    async with services.db.read_as(caller.tenant) as connection, known_start():
        found = await store.list_delegations(connection, caller.tenant, page)
    return DelegationList(delegations=[delegation_out(row) for row in found.rows], has_more=found.has_more)


@router.post("", status_code=201, openapi_extra=needs(Scope.ACCOUNT_ADMIN))
async def create_delegation(
    services: ServicesParam, caller: Caller, body: NewDelegation, response: Response
) -> DelegationOut:
    """Let this account reach the calendars of an organisation's people, without a click of theirs.

    The credentials are kept encrypted, and never shown. Whether the organisation has granted what is needed is seen
    with the first connection. Not in test mode: 403.
    """
    refuse_test(caller)
    key = await asyncio.to_thread(key_of, body)
    delegation_id = new_id("dlg")
    values: dict[str, Any] = {
        "id": delegation_id,
        "provider": body.provider,
        "display": key.display[:320],
        "domains": body.domains,
        "credentials_encrypted": seal_key(services.keyring, delegation_id, key),
        "created_at": services.now(),
    }
    async with services.db.write_as(caller.tenant) as connection:
        await store.insert_delegation(connection, caller.tenant, values)
    response.headers["Location"] = f"/api/v1/delegations/{delegation_id}"
    return delegation_out(await _get(services, caller, delegation_id))


@router.get("/{delegation_id}", openapi_extra=needs(Scope.ACCOUNT_ADMIN), responses=NOT_FOUND)
async def get_delegation(
    services: ServicesParam, caller: Caller, delegation_id: DelegationId
) -> DelegationOut:
    """One delegation, without its credentials."""
    return delegation_out(await _get(services, caller, delegation_id))


@router.patch("/{delegation_id}", openapi_extra=needs(Scope.ACCOUNT_ADMIN), responses=NOT_FOUND)
async def change_delegation(
    services: ServicesParam,
    caller: Caller,
    delegation_id: DelegationId,
    body: DelegationChanges,
    if_match: IfMatch,
) -> DelegationOut:
    """New credentials for the same service account or application, such as a key that takes an older one's place.

    What expired for want of them goes on where it stood.
    """
    row = await _get(services, caller, delegation_id)
    if_match.check(delegation_out(row))
    if not body.model_fields_set:
        return delegation_out(row)
    key = await asyncio.to_thread(renewed_key, services.keyring, row, body)
    tenant, now = caller.tenant, services.now()
    async with services.db.write_as(tenant) as connection:
        for email in await store.people_through(connection, tenant, delegation_id):
            # Connections before their delegation: every transaction locks them in this order.
            await delegated_grant(connection, tenant, services.keyring, row, email, now=now)
        locked = await store.get_delegation(connection, tenant, delegation_id, lock=True)
        if locked is None:
            raise not_found("delegation")
        if_match.check(delegation_out(locked))
        sealed = seal_key(services.keyring, delegation_id, key)
        await store.renew_delegation(connection, tenant, delegation_id, sealed)
    services.wake()
    return delegation_out(row)


@router.delete(
    "/{delegation_id}", status_code=204, openapi_extra=needs(Scope.ACCOUNT_ADMIN), responses=NOT_FOUND
)
async def delete_delegation(
    services: ServicesParam, caller: Caller, delegation_id: DelegationId, if_match: IfMatch
) -> Response:
    """Forget its credentials at once; what is connected through it expires, and says why."""
    tenant = caller.tenant
    async with services.db.write_as(tenant) as connection:
        # Connections before their delegation: every transaction locks them in this order.
        expired = await store.expire_connections(
            connection, tenant, delegation_id, code=_ENDED, message=_ENDED_MESSAGE
        )
        row = await store.get_delegation(connection, tenant, delegation_id, lock=True)
        if row is None:
            raise not_found("delegation")
        if_match.check(delegation_out(row))
        await store.delete_delegation(connection, tenant, delegation_id)
        shown = [await get_connection(connection, tenant, each) for each in expired]
        events = [of_expired(dict(each)) for each in shown if each is not None]
        await emit(connection, events, services.now())
    services.wake()
    return Response(status_code=204)


async def _get(services: Services, caller: Identity, delegation_id: str) -> RowMapping:
    async with services.db.read_as(caller.tenant) as connection:
        row = await store.get_delegation(connection, caller.tenant, delegation_id)
    if row is None:
        raise not_found("delegation")
    return row
