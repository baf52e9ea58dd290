"""The whole flow of both providers against a peer that nobody of this project wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from calendarsync.grants import GrantError, Grants, authorization_url, new_verifier, redeem, store_grant
from calendarsync.providers.base import NotAuthorized
from tests.grants.conftest import Place
from tests.testbed.emulate import (
    CLIENT_ID,
    CLIENT_SECRET,
    REDIRECT,
    Emulate,
    consent,
    emulate_missing,
    emulate_server,
)

PROVIDERS = ("google", "microsoft")


@pytest.fixture(scope="session")
def emulate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulate]:
    reason = emulate_missing()
    if reason is not None:
        pytest.skip(reason)
    with emulate_server(Path(tmp_path_factory.mktemp("emulate") / "log")) as running:
        yield running


@pytest.fixture
async def at(here: Place, emulate: Emulate) -> AsyncIterator[Place]:
    """An installation that is registered with both."""
    here.settings = here.settings.model_copy(
        update={
            "google_client_id": CLIENT_ID,
            "google_client_secret": SecretStr(CLIENT_SECRET),
            "google_auth_url": emulate.google,
            "google_token_url": f"{emulate.google}/oauth2",
            "microsoft_client_id": CLIENT_ID,
            "microsoft_client_secret": SecretStr(CLIENT_SECRET),
            "microsoft_auth_url": emulate.microsoft_auth_url,
        }
    )
    here.grants = Grants(here.db, here.keyring, here.http, here.settings)
    yield here
    await here.grants.close()


async def code_for(at: Place, provider: str, verifier: str, email: str = "ann@example.com") -> str:
    address = authorization_url(
        at.settings, provider, state="the-state", verifier=verifier, redirect_uri=REDIRECT, login_hint=email
    )
    back = await consent(address, email)
    assert back["state"] == "the-state"
    return back["code"]


async def redeemed(at: Place, provider: str, code: str, verifier: str) -> str:
    """The id of the grant that the code is worth."""
    granted = await redeem(
        at.http,
        at.settings,
        provider,
        code=code,
        verifier=verifier,
        redirect_uri=REDIRECT,
        now=at.clock,
    )
    async with at.db.write_as(at.tenant) as db:
        return await store_grant(db, at.tenant, at.keyring, granted, now=at.clock())


async def granted(at: Place, provider: str, email: str = "ann@example.com") -> str:
    at.clock.now = datetime.now(UTC)  # the other side's, which dates who has granted
    verifier = new_verifier()
    return await redeemed(at, provider, await code_for(at, provider, verifier, email), verifier)


async def whose(emulate: Emulate, provider: str, token: str) -> str | None:
    """Whom an access token speaks for, asked of the service itself."""
    url = (
        f"{emulate.google}/oauth2/v2/userinfo"
        if provider == "google"
        else f"{emulate.microsoft}/oidc/userinfo"
    )
    async with httpx.AsyncClient() as client:
        answer = await client.get(url, headers={"Authorization": f"Bearer {token}"})
    return str(answer.json()["email"]) if answer.status_code == 200 else None


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_from_consent_to_tokens_refreshed_and_withdrawn(
    at: Place, emulate: Emulate, provider: str
) -> None:
    grant = await granted(at, provider)
    assert (await at.row(grant))["email"] == "ann@example.com"
    tokens = [await at.tokens(grant).access_token()]
    for _ in range(3):
        at.clock.advance(hours=2)
        tokens.append(await at.worker().tokens(grant).access_token())
    assert len(set(tokens)) == 4
    for token in tokens:
        assert await whose(emulate, provider, token) == "ann@example.com"

    withdrawn = await at.refresh_token(grant)
    path = "oauth2/revoke" if provider == "google" else "oauth2/v2.0/revoke"
    async with httpx.AsyncClient() as person:
        await person.post(f"{getattr(emulate, provider)}/{path}", data={"token": withdrawn})
    at.clock.advance(hours=2)
    with pytest.raises(NotAuthorized, match="Connect it anew"):
        await at.worker().tokens(grant).access_token()
    assert (await at.row(grant))["status"] == "expired"
    assert await granted(at, provider) == grant
    at.clock.advance(hours=2)
    await at.worker().tokens(grant).access_token()


async def test_microsofts_refresh_tokens_rotate_there_and_googles_stay(at: Place) -> None:
    for provider, rotates in (("google", False), ("microsoft", True)):
        grant = await granted(at, provider)
        before = await at.refresh_token(grant)
        at.clock.advance(hours=2)
        await at.tokens(grant).access_token()
        assert (await at.refresh_token(grant) != before) is rotates


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_code_is_good_for_one_use_and_with_its_verifier(at: Place, provider: str) -> None:
    verifier = new_verifier()
    code = await code_for(at, provider, verifier)
    with pytest.raises(GrantError) as caught:
        await redeemed(at, provider, code, new_verifier())
    assert caught.value.kind == "code_used"
    await redeemed(at, provider, code, verifier)
    with pytest.raises(GrantError) as caught:
        await redeemed(at, provider, code, verifier)
    assert caught.value.kind == "code_used"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_people_are_told_apart_and_known_again(at: Place, provider: str) -> None:
    ann, bob = await granted(at, provider), await granted(at, provider, "bob@example.com")
    assert ann != bob
    assert await granted(at, provider) == ann


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_wrong_secret_is_this_installations_fault(at: Place, provider: str) -> None:
    grant = await granted(at, provider)
    wrong = {f"{provider}_client_secret": SecretStr("wrong")}
    grants = Grants(at.db, at.keyring, at.http, at.settings.model_copy(update=wrong))
    at.clock.advance(hours=2)
    with pytest.raises(Exception, match="registered") as caught:
        await grants.tokens(grant).access_token()
    assert not isinstance(caught.value, NotAuthorized)
    await at.tokens(grant).access_token()


async def test_what_is_given_back_to_google_is_worth_nothing_any_more(at: Place, emulate: Emulate) -> None:
    grant = await granted(at, "google")
    token = await at.refresh_token(grant)
    await at.grants.end_if_unused(at.tenant, grant)
    form = {
        "grant_type": "refresh_token",
        "refresh_token": token,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{emulate.google}/oauth2/token", data=form)
    assert answer.json()["error"] == "invalid_grant"
