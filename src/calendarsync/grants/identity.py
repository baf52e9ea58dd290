"""Who has granted: the claims of an ID token (OpenID Connect Core 1.0).

The token comes from the token endpoint itself, over TLS; section 3.1.3.7, point 6, then lets TLS stand for a check
of its signature. Issuer, audience and times are checked all the same.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from calendarsync.grants.asking import MAX_CLOCK_SKEW
from calendarsync.grants.errors import GrantError
from calendarsync.grants.refusals import busy, text_of, wrong_clock
from calendarsync.grants.registrations import MICROSOFT, Registration

_PERSONAL = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""The tenant of all personal accounts (the same page, `iss`)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """`subject` names one person at one provider for good, whatever becomes of the address; `email` is shown."""

    subject: str
    email: str


def identity_of(id_token: str | None, registered: Registration, now: datetime) -> Identity:
    """Raises GrantError where the token is not what was asked for, or not of this time."""
    claims = _claims(id_token or "")
    if claims.get("aud") != registered.client_id or text_of(claims, "iss") not in _issuers(
        registered, claims
    ):
        raise busy(registered.name)
    _check_times(claims, registered, now)
    subject, email = text_of(claims, "sub"), text_of(claims, "email")
    if registered.provider == MICROSOFT:
        # `sub` is another one for each app; an object in a tenant is the same for all of them
        # (learn.microsoft.com/entra/identity-platform/id-token-claims-reference). `email` is whatever an
        # administrator entered, save for personal accounts; the user name, which may be a telephone number, has a
        # domain that is proven to be the organisation's.
        subject = f"{text_of(claims, 'tid')} {text_of(claims, 'oid') or subject}"
        user_name = text_of(claims, "preferred_username")
        if "@" in user_name or text_of(claims, "tid") != _PERSONAL:
            email = user_name
    elif claims.get("email_verified") is not True:
        raise GrantError(
            "missing_scope",
            f"{registered.name} has not verified the e-mail address of this account. Verify it there, or choose "
            "another account.",
        )
    if not text_of(claims, "sub") or "@" not in email:
        raise GrantError(
            "missing_scope",
            f"{registered.name} did not tell which account was chosen. Open a new link, and agree to share the "
            "e-mail address.",
        )
    return Identity(subject, email.lower())


def _issuers(registered: Registration, claims: Mapping[str, Any]) -> set[str]:
    if registered.provider == MICROSOFT:
        return {f"{registered.issuer}/{text_of(claims, 'tid')}/v2.0"}
    # "always https://accounts.google.com or accounts.google.com"
    # (developers.google.com/identity/openid-connect/openid-connect).
    return {registered.issuer, registered.issuer.partition("://")[2]}


def _check_times(claims: Mapping[str, Any], registered: Registration, now: datetime) -> None:
    """A token that was made this moment and does not fit the time tells that our clock is off."""
    try:
        issued = datetime.fromtimestamp(claims["iat"], UTC)
        ends = datetime.fromtimestamp(claims["exp"], UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        raise busy(registered.name) from None
    if not issued - MAX_CLOCK_SKEW <= now <= ends + MAX_CLOCK_SKEW:
        raise wrong_clock(registered.name)


def _claims(token: str) -> Mapping[str, Any]:
    """The payload of a signed token in compact form (RFC 7515 section 7.1); empty where it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        payload = base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True)
        claims = json.loads(payload)
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
