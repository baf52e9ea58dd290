"""The limit of a worker: a loop on bare asyncpg that claims the same rows and writes the same.

One transaction a run; it knows nothing of shared calendars, orders or fences. As a process of its own it prints the
number of its runs: python -m benchmarks.bare_loop URL SECONDS POLL_SECONDS
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from time import perf_counter
from typing import Any

import asyncpg
import uvloop

from calendarsync.store.database import Database
from calendarsync.store.ids import new_id

AT_ONCE = 10
"""Its connections: as many as a worker's pool has."""

_BATCH = 64

_CLAIM = """
    UPDATE pairs SET generation = generation + 1, leased_until = now() + interval '15 s' WHERE id IN (
        SELECT id FROM pairs WHERE leased_until IS NULL AND due_at <= now()
        ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
    ) RETURNING id, account_id, generation
"""
_SETTLE = """
    UPDATE pairs SET leased_until = NULL, last_synced_at = now(), due_at = now() + $3::interval
    WHERE id = $1 AND generation = $2
"""
_LOG = """
    INSERT INTO runs (id, sync_id, account_id, mode, pair_id, status, trigger, events_processed, events_created,
        events_updated, events_deleted, events_skipped, provider_requests, duration_ms, created_at)
    VALUES ($1, $2, $3, 'live', $4, 'success', 'schedule', 0, 0, 0, 0, 0, 2, 1, now())
"""


async def connect(db: Database) -> list[asyncpg.Connection[Any]]:
    raw = [await db.connect_raw() for _ in range(AT_ONCE)]
    for each in raw:
        await each.execute("SET calendarsync.account = '*'")  # it speaks for the engine, as the program does
    return raw


async def run_due(
    raw: Sequence[asyncpg.Connection[Any]], poll: timedelta, is_over: Callable[[], bool] = lambda: False
) -> int:
    """Run what is due until nothing is, or until it is over; how many runs that were."""
    idle: asyncio.Queue[asyncpg.Connection[Any]] = asyncio.Queue()
    for each in raw:
        idle.put_nowait(each)

    async def one(row: Any) -> None:
        connection = await idle.get()
        async with connection.transaction():
            await connection.execute(_SETTLE, row["id"], row["generation"], poll)
            await connection.execute(_LOG, new_id("log"), new_id("sync_run"), row["account_id"], row["id"])
        idle.put_nowait(connection)

    runs = 0
    while not is_over():
        connection = await idle.get()
        claimed = await connection.fetch(_CLAIM, _BATCH)
        idle.put_nowait(connection)
        if not claimed:
            break
        await asyncio.gather(*(one(row) for row in claimed))
        runs += len(claimed)
    return runs


async def _main(url: str, seconds: float, poll_seconds: float) -> None:
    db = Database(url)
    raw = await connect(db)
    ends = perf_counter() + seconds
    print(await run_due(raw, timedelta(seconds=poll_seconds), lambda: perf_counter() > ends))
    for each in raw:
        await each.close()
    await db.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))
