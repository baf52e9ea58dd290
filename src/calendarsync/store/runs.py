"""Writing down runs: the log that the API lists, with its operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.dialects import prefer_indexes
from calendarsync.store.run_tables import operations, runs, wrote
from calendarsync.store.tenancy import Tenant, owned


async def save_run(db: AsyncConnection, run: Mapping[str, Any], done: Sequence[Mapping[str, Any]]) -> None:
    """`run`: the columns of `runs`; `done`: those of `operations` but for run and position."""
    await db.execute(insert(runs), run)
    if done:
        rows = [{"run_id": run["id"], "position": position, **row} for position, row in enumerate(done)]
        await db.execute(insert(operations), rows)


def is_brief(synced_at: datetime | None, now: datetime) -> bool:
    """Whether a log need not be kept for longer than a day, being of a run that changed nothing.

    `synced_at`: when its pair was last synced before. The first log of each hour is kept.
    """
    return synced_at is not None and _hour(synced_at) == _hour(now)


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


# The whole condition of the index: so it is used whatever stands in the table's statistics.
_LAST_THAT_WROTE = (
    select(runs.c.id, runs.c.sync_id)
    .where(owned(runs), runs.c.pair_id == bindparam("of_pair"), wrote)
    .order_by(runs.c.created_at.desc(), runs.c.id.desc())
    .limit(1)
)
_OF_RUN = select(operations).where(operations.c.run_id == bindparam("of_run")).order_by(operations.c.position)


async def last_that_wrote(db: AsyncConnection, tenant: Tenant, pair_id: str) -> Any | None:
    """`id` and `sync_id` of the newest run that wrote, and is no undoing; None where none is kept."""
    await prefer_indexes(db)
    return (await db.execute(_LAST_THAT_WROTE, {**tenant.parameters(), "of_pair": pair_id})).first()


async def operations_of(db: AsyncConnection, run_id: str) -> Sequence[Any]:
    """What a run did and left undone, in its order."""
    return (await db.execute(_OF_RUN, {"of_run": run_id})).all()
