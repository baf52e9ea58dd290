"""/connect/calendars/{authorization}: who has granted access picks calendars, which become connections."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from fastapi import APIRouter, Request, Response
from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.api.consent import browser
from calendarsync.api.consent.ending import failed, give_up, returns_to, succeeded, tenant_of
from calendarsync.api.consent.html import Choice, base_of, choice_page, outcome_page
from calendarsync.api.consent.links import fields_of, one
from calendarsync.api.consent.outcomes import (
    DENIED,
    FORM_STALE,
    LINK_EXPIRED,
    LINK_UNKNOWN,
    LINK_USED,
    NO_LONGER,
    NOT_LISTED,
    OTHER_BROWSER,
    UNAVAILABLE,
    of_provider_error,
)
from calendarsync.api.services import Services, ServicesParam
from calendarsync.api.v1.found import Found, row_of
from calendarsync.api.v1.granted import calendars_of
from calendarsync.providers.base import ProviderError
from calendarsync.store import authorizations
from calendarsync.store import connections as connection_store
from calendarsync.store.grants import get_grant
from calendarsync.store.ids import new_id

router = APIRouter()

_ID = re.compile(r"auth_[0-9A-Za-z]{22}", re.ASCII)
_NOTHING_PICKED = "Pick at least one calendar, or cancel."
_GONE = "One of the calendars that you picked is not there any more. Look through your choice once more."
_TAKEN = "One of the calendars that you picked was connected meanwhile. Look through your choice once more."


@router.get("/calendars/{authorization}")
async def list_choices(request: Request, services: ServicesParam, authorization: str) -> Response:
    """The calendars of whoever granted access."""
    row = await _enter(request, services, authorization)
    return row if isinstance(row, Response) else await _show(request, services, row)


@router.post("/calendars/{authorization}")
async def pick(request: Request, services: ServicesParam, authorization: str) -> Response:
    """The first of the picked calendars becomes the connection that waited for it, others become new ones."""
    row = await _enter(request, services, authorization)
    if isinstance(row, Response):
        return row
    fields = await fields_of(request)
    if not browser.is_own_form(services, row, browser.known(request, services, row), one(fields, "token")):
        return outcome_page(services, FORM_STALE, row["provider"])
    if one(fields, "do") == "cancel":
        await _give_up(services, row)
        return failed(services, row, DENIED)
    picked = list(dict.fromkeys(fields.get("calendar", [])))
    if not picked:
        return await _show(request, services, row, picked=(), note=_NOTHING_PICKED, status=422)
    return await _connect(request, services, row, picked)


async def _enter(request: Request, services: Services, authorization: str) -> RowMapping | Response:
    """The authorization, if this is the step that it waits for, in the browser that began it; else the answer."""
    row = None
    if _ID.fullmatch(authorization):
        async with services.db.read() as connection:
            row = await authorizations.find_by_id(connection, authorization)
    if row is None:
        return outcome_page(services, LINK_UNKNOWN, "")
    if not browser.is_the_same(request, services, row):
        return outcome_page(services, OTHER_BROWSER, row["provider"])
    if row["status"] == authorizations.DONE:  # a second click
        return succeeded(services, row)
    if row["status"] != authorizations.GRANTED:
        return outcome_page(services, LINK_USED, row["provider"])
    if row["expires_at"] <= services.now():
        return outcome_page(services, LINK_EXPIRED, row["provider"])
    return row


async def _grant_of(services: Services, row: RowMapping) -> RowMapping | None:
    tenant = tenant_of(row)
    async with services.db.read_as(tenant) as connection:
        return await get_grant(connection, tenant, row["grant_id"])


async def _show(
    request: Request,
    services: Services,
    row: RowMapping,
    *,
    picked: Collection[str] | None = None,
    note: str | None = None,
    status: int = 200,
) -> Response:
    grant = await _grant_of(services, row)
    if grant is None:
        return outcome_page(services, NO_LONGER, row["provider"])
    try:
        found = await calendars_of(services, grant)
    except ProviderError as error:
        return await _not_listed(services, row, error)
    tenant, cookie = tenant_of(row), browser.known(request, services, row)
    async with services.db.read_as(tenant) as connection:
        keys = [each.calendar_key for each in found]
        connected = await connection_store.connected_keys(connection, tenant, keys)
    return choice_page(
        services,
        _choices(found, connected, picked),
        provider=row["provider"],
        account=row["account_email"],
        identity=grant["email"],
        action=_address(services, row),
        token=browser.form_token(services, row, cookie or ""),
        leads_to=returns_to(row),
        note=note,
        status=status,
    )


def _choices(
    found: Sequence[Found], connected: Collection[str], picked: Collection[str] | None
) -> list[Choice]:
    """The main calendar first; it is picked at the beginning, for it is the one that most people mean."""
    ordered = sorted(found, key=lambda each: (not each.calendar.primary, each.calendar.name.casefold()))
    return [
        Choice(
            each.calendar.id,
            each.calendar.name,
            each.calendar.read_only,
            connected=each.calendar_key in connected,
            picked=each.calendar.primary if picked is None else each.calendar.id in picked,
        )
        for each in ordered
    ]


async def _not_listed(services: Services, row: RowMapping, error: ProviderError) -> Response:
    outcome = of_provider_error(error)
    if outcome is UNAVAILABLE:
        return outcome_page(services, NOT_LISTED, row["provider"], again=_address(services, row))
    await _give_up(services, row)
    return failed(services, row, outcome)


async def _give_up(services: Services, row: RowMapping) -> None:
    """What was granted is not kept, unless it was there before."""
    if await give_up(services, row, before=authorizations.GRANTED):
        await services.grants.end_if_unused(tenant_of(row), row["grant_id"])


async def _connect(request: Request, services: Services, row: RowMapping, picked: Sequence[str]) -> Response:
    grant = await _grant_of(services, row)
    if grant is None:
        return outcome_page(services, NO_LONGER, row["provider"])
    try:
        found = {each.calendar.id: each for each in await calendars_of(services, grant)}
    except ProviderError as error:
        return await _not_listed(services, row, error)
    if not found.keys() >= set(picked):
        return await _show(request, services, row, picked=picked, note=_GONE, status=409)
    chosen = [found[calendar_id] for calendar_id in picked]
    tenant = tenant_of(row)
    try:
        async with services.db.write_as(tenant) as connection:
            kept = await _keep(connection, services, row, grant, chosen)
    except IntegrityError:
        return await _show(request, services, row, picked=picked, note=_TAKEN, status=409)
    if not kept:  # a second click, or the connection was deleted
        ended = await _enter(request, services, row["id"])
        return ended if isinstance(ended, Response) else outcome_page(services, NO_LONGER, row["provider"])
    services.wake()
    return succeeded(services, row)


async def _keep(
    connection: AsyncConnection,
    services: Services,
    row: RowMapping,
    grant: RowMapping,
    chosen: Sequence[Found],
) -> bool:
    """Whether this is the choice that counts, and there is a connection that waits for it.

    Raises IntegrityError where one of the calendars is connected already.
    """
    tenant, waiting = tenant_of(row), row["connection_id"]
    asked = await connection_store.get_connection(connection, tenant, waiting, lock=True)
    if asked is None or asked["status"] != "pending":
        return False
    if await get_grant(connection, tenant, grant["id"], keep=True) is None:
        return False
    done = {"status": authorizations.DONE}
    if not await authorizations.take_step(connection, tenant, row["id"], [authorizations.GRANTED], done):
        return False
    first, *others = chosen
    values = row_of(services.keyring, waiting, first, email=grant["email"], now=asked["created_at"])
    await connection_store.update_connection(connection, tenant, waiting, values)
    for each in others:
        values = row_of(services.keyring, new_id("conn"), each, email=grant["email"], now=services.now())
        await connection_store.insert_connection(connection, tenant, values)
    return True


def _address(services: Services, row: RowMapping) -> str:
    return f"{base_of(services)}/connect/calendars/{row['id']}"
