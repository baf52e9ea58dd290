"""API keys: by their hash, which tells whose they are, and then as their account's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import RowMapping, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.tables import api_keys
from calendarsync.store.tenancy import ACCOUNT, Tenant, of_account, owned

# Built once: every request asks it, and SQLAlchemy takes longer to build it than SQLite to answer.
_BY_HASH = select(api_keys).where(api_keys.c.key_hash.in_(bindparam("hashes", expanding=True)))


async def insert_key(
    connection: AsyncConnection,
    tenant: Tenant,
    key_id: str,
    *,
    key_hash: str,
    display: str,
    scopes: Sequence[str],
    created_at: datetime,
) -> None:
    await connection.execute(
        insert(api_keys).values(
            id=key_id,
            key_hash=key_hash,
            display=display,
            scopes=list(scopes),
            created_at=created_at,
            **tenant.values(),
        )
    )


async def find_key(connection: AsyncConnection, hashes: Sequence[str]) -> RowMapping | None:
    """The key stored under one of `hashes`: one for each secret of the installation."""
    return (await connection.execute(_BY_HASH, {"hashes": list(hashes)})).mappings().first()


async def set_last_used(connection: AsyncConnection, tenant: Tenant, key_id: str, at: datetime) -> None:
    change = update(api_keys).where(owned(api_keys), api_keys.c.id == key_id).values(last_used_at=at)
    await connection.execute(change, tenant.parameters())


async def list_keys(connection: AsyncConnection, account_id: str) -> Sequence[RowMapping]:
    """An account's keys in both modes, the oldest first; not even their hashes."""
    shown = [column for column in api_keys.c if column.name not in {"key_hash", "account_id"}]
    query = select(*shown).where(of_account(api_keys)).order_by(api_keys.c.created_at, api_keys.c.id)
    return (await connection.execute(query, {ACCOUNT: account_id})).mappings().all()
