"""Writing down runs: the log that the API lists, with its operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.tables import operations, runs


async def save_run(db: AsyncConnection, run: Mapping[str, Any], done: Sequence[Mapping[str, Any]]) -> None:
    """`run`: the columns of `runs`; `done`: those of `operations` but for run and position."""
    await db.execute(insert(runs), run)
    if done:
        rows = [{"run_id": run["id"], "position": position, **row} for position, row in enumerate(done)]
        await db.execute(insert(operations), rows)


_WROTE = runs.c.events_created + runs.c.events_updated + runs.c.events_deleted > 0


async def last_that_wrote(db: AsyncConnection, pair: Mapping[str, str]) -> tuple[Any, Sequence[Any]] | None:
    """The pair's newest run that wrote something, and is no undoing, with its operations; None where none is kept.

    `pair` holds `id`, `account_id` and `mode`.
    """
    of_pair = (
        runs.c.account_id == pair["account_id"],
        runs.c.mode == pair["mode"],
        runs.c.pair_id == pair["id"],
        runs.c.undid.is_(None),
    )
    newest = select(runs.c.id, runs.c.sync_id).where(*of_pair, _WROTE)
    newest = newest.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(1)
    run = (await db.execute(newest)).first()
    if run is None:
        return None
    of_run = select(operations).where(operations.c.run_id == run.id).order_by(operations.c.position)
    return run, (await db.execute(of_run)).all()
