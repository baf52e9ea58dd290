"""API keys: their form, and who is let in with which."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from calendarsync.accounts.accounts import create_account, find_account_id
from calendarsync.accounts.keys import (
    Identity,
    Mode,
    create_key,
    display_form,
    generate_key,
    is_well_formed,
)
from calendarsync.accounts.limits import Gate
from calendarsync.accounts.scopes import DEFAULT_SCOPES, Scope, parse_scopes
from calendarsync.secrets import Keyring
from calendarsync.store.database import Database
from calendarsync.store.ids import BASE62, new_id
from calendarsync.store.tables import accounts, api_keys

NOW = datetime(2026, 3, 28, 10, tzinfo=UTC)
OLD, NEW = b"old secret, more than 32 bytes long", b"new secret, more than 32 bytes long"


@dataclass
class Keys:
    database: Database
    keyring: Keyring
    account_id: str

    async def make(self, mode: Mode = Mode.LIVE) -> str:
        return await create_key(self.database, self.keyring, self.account_id, mode, now=NOW)

    async def set(self, **values: object) -> None:
        async with self.database.write() as connection:
            await connection.execute(update(api_keys).values(values))


@pytest.fixture
async def keys(tmp_path: Path) -> AsyncIterator[Keys]:
    database = Database(f"sqlite:///{tmp_path}/test.sqlite3")
    await database.migrate()
    account_id = await create_account(database, "you@example.com", now=NOW)
    yield Keys(database, Keyring([OLD]), account_id)
    await database.close()


async def identify(database: Database, keyring: Keyring, key: str, now: datetime) -> Identity | None:
    admitted = await Gate(database, keyring, lambda: now).enter(key)
    return admitted.identity if admitted else None


@pytest.mark.parametrize("mode", Mode)
def test_form(mode: Mode) -> None:
    key = generate_key(mode)
    assert re.fullmatch(rf"cs_{mode}_[0-9A-Za-z]{{38}}", key)
    assert math.log2(62) * 32 >= 190
    assert is_well_formed(key)
    checksum = 0
    for character in key[-6:]:
        checksum = checksum * 62 + BASE62.index(character)
    assert checksum == zlib.crc32(key[:-6].encode())


def test_keys_differ() -> None:
    assert len({generate_key(Mode.LIVE) for _ in range(200)}) == 200
    used = set("".join(generate_key(Mode.LIVE)[8:40] for _ in range(200)))
    assert used == set(BASE62)


@given(place=st.integers(0, 45), character=st.sampled_from(BASE62 + "_ é"))
def test_one_wrong_character_is_noticed(place: int, character: str) -> None:
    key = generate_key(Mode.TEST)
    mistyped = key[:place] + character + key[place + 1 :]
    assert is_well_formed(mistyped) == (mistyped == key)


@given(place=st.integers(8, 44))
def test_two_swapped_characters_are_noticed(place: int) -> None:
    key = generate_key(Mode.LIVE)
    swapped = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
    assert is_well_formed(swapped) == (swapped == key)


@given(st.text())
def test_no_text_breaks_the_check(text: str) -> None:
    assert not is_well_formed(text)


def test_what_is_shown_of_a_key() -> None:
    key = generate_key(Mode.LIVE)
    assert display_form(key) == f"cs_live_…{key[-4:]}"


async def test_a_key_lets_its_owner_in(keys: Keys) -> None:
    key = await keys.make(Mode.TEST)
    identity = await identify(keys.database, keys.keyring, key, NOW)
    assert identity is not None
    assert (identity.account_id, identity.mode) == (keys.account_id, Mode.TEST)
    assert identity.scopes == set(DEFAULT_SCOPES)
    assert {Scope.ACCOUNT_ADMIN, Scope.CONNECTIONS_DELEGATE}.isdisjoint(identity.scopes)


async def test_only_a_keyed_hash_is_kept(keys: Keys) -> None:
    key = await keys.make()
    async with keys.database.read() as connection:
        row = (await connection.execute(select(api_keys))).mappings().one()
    assert key not in str(dict(row))
    assert key[8:-4] not in str(dict(row))
    assert row["key_hash"] == keys.keyring.key_hash(key) != Keyring([NEW]).key_hash(key)
    assert row["display"] == display_form(key)


async def test_a_mistyped_key_is_not_looked_up(keys: Keys) -> None:
    key = await keys.make()
    await keys.database.close()

    class Unreachable:
        def write(self) -> None:
            raise AssertionError("the database was asked")

    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    assert await identify(Unreachable(), keys.keyring, wrong, NOW) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "valid"),
    [
        ({"expires_at": NOW + timedelta(seconds=1)}, True),
        ({"expires_at": NOW - timedelta(seconds=1)}, False),
        ({"revoked_at": NOW}, False),
    ],
)
async def test_expired_and_revoked_keys(keys: Keys, values: dict[str, object], valid: bool) -> None:
    key = await keys.make()
    await keys.set(**values)
    assert (await identify(keys.database, keys.keyring, key, NOW) is not None) == valid


async def test_keys_outlive_a_rotation_of_the_secret(keys: Keys) -> None:
    key = await keys.make()
    assert await identify(keys.database, Keyring([NEW, OLD]), key, NOW) is not None
    assert await identify(keys.database, Keyring([NEW]), key, NOW) is None


async def test_use_is_noted_to_the_minute(keys: Keys) -> None:
    key = await keys.make()

    async def used(after: timedelta) -> datetime:
        await identify(keys.database, keys.keyring, key, NOW + after)
        async with keys.database.read() as connection:
            noted: datetime = (await connection.execute(select(api_keys.c.last_used_at))).scalar_one()
            return noted

    assert await used(timedelta(0)) == NOW
    assert await used(timedelta(seconds=59)) == NOW
    assert await used(timedelta(seconds=60)) == NOW + timedelta(seconds=60)


def test_scopes_from_text() -> None:
    assert parse_scopes("pairs:read, logs:read pairs:read") == (Scope.PAIRS_READ, Scope.LOGS_READ)
    for wrong in ("pairs:reed", "", " , "):
        with pytest.raises(ValueError, match="scope"):
            parse_scopes(wrong)


async def test_accounts(keys: Keys) -> None:
    assert keys.account_id.startswith("acct_")
    assert await find_account_id(keys.database, "YOU@example.com") == keys.account_id
    assert await find_account_id(keys.database, keys.account_id) == keys.account_id
    assert await find_account_id(keys.database, "nobody@example.com") is None
    for email, message in (("You@Example.com", "already"), ("nobody", "address"), ("a@b c", "address")):
        with pytest.raises(ValueError, match=message):
            await create_account(keys.database, email, now=NOW)
    with pytest.raises(ValueError, match="plan"):
        await create_account(keys.database, "other@example.com", now=NOW, plan="gold")


async def test_a_plan_takes_the_place_of_the_trial(keys: Keys) -> None:
    paid = await create_account(keys.database, "paid@example.com", now=NOW, plan="pro")
    async with keys.database.read() as connection:
        rows = (
            await connection.execute(select(accounts.c.id, accounts.c.plan, accounts.c.trial_ends_at))
        ).all()
    assert set(rows) == {(keys.account_id, "free", NOW + timedelta(days=14)), (paid, "pro", None)}


def test_ids() -> None:
    ids = {new_id("conn") for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"conn_[0-9A-Za-z]{22}", each) for each in ids)
