"""/connections"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from calendarsync.accounts.scopes import Scope
from calendarsync.api.conditional import IfMatch
from calendarsync.api.errors import not_found
from calendarsync.api.paging import PageParam, known_start
from calendarsync.api.route import ApiRoute, Caller, needs
from calendarsync.api.services import ServicesParam
from calendarsync.api.v1 import authorizing, connecting
from calendarsync.api.v1.connection_models import (
    Access,
    CalendarFound,
    CalendarsFound,
    ConnectionChanges,
    ConnectionList,
    ConnectionOut,
    NewConnection,
    connection_out,
)
from calendarsync.api.v1.fields import ConnectionId
from calendarsync.api.v1.grant_models import AuthorizationOut, AuthorizationRequest
from calendarsync.api.v1.responses import CONFLICT, NOT_FOUND
from calendarsync.providers.base import DiscoveredCalendar
from calendarsync.store import connections as store

router = APIRouter(prefix="/connections", tags=["Connections"], route_class=ApiRoute)


@router.get("", openapi_extra=needs(Scope.CONNECTIONS_READ))
async def list_connections(services: ServicesParam, caller: Caller, page: PageParam) -> ConnectionList:
    """All connections, the oldest first."""
    async with services.db.read_as(caller.tenant) as connection, known_start():
        found = await store.list_connections(connection, caller.tenant, page)
    return ConnectionList(connections=[connection_out(row) for row in found.rows], has_more=found.has_more)


@router.post("/discover", openapi_extra=needs(Scope.CONNECTIONS_WRITE))
async def discover_calendars(services: ServicesParam, caller: Caller, body: Access) -> CalendarsFound:
    """The calendars that an account at a provider has. Nothing is kept."""
    return CalendarsFound(
        calendars=[_shown(each) for each in await connecting.discover(services, caller, body)]
    )


def _shown(calendar: DiscoveredCalendar) -> CalendarFound:
    return CalendarFound(
        id=calendar.id, name=calendar.name, read_only=calendar.read_only, timezone=calendar.timezone
    )


@router.post("/authorize", openapi_extra=needs(Scope.CONNECTIONS_WRITE, secret=True))
async def authorize_connection(
    services: ServicesParam, caller: Caller, body: AuthorizationRequest
) -> AuthorizationOut:
    """A link with which a person grants access to their calendars at Google or Microsoft.

    It is good for one use within 15 minutes, in the browser that opened it first. There the person sees which
    account asks, grants access, and picks calendars: the first becomes this connection, which is `pending` until
    then, others become connections beside it. The person then goes to `return_url`, to whose query are added
    `connection_id`, `status` (`active`; `denied`; `failed`), and the `code` of what failed.

    With `connection_id` a connection is authorized once more; somebody else's access than before is refused.
    Not in test mode, which reaches no provider outside: 403.
    """
    return await authorizing.authorize(services, caller, body)


@router.post("", status_code=201, openapi_extra=needs(Scope.CONNECTIONS_WRITE), responses=CONFLICT)
async def create_connection(
    services: ServicesParam, caller: Caller, body: NewConnection, response: Response
) -> ConnectionOut:
    """Connect one calendar. The credentials are tried first, and kept encrypted."""
    row = await connecting.connect(services, caller, body)
    response.headers["Location"] = f"/api/v1/connections/{row['id']}"
    return connection_out(row)


@router.get("/{connection_id}", openapi_extra=needs(Scope.CONNECTIONS_READ), responses=NOT_FOUND)
async def get_connection(
    services: ServicesParam, caller: Caller, connection_id: ConnectionId
) -> ConnectionOut:
    """One connection."""
    async with services.db.read_as(caller.tenant) as connection:
        row = await store.get_connection(connection, caller.tenant, connection_id)
    if row is None:
        raise not_found("connection")
    return connection_out(row)


@router.patch(
    "/{connection_id}", openapi_extra=needs(Scope.CONNECTIONS_WRITE), responses={**NOT_FOUND, **CONFLICT}
)
async def change_connection(
    services: ServicesParam,
    caller: Caller,
    connection_id: ConnectionId,
    body: ConnectionChanges,
    if_match: IfMatch,
) -> ConnectionOut:
    """Rename it, or give it new credentials, with which an expired connection goes on where it stood."""
    return connection_out(await connecting.change(services, caller, connection_id, body, if_match))


@router.delete(
    "/{connection_id}",
    status_code=204,
    openapi_extra=needs(Scope.CONNECTIONS_WRITE),
    responses={
        **NOT_FOUND,
        **CONFLICT,
        202: {
            "model": ConnectionOut,
            "description": "Copies of its pairs are still being removed; send the request again to finish.",
        },
    },
)
async def delete_connection(
    *,
    services: ServicesParam,
    caller: Caller,
    connection_id: ConnectionId,
    if_match: IfMatch,
    cascade: Annotated[bool, Query(description="Delete the pairs that use it as well.")] = False,
    keep_copies: Annotated[bool, Query(description="Leave the pairs' copies as ordinary events.")] = False,
    abandon: Annotated[bool, Query(description="Forget the pairs at once, whatever their copies.")] = False,
) -> Response:
    """End a connection. 409 while pairs use it, unless `cascade=true`; originals are never touched."""
    left = await connecting.disconnect(
        services, caller, connection_id, if_match, cascade=cascade, keep_copies=keep_copies, abandon=abandon
    )
    if left is None:
        return Response(status_code=204)
    return JSONResponse(connection_out(left).model_dump(mode="json"), 202)
