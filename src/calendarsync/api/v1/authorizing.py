"""Making the links with which people grant access to their calendars."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.keys import Identity, Mode
from calendarsync.api.errors import ApiError, invalid
from calendarsync.api.services import Services
from calendarsync.api.v1.grant_models import AuthorizationOut, AuthorizationRequest
from calendarsync.api.v1.return_urls import is_registered
from calendarsync.grants.registrations import NAMES
from calendarsync.store import accounts, authorizations
from calendarsync.store import connections as store
from calendarsync.store.grants import get_grant
from calendarsync.store.ids import new_id, random_base62

LINK_LASTS = timedelta(minutes=15)

_SECRET_LENGTH = 43  # 62 ** 43 > 2 ** 256


def new_secret() -> str:
    """A link, a `state` or a cookie: enough chance never to be guessed, in characters that an address may have."""
    return random_base62(_SECRET_LENGTH)


def link_text(link: str) -> str:
    """What is hashed of a link, so that no hash of another kind is one of a link."""
    return f"link {link}"


def refuse_test(caller: Identity) -> None:
    """Raises ApiError 403 for a test key, which reaches no Google and no Microsoft."""
    if caller.mode is Mode.TEST:
        message = "test mode does not reach Google or Microsoft; use a key that begins with cs_live_"
        raise ApiError(403, message)


async def authorize(services: Services, caller: Identity, wanted: AuthorizationRequest) -> AuthorizationOut:
    """A new link, for a new connection that waits for it, or for one that is there. Raises ApiError 403, 422."""
    refuse_test(caller)
    if not services.grants.configured(wanted.provider):
        raise invalid(("provider", _not_configured(wanted.provider)))
    link, now = new_secret(), services.now()
    expires_at = now + LINK_LASTS
    authorization_id, hash_of = new_id("auth"), services.keyring.session_hash
    async with services.db.write_as(caller.tenant) as connection:
        await _check_return_url(connection, caller, wanted)
        if "connection_id" in wanted.model_fields_set:
            connection_id = wanted.connection_id
            await _check_again(connection, caller, connection_id, wanted)
        else:
            connection_id = await _insert_pending(connection, services, caller, wanted)
        values = {
            "id": authorization_id,
            "provider": wanted.provider,
            "connection_id": connection_id,
            "link_hash": hash_of(link_text(link)),
            # Both are made when the link is followed; until then no state is the right one.
            "state_hash": hash_of(new_secret()),
            "verifier_encrypted": services.keyring.encrypt(b"", authorization_id),
            "return_url": wanted.return_url,
            "email": wanted.email,
            "status": authorizations.NEW,
            "expires_at": expires_at,
            "created_at": now,
        }
        await authorizations.insert_authorization(connection, caller.tenant, values)
    return AuthorizationOut(
        connection_id=connection_id,
        authorization_url=f"{services.settings.public_url}/connect/{link}",
        expires_at=expires_at,
    )


def _not_configured(provider: str) -> str:
    name = f"CALENDARSYNC_{provider.upper()}_CLIENT_ID"
    return f"this server is not registered with {NAMES[provider]}: its operator sets {name} and …_SECRET"


async def _check_return_url(
    connection: AsyncConnection, caller: Identity, wanted: AuthorizationRequest
) -> None:
    if "return_url" not in wanted.model_fields_set:
        return
    account = await accounts.find_account(connection, caller.account_id)
    assert account is not None
    if not is_registered(wanted.return_url, account["return_urls"]):
        raise invalid(("return_url", "is none of the account's return_urls; PATCH /account registers them"))


async def _check_again(
    connection: AsyncConnection, caller: Identity, connection_id: str, wanted: AuthorizationRequest
) -> None:
    """Whether a person can authorize this connection once more. Raises ApiError 422."""
    row = await store.get_connection(connection, caller.tenant, connection_id)
    if row is None:
        raise invalid(("connection_id", "no such connection"))
    if row["provider"] != wanted.provider:
        raise invalid(("provider", f"the connection is one at the provider {row['provider']}"))
    grant = await get_grant(connection, caller.tenant, row["grant_id"] or "")
    if grant is not None and grant["delegation_id"] is not None:
        raise invalid(("connection_id", "it is reached through a delegation; nobody has to authorize it"))


async def _insert_pending(
    connection: AsyncConnection, services: Services, caller: Identity, wanted: AuthorizationRequest
) -> str:
    """A connection to no calendar yet. Nothing shares its keys with it."""
    connection_id = new_id("conn")
    nowhere = sha256(connection_id.encode()).hexdigest()
    values = {
        "id": connection_id,
        "provider": wanted.provider,
        "calendar_id": "",
        "calendar_key": nowhere,
        "grant_hash": nowhere,
        "calendar_name": "",
        "email": wanted.email,
        "owner_addresses": [],
        "read_only": False,
        "credentials_encrypted": store.seal_credentials(services.keyring, connection_id, {}),
        "status": "pending",
        "created_at": services.now(),
        "index_version": 0,
    }
    await store.insert_connection(connection, caller.tenant, values)
    return connection_id
