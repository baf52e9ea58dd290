"""Users, the accounts that they are members of, and the sessions that they are signed in with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.dialects import upsert
from calendarsync.store.tables import accounts, members, sessions, users
from calendarsync.store.tenancy import ACCOUNT, of_account


async def ensure_user(connection: AsyncConnection, user_id: str, email: str, created_at: datetime) -> str:
    """The id of the user with this address: `user_id`, unless there was one already."""
    new = upsert(connection, users).values(id=user_id, email=email, created_at=created_at)
    await connection.execute(new.on_conflict_do_nothing(index_elements=[users.c.email]))
    found: str = (await connection.execute(select(users.c.id).where(users.c.email == email))).scalar_one()
    return found


async def find_user(connection: AsyncConnection, email: str) -> RowMapping | None:
    return (await connection.execute(select(users).where(users.c.email == email))).mappings().one_or_none()


async def set_password_hash(connection: AsyncConnection, user_id: str, password_hash: str) -> None:
    """Whoever is signed in as this user no longer is."""
    await connection.execute(update(users).where(users.c.id == user_id).values(password_hash=password_hash))
    await connection.execute(delete(sessions).where(sessions.c.user_id == user_id))


async def set_first_password_hash(connection: AsyncConnection, user_id: str, password_hash: str) -> bool:
    """Whether the user had none; one that is there stays."""
    change = update(users).where(users.c.id == user_id, users.c.password_hash.is_(None))
    return (await connection.execute(change.values(password_hash=password_hash))).rowcount == 1


async def renew_password_hash(connection: AsyncConnection, user_id: str, *, known: str, renewed: str) -> bool:
    """Whether the user's hash is still the `known` one; it is `renewed` then, and stays so in this transaction."""
    change = update(users).where(users.c.id == user_id, users.c.password_hash == known)
    return (await connection.execute(change.values(password_hash=renewed))).rowcount == 1


async def insert_session(
    connection: AsyncConnection,
    token_hash: str,
    user_id: str,
    *,
    created_at: datetime,
    expires_at: datetime,
) -> None:
    """What has expired by then goes, unless somebody else is ending it at this moment."""
    expired = select(sessions.c.token_hash).where(sessions.c.expires_at <= created_at)
    ended = sessions.c.token_hash.in_(expired.with_for_update(skip_locked=True))
    await connection.execute(delete(sessions).where(ended))
    await connection.execute(
        insert(sessions).values(
            token_hash=token_hash, user_id=user_id, created_at=created_at, expires_at=expires_at
        )
    )


async def find_session(
    connection: AsyncConnection, hashes: Sequence[str], now: datetime
) -> RowMapping | None:
    """The user (`user_id`, `email`) whose session is stored under one of `hashes`, and its `expires_at`."""
    query = (
        select(sessions.c.user_id, sessions.c.expires_at, users.c.email)
        .join(users, users.c.id == sessions.c.user_id)
        .where(sessions.c.token_hash.in_(hashes), sessions.c.expires_at > now)
    )
    return (await connection.execute(query)).mappings().first()


async def delete_session(connection: AsyncConnection, hashes: Sequence[str]) -> None:
    await connection.execute(delete(sessions).where(sessions.c.token_hash.in_(hashes)))


async def delete_sessions(connection: AsyncConnection, user_id: str) -> None:
    await connection.execute(delete(sessions).where(sessions.c.user_id == user_id))


async def lock_members(connection: AsyncConnection, account_id: str) -> bool:
    """Nobody else changes who is a member meanwhile. False where there is no such account."""
    lock = select(accounts.c.id).where(accounts.c.id == account_id).with_for_update()
    return (await connection.execute(lock)).first() is not None


async def insert_member(
    connection: AsyncConnection,
    member_id: str,
    *,
    account_id: str,
    user_id: str,
    role: str,
    created_at: datetime,
) -> None:
    """Raises sqlalchemy.exc.IntegrityError where the user is a member already."""
    await connection.execute(
        insert(members).values(
            id=member_id, account_id=account_id, user_id=user_id, role=role, created_at=created_at
        )
    )


async def list_members(connection: AsyncConnection, account_id: str) -> Sequence[RowMapping]:
    """`id`, `user_id`, `email`, `role` and `created_at` of each, who joined first first."""
    query = (
        select(members.c.id, members.c.user_id, users.c.email, members.c.role, members.c.created_at)
        .join(users, users.c.id == members.c.user_id)
        .where(of_account(members))
        .order_by(members.c.created_at, members.c.id)
    )
    return (await connection.execute(query, {ACCOUNT: account_id})).mappings().all()


async def set_role(connection: AsyncConnection, account_id: str, member_id: str, role: str) -> None:
    change = update(members).where(of_account(members), members.c.id == member_id).values(role=role)
    await connection.execute(change, {ACCOUNT: account_id})


async def delete_member(connection: AsyncConnection, account_id: str, member_id: str) -> None:
    change = delete(members).where(of_account(members), members.c.id == member_id)
    await connection.execute(change, {ACCOUNT: account_id})


async def accounts_of(connection: AsyncConnection, user_id: str) -> Sequence[RowMapping]:
    """`account_id`, the account's `email`, and `role`, for each account that the user is a member of."""
    query = (
        select(members.c.account_id, accounts.c.email, members.c.role)
        .join(accounts, accounts.c.id == members.c.account_id)
        .where(members.c.user_id == user_id)
        .order_by(members.c.created_at, members.c.id)
    )
    return (await connection.execute(query)).mappings().all()
