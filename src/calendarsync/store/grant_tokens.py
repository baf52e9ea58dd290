"""Grants as those see them who need their tokens: read by id, and refreshed under a lease.

A refresh token may be good for one use (RFC 6749 section 6), so of all workers one spends it: the one that holds
the grant's lease. Every set of tokens has a generation; what was made of an older one is not written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.dialects import prefer_indexes
from calendarsync.store.grants import ACTIVE
from calendarsync.store.tables import authorizations, connections, delegations, grants


@dataclass(frozen=True, slots=True)
class GrantRecord:
    id: str
    provider: str
    email: str
    status: str
    generation: int
    leased_until: datetime | None
    credentials_encrypted: bytes
    delegation_id: str | None

    def is_free(self, now: datetime) -> bool:
        """Whether nobody has its lease."""
        return self.leased_until is None or self.leased_until <= now


_GRANT = select(*(grants.c[field.name] for field in fields(GrantRecord))).where(
    grants.c.id == bindparam("grant_id")
)


async def load_grant(db: AsyncConnection, grant_id: str) -> GrantRecord | None:
    row = (await db.execute(_GRANT, {"grant_id": grant_id})).one_or_none()
    return None if row is None else GrantRecord(*row)


async def load_delegation(db: AsyncConnection, delegation_id: str) -> bytes | None:
    """What an organisation gave, encrypted."""
    query = select(delegations.c.credentials_encrypted).where(delegations.c.id == delegation_id)
    sealed: bytes | None = (await db.execute(query)).scalar_one_or_none()
    return sealed


async def lease(db: AsyncConnection, grant_id: str, generation: int, now: datetime, until: datetime) -> bool:
    """Whether the caller may spend the refresh token of that generation, `until` then."""
    free = or_(grants.c.leased_until.is_(None), grants.c.leased_until <= now)
    return await _change(db, and_(_at(grant_id, generation), free), leased_until=until)


async def give_back(db: AsyncConnection, grant_id: str, generation: int, until: datetime) -> None:
    """End a lease that led to nothing; one that another has taken meanwhile stays."""
    await _change(db, and_(_at(grant_id, generation), grants.c.leased_until == until), leased_until=None)


async def write_tokens(
    db: AsyncConnection, grant_id: str, generation: int, credentials_encrypted: bytes
) -> bool:
    """Put the next generation in the place of the one that was spent. False where it had moved on already."""
    return await _change(
        db,
        _at(grant_id, generation),
        credentials_encrypted=credentials_encrypted,
        status=ACTIVE,
        generation=generation + 1,
        leased_until=None,
    )


async def note_death(db: AsyncConnection, grant_id: str, generation: int, status: str) -> bool:
    """Nothing more is asked with this generation; `status` is why. False where there is a later one."""
    return await _change(db, _at(grant_id, generation), status=status, leased_until=None)


async def is_granted(db: AsyncConnection, provider: str, subject_hash: str, email: str) -> bool:
    """Whether anybody, in any account, holds a grant of that person; its hash may be of another secret."""
    same = or_(grants.c.subject_hash == subject_hash, grants.c.email == email)
    query = select(grants.c.id).where(grants.c.provider == provider, same)
    return (await db.execute(query.limit(1))).first() is not None


def _unused(before: datetime) -> ColumnElement[bool]:
    connected = exists().where(connections.c.grant_id == grants.c.id)
    asked = exists().where(authorizations.c.grant_id == grants.c.id)
    return and_(grants.c.created_at < before, ~connected, ~asked)


async def unused_after(
    db: AsyncConnection, before: datetime, after: str, limit: int
) -> tuple[Sequence[str], str | None]:
    """Of the `limit` grants whose ids come next, those from before that which nothing came of.

    And the last one's id, None where there are no more. Nearly all are in use: they are gone through by their ids.
    """
    await prefer_indexes(db)
    following = select(grants.c.id).where(grants.c.id > after).order_by(grants.c.id).limit(limit)
    ids = (await db.execute(following)).scalars().all()
    if not ids:
        return (), None
    these = grants.c.id.in_(ids)
    unused = (await db.execute(select(grants.c.id).where(these, _unused(before)))).scalars().all()
    return unused, ids[-1] if len(ids) == limit else None


async def prune(db: AsyncConnection, grant_ids: Sequence[str], before: datetime) -> int:
    """Delete those of the grants, from before that, which nothing came of; how many there were."""
    await prefer_indexes(db)
    unused = and_(grants.c.id.in_(grant_ids), _unused(before))
    found = select(grants.c.id).where(unused).with_for_update(skip_locked=True)
    ids = (await db.execute(found)).scalars().all()
    if not ids:
        return 0
    # Looked at once more now that nobody can connect with them unseen.
    gone = await db.execute(delete(grants).where(grants.c.id.in_(ids), unused).returning(grants.c.id))
    return len(gone.all())


def _at(grant_id: str, generation: int) -> ColumnElement[bool]:
    return and_(grants.c.id == grant_id, grants.c.generation == generation)


async def _change(db: AsyncConnection, condition: ColumnElement[bool], **values: Any) -> bool:
    change = update(grants).where(condition).values(**values).returning(grants.c.id)
    return (await db.execute(change)).first() is not None
