"""Claims that one process made for another (store/homes.py): how that one takes them, and how it takes no more."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.claiming import CLAIMS_LOCK
from calendarsync.store.claims import Claim, give_back
from calendarsync.store.dialects import one_at_a_time
from calendarsync.store.tables import pairs

_worker = pairs.c.worker == bindparam("me")
_GIVEN = (
    select(pairs.c.id)
    .where(pairs.c.leased_until > bindparam("now", type_=pairs.c.leased_until.type), _worker, pairs.c.given)
    .order_by(pairs.c.id)
    .with_for_update()
)
_TAKE = (
    update(pairs)
    .where(pairs.c.id.in_(bindparam("pair_ids", expanding=True)))
    .values(given=False, leased_until=bindparam("until", type_=pairs.c.leased_until.type))
    .returning(pairs.c.id, pairs.c.generation, pairs.c.due_at)
)
_MINE = (
    select(pairs.c.id, pairs.c.generation)
    .where(pairs.c.leased_until.is_not(None), _worker)
    .order_by(pairs.c.id)
    .with_for_update()
)
_NOBODYS = update(pairs).where(pairs.c.id.in_(bindparam("pair_ids", expanding=True))).values(worker=None)


async def take_given(
    db: AsyncConnection, me: str, now: datetime, until: datetime, *, ahead: timedelta
) -> list[Claim]:
    """The claims that others made for this process, each once; from now on they count as those of its own.

    `ahead`: what the schedule claims may be due so much later.
    """
    found = (await db.execute(_GIVEN, {"me": me, "now": now})).scalars().all()
    if not found:
        return []
    rows = await db.execute(_TAKE, {"pair_ids": found, "until": until})
    return [
        Claim(row.id, row.generation, row.due_at, row.due_at is not None and row.due_at <= now + ahead)
        for row in rows
    ]


async def retire(db: AsyncConnection, me: str, at_work: Collection[Claim]) -> None:
    """Be given nothing more: what is not at work here is free again, and the rest is nobody's until it ends.

    Claims are not made meanwhile: one that was made before is seen here, and one that is made later sees this.
    """
    await one_at_a_time(db, CLAIMS_LOCK)
    held = {(claim.pair_id, claim.generation) for claim in at_work}
    rows = (await db.execute(_MINE, {"me": me})).all()
    running = [row.id for row in rows if (row.id, row.generation) in held]
    if running:
        await db.execute(_NOBODYS, {"pair_ids": running})
    rest = [Claim(row.id, row.generation, None, due=False) for row in rows if row.id not in running]
    if rest:
        await give_back(db, rest)
