"""Passwords: what may be one, and argon2id, which makes guessing dear for whoever has the database."""

from __future__ import annotations

import asyncio
import base64
import secrets

from argon2 import Parameters, PasswordHasher
from argon2.exceptions import VerifyMismatchError
from argon2.profiles import RFC_9106_LOW_MEMORY

from calendarsync.accounts.unicode import compose

MIN_LENGTH, MAX_LENGTH = 15, 1_000
"""Code points. There are no rules of composition (NIST SP 800-63B-4 section 3.1.1.2)."""

_AT_ONCE = 2


def check_password(password: str, *, email: str) -> None:
    """Raises ValueError, in words for the person who chose it; they never repeat it."""
    normalised = _normalised(password)
    if len(normalised) < MIN_LENGTH:
        raise ValueError(f"a password needs at least {MIN_LENGTH} characters")
    if len(normalised) > MAX_LENGTH:
        raise ValueError(f"a password has at most {MAX_LENGTH:,} characters")
    if normalised.casefold() in {email.casefold(), email.casefold().partition("@")[0]}:
        raise ValueError("a password must not be the e-mail address")


class Passwords:
    """Hashes and verifies in threads, a few at a time, for each takes as much memory as `parameters` say.

    RFC 9106 section 4, second choice: 64 MiB, three passes, four lanes. What is stored names its parameters.
    """

    def __init__(self, parameters: Parameters = RFC_9106_LOW_MEMORY) -> None:
        self._hasher = PasswordHasher.from_parameters(parameters)
        self._nobodys = _hash_of_nothing(parameters)
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def hash_new(self, password: str, *, email: str) -> str:
        """Raises ValueError where `check_password` does."""
        check_password(password, email=email)
        return await self.hash(password)

    async def hash(self, password: str) -> str:
        async with self._turns:
            return await asyncio.to_thread(self._hasher.hash, _bytes(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether it is the password that `stored` was made of. None takes as long as a wrong one."""
        async with self._turns:
            return await asyncio.to_thread(self._matches, stored or self._nobodys, password)

    def is_outdated(self, stored: str) -> bool:
        """Whether it was made with other parameters than new ones are."""
        return self._hasher.check_needs_rehash(stored)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, _bytes(password))
        except VerifyMismatchError:
            return False


def _normalised(password: str) -> str:
    """One password however a keyboard composes its characters (RFC 8265 section 4.2.2)."""
    return compose(password, MAX_LENGTH)


def _bytes(password: str) -> bytes:
    return _normalised(password).encode("utf-8", "surrogatepass")


def _hash_of_nothing(parameters: Parameters) -> str:
    """In the form of a hash, and as dear to verify; no password is known that would fit it."""
    costs = f"m={parameters.memory_cost},t={parameters.time_cost},p={parameters.parallelism}"
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=")
        for size in (parameters.salt_len, parameters.hash_len)
    )
    return f"$argon2id$v={parameters.version}${costs}${salt}${digest}"
