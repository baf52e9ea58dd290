"""Accounts, and the record of which secret this installation was made with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.dialects import one_at_a_time, upsert
from calendarsync.store.tables import accounts, installation

_ONLY_ROW = 1
_FIRST_ACCOUNT = 0x6669727374  # "first"


async def is_claimed(connection: AsyncConnection) -> bool:
    """Whether the database was made with a secret already, so that a new one would be of no use."""
    return (await connection.execute(select(installation.c.id))).first() is not None


async def claim_installation(connection: AsyncConnection, checks: Sequence[str]) -> bool:
    """Whether the database was made with one of the secrets that `checks` stand for, the current one first.

    A database without a record takes the current one, and so does one that knows an older one.
    """
    first = upsert(connection, installation).values(id=_ONLY_ROW, secret_check=checks[0])
    await connection.execute(first.on_conflict_do_nothing())
    known = (await connection.execute(select(installation.c.secret_check))).scalar_one()
    if known not in checks:
        return False
    if known != checks[0]:
        await connection.execute(update(installation).values(secret_check=checks[0]))
    return True


async def insert_account(
    connection: AsyncConnection,
    account_id: str,
    *,
    email: str,
    plan: str,
    trial_ends_at: datetime | None,
    created_at: datetime,
) -> None:
    """Raises sqlalchemy.exc.IntegrityError where the address is taken."""
    values: dict[str, Any] = {
        "id": account_id,
        "email": email,
        "plan": plan,
        "trial_ends_at": trial_ends_at,
        "created_at": created_at,
    }
    await connection.execute(insert(accounts).values(values))


async def may_make_first(connection: AsyncConnection) -> bool:
    """Whether there is no account yet. Until this transaction ends nobody else is told."""
    await one_at_a_time(connection, _FIRST_ACCOUNT)
    return not await has_accounts(connection)


async def has_accounts(connection: AsyncConnection) -> bool:
    return (await connection.execute(select(accounts.c.id).limit(1))).first() is not None


async def set_plan(connection: AsyncConnection, account_id: str, plan: str) -> None:
    """And end the trial."""
    change = update(accounts).where(accounts.c.id == account_id)
    await connection.execute(change.values(plan=plan, trial_ends_at=None))


async def set_return_urls(connection: AsyncConnection, account_id: str, return_urls: Sequence[str]) -> None:
    """Where people may be sent back to after they granted access to their calendars."""
    change = update(accounts).where(accounts.c.id == account_id)
    await connection.execute(change.values(return_urls=list(return_urls)))


async def find_account(connection: AsyncConnection, email_or_id: str) -> RowMapping | None:
    query = select(accounts).where(or_(accounts.c.id == email_or_id, accounts.c.email == email_or_id))
    return (await connection.execute(query)).mappings().one_or_none()


async def list_accounts(connection: AsyncConnection) -> Sequence[RowMapping]:
    """All accounts, the oldest first."""
    query = select(accounts).order_by(accounts.c.created_at, accounts.c.id)
    return (await connection.execute(query)).mappings().all()
