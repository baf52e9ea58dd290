"""Consent, and what it is worth: the authorization code flow against an authorization server of ours."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from calendarsync.grants import Granted, GrantError, authorization_url, new_verifier, redeem, refused
from calendarsync.net import AddressRefused
from tests.grants.conftest import Place
from tests.testbed.oauth import CLIENT_ID, TENANT, Fault

REDIRECT = "http://127.0.0.1:8000/connect/callback"
PROVIDERS = ("google", "microsoft")
# RFC 7636 appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def address(here: Place, provider: str, verifier: str, hint: str | None = None) -> str:
    return authorization_url(
        here.settings, provider, state="the-state", verifier=verifier, redirect_uri=REDIRECT, login_hint=hint
    )


async def consent(here: Place, provider: str, verifier: str) -> Mapping[str, str]:
    """What the provider sends a person back with."""
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(address(here, provider, verifier))
    assert answer.status_code == 302, answer.text
    assert answer.headers["location"].startswith(REDIRECT)
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


async def redeemed(here: Place, provider: str, code: str, verifier: str, redirect: str = REDIRECT) -> Granted:
    return await redeem(
        here.http,
        here.settings,
        provider,
        code=code,
        verifier=verifier,
        redirect_uri=redirect,
        now=here.clock,
    )


async def granted(here: Place, provider: str) -> Granted:
    verifier = new_verifier()
    return await redeemed(here, provider, (await consent(here, provider, verifier))["code"], verifier)


async def refusal(here: Place, provider: str) -> GrantError:
    with pytest.raises(GrantError) as caught:
        await granted(here, provider)
    return caught.value


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_consent_is_worth_tokens_and_tells_who_gave_it(here: Place, provider: str) -> None:
    found = await granted(here, provider)
    assert found.identity.email == "ann@example.com"
    assert found.access_token in here.server.issued
    assert found.refresh_token.startswith("canary-refresh-")
    assert found.usable_until == here.clock() + timedelta(minutes=59)
    (asked,) = here.server.asked
    assert asked["redirect_uri"] == REDIRECT
    assert {name for name in here.server.headers[0] if name.lower() == "authorization"} == set()


@pytest.mark.parametrize(
    ("provider", "path", "scope"),
    [
        (
            "google",
            "/o/oauth2/v2/auth",
            "openid email https://www.googleapis.com/auth/calendar.events "
            "https://www.googleapis.com/auth/calendar.calendarlist.readonly",
        ),
        (
            "microsoft",
            "/common/oauth2/v2.0/authorize",
            "openid email profile offline_access Calendars.ReadWrite User.Read",
        ),
    ],
)
def test_what_a_person_is_asked(here: Place, provider: str, path: str, scope: str) -> None:
    parts = urlsplit(address(here, provider, VERIFIER, "ann@example.com"))
    asked = dict(parse_qsl(parts.query))
    assert parts.path == path
    assert asked.pop("code_challenge") == CHALLENGE
    assert asked.pop("scope") == scope
    own = {"access_type": "offline", "prompt": "consent select_account", "include_granted_scopes": "false"}
    assert asked == {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "redirect_uri": REDIRECT,
        "state": "the-state",
        "code_challenge_method": "S256",
        "login_hint": "ann@example.com",
        **(own if provider == "google" else {"response_mode": "query", "prompt": "select_account"}),
    }
    assert "secret" not in parts.query


def test_an_app_of_one_organisation_asks_at_its_own_address(here: Place) -> None:
    settings = here.settings.model_copy(update={"microsoft_auth_url": "https://login.example.com/contoso"})
    url = authorization_url(
        settings, "microsoft", state="s", verifier="v", redirect_uri=REDIRECT, login_hint=None
    )
    assert url.startswith("https://login.example.com/contoso/oauth2/v2.0/authorize?")


def test_an_installation_that_is_not_registered_says_what_to_set(here: Place) -> None:
    settings = here.settings.model_copy(update={"google_client_secret": None})
    with pytest.raises(GrantError, match="CALENDARSYNC_GOOGLE_CLIENT_SECRET") as caught:
        authorization_url(settings, "google", state="s", verifier="v", redirect_uri=REDIRECT, login_hint=None)
    assert caught.value.kind == "misconfigured"


def test_verifiers_are_as_long_as_they_must_be_and_never_the_same() -> None:
    verifiers = {new_verifier() for _ in range(100)}
    assert len(verifiers) == 100
    assert {len(each) for each in verifiers} == {43}


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_code_is_good_for_one_use(here: Place, provider: str) -> None:
    verifier = new_verifier()
    code = (await consent(here, provider, verifier))["code"]
    await redeemed(here, provider, code, verifier)
    with pytest.raises(GrantError, match="new link") as caught:
        await redeemed(here, provider, code, verifier)
    assert caught.value.kind == "code_used"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_whoever_catches_the_code_lacks_the_verifier(here: Place, provider: str) -> None:
    code = (await consent(here, provider, new_verifier()))["code"]
    with pytest.raises(GrantError):
        await redeemed(here, provider, code, new_verifier())


async def test_a_code_of_another_redirect_address_is_worth_nothing(here: Place) -> None:
    verifier = new_verifier()
    code = (await consent(here, "google", verifier))["code"]
    with pytest.raises(GrantError):
        await redeemed(here, "google", code, verifier, "http://127.0.0.1:8000/elsewhere")


@pytest.mark.parametrize("missing", ["calendar.events", "calendar.calendarlist.readonly"])
async def test_a_box_that_was_not_ticked_is_told(here: Place, missing: str) -> None:
    here.server.grants_scopes = lambda asked: " ".join(
        each for each in asked.split() if not each.endswith(missing)
    )
    error = await refusal(here, "google")
    assert error.kind == "missing_scope"
    assert "tick all boxes" in error.message


@pytest.mark.parametrize(
    "scope",
    [
        "Calendars.ReadWrite User.Read profile openid email",
        "https://graph.microsoft.com/Calendars.ReadWrite https://graph.microsoft.com/User.Read",
        "https://graph.microsoft.com/calendars.readwrite",
        "",  # RFC 6749 section 5.1: all that was asked for
    ],
    ids=["bare", "with resource", "lower case", "left out"],
)
async def test_microsoft_writes_scopes_in_several_ways(here: Place, scope: str) -> None:
    here.server.grants_scopes = lambda _: scope
    assert (await granted(here, "microsoft")).identity.email == "ann@example.com"


async def test_reading_alone_is_not_enough_at_microsoft(here: Place) -> None:
    here.server.grants_scopes = lambda _: "https://graph.microsoft.com/Calendars.Read User.Read"
    assert (await refusal(here, "microsoft")).kind == "missing_scope"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_access_for_the_moment_alone_is_not_enough(here: Place, provider: str) -> None:
    here.server.leaves_out = {"refresh_token"}
    error = await refusal(here, provider)
    assert error.kind == "missing_scope"
    assert "while you are away" in error.message


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("claims", "kind"),
    [
        ({"aud": "another client"}, "provider_unavailable"),
        ({"aud": ["client-of-calendarsync", "another client"]}, "provider_unavailable"),
        ({"iss": "https://accounts.example.net"}, "provider_unavailable"),
        ({"iss": None}, "provider_unavailable"),
        ({"exp": 1_000, "iat": 500}, "clock"),
        ({"iat": 99_999_999_999, "exp": 99_999_999_999}, "clock"),
        ({"exp": None}, "provider_unavailable"),
        ({"exp": "soon"}, "provider_unavailable"),
        ({"exp": 10**400}, "provider_unavailable"),
        ({"sub": None}, "missing_scope"),
        ({"email": None, "preferred_username": None}, "missing_scope"),
    ],
    ids=[
        *("other audience", "two audiences", "other issuer", "no issuer", "long ago", "far ahead", "no end"),
        *("end in words", "end without end", "nobody", "no address"),
    ],
)
async def test_an_identity_that_is_not_ours_or_not_of_now_is_refused(
    here: Place, provider: str, claims: dict[str, Any], kind: str
) -> None:
    here.server.claims = claims
    assert (await refusal(here, provider)).kind == kind


async def test_a_directory_cannot_speak_for_another_one(here: Place) -> None:
    here.server.claims = {"tid": "11111111-0000-4000-8000-000000000000"}
    assert (await refusal(here, "microsoft")).kind == "provider_unavailable"


@pytest.mark.parametrize("token", ["", "a.b", "a.!.c", "a.bm90IGpzb24.c", "a.W10.c"])
async def test_what_is_no_identity_token_is_no_identity(here: Place, token: str) -> None:
    here.server.leaves_out = {"id_token"}
    if token:
        here.server.faults.append(
            Fault(
                "before",
                200,
                {
                    "access_token": "x",
                    "token_type": "Bearer",
                    "refresh_token": "y",
                    "id_token": token,
                },
            )
        )
    assert (await refusal(here, "google")).kind == "provider_unavailable"


async def test_a_person_is_the_same_whatever_address_they_have_now(here: Place) -> None:
    before = await granted(here, "microsoft")
    here.server.claims = {"preferred_username": "Ann.New@Example.com", "sub": "pairwise of another app"}
    after = await granted(here, "microsoft")
    assert after.identity.email == "ann.new@example.com"
    assert after.subject_hashes(here.keyring) == before.subject_hashes(here.keyring)
    here.server.claims = {"oid": "another"}
    assert (await granted(here, "microsoft")).subject_hashes(here.keyring) != before.subject_hashes(
        here.keyring
    )


@pytest.mark.parametrize("verified", [False, None, "false"])
async def test_an_address_that_nobody_verified_proves_nothing(here: Place, verified: object) -> None:
    """An account at Google may name an address of anybody's, until whose it is has been asked there."""
    here.server.claims = {"email": "victim@example.org", "email_verified": verified}
    error = await refusal(here, "google")
    assert error.kind == "missing_scope"
    assert "verified" in error.message


async def test_an_address_that_an_administrator_entered_proves_nothing(here: Place) -> None:
    """At Microsoft the claim `email` of a directory may be anybody's; a user name's domain belongs to it."""
    here.server.claims = {"email": "victim@example.org"}
    assert (await granted(here, "microsoft")).identity.email == "ann@example.com"
    # Somebody may sign in by telephone.
    here.server.claims["preferred_username"] = "+49 30 1234567"
    assert (await refusal(here, "microsoft")).kind == "missing_scope"
    tenant = "9188040d-6c67-4c5b-b112-36a304b66dad"
    here.server.claims |= {"tid": tenant, "iss": f"{here.server.url}/{tenant}/v2.0"}
    assert (await granted(here, "microsoft")).identity.email == "victim@example.org"


async def test_the_same_name_at_another_provider_is_another_person(here: Place) -> None:
    here.server.claims = {"oid": "1", "sub": "1", "tid": TENANT}
    google, microsoft = await granted(here, "google"), await granted(here, "microsoft")
    assert not set(google.subject_hashes(here.keyring)) & set(microsoft.subject_hashes(here.keyring))


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_person_may_say_no(here: Place, provider: str) -> None:
    here.server.refuses = {"error": "access_denied", "error_description": "canary-in-a-description"}
    back = await consent(here, provider, new_verifier())
    assert back["state"] == "the-state"
    error = refused(provider, back)
    assert error.kind == "denied"
    assert "canary" not in str(error)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_tokens_are_in_no_representation(here: Place, provider: str) -> None:
    found = await granted(here, provider)
    for secret in (found.access_token, found.refresh_token):
        assert secret not in f"{found!r} {found}"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("before", 500), "provider_unavailable"),
        (Fault("before", 503, headers={"Retry-After": "30"}), "provider_unavailable"),
        (Fault("before", 429, headers={"Retry-After": "30"}), "rate_limited"),
        (Fault("before", 200, {"access_token": 7}), "provider_unavailable"),
        (Fault("before", 302, headers={"Location": "https://example.com/token"}), "provider_unavailable"),
        (Fault("before", 401, {"error": "invalid_client"}), "misconfigured"),
        (Fault("lost"), "provider_unavailable"),
        (Fault("torn"), "provider_unavailable"),
    ],
    ids=["500", "503", "429", "no token", "redirect", "wrong secret", "lost", "torn"],
)
async def test_what_hinders_is_told_apart(here: Place, fault: Fault, kind: str) -> None:
    here.server.faults.append(fault)
    error = await refusal(here, "google")
    assert error.kind == kind
    assert error.retry_after == (30 if "Retry-After" in fault.headers else None)


@pytest.mark.parametrize(("url", "confined"), [("http://example.com", True), ("https://example.com", False)])
async def test_a_secret_is_sent_in_the_clear_to_networks_that_are_allowed_alone(
    here: Place, monkeypatch: pytest.MonkeyPatch, url: str, confined: bool
) -> None:
    asked: list[bool] = []

    async def refuse(*_: object, **options: Any) -> None:
        asked.append(options["confined"])
        raise AddressRefused("address_refused", "No.")

    monkeypatch.setattr(here.http, "request", refuse)
    settings = here.settings.model_copy(update={"google_token_url": url})
    with pytest.raises(GrantError) as caught:
        await redeem(
            here.http, settings, "google", code="c", verifier="v", redirect_uri=REDIRECT, now=here.clock
        )
    assert caught.value.kind == "unreachable"
    assert asked == [confined]
