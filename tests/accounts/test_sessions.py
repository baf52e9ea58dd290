"""Signing in and out, and what keeps guessing slow."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from sqlalchemy import delete

from calendarsync.accounts.accounts import create_account
from calendarsync.accounts.passwords import Passwords
from calendarsync.accounts.people import set_password
from calendarsync.accounts.sessions import (
    LIFETIME,
    PER_CLIENT,
    PER_EMAIL,
    WINDOW,
    SignInError,
    TooManyAttemptsError,
    sign_out,
    sign_out_everywhere,
)
from calendarsync.secrets import Keyring
from calendarsync.store.tables import rate_windows, sessions, users
from tests.accounts.conftest import KEYRING, OWNER, PASSWORD, House
from tests.accounts.test_passwords import changed

WRONG = "a wrong password"


async def test_the_right_password_gives_a_session(house: House) -> None:
    token = await house.sign_in()
    found = await house.find(token)
    assert found is not None
    (user,) = await house.rows(users)
    assert (found.user_id, found.email, found.expires_at) == (user["id"], OWNER, house.now + LIFETIME)
    (stored,) = await house.rows(sessions)
    assert token not in str(stored)
    assert stored["token_hash"] == KEYRING.session_hash(token)
    assert len({token, await house.sign_in()}) == 2


NONSENSE = [
    "",
    "\0",
    "a\0@example.com",
    "\ud800@example.com",
    "x" * 10_000 + "@example.com",
    "a b@example.com",
]


@pytest.mark.parametrize("email", [OWNER, "nobody@example.com", "new@example.com", *NONSENSE])
async def test_a_wrong_password_does_not_tell_who_there_is(
    house: House, email: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether there is such a user, and one with a password: each attempt runs argon2id once, with equal costs."""
    await create_account(house.db, "new@example.com", now=house.now)
    verified: list[str] = []
    verify = PasswordHasher.verify

    def note(self: PasswordHasher, stored: Any, password: Any) -> Any:
        verified.append(stored.rpartition("$")[0].rpartition("$")[0])
        return verify(self, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", note)
    with pytest.raises(SignInError) as caught:
        await house.sign_in(email, WRONG)
    assert str(caught.value) == ""
    assert verified == ["$argon2id$v=19$m=8,t=1,p=1"]
    assert await house.rows(sessions) == []


async def test_a_session_ends_by_itself(house: House) -> None:
    token = await house.sign_in()
    house.now += LIFETIME - timedelta(seconds=1)
    assert await house.find(token)
    house.tick(seconds=1)
    assert await house.find(token) is None
    await house.sign_in()
    assert len(await house.rows(sessions)) == 1


# SQLite has one writer at a time.
@pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
async def test_signing_in_waits_for_nobody_who_ends_an_old_session(house: House) -> None:
    for _ in range(2):
        await house.sign_in()
    old, other = [row["token_hash"] for row in await house.rows(sessions)]
    house.tick(days=31)
    async with house.db.write() as connection:
        await connection.execute(delete(sessions).where(sessions.c.token_hash == old))
        await asyncio.create_task(house.sign_in())  # else it would wait for the lock in vain
    left = {row["token_hash"] for row in await house.rows(sessions)}
    assert len(left) == 1
    assert not left & {old, other}


async def test_signing_out(house: House) -> None:
    here, there = await house.sign_in(), await house.sign_in()
    await sign_out(house.db, house.keyring, here)
    await sign_out(house.db, house.keyring, "unknown")
    assert await house.find(here) is None
    found = await house.find(there)
    assert found is not None
    await sign_out_everywhere(house.db, found.user_id)
    assert await house.find(there) is None


async def test_sessions_outlive_a_rotation_of_the_secret(house: House) -> None:
    token = await house.sign_in()
    house.keyring = Keyring(
        [b"another secret of more than 32 bytes", b"a secret of more than thirty-two bytes"]
    )
    assert await house.find(token)
    await sign_out(house.db, house.keyring, token)
    assert await house.find(token) is None


async def test_a_hash_with_other_parameters_is_renewed(house: House) -> None:
    (before,) = await house.rows(users)
    dearer = Passwords(changed(time_cost=2))
    with pytest.raises(SignInError):
        await house.sign_in(password=WRONG, passwords=dearer)
    assert await house.rows(users) == [before]
    token = await house.sign_in(passwords=dearer)
    (after,) = await house.rows(users)
    assert ",t=2," in after["password_hash"]
    await house.sign_in(passwords=dearer)
    assert await house.rows(users) == [after]
    assert await house.find(token)


class Meddling(Passwords):
    """While a password is looked at, it is changed."""

    def __init__(self, house: House) -> None:
        super().__init__(CHEAPEST)
        self._house = house

    async def verify(self, stored: str | None, password: str) -> bool:
        house = self._house
        await set_password(house.db, house.keyring, house.passwords, OWNER, "another password", now=house.now)
        return await super().verify(stored, password)


async def test_a_password_that_is_changed_meanwhile_lets_nobody_in(house: House) -> None:
    with pytest.raises(SignInError):
        await house.sign_in(passwords=Meddling(house))
    assert await house.rows(sessions) == []
    assert await house.sign_in(password="another password")


async def test_a_user_who_is_deleted_meanwhile(house: House) -> None:
    token = await house.sign_in()
    async with house.db.write() as connection:
        await connection.execute(delete(users))
    assert await house.find(token) is None


async def attempts(house: House, number: int, **given: Any) -> list[type[Exception] | None]:
    """What became of so many attempts at once."""

    async def attempt() -> type[Exception] | None:
        try:
            await house.sign_in(**given)
        except (SignInError, TooManyAttemptsError) as error:
            return type(error)
        return None

    return await asyncio.gather(*(attempt() for _ in range(number)))


@pytest.mark.parametrize("email", [OWNER, "nobody@example.com"])
async def test_one_address_is_guessed_at_so_often(house: House, email: str) -> None:
    outcomes = await attempts(house, PER_EMAIL + 5, email=email, password=WRONG)
    assert outcomes.count(SignInError) == PER_EMAIL
    assert outcomes.count(TooManyAttemptsError) == 5
    with pytest.raises(TooManyAttemptsError) as caught:  # from elsewhere too, with the right password even
        await house.sign_in(email, client="198.51.100.7")
    assert caught.value.ends_at == house.now + WINDOW
    for row in await house.rows(rate_windows):
        assert email not in row["subject"]
        assert "192.0.2" not in row["subject"]
    assert await attempts(house, 1, email="other@example.com", password=WRONG) == [SignInError]
    house.now += WINDOW
    assert await attempts(house, 1, email=email, password=WRONG) == [SignInError]


async def test_one_client_guesses_so_often(house: House) -> None:
    for number in range(PER_CLIENT):
        assert await attempts(house, 1, email=f"{number}@example.com", password=WRONG) == [SignInError]
    assert await attempts(house, 1) == [TooManyAttemptsError]
    assert await attempts(house, 1, client="198.51.100.7") == [None]


async def test_a_success_begins_anew(house: House) -> None:
    for _ in range(2):
        assert await attempts(house, PER_EMAIL - 1, password=WRONG) == [SignInError] * (PER_EMAIL - 1)
        assert await house.sign_in()


async def test_a_password_that_is_set_lets_its_owner_in_again(house: House) -> None:
    await attempts(house, PER_EMAIL + 1, password=WRONG)
    assert await attempts(house, 1) == [TooManyAttemptsError]
    await set_password(house.db, house.keyring, house.passwords, OWNER, PASSWORD, now=house.now)
    assert await house.sign_in()
