"""People: users with a password, and their roles in accounts, each of which always has an owner."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.passwords import Passwords
from calendarsync.accounts.unicode import compose
from calendarsync.secrets import Keyring
from calendarsync.store import accounts as account_store
from calendarsync.store import limits
from calendarsync.store import people as store
from calendarsync.store.database import Database
from calendarsync.store.ids import new_id

# Nothing that a database does not take.
_PART = r"[^@\s\x00-\x1f\x7f\ud800-\udfff]+"
_EMAIL = re.compile(f"{_PART}@{_PART}")
_MAX_EMAIL = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets


class Role(StrEnum):
    """`owner` may do everything, `admin` all but to end the account or change its owners, `member` look."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"


def fold_email(email: str) -> str:
    """One address in whatever case and composition it is typed."""
    return compose(email, _MAX_EMAIL).casefold()


def is_email(folded: str) -> bool:
    """Whether it has the form of an address; whether mail arrives there is another matter."""
    return bool(_EMAIL.fullmatch(folded)) and len(folded) <= _MAX_EMAIL


def email_subject(keyring: Keyring, folded: str) -> str:
    """Under which name attempts to sign in with an e-mail address are counted."""
    return keyring.subject_hash("sign-in e-mail", folded)


def parse_email(text: str) -> str:
    """The address, folded. Raises ValueError, in words for the person who typed it."""
    folded = fold_email(text)
    if not is_email(folded):
        raise ValueError("an e-mail address such as someone@example.com is needed")
    return folded


async def add_member(database: Database, account_id: str, email: str, role: Role, *, now: datetime) -> str:
    """The new member's id; the user is made where there is none, without a password.

    Raises ValueError: no address, or a member already; LookupError: no such account.
    """
    folded = parse_email(email)
    try:
        async with database.write() as connection:
            await _lock(connection, account_id)
            return await join(connection, account_id, folded, role, now=now)
    except IntegrityError:
        raise ValueError("this person is a member already") from None


async def join(connection: AsyncConnection, account_id: str, email: str, role: Role, *, now: datetime) -> str:
    """The new member's id, inside the caller's transaction. Raises IntegrityError: a member already."""
    member_id, user_id = new_id("mem"), await store.ensure_user(connection, new_id("user"), email, now)
    await store.insert_member(
        connection, member_id, account_id=account_id, user_id=user_id, role=role, created_at=now
    )
    return member_id


async def list_members(database: Database, account_id: str) -> Sequence[RowMapping]:
    """As store.people.list_members."""
    async with database.read() as connection:
        return await store.list_members(connection, account_id)


async def accounts_of(database: Database, user_id: str) -> Sequence[RowMapping]:
    """As store.people.accounts_of."""
    async with database.read() as connection:
        return await store.accounts_of(connection, user_id)


async def change_role(database: Database, account_id: str, member_id: str, role: Role) -> None:
    """Raises ValueError where no owner would be left; LookupError: no such account or member."""
    async with database.write() as connection:
        await _lock(connection, account_id)
        await _check(connection, account_id, member_id, left_as=role)
        await store.set_role(connection, account_id, member_id, role)


async def remove_member(database: Database, account_id: str, member_id: str) -> None:
    """The user stays, with other accounts. Raises as `change_role` does."""
    async with database.write() as connection:
        await _lock(connection, account_id)
        await _check(connection, account_id, member_id, left_as=None)
        await store.delete_member(connection, account_id, member_id)


async def set_password(
    database: Database, keyring: Keyring, passwords: Passwords, email: str, password: str, *, now: datetime
) -> None:
    """And sign the user out everywhere. Attempts to sign in before do not keep them out.

    Raises ValueError: a password that may not be one; LookupError: nobody has this address.
    """
    folded = fold_email(email)
    password_hash = await passwords.hash_new(password, email=folded)
    async with database.write() as connection:
        user = await store.find_user(connection, folded)
        user_id = user["id"] if user else await _adopt(connection, folded, now)
        await store.set_password_hash(connection, user_id, password_hash)
        await limits.forget(connection, email_subject(keyring, folded))


async def _adopt(connection: AsyncConnection, email: str, now: datetime) -> str:
    """The id of a new user, who owns the account of this address: accounts may be older than users."""
    account = await account_store.find_account(connection, email)
    if account is None:
        raise LookupError(email)
    await _lock(connection, account["id"])
    await join(connection, account["id"], email, Role.OWNER, now=now)
    return await store.ensure_user(connection, new_id("user"), email, now)


async def _lock(connection: AsyncConnection, account_id: str) -> None:
    if not await store.lock_members(connection, account_id):
        raise LookupError(account_id)


async def _check(
    connection: AsyncConnection, account_id: str, member_id: str, *, left_as: Role | None
) -> None:
    roles = {row["id"]: row["role"] for row in await store.list_members(connection, account_id)}
    if member_id not in roles:
        raise LookupError(member_id)
    if left_as is None:
        del roles[member_id]
    else:
        roles[member_id] = left_as
    if Role.OWNER not in roles.values():
        raise ValueError("an account needs an owner; make somebody else one first")
