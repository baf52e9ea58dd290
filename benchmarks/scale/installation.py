"""A server with its data on disk, an installation of N pairs on it, and what its keys and processes are."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import patch

import asyncpg

from benchmarks.scale import mix
from benchmarks.scale.fill import Filled, fill
from benchmarks.scale.load import Target
from benchmarks.scale.measure import Bench
from benchmarks.scale.mix import Kind
from benchmarks.scale.processes import api, settings
from calendarsync.accounts.keys import Mode, create_key
from calendarsync.settings import Settings
from calendarsync.store.database import Database
from tests.testbed.postgresql import PostgresqlServer

SERVER = {"shared_buffers": "1GB", "max_wal_size": "4GB", "max_connections": "120"}
"""All else is as PostgreSQL ships: every commit waits for the disk."""

DEMAND = 10_000
"""More runs a second than any measurement here gets near: the schedule asks for so many."""

_TRIGGERING = 100


def poll_seconds(pairs: int) -> int:
    """The interval at which so many pairs keep all workers busy."""
    return max(pairs // DEMAND, 1)


@asynccontextmanager
async def installed(
    server: PostgresqlServer, pairs: int, folder: Path
) -> AsyncIterator[tuple[Bench, Filled]]:
    url = server.make_database(migrated=False)
    own = settings(url, poll_seconds(pairs))
    with patch.dict(os.environ, own):
        filled = await fill(server, Settings.load(), url, pairs)
    targets = await _targets(filled, pairs)
    connection = await asyncpg.connect(server.as_administrator(url))
    try:
        with api(folder, own) as (served, port):
            yield (
                Bench(
                    url=url,
                    connection=connection,
                    folder=folder,
                    api=served,
                    port=port,
                    targets=targets,
                    poll_seconds=poll_seconds(pairs),
                    quiet_until=filled.quiet_until,
                    postmaster=_parent(await connection.fetchval("SELECT pg_backend_pid()")),
                ),
                filled,
            )
            served.stop()
    finally:
        await connection.close()


async def _targets(filled: Filled, pairs: int) -> list[Target]:
    """Pairs of small accounts, all of whose calendars answer well. An account's plan allows as many requests."""
    db, targets = Database(filled.url), []
    await db.read_clock()
    small = [account for account in mix.accounts(pairs) if account.number > mix.MIDDLE_ACCOUNTS]
    for account in small[:_TRIGGERING]:
        key = await create_key(db, filled.keyring, account.id, Mode.LIVE, now=db.now())
        targets += [
            Target(mix.id_of("pair", account.first + place), key)
            for place in range(account.pairs)
            if mix.end(account, place, "a").kind is Kind.WELL
        ]
    await db.close()
    return targets


def _parent(process: int) -> int | None:
    """The server's own process, of a backend; None where it runs on another machine."""
    stat = Path(f"/proc/{process}/stat")
    return int(stat.read_text().rpartition(")")[2].split()[1]) if stat.exists() else None
