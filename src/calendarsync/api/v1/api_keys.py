"""/api-keys"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field
from sqlalchemy import RowMapping

from calendarsync.accounts import keys
from calendarsync.accounts.scopes import DEFAULT_SCOPES, Scope
from calendarsync.api.conditional import IfMatch
from calendarsync.api.errors import ApiError, conflict, invalid, not_found
from calendarsync.api.paging import Paged, PageParam, known_start
from calendarsync.api.route import ApiRoute, Caller, needs
from calendarsync.api.services import ServicesParam
from calendarsync.api.v1.fields import Body, KeyId, Name, Timestamp
from calendarsync.api.v1.responses import CONFLICT, NOT_FOUND
from calendarsync.store import keys as store

router = APIRouter(prefix="/api-keys", tags=["API keys"], route_class=ApiRoute)

_SCOPES = (
    "What the key may do, at most what the key of this request may. "
    "Left out: all but `account:admin` and `connections:delegate`."
)
_EXPIRES_AT = "From then on the key is of no use. Left out or null: it lasts until it is revoked."


def _known(name: object) -> Scope:
    if not isinstance(name, str) or name not in set(Scope):
        raise ValueError(f"must be one of {', '.join(Scope)}")
    return Scope(name)


def _each_once(scopes: list[Scope]) -> list[Scope]:
    return [scope for scope in Scope if scope in scopes]


Scopes = Annotated[
    list[Annotated[Scope, BeforeValidator(_known)]],
    # Judged before the validator, so that a long list is not looked through.
    Field(min_length=1, max_length=20, description=_SCOPES),
    AfterValidator(_each_once),
]


class NewKey(Body):
    """A key of the same mode as the one that makes it."""

    name: Annotated[Name, Field(max_length=100)] | None = Field(
        default=None, description="What it is for.", examples=["reporting"]
    )
    scopes: Scopes = Field(default_factory=lambda: list(DEFAULT_SCOPES))
    expires_at: Timestamp | None = Field(default=None, description=_EXPIRES_AT)


class KeyRotation(Body):
    overlap_seconds: int = Field(
        default=int(keys.DEFAULT_OVERLAP.total_seconds()),
        ge=0,
        le=int(keys.MAX_OVERLAP.total_seconds()),
        description="For how long the old key lives on, unless it expires before; 0 ends it at once.",
    )
    expires_at: Timestamp | None = Field(
        default=None,
        description="When the new key expires. Left out or null: it lasts as long as the old one was made for.",
    )


class KeyOut(BaseModel):
    id: str
    name: str | None
    display: str = Field(description="The key's prefix and its last four characters.")
    mode: Literal["live", "test"]
    scopes: list[str]
    status: Literal["active", "expired", "revoked"]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute; null: never.")
    replaced_by: str | None = Field(description="The id of the key that it was rotated to.")


class KeyWithSecret(KeyOut):
    key: str = Field(description="The whole key. It is shown this once.", examples=["cs_live_…"])


class KeyList(Paged):
    api_keys: list[KeyOut]


@router.get("", openapi_extra=needs(Scope.ACCOUNT_ADMIN))
async def list_api_keys(services: ServicesParam, caller: Caller, page: PageParam) -> KeyList:
    """All keys of this mode, the oldest first; those that ended in the last 90 days too."""
    async with services.db.read_as(caller.tenant) as connection, known_start():
        found = await store.page_of_keys(connection, caller.tenant, page)
    now = services.now()
    return KeyList(api_keys=[_key_out(row, now) for row in found.rows], has_more=found.has_more)


@router.post("", status_code=201, openapi_extra=needs(Scope.ACCOUNT_ADMIN, secret=True))
async def create_api_key(
    services: ServicesParam, caller: Caller, body: NewKey, response: Response
) -> KeyWithSecret:
    """Make a key, which is shown this once. 403 for scopes that the key of this request does not have."""
    now = services.now()
    _check_expiry(body.expires_at, now)
    with _answered():
        keys.check_scopes(body.scopes, caller.scopes)
    async with services.db.write_as(caller.tenant) as connection:
        issued = await keys.issue_key(
            connection,
            services.keyring,
            caller.tenant,
            now=now,
            scopes=body.scopes,
            name=body.name,
            expires_at=body.expires_at,
        )
        row = await store.get_key(connection, caller.tenant, issued.id)
    return _shown_once(row, issued, now, response)


@router.get("/{key_id}", openapi_extra=needs(Scope.ACCOUNT_ADMIN), responses=NOT_FOUND)
async def get_api_key(services: ServicesParam, caller: Caller, key_id: KeyId) -> KeyOut:
    """One key, by what may be shown of it."""
    async with services.db.read_as(caller.tenant) as connection:
        row = await store.get_key(connection, caller.tenant, key_id)
    if row is None:
        raise not_found("API key")
    return _key_out(row, services.now())


@router.delete("/{key_id}", status_code=204, openapi_extra=needs(Scope.ACCOUNT_ADMIN), responses=NOT_FOUND)
async def revoke_api_key(
    services: ServicesParam, caller: Caller, key_id: KeyId, if_match: IfMatch
) -> Response:
    """End a key at once; it may be the one of this request. It stays in the list, as `revoked`, for 90 days.

    403 for a key with scopes that the key of this request lacks.
    """
    now = services.now()
    async with services.db.write_as(caller.tenant) as connection:
        with _answered():
            row = await keys.lock_key(connection, caller.tenant, key_id, held=caller.scopes)
        if_match.check(_key_out(row, now))
        await keys.revoke_key(connection, caller.tenant, key_id, now=now, held=caller.scopes)
    return Response(status_code=204)


@router.post(
    "/{key_id}/rotate",
    status_code=201,
    openapi_extra=needs(Scope.ACCOUNT_ADMIN, secret=True),
    responses={**NOT_FOUND, **CONFLICT},
)
async def rotate_api_key(
    services: ServicesParam,
    caller: Caller,
    key_id: KeyId,
    response: Response,
    body: KeyRotation | None = None,
) -> KeyWithSecret:
    """A new key of the same name and scopes, shown this once; the old one lives on for `overlap_seconds`.

    409 for a key that has ended or was rotated before, 403 for one with scopes that the key of this request lacks.
    """
    wanted, now = body or KeyRotation(), services.now()
    _check_expiry(wanted.expires_at, now)
    async with services.db.write_as(caller.tenant) as connection:
        with _answered():
            issued = await keys.rotate_key(
                connection,
                services.keyring,
                caller.tenant,
                key_id,
                now=now,
                overlap=timedelta(seconds=wanted.overlap_seconds),
                expires_at=wanted.expires_at,
                held=caller.scopes,
            )
        row = await store.get_key(connection, caller.tenant, issued.id)
    return _shown_once(row, issued, now, response)


@contextmanager
def _answered() -> Iterator[None]:
    """What `accounts.keys` raises as an ApiError: 403, 404, 409."""
    try:
        yield
    except LookupError:
        raise not_found("API key") from None
    except keys.BeyondScopesError as error:
        message = f"the API key does not have all scopes of that key: {', '.join(error.scopes)} missing"
        raise ApiError(403, message) from None
    except keys.KeyEndedError as error:
        raise conflict(str(error)) from None


def _check_expiry(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise invalid(("expires_at", "must be in the future"))
    if expires_at is not None and expires_at > now + keys.MAX_LIFETIME:
        raise invalid(
            ("expires_at", f"must be within {keys.MAX_LIFETIME.days:,} days; null: it does not expire")
        )


def _key_out(row: RowMapping, now: datetime) -> KeyOut:
    return KeyOut(**row, status=keys.status_of(row, now))


def _shown_once(
    row: RowMapping | None, issued: keys.IssuedKey, now: datetime, response: Response
) -> KeyWithSecret:
    """`row` is the key's, read in the transaction that made it."""
    assert row is not None
    response.headers["Location"] = f"/api/v1/api-keys/{issued.id}"
    return KeyWithSecret(**row, status=keys.status_of(row, now), key=issued.key)
