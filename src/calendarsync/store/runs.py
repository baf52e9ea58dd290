"""Writing down runs: the log that the API lists, with its operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.tables import operations, runs


async def save_run(db: AsyncConnection, run: Mapping[str, Any], done: Sequence[Mapping[str, Any]]) -> None:
    """`run`: the columns of `runs`; `done`: those of `operations` but for run and position."""
    await db.execute(insert(runs), run)
    if done:
        rows = [{"run_id": run["id"], "position": position, **row} for position, row in enumerate(done)]
        await db.execute(insert(operations), rows)
