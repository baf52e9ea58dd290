"""An authorization server with the addresses of Google's and Microsoft's, stricter than both.

A refresh token is good for one use, and one that is used again ends the grant (RFC 9700 section 4.14.2): what would
only be a warning at Microsoft, whose old tokens live on, is a failure here. Errors have the providers' own forms.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal
from urllib.parse import urlencode

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey, RSAKey

CLIENT_ID, CLIENT_SECRET = "client-of-calendarsync", "canary-client-secret"
TENANT = "9f1c2b3a-0000-4000-8000-00000000aaaa"
SKEW = timedelta(minutes=5)

When = Literal["before", "after", "lost", "torn", "held"]


@dataclass
class Fault:
    """For the next question: an answer `before` anything happens or `after` it did, an answer that is `lost` or
    `torn` on its way, or one that is `held` back until it is let `go`; it is the fault's own then, if there is one.
    """

    when: When
    status: int = 503
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    go: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class _Family:
    """All tokens that came of one consent."""

    email: str
    scope: str
    alive: bool = True


@dataclass
class _Code:
    family: _Family
    challenge: str
    redirect_uri: str


class OAuthServer:
    """`spent` counts the uses of every refresh token. Everything else is set by a test as it needs it."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.now = now
        self.url = ""
        self.rotates = True
        self.person = "ann@example.com"
        self.grants_scopes: Callable[[str], str] = lambda asked: asked
        self.refuses: Mapping[str, str] = {}
        self.claims: dict[str, Any] = {}
        self.leaves_out: set[str] = set()
        self.lasts_seconds: object = 3600
        self.faults: deque[Fault] = deque()
        self.asked: list[dict[str, str]] = []
        self.was_asked = asyncio.Event()
        self.headers: list[Mapping[str, str]] = []
        self.spent: Counter[str] = Counter()
        self.issued: set[str] = set()
        self.revoked: list[str] = []
        self.keys: dict[str, str] = {}
        """Public keys or certificates (PEM) by the service account or application that signs with them."""
        self.secrets: dict[str, str] = {}
        self.employees = {"ann@example.com"}
        self._codes: dict[str, _Code] = {}
        self._families: dict[str, _Family] = {}

    def family(self, email: str = "ann@example.com", scope: str = "") -> str:
        """A refresh token, as of an earlier consent."""
        return self._refresh_token(_Family(email, scope))

    def revoke(self, refresh_token: str) -> None:
        """What a person does in the settings of their account."""
        self._families[refresh_token].alive = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[OAuthServer]:
        app = web.Application()
        app.router.add_get("/o/oauth2/v2/auth", self._authorize)
        app.router.add_get("/{tenant}/oauth2/v2.0/authorize", self._authorize)
        app.router.add_post("/token", self._token)
        app.router.add_post("/{tenant}/oauth2/v2.0/token", self._token)
        app.router.add_post("/revoke", self._revoke)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0]
            self.url = f"http://{host}:{port}"
            yield self
        finally:
            for fault in self.faults:
                fault.go.set()
            await runner.cleanup()

    async def _authorize(self, request: web.Request) -> web.Response:
        asked = request.query
        if self.refuses:
            answer = {**self.refuses, "state": asked["state"]}
        else:
            code = secrets.token_urlsafe(16)
            family = _Family(self.person, self.grants_scopes(asked["scope"]))
            assert asked["code_challenge_method"] == "S256"
            self._codes[code] = _Code(family, asked["code_challenge"], asked["redirect_uri"])
            answer = {"code": code, "state": asked["state"]}
        return web.Response(status=302, headers={"Location": f"{asked['redirect_uri']}?{urlencode(answer)}"})

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(form)
        self.was_asked.set()
        self.headers.append(request.headers)
        fault = self.faults.popleft() if self.faults else None
        if fault is not None and fault.when == "before":
            return self._json(fault.body, fault.status, fault.headers)
        status, body = self._answer(request, form)
        if fault is None:
            return self._json(body, status)
        if fault.when == "held":
            await fault.go.wait()
            return self._json(fault.body, fault.status) if fault.body else self._json(body, status)
        if fault.when == "after":
            return self._json(fault.body, fault.status, fault.headers)
        assert request.transport is not None
        if fault.when == "torn":
            response = web.StreamResponse(headers={"Content-Length": "5000"})
            await response.prepare(request)
            await response.write(json.dumps(body).encode()[:40])
        request.transport.close()
        return web.Response()

    def _answer(self, request: web.Request, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        kind = form.get("grant_type", "")
        if kind == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return self._of_service_account(form["assertion"])
        if kind == "client_credentials":
            return self._of_application(form, str(request.url))
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return 401, {"error": "invalid_client", "error_description": "canary-in-a-description"}
        if kind == "authorization_code":
            return self._of_code(form, "tenant" in request.match_info)
        if kind == "refresh_token":
            return self._of_refresh_token(form["refresh_token"])
        return 400, {"error": "unsupported_grant_type"}

    def _of_code(self, form: Mapping[str, str], microsoft: bool) -> tuple[int, Mapping[str, Any]]:
        code = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if code is None or code.challenge != challenge or code.redirect_uri != form["redirect_uri"]:
            return 400, {"error": "invalid_grant", "error_description": "canary-in-a-description"}
        return 200, {
            **self._tokens(code.family),
            **(
                {}
                if "id_token" in self.leaves_out
                else {"id_token": self._id_token(code.family.email, microsoft)}
            ),
        }

    def _of_refresh_token(self, token: str) -> tuple[int, Mapping[str, Any]]:
        family = self._families.get(token)
        self.spent[token] += 1
        if family is not None and self.rotates and self.spent[token] > 1:
            family.alive = False
        if family is None or not family.alive:
            return 400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
        answer = self._tokens(family)
        if not self.rotates:
            del answer["refresh_token"]
        return 200, answer

    def _tokens(self, family: _Family) -> dict[str, Any]:
        answer = {
            "access_token": f"canary-access-{secrets.token_urlsafe(12)}",
            "token_type": "Bearer",
            "expires_in": self.lasts_seconds,
            "refresh_token": self._refresh_token(family),
            "scope": family.scope,
        }
        self.issued.add(str(answer["access_token"]))
        return {
            name: value
            for name, value in answer.items()
            if value not in (None, "") and name not in self.leaves_out
        }

    def _refresh_token(self, family: _Family) -> str:
        token = f"canary-refresh-{secrets.token_urlsafe(12)}"
        self._families[token] = family
        return token

    def _id_token(self, email: str, microsoft: bool) -> str:
        issued = int(self.now().timestamp())
        claims: dict[str, Any] = {"aud": CLIENT_ID, "iat": issued, "exp": issued + 3600}
        number = hashlib.sha256(email.encode()).hexdigest()[:12]
        if microsoft:
            claims |= {"iss": f"{self.url}/{TENANT}/v2.0", "tid": TENANT, "oid": f"oid-{number}"}
            claims |= {"sub": f"pairwise-{number}", "preferred_username": email, "email": "other@example.net"}
        else:
            claims |= {"iss": self.url, "sub": number, "email": email, "email_verified": True}
        claims = {name: value for name, value in (claims | self.claims).items() if value is not None}
        return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key("k" * 32))

    def _of_service_account(self, assertion: str) -> tuple[int, Mapping[str, Any]]:
        try:
            claims = self._verified(assertion, f"{self.url}/token", "RS256")
        except (JoseError, KeyError, ValueError):
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        if not self._is_timely(claims):
            described = (
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check "
                "your iat and exp values in the JWT claim."
            )
            return 400, {"error": "invalid_grant", "error_description": described}
        if claims["sub"] not in self.employees:
            return 400, {"error": "invalid_grant", "error_description": "Invalid email or User ID"}
        return 200, self._without_refresh_token(str(claims["sub"]), str(claims["scope"]))

    def _of_application(self, form: Mapping[str, str], address: str) -> tuple[int, Mapping[str, Any]]:
        client_id = form["client_id"]
        if "client_assertion" in form:
            try:
                claims = self._verified(form["client_assertion"], address, "PS256")
            except (JoseError, KeyError, ValueError):
                return 401, {"error": "invalid_client", "error_codes": [700027]}
            if not self._is_timely(claims):
                described = "AADSTS700024: Client assertion is not within its valid time range."
                return 401, {"error": "invalid_client", "error_description": described}
        elif self.secrets.get(client_id) != form.get("client_secret"):
            return 401, {"error": "invalid_client", "error_codes": [7000215]}
        return 200, self._without_refresh_token(client_id, "")

    def _without_refresh_token(self, whose: str, scope: str) -> Mapping[str, Any]:
        return {
            name: value
            for name, value in self._tokens(_Family(whose, scope)).items()
            if name != "refresh_token"
        }

    def _verified(self, signed: str, audience: str, algorithm: str) -> Mapping[str, Any]:
        """The claims of a JWT that is signed by its issuer, for us."""
        payload = signed.split(".")[1]
        issuer = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["iss"]
        pem, thumbprint = self.keys[issuer], None
        if "CERTIFICATE" in pem:
            certificate = x509.load_pem_x509_certificate(pem.encode())
            thumbprint = (
                base64.urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).decode().rstrip("=")
            )
            key = RSAKey.import_key(certificate.public_key())  # type: ignore[arg-type] - it is RSA's
        else:
            key = RSAKey.import_key(pem)
        token = jwt.decode(signed, key, algorithms=[algorithm])
        if token.claims["aud"] != audience or token.header.get("x5t#S256") != thumbprint:
            raise ValueError("for another, or of another certificate")
        return token.claims

    def _is_timely(self, claims: Mapping[str, Any]) -> bool:
        now = self.now().timestamp()
        return bool(
            claims["iat"] - SKEW.seconds <= now <= claims["exp"] and claims["exp"] - claims["iat"] <= 3600
        )

    async def _revoke(self, request: web.Request) -> web.Response:
        token = str((await request.post()).get("token", ""))
        self.revoked.append(token)
        if token not in self._families:
            return self._json({"error": "invalid_token"}, 400)
        self.revoke(token)
        return self._json({}, 200)

    def _json(
        self, body: Mapping[str, Any], status: int, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        dated = {"Date": format_datetime(self.now(), usegmt=True), **(headers or {})}
        return web.json_response(body, status=status, headers=dated)
