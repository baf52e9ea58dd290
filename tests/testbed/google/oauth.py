"""Tokens: consent, codes, refresh, delegation and revocation, so far as a test needs them.

Guides "Using OAuth 2.0 for web server applications" and "… for server to server applications". Nobody is asked:
the consent page sends the person right back, with a code or as `Habits.consent` says. Clients are not checked, nor
are signatures of assertions, for CI checks those against a peer that nobody here wrote.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from .state import Seen, User, World, new_id

_LIFE = 3599  # seconds that an access token is said to be good for
_SCOPE = "https://www.googleapis.com/auth/"


class RefusedError(Exception):
    """An error of the token endpoint, `error` as RFC 6749 section 5.2 names it."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error, "error_description": description}


@dataclass(frozen=True)
class _Code:
    user: User
    challenge: str
    redirect_uri: str
    client_id: str
    scopes: tuple[str, ...]


class Tokens:
    """The endpoints; `issuer` is the model's own URL."""

    def __init__(self, world: World) -> None:
        self.issuer = ""
        self._world = world
        self._codes: dict[str, _Code] = {}

    def consent(self, target: str) -> str:
        """Where a person is sent back to who opened the consent page. `login_hint` says who it is."""
        asked = {name: given[0] for name, given in parse_qs(urlsplit(target).query).items()}
        back = {"state": asked.get("state", "")}
        with self._world.lock:
            if self._world.habits.consent != "grant":
                back["error"] = self._world.habits.consent
            else:
                code = f"4/{new_id(40)}"
                hint = asked.get("login_hint", "").lower()
                hinted = (user for user in self._world.users if user.email == hint)
                self._codes[code] = _Code(
                    next(hinted, self._world.users[-1]),
                    asked.get("code_challenge", ""),
                    asked["redirect_uri"],
                    asked["client_id"],
                    self._granted(asked["scope"].split()),
                )
                back |= {"code": code, "scope": " ".join(self._codes[code].scopes)}
        return f"{asked['redirect_uri']}?{urlencode(back)}"

    def _granted(self, asked: list[str]) -> tuple[str, ...]:
        """At Google a person may untick single permissions (granular permissions)."""
        unticked = {_SCOPE + each for each in self._world.habits.unticked}
        return tuple(each for each in asked if each not in unticked)

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and body of an answer of the token endpoint."""
        with self._world.lock:
            kind = form.get("grant_type", "")
            fault = self._world.faults.meet("oauth.token", None, None)
            error = fault.error() if fault else None
            try:
                if error is None or (fault is not None and fault.after):
                    body = self._given(kind, form)
                if error is not None:
                    raise RefusedError(error.reason, "As ordered.", error.status)
                status = 200
            except RefusedError as refused:
                status, body = refused.status, refused.body
            self._world.seen.append(Seen("oauth.token", "/token", {"grant_type": [kind]}, None, status))
        return status, body

    def _given(self, kind: str, form: dict[str, str]) -> dict[str, Any]:
        if kind == "refresh_token":
            return self._refreshed(form.get("refresh_token", ""))
        if kind == "authorization_code":
            return self._redeemed(form)
        if kind == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return self._delegated(form.get("assertion", ""))
        raise RefusedError("unsupported_grant_type", f"Invalid grant_type: {kind}")

    def _refreshed(self, refresh_token: str) -> dict[str, Any]:
        for user in self._world.users:
            if user.refresh_token == refresh_token and not user.revoked:
                return self._answer(user)
        raise RefusedError("invalid_grant", "Token has been expired or revoked.")

    def _redeemed(self, form: dict[str, str]) -> dict[str, Any]:
        code = self._codes.pop(form.get("code", ""), None)
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if code is None or code.challenge != challenge or code.redirect_uri != form.get("redirect_uri"):
            raise RefusedError("invalid_grant", "Bad Request")
        user = code.user
        user.revoked = False
        user.refresh_token = f"1//{new_id(40)}"
        user.scopes = frozenset(code.scopes)
        claims = {
            "iss": self.issuer,
            "aud": code.client_id,
            "sub": str(int.from_bytes(user.email.encode()) % 10**21),
        }
        return self._answer(user) | {
            "refresh_token": user.refresh_token,
            "id_token": self._id_token(claims | {"email": user.email, "email_verified": True}),
        }

    def _id_token(self, claims: dict[str, Any]) -> str:
        now = int(self._world.now().timestamp())
        parts = ({"alg": "RS256", "typ": "JWT"}, claims | {"iat": now, "exp": now + 3600}, "no signature")
        encoded = (
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts
        )
        return ".".join(encoded)

    def _delegated(self, assertion: str) -> dict[str, Any]:
        """A service account speaks for somebody of its organisation (domain-wide delegation)."""
        try:
            payload = assertion.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            email, scopes = claims["sub"].lower(), claims["scope"].split()
        except (IndexError, ValueError, KeyError):
            raise RefusedError("invalid_grant", "Invalid JWT.") from None
        if self._world.habits.delegation == "refuse":
            raise RefusedError(
                "unauthorized_client",
                "Client is unauthorized to retrieve access tokens using this method, or client not authorized "
                "for any of the scopes requested.",
                401,
            )
        for user in self._world.users:
            if user.email == email:
                user.scopes = frozenset(scopes)
                return self._answer(user)
        raise RefusedError("invalid_grant", "Invalid email or User ID")

    def _answer(self, user: User) -> dict[str, Any]:
        token = user.new_token()
        scope = " ".join(sorted(user.scopes))
        return {"access_token": token, "expires_in": _LIFE, "scope": scope, "token_type": "Bearer"}

    def revoke(self, token: str) -> tuple[int, dict[str, Any]]:
        """Ends a grant by its refresh token or an access token."""
        with self._world.lock:
            for user in self._world.users:
                if token == user.refresh_token or token in user.tokens:
                    user.revoked = True
                    return 200, {}
        return 400, {"error": "invalid_token", "error_description": "Token expired or revoked"}
