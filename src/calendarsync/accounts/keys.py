"""API keys: their form, their making and their end, and finding out whose they are.

    cs_live_ 32 random characters 6 characters of checksum

Both parts are base62. The checksum is the CRC-32 of all that stands before it, so that a mistyped key is
known without the database, and secret scanners raise few false alarms.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.plans import Plan, plan_in_effect
from calendarsync.accounts.scopes import DEFAULT_SCOPES, Scope
from calendarsync.secrets import Keyring
from calendarsync.store import keys as store
from calendarsync.store.database import Database
from calendarsync.store.ids import BASE62, new_id, random_base62
from calendarsync.store.tenancy import Tenant

_RANDOM_LENGTH = 32  # 62 ** 32 > 2 ** 190
_CHECKSUM_LENGTH = 6  # 62 ** 6 > 2 ** 32
_DISPLAYED = 4
_FORM = re.compile(rf"cs_(live|test)_[0-9A-Za-z]{{{_RANDOM_LENGTH + _CHECKSUM_LENGTH}}}", re.ASCII)

DEFAULT_OVERLAP, MAX_OVERLAP = timedelta(days=1), timedelta(days=7)
"""For how long a key that was rotated still lets its owner in."""

MAX_LIFETIME = timedelta(days=36_500)
"""Of a key that expires: what follows it lasts as long, and has to end within the calendar."""

ALL_SCOPES = frozenset(Scope)


class Mode(StrEnum):
    LIVE = "live"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who makes a request, and what the key allows.

    `plan` is the one in effect. `clock` is how far the account's time is ahead: zero in live mode.
    """

    account_id: str
    mode: Mode
    key_id: str
    scopes: frozenset[str]
    plan: Plan
    clock: timedelta

    @property
    def tenant(self) -> Tenant:
        return Tenant(self.account_id, self.mode)


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """`key` is not kept and cannot be shown again."""

    id: str
    key: str = field(repr=False)


class BeyondScopesError(Exception):
    """Who has fewer scopes than a key neither makes it nor ends it. `scopes` are those that are missing."""

    def __init__(self, scopes: Collection[str]) -> None:
        super().__init__(scopes)
        self.scopes = sorted(scopes)


class KeyEndedError(Exception):
    """A key that has ended, or was rotated, is not rotated again. The message says which it is."""


def generate_key(mode: Mode) -> str:
    body = f"cs_{mode}_{random_base62(_RANDOM_LENGTH)}"
    return body + _checksum(body)


def is_well_formed(text: str) -> bool:
    """Whether `text` can be a key: form and checksum are right."""
    if not _FORM.fullmatch(text):
        return False
    return _checksum(text[:-_CHECKSUM_LENGTH]) == text[-_CHECKSUM_LENGTH:]


def display_form(key: str) -> str:
    """What may be shown of a key: its prefix and its last four characters."""
    prefix, _, _ = key.rpartition("_")
    return f"{prefix}_…{key[-_DISPLAYED:]}"


def check_scopes(wanted: Collection[str], held: Collection[str]) -> None:
    """Raises BeyondScopesError."""
    if missing := set(wanted) - set(held):
        raise BeyondScopesError(missing)


def status_of(row: RowMapping, now: datetime) -> Literal["active", "expired", "revoked"]:
    if row["revoked_at"] is not None:
        return "revoked"
    expires_at = row["expires_at"]
    return "active" if expires_at is None or now < expires_at else "expired"


async def create_key(
    database: Database,
    keyring: Keyring,
    account_id: str,
    mode: Mode,
    *,
    now: datetime,
    scopes: Sequence[Scope] = DEFAULT_SCOPES,
    name: str | None = None,
    expires_at: datetime | None = None,
) -> str:
    """The new key, in full: it is not kept and cannot be shown again."""
    tenant = Tenant(account_id, mode)
    async with database.write_as(tenant) as connection:
        issued = await issue_key(
            connection, keyring, tenant, now=now, scopes=scopes, name=name, expires_at=expires_at
        )
    return issued.key


async def issue_key(
    connection: AsyncConnection,
    keyring: Keyring,
    tenant: Tenant,
    *,
    now: datetime,
    scopes: Sequence[str],
    name: str | None = None,
    expires_at: datetime | None = None,
) -> IssuedKey:
    """A new key, inside the caller's transaction. It is of no use from `expires_at` on."""
    issued = IssuedKey(new_id("key"), generate_key(Mode(tenant.mode)))
    values = {
        "id": issued.id,
        "key_hash": keyring.key_hash(issued.key),
        "display": display_form(issued.key),
        "name": name,
        "scopes": list(scopes),
        "created_at": now,
        "expires_at": expires_at,
    }
    await store.insert_key(connection, tenant, values)
    return issued


async def lock_key(
    connection: AsyncConnection, tenant: Tenant, key_id: str, *, held: Collection[str] = ALL_SCOPES
) -> RowMapping:
    """The key, which nobody else changes until the transaction ends. Raises LookupError, BeyondScopesError."""
    row = await store.lock_key(connection, tenant, key_id)
    if row is None:
        raise LookupError(key_id)
    check_scopes(row["scopes"], held)
    return row


async def rotate_key(
    connection: AsyncConnection,
    keyring: Keyring,
    tenant: Tenant,
    key_id: str,
    *,
    now: datetime,
    overlap: timedelta = DEFAULT_OVERLAP,
    expires_at: datetime | None = None,
    held: Collection[str] = ALL_SCOPES,
) -> IssuedKey:
    """A key of the same name and scopes; the old one lives on for `overlap`, or ends at once where that is zero.

    Without `expires_at` the new key lasts as long as the old one was made for. Inside the caller's transaction.
    Raises LookupError, BeyondScopesError; KeyEndedError where it has ended or was rotated before.
    """
    row = await lock_key(connection, tenant, key_id, held=held)
    if (status := status_of(row, now)) != "active":
        raise KeyEndedError(f"the key is {status}")
    if row["replaced_by"] is not None:
        raise KeyEndedError("the key was rotated already; rotate the one that took its place")
    if expires_at is None and row["expires_at"] is not None:
        expires_at = now + (row["expires_at"] - row["created_at"])
    issued = await issue_key(
        connection, keyring, tenant, now=now, scopes=row["scopes"], name=row["name"], expires_at=expires_at
    )
    ends = min(now + overlap, row["expires_at"] or now + overlap)
    end = {"expires_at": ends} if overlap else {"revoked_at": now}
    await store.update_key(connection, tenant, key_id, {"replaced_by": issued.id, **end})
    return issued


async def revoke_key(
    connection: AsyncConnection,
    tenant: Tenant,
    key_id: str,
    *,
    now: datetime,
    held: Collection[str] = ALL_SCOPES,
) -> None:
    """It lets nobody in from now on. Inside the caller's transaction. Raises LookupError, BeyondScopesError."""
    row = await lock_key(connection, tenant, key_id, held=held)
    if row["revoked_at"] is None:
        await store.update_key(connection, tenant, key_id, {"revoked_at": now})


async def locate_key(database: Database, keyring: Keyring, key_or_id: str) -> tuple[Tenant, str] | None:
    """Whose key has this id, or is this itself, and its id; None where there is none."""
    async with database.read() as connection:
        if not key_or_id.startswith("key_"):
            row = next(iter(await store.find_keys(connection, keyring.key_hashes(key_or_id))), None)
            return (Tenant(row["account_id"], row["mode"]), row["id"]) if row else None
        tenant = await store.tenant_of_key(connection, key_or_id)
    return (tenant, key_or_id) if tenant else None


def identity_of(row: RowMapping, now: datetime) -> Identity | None:
    """Whom the key of `row`, from `store.keys.find_keys`, lets in; None where it has expired or was revoked."""
    if status_of(row, now) != "active":
        return None
    mode = Mode(row["mode"])
    ahead = row["test_clock_seconds"] if mode is Mode.TEST else 0
    plan = plan_in_effect(row["plan"], row["trial_ends_at"], now)
    return Identity(
        row["account_id"], mode, row["id"], frozenset(row["scopes"]), plan, timedelta(seconds=ahead)
    )


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    digits = ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(BASE62))
        digits = BASE62[digit] + digits
    return digits
