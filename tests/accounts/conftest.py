"""A database of either kind with one account, whose owner has a password that costs little to check."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from argon2.profiles import CHEAPEST
from sqlalchemy import select

from calendarsync.accounts.accounts import create_account
from calendarsync.accounts.passwords import Passwords
from calendarsync.accounts.sessions import SignedIn, find_session, sign_in
from calendarsync.secrets import Keyring
from calendarsync.store.database import Database

START = datetime(2026, 3, 28, 10, tzinfo=UTC)
KEYRING = Keyring([b"a secret of more than thirty-two bytes"])
OWNER, PASSWORD = "owner@example.com", "correct horse battery"


@dataclass
class House:
    db: Database
    keyring: Keyring
    passwords: Passwords
    account_id: str = ""
    now: datetime = START

    def tick(self, **span: float) -> None:
        self.now += timedelta(**span)

    async def sign_in(
        self,
        email: str = OWNER,
        password: str = PASSWORD,
        *,
        client: str = "192.0.2.1",
        passwords: Passwords | None = None,
    ) -> str:
        hasher = passwords or self.passwords
        return await sign_in(self.db, self.keyring, hasher, email, password, client=client, now=self.now)

    async def find(self, token: str) -> SignedIn | None:
        return await find_session(self.db, self.keyring, token, now=self.now)

    async def rows(self, table: Any) -> list[dict[str, Any]]:
        async with self.db.read() as connection:
            return [dict(row) for row in (await connection.execute(select(table))).mappings()]


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    house = House(Database(database_url), KEYRING, Passwords(CHEAPEST))
    hashed = await house.passwords.hash_new(PASSWORD, email=OWNER)
    house.account_id = await create_account(house.db, OWNER, now=START, password_hash=hashed)
    yield house
    await house.db.close()
