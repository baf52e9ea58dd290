"""Signing in and out: who shows the right password gets a token, of which a keyed hash is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from calendarsync.accounts.passwords import Passwords
from calendarsync.accounts.people import email_subject, fold_email, is_email
from calendarsync.secrets import Keyring
from calendarsync.store import limits
from calendarsync.store import people as store
from calendarsync.store.database import Database
from calendarsync.store.ids import random_base62

LIFETIME = timedelta(days=30)
"""From signing in, however often it is used (NIST SP 800-63B-4 section 2.1.3)."""

WINDOW = timedelta(minutes=15)
PER_EMAIL, PER_CLIENT = 10, 30
"""Attempts in a window; a success ends that of the e-mail address."""

_NOBODY = ""  # an address that nobody has
_TOKEN_LENGTH = 43  # 62 ** 43 > 2 ** 256


class SignInError(Exception):
    """The address or the password is wrong; which of them is not told."""


class TooManyAttemptsError(Exception):
    """Nobody is let in before `ends_at`, with whatever password."""

    def __init__(self, ends_at: datetime) -> None:
        super().__init__(ends_at)
        self.ends_at = ends_at


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who has a session, and until when."""

    user_id: str
    email: str
    expires_at: datetime


async def sign_in(
    database: Database,
    keyring: Keyring,
    passwords: Passwords,
    email: str,
    password: str,
    *,
    client: str,
    now: datetime,
) -> str:
    """The token of a new session. An address that nobody has takes as long to refuse as a wrong password.

    `client` is the network address that the attempt comes from. Raises SignInError, TooManyAttemptsError.
    """
    folded = fold_email(email)
    if not is_email(folded):
        folded = _NOBODY
    await _count(database, keyring, folded, client, now)
    async with database.read() as connection:
        user = await store.find_user(connection, folded)
    known: str | None = user["password_hash"] if user else None
    if not await passwords.verify(known, password) or user is None or known is None:
        raise SignInError
    renewed = await passwords.hash(password) if passwords.is_outdated(known) else known
    token = random_base62(_TOKEN_LENGTH)
    async with database.write() as connection:
        # The password may have been changed since it was looked up.
        if not await store.renew_password_hash(connection, user["id"], known=known, renewed=renewed):
            raise SignInError
        await store.insert_session(
            connection,
            keyring.session_hash(token),
            user["id"],
            created_at=now,
            expires_at=now + LIFETIME,
        )
        await limits.forget(connection, email_subject(keyring, folded))
    return token


async def find_session(database: Database, keyring: Keyring, token: str, *, now: datetime) -> SignedIn | None:
    """Whose session it is; None where it is unknown, was ended or has expired."""
    async with database.read() as connection:
        row = await store.find_session(connection, keyring.session_hashes(token), now)
    return SignedIn(**row) if row else None


async def sign_out(database: Database, keyring: Keyring, token: str) -> None:
    """End the session, if there is one."""
    async with database.write() as connection:
        await store.delete_session(connection, keyring.session_hashes(token))


async def sign_out_everywhere(database: Database, user_id: str) -> None:
    async with database.write() as connection:
        await store.delete_sessions(connection, user_id)


async def _count(database: Database, keyring: Keyring, email: str, client: str, now: datetime) -> None:
    """Before the password is looked at, so that attempts side by side do not pass the limit together."""
    most = {
        email_subject(keyring, email): PER_EMAIL,
        keyring.subject_hash("sign-in client", client): PER_CLIENT,
    }
    async with database.write() as connection:
        windows = {
            subject: await limits.count(connection, subject, 1, limit=limit, now=now, lasts=WINDOW)
            for subject, limit in sorted(most.items())
        }
    ends = [ends_at for subject, (before, ends_at) in windows.items() if before >= most[subject]]
    if ends:
        raise TooManyAttemptsError(max(ends))
