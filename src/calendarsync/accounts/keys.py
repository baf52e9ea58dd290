"""API keys: their form, their making, and finding out whose they are.

    cs_live_ 32 random characters 6 characters of checksum

Both parts are base62. The checksum is the CRC-32 of all that stands before it, so that a mistyped key is
known without the database, and secret scanners raise few false alarms.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import RowMapping

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
_USE_IS_NOTED_EVERY = timedelta(minutes=1)


class Mode(StrEnum):
    LIVE = "live"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who makes a request, and what the key allows."""

    account_id: str
    mode: Mode
    key_id: str
    scopes: frozenset[str]

    @property
    def tenant(self) -> Tenant:
        return Tenant(self.account_id, self.mode)


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


async def create_key(
    database: Database,
    keyring: Keyring,
    account_id: str,
    mode: Mode,
    *,
    now: datetime,
    scopes: Sequence[Scope] = DEFAULT_SCOPES,
) -> str:
    """The new key, in full: it is not kept and cannot be shown again."""
    key, tenant = generate_key(mode), Tenant(account_id, mode)
    async with database.write_as(tenant) as connection:
        await store.insert_key(
            connection,
            tenant,
            new_id("key"),
            key_hash=keyring.key_hash(key),
            display=display_form(key),
            scopes=scopes,
            created_at=now,
        )
    return key


async def identify(database: Database, keyring: Keyring, key: str, now: datetime) -> Identity | None:
    """Whose key it is; None where it is malformed, unknown, expired or revoked."""
    if not is_well_formed(key):
        return None
    async with database.read() as connection:
        row = await store.find_key(connection, keyring.key_hashes(key))
    if row is None or row["revoked_at"] is not None or (row["expires_at"] or now) < now:
        return None
    found = _identity(row)
    if row["last_used_at"] is None or now - row["last_used_at"] >= _USE_IS_NOTED_EVERY:
        async with database.write_as(found.tenant) as connection:
            await store.set_last_used(connection, found.tenant, found.key_id, now)
    return found


def _identity(row: RowMapping) -> Identity:
    return Identity(row["account_id"], Mode(row["mode"]), row["id"], frozenset(row["scopes"]))


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    digits = ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(BASE62))
        digits = BASE62[digit] + digits
    return digits
