"""What organisations give so that their people need not grant anything one by one.

Google: a service account with domain-wide delegation signs who is meant (RFC 7523;
developers.google.com/identity/protocols/oauth2/service-account, "HTTP/REST"). Microsoft: an application with
application permissions in one tenant, by secret or certificate
(learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow, …/certificate-credentials). Neither
knows refresh tokens: the key gets the next access token.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from datetime import datetime

from joserfc import jwt
from joserfc.jwk import RSAKey
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.grants.asking import TokenAnswer, ask
from calendarsync.grants.delegation_keys import Application, DelegationKey, ServiceAccount, rsa_key
from calendarsync.grants.registrations import (
    GOOGLE,
    GOOGLE_SCOPES,
    MICROSOFT,
    NAMES,
    google_token_url,
    microsoft_authority,
)
from calendarsync.grants.storing import TokenSet, put_grant
from calendarsync.net import HttpClient
from calendarsync.secrets import Keyring
from calendarsync.settings import Settings
from calendarsync.store.tenancy import Tenant

_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_GOOGLE_SECONDS, _MICROSOFT_SECONDS = 3600, 600  # the longest that each of them documents


def serves(domains: Collection[str], email: str) -> bool:
    """Whether an address is in one of the domains, exactly: a subdomain is another domain."""
    local, _, domain = email.strip().lower().partition("@")
    return bool(local) and domain in domains


async def delegated_grant(
    connection: AsyncConnection,
    tenant: Tenant,
    keyring: Keyring,
    delegation: RowMapping,
    user_email: str,
    *,
    now: datetime,
) -> str:
    """The id of the grant with which somebody's calendars are reached through a delegation; nothing is asked yet.

    The caller has made sure that the delegation `serves` the address, and has locked no connection.
    """
    email = user_email.strip().lower()
    provider, delegation_id = str(delegation["provider"]), str(delegation["id"])
    return await put_grant(
        connection,
        tenant,
        keyring,
        provider=provider,
        subject_hashes=keyring.grant_hashes(f"{provider}\ndelegated\n{delegation_id}\n{email}"),
        tokens=TokenSet(),
        values={
            "email": email,
            "scopes": list(GOOGLE_SCOPES) if provider == GOOGLE else [".default"],
            "delegation_id": delegation_id,
        },
        now=now,
    )


async def ask_as_delegate(
    http: HttpClient,
    settings: Settings,
    key: DelegationKey,
    user_email: str,
    *,
    now: Callable[[], datetime],
) -> TokenAnswer:
    """An access token for the calendars of `user_email`. Raises GrantError."""
    if isinstance(key, ServiceAccount):
        url = google_token_url(settings)
        form = {"grant_type": _JWT_BEARER, "assertion": _google_assertion(key, user_email, url, now())}
        return await ask(http, NAMES[GOOGLE], url, form, use="delegation", now=now)
    url = f"{microsoft_authority(settings, key.tenant)}/oauth2/v2.0/token"
    form = {
        "grant_type": "client_credentials",
        "client_id": key.client_id,
        "scope": f"{settings.microsoft_api_url}/.default",
        **_client_authentication(key, url, now()),
    }
    return await ask(http, NAMES[MICROSOFT], url, form, use="delegation", now=now)


def _google_assertion(key: ServiceAccount, user_email: str, audience: str, now: datetime) -> str:
    issued = int(now.timestamp())
    claims = {
        "iss": key.client_email,
        "sub": user_email,
        "scope": " ".join(GOOGLE_SCOPES),
        "aud": audience,
        "iat": issued,
        "exp": issued + _GOOGLE_SECONDS,
    }
    header = {"alg": "RS256", "typ": "JWT", "kid": key.private_key_id}
    return jwt.encode(header, claims, RSAKey.import_key(rsa_key(key.private_key)), algorithms=["RS256"])


def _client_authentication(key: Application, audience: str, now: datetime) -> dict[str, str]:
    if key.client_secret is not None:
        return {"client_secret": key.client_secret}
    assert key.private_key is not None
    issued = int(now.timestamp())
    claims = {
        "iss": key.client_id,
        "sub": key.client_id,
        "aud": audience,
        "jti": str(uuid.uuid4()),
        "nbf": issued,
        "iat": issued,
        "exp": issued + _MICROSOFT_SECONDS,
    }
    header = {"alg": "PS256", "typ": "JWT", "x5t#S256": key.thumbprint}
    signed = jwt.encode(header, claims, RSAKey.import_key(rsa_key(key.private_key)), algorithms=["PS256"])
    return {"client_assertion_type": _CLIENT_ASSERTION, "client_assertion": signed}
