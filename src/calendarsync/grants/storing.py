"""Grants in the database: their tokens encrypted, their connections brought back to life."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.grants.flow import Granted
from calendarsync.secrets import Keyring
from calendarsync.store import grants as store
from calendarsync.store.connections import seal_credentials
from calendarsync.store.ids import new_id
from calendarsync.store.tenancy import Tenant


@dataclass(frozen=True, slots=True)
class TokenSet:
    """What `grants.credentials_encrypted` holds. Without `refresh_token`: an organisation's key gets others."""

    access_token: str | None = field(default=None, repr=False)
    usable_until: datetime | None = None
    refresh_token: str | None = field(default=None, repr=False)

    def serves(self, now: datetime, rejected: str | None) -> bool:
        """Whether the access token may be used, and is another than the one that was rejected."""
        if self.access_token is None or self.usable_until is None:
            return False
        return self.access_token != rejected and now < self.usable_until


def seal_tokens(keyring: Keyring, grant_id: str, tokens: TokenSet) -> bytes:
    until = tokens.usable_until.isoformat() if tokens.usable_until else None
    plain = {
        "access_token": tokens.access_token,
        "usable_until": until,
        "refresh_token": tokens.refresh_token,
    }
    return keyring.encrypt(json.dumps(plain).encode(), grant_id)


def open_tokens(keyring: Keyring, grant_id: str, sealed: bytes) -> TokenSet:
    """The inverse of `seal_tokens`. Raises secrets.SecretError."""
    plain: Mapping[str, Any] = json.loads(keyring.decrypt(sealed, grant_id))
    until = plain["usable_until"]
    return TokenSet(
        plain["access_token"], datetime.fromisoformat(until) if until else None, plain["refresh_token"]
    )


async def store_grant(
    connection: AsyncConnection, tenant: Tenant, keyring: Keyring, granted: Granted, *, now: datetime
) -> str:
    """Keep what a person has granted; the grant's id. One of the same person takes the new tokens, and all that
    is connected with it goes on where it stood.

    The caller has locked no connection. Raises sqlalchemy.exc.IntegrityError where the person granted twice at the
    same moment.
    """
    tokens = TokenSet(granted.access_token, granted.usable_until, granted.refresh_token)
    return await put_grant(
        connection,
        tenant,
        keyring,
        provider=granted.provider,
        subject_hashes=granted.subject_hashes(keyring),
        tokens=tokens,
        values={"email": granted.identity.email, "scopes": list(granted.scopes)},
        now=now,
    )


async def put_grant(
    connection: AsyncConnection,
    tenant: Tenant,
    keyring: Keyring,
    *,
    provider: str,
    subject_hashes: Sequence[str],
    tokens: TokenSet,
    values: Mapping[str, Any],
    now: datetime,
) -> str:
    """The same for any grant. `values` are the row's other columns."""
    known = await store.find_grant(connection, tenant, provider, subject_hashes)
    if known is not None:
        grant_id = str(known["id"])
        # Locks in the order of store/grants.py.
        revived = await _revive(connection, tenant, keyring, grant_id, subject_hashes[0], now=now)
        sealed = seal_tokens(keyring, grant_id, tokens)
        if await store.renew_grant(
            connection,
            tenant,
            grant_id,
            {**values, "subject_hash": subject_hashes[0], "credentials_encrypted": sealed},
        ):
            return grant_id
        assert not revived  # who deletes a grant has deleted its connections before
    grant_id = new_id("grant")
    row = {
        "id": grant_id,
        "provider": provider,
        "subject_hash": subject_hashes[0],
        "status": store.ACTIVE,
        "credentials_encrypted": seal_tokens(keyring, grant_id, tokens),
        "created_at": now,
        **values,
    }
    await store.insert_grant(connection, tenant, row)
    return grant_id


async def _revive(
    connection: AsyncConnection,
    tenant: Tenant,
    keyring: Keyring,
    grant_id: str,
    grant_hash: str,
    *,
    now: datetime,
) -> Sequence[str]:
    """Everything that is connected with the grant goes on, and is due; the connections' ids.

    Their credentials are sealed anew, though they hold nothing: a run that began with the earlier tokens is told
    apart by them, and does not expire what has just come back (store/schedule.py).
    """
    ids = await store.mark_due(connection, tenant, grant_id, now)
    for connection_id in ids:
        sealed = seal_credentials(keyring, connection_id, {})
        await store.revive_connection(
            connection, tenant, connection_id, grant_hash=grant_hash, credentials_encrypted=sealed
        )
    return ids
