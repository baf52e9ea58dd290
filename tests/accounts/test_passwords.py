"""Passwords: what may be one, and how they are kept."""

from __future__ import annotations

import asyncio
import unicodedata
from typing import Any

import pytest
from argon2 import Parameters, extract_parameters
from argon2.exceptions import InvalidHashError
from argon2.profiles import CHEAPEST
from hypothesis import given, settings
from hypothesis import strategies as st

from calendarsync.accounts.passwords import MAX_LENGTH, MIN_LENGTH, Passwords, check_password
from calendarsync.accounts.people import fold_email, is_email

EMAIL = "someone@example.com"
GOOD = "correct horse battery"


def changed(**values: int) -> Parameters:
    """The cheapest parameters but for these."""
    kept = {name: getattr(CHEAPEST, name) for name in Parameters.__slots__}
    return Parameters(**(kept | values))


def test_the_parameters_are_those_that_the_rfc_recommends() -> None:
    hashed = asyncio.run(Passwords().hash(GOOD))
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    kept = extract_parameters(hashed)
    assert (kept.salt_len, kept.hash_len) == (16, 32)
    assert len(hashed) <= 200  # users.password_hash


@settings(max_examples=200)
@given(password=st.text(max_size=40), other=st.text(max_size=40))
async def test_only_the_password_fits(password: str, other: str) -> None:
    passwords = Passwords(CHEAPEST)
    hashed = await passwords.hash(password)
    assert await passwords.verify(hashed, password)
    same = unicodedata.normalize("NFC", password) == unicodedata.normalize("NFC", other)
    assert await passwords.verify(hashed, other) == same
    assert not await passwords.verify(None, password)


async def test_each_hash_has_its_own_salt() -> None:
    passwords = Passwords(CHEAPEST)
    assert await passwords.hash(GOOD) != await passwords.hash(GOOD)


async def test_how_a_keyboard_composes_a_character_does_not_matter() -> None:
    passwords = Passwords(CHEAPEST)
    assert await passwords.verify(
        await passwords.hash("Grüße aus Köln"), unicodedata.normalize("NFD", "Grüße aus Köln")
    )
    assert not await passwords.verify(await passwords.hash("Grüße aus Köln"), "Grüsse aus Köln")


async def test_a_hash_that_is_none_is_an_error() -> None:
    with pytest.raises(InvalidHashError):
        await Passwords(CHEAPEST).verify("damaged", GOOD)


@pytest.mark.parametrize(
    "parameters",
    [changed(time_cost=2), changed(memory_cost=16), changed(hash_len=8), changed(salt_len=16)],
    ids=str,
)
async def test_other_parameters_are_noticed(parameters: Parameters) -> None:
    hashed = await Passwords(parameters).hash(GOOD)
    assert not Passwords(parameters).is_outdated(hashed)
    assert Passwords(CHEAPEST).is_outdated(hashed)
    assert await Passwords(CHEAPEST).verify(hashed, GOOD)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "x" * (MIN_LENGTH - 1) + "ß",
        "🐎🔋📎✨" * 4,
        "          pass   ",
        "1234567890" * (MAX_LENGTH // 10),
        "someone@example.com!",
    ],
)
def test_what_may_be_a_password(password: str) -> None:
    check_password(password, email=EMAIL)


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("", "at least 15"),
        ("short-one", "at least 15"),
        ("e\u0301" * 4 + "ten letter", "at least 15"),  # 14 characters, once they are composed
        ("1234567890" * (MAX_LENGTH // 10) + "x", "at most 1,000"),
        (EMAIL, "e-mail address"),
        ("Someone@Example.COM", "e-mail address"),
    ],
)
async def test_what_may_not_be_a_password(password: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        await Passwords(CHEAPEST).hash_new(password, email=EMAIL)
    assert not password or password not in str(caught.value)


def test_nor_what_stands_before_the_at_sign() -> None:
    with pytest.raises(ValueError, match="e-mail address"):
        check_password("a.very.long.name", email="a.very.long.name@example.com")


async def test_a_password_without_end_is_cut_before_its_marks_are_sorted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lengths = []
    normalize = unicodedata.normalize

    def noting(form: Any, text: str) -> str:
        lengths.append(len(text))
        return normalize(form, text)

    passwords = Passwords(CHEAPEST)
    longest = "\N{GREEK SMALL LETTER OMEGA WITH DASIA AND VARIA AND YPOGEGRAMMENI}" * MAX_LENGTH
    hashed = await passwords.hash_new(normalize("NFD", longest), email=EMAIL)
    monkeypatch.setattr(unicodedata, "normalize", noting)
    endless = longest + "\u0315\u0323" * 500_000
    with pytest.raises(ValueError, match="at most"):
        check_password(endless, email=EMAIL)
    assert not await passwords.verify(hashed, endless)
    assert await passwords.verify(hashed, longest)
    assert not is_email(fold_email(endless + EMAIL))
    assert max(lengths) <= 4 * MAX_LENGTH + 1
