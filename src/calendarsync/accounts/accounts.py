"""Accounts: making them, finding them, and their plan."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.passwords import Passwords
from calendarsync.accounts.people import Role, fold_email, join, parse_email
from calendarsync.accounts.plans import FREE, PLANS, TRIAL
from calendarsync.store import accounts as store
from calendarsync.store import people
from calendarsync.store.database import Database
from calendarsync.store.ids import new_id


async def create_account(
    database: Database,
    email: str,
    *,
    now: datetime,
    plan: str | None = None,
    password_hash: str | None = None,
) -> str:
    """The new account's id. With a `plan` it has that at once; without one, a trial, and then the free plan.

    Its owner is the user with this address, whose password `password_hash` becomes.

    Raises ValueError, in words for the person who asks: no address, one that is taken, no such plan, a password
    for somebody who has one: making an account is no way into those that they are a member of.
    """
    folded = parse_email(email)
    _check_plan(plan)
    try:
        async with database.write() as connection:
            return await _insert(connection, folded, now=now, plan=plan, password_hash=password_hash)
    except IntegrityError:
        raise ValueError("there is an account with this e-mail address already") from None


async def ensure_first_account(
    database: Database, passwords: Passwords, email: str, password: str | None, *, now: datetime
) -> str | None:
    """The id of the account that was made, where there was none at all; None where there was.

    Of processes that start together one makes it. Raises ValueError as `create_account` and `check_password` do.
    """
    if await has_accounts(database):
        return None
    folded = parse_email(email)
    password_hash = None if password is None else await passwords.hash_new(password, email=folded)
    async with database.write() as connection:
        if not await store.may_make_first(connection):
            return None
        return await _insert(connection, folded, now=now, plan=None, password_hash=password_hash)


async def has_accounts(database: Database) -> bool:
    async with database.read() as connection:
        return await store.has_accounts(connection)


async def set_plan(database: Database, account_id: str, plan: str) -> None:
    """It holds at once: a trial ends. Raises ValueError: no such plan."""
    _check_plan(plan)
    async with database.write() as connection:
        await store.set_plan(connection, account_id, plan)


async def find_account_id(database: Database, email_or_id: str) -> str | None:
    """The id of the account with this id or e-mail address, in whatever case; None where there is none."""
    wanted = email_or_id if email_or_id.startswith("acct_") else fold_email(email_or_id)
    async with database.read() as connection:
        row = await store.find_account(connection, wanted)
    return row["id"] if row else None


async def _insert(
    connection: AsyncConnection, email: str, *, now: datetime, plan: str | None, password_hash: str | None
) -> str:
    account_id = new_id("acct")
    await store.insert_account(
        connection,
        account_id,
        email=email,
        plan=plan or FREE.name,
        trial_ends_at=None if plan else now + TRIAL,
        created_at=now,
    )
    await join(connection, account_id, email, Role.OWNER, now=now)
    if password_hash is not None:
        user_id = await people.ensure_user(connection, new_id("user"), email, now)
        if not await people.set_first_password_hash(connection, user_id, password_hash):
            raise ValueError("the person with this e-mail address has a password already")
    return account_id


def _check_plan(plan: str | None) -> None:
    if plan is not None and plan not in PLANS:
        raise ValueError(f"there is no plan of that name; there are {' and '.join(PLANS)}")
