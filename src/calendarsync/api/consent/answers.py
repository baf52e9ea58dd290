"""/connect/{provider}/callback: the provider sends a person back, with a code or an error (RFC 6749 4.1.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError

from calendarsync.api.consent import browser
from calendarsync.api.consent.ending import failed, give_up, succeeded, tenant_of
from calendarsync.api.consent.html import base_of, outcome_page
from calendarsync.api.consent.links import redirect_uri, state_text
from calendarsync.api.consent.outcomes import (
    LINK_EXPIRED,
    NO_LONGER,
    OTHER_BROWSER,
    STATE_UNKNOWN,
    STATE_USED,
    UNAVAILABLE,
    WRONG_IDENTITY,
    Outcome,
    of_grant_error,
)
from calendarsync.api.services import Services, ServicesParam
from calendarsync.api.v1.authorizing import LINK_LASTS
from calendarsync.api.v1.granted import give_grant, has_lost_its_grant
from calendarsync.grants import Granted, GrantError, redeem, refused, store_grant
from calendarsync.store import authorizations
from calendarsync.store import connections as connection_store

router = APIRouter()


@dataclass(frozen=True, slots=True)
class _Question:
    """What was asked of the provider, and is answered now."""

    row: RowMapping
    verifier: str = field(repr=False)
    link: str = field(repr=False)


@router.get("/google/callback")
async def google_answers(request: Request, services: ServicesParam) -> Response:
    return await _take(request, services, "google")


@router.get("/microsoft/callback")
async def microsoft_answers(request: Request, services: ServicesParam) -> Response:
    return await _take(request, services, "microsoft")


async def _take(request: Request, services: Services, provider: str) -> Response:
    row = await _find(services, _parameter(request, "state"))
    code, error = _parameter(request, "code"), _parameter(request, "error")
    if row is None or row["provider"] != provider or not (code or error):
        return outcome_page(services, STATE_UNKNOWN, provider)
    problem = _problem(request, services, row)
    if problem is None and not await _claim(services, row):
        problem = STATE_USED
    if problem is not None:
        again = _choice_address(services, row) if row["status"] == authorizations.GRANTED else None
        return outcome_page(services, problem, provider, again=again if problem is STATE_USED else None)
    question = _Question(row, **json.loads(services.keyring.decrypt(row["verifier_encrypted"], row["id"])))
    try:
        granted = await _redeem(services, question, code, request.query_params)
    except GrantError as refusal:
        return await _end(services, question, of_grant_error(refusal))
    return await _keep(services, question, granted)


def _problem(request: Request, services: Services, row: RowMapping) -> Outcome | None:
    """Why this answer is not to be taken. Of the browser it is said first: others are told nothing more."""
    if not browser.is_the_same(request, services, row):
        return OTHER_BROWSER
    if row["status"] != authorizations.OPENED:
        return STATE_USED
    return LINK_EXPIRED if row["expires_at"] <= services.now() else None


async def _redeem(
    services: Services, question: _Question, code: str, parameters: Mapping[str, str]
) -> Granted:
    """What was granted. Raises GrantError."""
    provider = question.row["provider"]
    if not code:
        raise refused(provider, parameters)
    return await redeem(
        services.http,
        services.settings,
        provider,
        code=code,
        verifier=question.verifier,
        redirect_uri=redirect_uri(services, provider),
        now=services.now,
    )


def _parameter(request: Request, name: str) -> str:
    """Empty where it is not there, or more than once (RFC 6749 section 3.1)."""
    values = request.query_params.getlist(name)
    return values[0] if len(values) == 1 else ""


async def _find(services: Services, state: str) -> RowMapping | None:
    if not browser.is_secret(state):
        return None
    hashes = services.keyring.session_hashes(state_text(state))
    async with services.db.read() as connection:
        return await authorizations.find_by_state(connection, hashes)


async def _claim(services: Services, row: RowMapping) -> bool:
    """Whether this answer is the one that counts: of several at once the others find the state used."""
    tenant = tenant_of(row)
    async with services.db.write_as(tenant) as connection:
        values = {"status": authorizations.REDEEMING}
        return await authorizations.take_step(connection, tenant, row["id"], [authorizations.OPENED], values)


async def _end(services: Services, question: _Question, outcome: Outcome) -> Response:
    """Nothing was granted. The link stays good for this browser where the provider could not answer."""
    row, again = question.row, None
    if outcome is UNAVAILABLE:
        tenant = tenant_of(row)
        async with services.db.write_as(tenant) as connection:
            values = {"status": authorizations.OPENED}
            await authorizations.take_step(connection, tenant, row["id"], [authorizations.REDEEMING], values)
        again = f"{base_of(services)}/connect/{question.link}"
    else:
        await give_up(services, row, before=authorizations.REDEEMING)
    return failed(services, row, outcome, again=again)


async def _keep(services: Services, question: _Question, granted: Granted) -> Response:
    try:
        return await _store(services, question, granted)
    except IntegrityError:  # the same person granted through another link at this moment
        return await _store(services, question, granted)


async def _store(services: Services, question: _Question, granted: Granted) -> Response:
    """The grant is kept, if it is that of the right person, and the step is taken: both or neither."""
    row, tenant, now = question.row, tenant_of(question.row), services.now()
    async with services.db.write_as(tenant) as connection:
        asked = await connection_store.get_connection(connection, tenant, row["connection_id"])
        if asked is None:
            refusal: Outcome | None = NO_LONGER
        else:
            lost = await has_lost_its_grant(connection, tenant, asked)
            refusal = _refusal(services, row, asked, granted, lost=lost)
        if asked is not None and refusal is None:
            grant_id = await store_grant(connection, tenant, services.keyring, granted, now=now)
            if lost:
                await give_grant(connection, services, tenant, asked["id"], grant_id)
            picks = asked["status"] == "pending"
            values = {
                "grant_id": grant_id,
                "status": authorizations.GRANTED if picks else authorizations.DONE,
                "expires_at": now + LINK_LASTS,  # as much time again, to pick calendars in
            }
            await authorizations.take_step(connection, tenant, row["id"], [authorizations.REDEEMING], values)
    if refusal is not None:
        return await _end(services, question, refusal)
    services.wake()
    return RedirectResponse(_choice_address(services, row), 303) if picks else succeeded(services, row)


def _refusal(
    services: Services, row: RowMapping, asked: RowMapping, granted: Granted, *, lost: bool
) -> Outcome | None:
    """Why this grant is not the one that was asked for; it is not kept then.

    `lost`: the connection has lost its grant, and what is known of its owner is the address, if that.
    """
    given = (row["email"], asked["email"] if lost else None)
    # Not folded: that takes letters for one another which are two, such as `ß` and `ss`.
    expected = {each.lower() for each in given if each is not None}
    if (lost and not expected) or expected - {granted.identity.email.lower()}:
        return WRONG_IDENTITY
    known = (
        asked["status"] == "pending"
        or lost
        or asked["grant_hash"] in granted.subject_hashes(services.keyring)
    )
    return None if known else WRONG_IDENTITY


def _choice_address(services: Services, row: RowMapping) -> str:
    return f"{base_of(services)}/connect/calendars/{row['id']}"
