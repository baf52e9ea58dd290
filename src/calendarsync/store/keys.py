"""API keys: by their hash, which tells whose they are, and then as their account's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, bindparam, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.paging import Page, Slice, read_page
from calendarsync.store.tables import accounts, api_keys
from calendarsync.store.tenancy import ACCOUNT, Tenant, of_account, owned

# Built once: every request asks it, and SQLAlchemy takes longer to build it than SQLite to answer.
_BY_HASH = (
    select(api_keys, accounts.c.plan, accounts.c.trial_ends_at, accounts.c.test_clock_seconds)
    .join_from(api_keys, accounts, accounts.c.id == api_keys.c.account_id)
    .where(api_keys.c.key_hash.in_(bindparam("hashes", expanding=True)))
)

_SHOWN = [column for column in api_keys.c if column.name not in {"key_hash", "account_id"}]


async def insert_key(connection: AsyncConnection, tenant: Tenant, values: Mapping[str, Any]) -> None:
    await connection.execute(insert(api_keys).values(**values, **tenant.values()))


async def find_keys(connection: AsyncConnection, hashes: Sequence[str]) -> Sequence[RowMapping]:
    """The keys stored under any of `hashes`, each with its account's plan and test clock."""
    return (await connection.execute(_BY_HASH, {"hashes": list(hashes)})).mappings().all()


async def note_use(
    connection: AsyncConnection, tenant: Tenant, key_id: str, at: datetime, *, since: datetime
) -> None:
    """That a key was used; nothing where a use after `since` is noted already."""
    used = api_keys.c.last_used_at
    change = update(api_keys).where(
        owned(api_keys), api_keys.c.id == key_id, or_(used.is_(None), used <= since)
    )
    await connection.execute(change.values(last_used_at=at), tenant.parameters())


async def list_keys(connection: AsyncConnection, account_id: str) -> Sequence[RowMapping]:
    """An account's keys in both modes, the oldest first; not even their hashes."""
    query = select(*_SHOWN).where(of_account(api_keys)).order_by(api_keys.c.created_at, api_keys.c.id)
    return (await connection.execute(query, {ACCOUNT: account_id})).mappings().all()


async def page_of_keys(connection: AsyncConnection, tenant: Tenant, page: Page) -> Slice:
    """The keys of one mode. Raises NoSuchItem."""
    mine, order = owned(api_keys), (api_keys.c.created_at, api_keys.c.id)
    query = select(*_SHOWN).where(mine)
    return await read_page(connection, query, order, mine, page, parameters=tenant.parameters())


async def get_key(connection: AsyncConnection, tenant: Tenant, key_id: str) -> RowMapping | None:
    query = select(*_SHOWN).where(owned(api_keys), api_keys.c.id == key_id)
    return (await connection.execute(query, tenant.parameters())).mappings().one_or_none()


async def lock_key(connection: AsyncConnection, tenant: Tenant, key_id: str) -> RowMapping | None:
    """Nobody else changes it meanwhile."""
    query = select(*_SHOWN).where(owned(api_keys), api_keys.c.id == key_id).with_for_update()
    return (await connection.execute(query, tenant.parameters())).mappings().one_or_none()


async def update_key(
    connection: AsyncConnection, tenant: Tenant, key_id: str, values: Mapping[str, Any]
) -> None:
    change = update(api_keys).where(owned(api_keys), api_keys.c.id == key_id).values(**values)
    await connection.execute(change, tenant.parameters())


async def tenant_of_key(connection: AsyncConnection, key_id: str) -> Tenant | None:
    query = select(api_keys.c.account_id, api_keys.c.mode).where(api_keys.c.id == key_id)
    row = (await connection.execute(query)).one_or_none()
    return Tenant(row.account_id, row.mode) if row else None
