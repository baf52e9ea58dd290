"""/connect/{link}: a person opens the link that they were sent, sees who asks for what, and goes on."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import RowMapping

from calendarsync.api.consent import browser
from calendarsync.api.consent.ending import tenant_of
from calendarsync.api.consent.html import base_of, outcome_page, start_page
from calendarsync.api.consent.outcomes import (
    FORM_STALE,
    LINK_EXPIRED,
    LINK_UNKNOWN,
    LINK_USED,
    Outcome,
    of_grant_error,
)
from calendarsync.api.route import StrictRequest
from calendarsync.api.services import Services, ServicesParam
from calendarsync.api.v1.authorizing import link_text, new_secret
from calendarsync.grants import GrantError, authorization_url, new_verifier
from calendarsync.store import authorizations
from calendarsync.store import connections as connection_store

router = APIRouter()

_MOST_FIELDS = 1_100  # a person has no more than a thousand calendars


async def fields_of(request: Request) -> dict[str, list[str]]:
    """What a form of ours sent. Raises ApiError 400, 413: too slow, too large."""
    body = await StrictRequest(request.scope, request.receive).body()
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return {}


def one(fields: dict[str, list[str]], name: str) -> str:
    """The value of a field; empty where it is not there, or more than once."""
    values = fields.get(name, [])
    return values[0] if len(values) == 1 else ""


def redirect_uri(services: Services, provider: str) -> str:
    """Where the provider sends a person back to; it has to be registered there letter by letter."""
    return f"{services.settings.public_url}/connect/{provider}/callback"


@router.get("/{link}")
async def open_link(request: Request, services: ServicesParam, link: str) -> Response:
    """Nothing happens yet: programs that look at links before people do see this page, and no more."""
    row = await _find(services, link)
    problem = _problem(request, services, row)
    if row is None or problem is not None:
        return outcome_page(services, problem or LINK_UNKNOWN, row["provider"] if row else "")
    cookie = browser.known(request, services, row) or new_secret()
    async with services.db.read_as(tenant_of(row)) as connection:
        asked = await connection_store.get_connection(connection, tenant_of(row), row["connection_id"])
    response = start_page(
        services,
        provider=row["provider"],
        account=row["account_email"],
        email=row["email"],
        again=asked is not None and asked["status"] != "pending",
        action=f"{base_of(services)}/connect/{link}",
        token=browser.form_token(services, row, cookie),
        leads_to=services.settings.google_auth_url
        if row["provider"] == "google"
        else services.settings.microsoft_auth_url,
    )
    browser.give(response, services, row, cookie)
    return response


@router.post("/{link}")
async def begin(request: Request, services: ServicesParam, link: str) -> Response:
    """From here on only this browser goes on, and only the provider's answer to this question counts."""
    row = await _find(services, link)
    problem = _problem(request, services, row)
    if row is None or problem is not None:
        return outcome_page(services, problem or LINK_UNKNOWN, row["provider"] if row else "")
    cookie = browser.known(request, services, row)
    if not browser.is_own_form(services, row, cookie, one(await fields_of(request), "token")):
        return outcome_page(services, FORM_STALE, row["provider"])
    fresh, state, verifier = new_secret(), new_secret(), new_verifier()
    sealed = json.dumps({"verifier": verifier, "link": link}).encode()
    values = {
        "status": authorizations.OPENED,
        "browser_hash": browser.hash_of(services, fresh),
        "state_hash": services.keyring.session_hash(state_text(state)),
        "verifier_encrypted": services.keyring.encrypt(sealed, row["id"]),
    }
    try:
        url = authorization_url(
            services.settings,
            row["provider"],
            state=state,
            verifier=verifier,
            redirect_uri=redirect_uri(services, row["provider"]),
            login_hint=row["email"],
        )
    except GrantError as error:  # its registration was taken away meanwhile
        return outcome_page(services, of_grant_error(error), row["provider"])
    tenant = tenant_of(row)
    async with services.db.write_as(tenant) as connection:
        if not await authorizations.take_step(connection, tenant, row["id"], [row["status"]], values):
            return outcome_page(services, LINK_USED, row["provider"])
    response = RedirectResponse(url, 303)
    browser.give(response, services, row, fresh)
    return response


def state_text(state: str) -> str:
    """What is hashed of a state, so that no hash of another kind is one of a state."""
    return f"state {state}"


async def _find(services: Services, link: str) -> RowMapping | None:
    if not browser.is_secret(link):
        return None
    hashes = services.keyring.session_hashes(link_text(link))
    async with services.db.read() as connection:
        return await authorizations.find_by_link(connection, hashes)


def _problem(request: Request, services: Services, row: RowMapping | None) -> Outcome | None:
    """Why a link leads no further; None where it does. Who began may begin again: the provider may have failed."""
    if row is None:
        return LINK_UNKNOWN
    if row["status"] == authorizations.OPENED:
        usable = browser.is_the_same(request, services, row)
    else:
        usable = row["status"] == authorizations.NEW
    if not usable:
        return LINK_USED
    return LINK_EXPIRED if row["expires_at"] <= services.now() else None
