"""Answers to requests with an Idempotency-Key, kept for when they are sent again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, and_, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.dialects import upsert
from calendarsync.store.tables import idempotency
from calendarsync.store.tenancy import Tenant, owned


async def take(
    db: AsyncConnection, tenant: Tenant, values: Mapping[str, Any], *, now: datetime
) -> RowMapping | None:
    """None where the request is to be answered now; else what there is of an earlier one with its `key_hash`.

    `values` are those of the row, whose `expires_at` says for how long nobody else may answer.
    """
    row = {**values, **tenant.values(), "status": None, "answer_encrypted": None}
    new = upsert(db, idempotency).values(row)
    mine = new.on_conflict_do_update(
        index_elements=[idempotency.c.key_hash], set_=row, where=idempotency.c.expires_at <= now
    ).returning(idempotency.c.key_hash)
    earlier = select(idempotency).where(owned(idempotency), idempotency.c.key_hash == values["key_hash"])
    while (await db.execute(mine)).first() is None:
        found = (await db.execute(earlier, tenant.parameters())).mappings().one_or_none()
        if found is not None:  # else it went between the two
            return found
    return None


def _answering(key_hash: str, request_id: str) -> ColumnElement[bool]:
    """The row as long as this request may answer: nobody took it over."""
    return and_(
        owned(idempotency),
        idempotency.c.key_hash == key_hash,
        idempotency.c.request_id == request_id,
        idempotency.c.status.is_(None),
    )


async def change(
    db: AsyncConnection, tenant: Tenant, key_hash: str, request_id: str, values: Mapping[str, Any]
) -> bool:
    """Whether the request was still the one to answer: a longer time for it, or the answer, is written then."""
    written = update(idempotency).where(_answering(key_hash, request_id)).values(**values)
    return (await db.execute(written, tenant.parameters())).rowcount == 1


async def release(db: AsyncConnection, tenant: Tenant, key_hash: str, request_id: str) -> None:
    """There is no answer to keep: the next request with this key is answered anew."""
    await db.execute(delete(idempotency).where(_answering(key_hash, request_id)), tenant.parameters())
