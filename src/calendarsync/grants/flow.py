"""The authorization code flow with PKCE (RFC 6749 section 4.1, RFC 7636), as Google and Microsoft document it."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from calendarsync.grants.asking import ask
from calendarsync.grants.errors import GrantError
from calendarsync.grants.identity import Identity, identity_of
from calendarsync.grants.refusals import refusal
from calendarsync.grants.registrations import GOOGLE, NAMES, Registration, registration
from calendarsync.net import HttpClient
from calendarsync.secrets import Keyring
from calendarsync.settings import Settings


@dataclass(frozen=True, slots=True)
class Granted:
    """What a person has granted. `access_token` is good until `usable_until`, of what `now` tells."""

    provider: str
    identity: Identity
    scopes: tuple[str, ...]
    access_token: str = field(repr=False)
    usable_until: datetime
    refresh_token: str = field(repr=False)

    def subject_hashes(self, keyring: Keyring) -> tuple[str, ...]:
        """Who it is, as it may be stored, the current form first; equal for the same person's later grants."""
        return keyring.grant_hashes(f"{self.provider}\n{self.identity.subject}")


def new_verifier() -> str:
    """A code verifier of 256 bits, 43 characters (RFC 7636 section 4.1)."""
    return secrets.token_urlsafe(32)


def authorization_url(
    settings: Settings,
    provider: str,
    *,
    state: str,
    verifier: str,
    redirect_uri: str,
    login_hint: str | None,
) -> str:
    """Where a person is sent to grant access. Raises GrantError where the installation is not registered there.

    Google gives a refresh token only with `access_type=offline`, and to somebody who has granted before only with
    `prompt=consent`. At both the person chooses among accounts, so that nobody grants with the one that happens to
    be signed in.
    """
    registered = registration(settings, provider)
    parameters = {
        "client_id": registered.client_id,
        "response_type": "code",
        "redirect_uri": redirect_uri,
        "scope": " ".join(registered.asked),
        "state": state,
        "code_challenge": _challenge(verifier),
        "code_challenge_method": "S256",
    }
    if provider == GOOGLE:
        # Scopes that somebody granted to another use of the same registration are not wanted.
        parameters |= {
            "access_type": "offline",
            "prompt": "consent select_account",
            "include_granted_scopes": "false",
        }
    else:
        parameters |= {"response_mode": "query", "prompt": "select_account"}
    if login_hint:
        parameters["login_hint"] = login_hint
    return f"{registered.authorize_url}?{urlencode(parameters)}"


def refused(provider: str, parameters: Mapping[str, str]) -> GrantError:
    """What it means that the provider sent a person back with `error`, in the query's `parameters`."""
    return refusal(
        NAMES[provider],
        parameters.get("error", ""),
        use="authorize",
        description=parameters.get("error_description", "")[:2_000],
    )


async def redeem(
    http: HttpClient,
    settings: Settings,
    provider: str,
    *,
    code: str,
    verifier: str,
    redirect_uri: str,
    now: Callable[[], datetime],
) -> Granted:
    """What a code is worth. A code is good for one use, and so is this call. Raises GrantError."""
    registered = registration(settings, provider)
    form = {
        "grant_type": "authorization_code",
        "client_id": registered.client_id,
        "client_secret": registered.client_secret,
        "code": code,
        "code_verifier": verifier,
        "redirect_uri": redirect_uri,
    }
    answer = await ask(http, registered.name, registered.token_url, form, use="code", now=now)
    # RFC 6749 section 5.1: `scope` may be left out where it is what was asked for.
    scopes = answer.scopes or registered.asked
    if registered.missing(scopes):
        raise _unticked(registered)
    identity = identity_of(answer.id_token, registered, now())
    if answer.refresh_token is None:
        raise GrantError(
            "missing_scope",
            f"{registered.name} granted access for this moment alone. Open a new link, and agree to access while "
            "you are away.",
        )
    return Granted(provider, identity, scopes, answer.access_token, answer.usable_until, answer.refresh_token)


def _unticked(registered: Registration) -> GrantError:
    """At Google a person may leave out single permissions (granular permissions)."""
    return GrantError(
        "missing_scope",
        f"Not all permissions were granted. Open a new link, and tick all boxes that {registered.name} shows: "
        "without its calendars and their events nothing can be kept in step.",
    )


def _challenge(verifier: str) -> str:
    """RFC 7636 section 4.2."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
