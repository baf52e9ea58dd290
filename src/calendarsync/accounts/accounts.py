"""Accounts: making and finding them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from sqlalchemy.exc import IntegrityError

from calendarsync.store import accounts as store
from calendarsync.store.database import Database
from calendarsync.store.ids import new_id

PLANS = ("free", "pro")
TRIAL = timedelta(days=14)

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_MAX_EMAIL = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets


async def create_account(database: Database, email: str, *, now: datetime, plan: str | None = None) -> str:
    """The new account's id. With a `plan` it has that at once; without one, a trial of pro.

    Raises ValueError, in words for the person who asks: no address, one that is taken, no such plan.
    """
    if not _EMAIL.fullmatch(email) or len(email) > _MAX_EMAIL:
        raise ValueError("an e-mail address such as someone@example.com is needed")
    if plan is not None and plan not in PLANS:
        raise ValueError(f"there is no plan of that name; there are {' and '.join(PLANS)}")
    account_id = new_id("acct")
    try:
        async with database.write() as connection:
            await store.insert_account(
                connection,
                account_id,
                email=email.lower(),
                plan=plan or "free",
                trial_ends_at=None if plan else now + TRIAL,
                created_at=now,
            )
    except IntegrityError:
        raise ValueError("there is an account with this e-mail address already") from None
    return account_id


async def find_account_id(database: Database, email_or_id: str) -> str | None:
    """The id of the account with this id or e-mail address, in whatever case; None where there is none."""
    wanted = email_or_id if email_or_id.startswith("acct_") else email_or_id.lower()
    async with database.read() as connection:
        row = await store.find_account(connection, wanted)
    return row["id"] if row else None
