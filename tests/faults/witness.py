"""A witness inside PostgreSQL: triggers that note who wrote under which claim, beside all of the program's code."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from tests.testbed.postgresql import PostgresqlServer

_PATIENCE_SECONDS = 60.0
TAKEN_UP_WITHIN = timedelta(seconds=30)

_TWO_WRITERS = """
    SELECT pair_id, generation, array_agg(format('%s at %s: %s', who, at, what) ORDER BY at) AS who
    FROM witness.writers
    GROUP BY 1, 2 HAVING count(*) > 1"""
_LOGGED_TWICE = """
    SELECT pair_id, generation, count(*) FROM witness.logged WHERE trigger = 'schedule'
    GROUP BY 1, 2 HAVING count(*) > 1"""
_HELD_BY = """
    SELECT id, generation FROM pairs WHERE leased_until IS NOT NULL AND NOT EXISTS (
        SELECT FROM witness.writers w WHERE w.pair_id = id AND w.generation = pairs.generation AND w.who <> $1)"""
# What was not its own, as it turned out, or had come to its end, is excused.
_NOT_TAKEN_UP = """
    SELECT pair_id, generation FROM unnest($1::text[], $2::int[]) AS lost (pair_id, generation)
    WHERE NOT EXISTS (SELECT FROM witness.claims c WHERE c.pair_id = lost.pair_id AND (
            c.generation > lost.generation AND c.what = 'claimed' AND c.at <= $4
            OR c.generation = lost.generation AND c.what = 'released'))
      AND NOT EXISTS (SELECT FROM witness.writers w
        WHERE w.pair_id = lost.pair_id AND w.generation = lost.generation AND w.who <> $3)"""
_HISTORY = "SELECT generation, what, at, who FROM witness.claims WHERE pair_id = $1 ORDER BY at"
_UNSYNCED = """
    SELECT id, status, attention_code, due_at, leased_until, generation FROM pairs
    WHERE status <> 'active' OR attention_code IS NOT NULL OR NOT EXISTS (
        SELECT FROM runs JOIN witness.logged USING (sync_id) JOIN witness.claims c
            ON c.pair_id = logged.pair_id AND c.generation = logged.generation AND c.what = 'claimed'
        WHERE runs.pair_id = pairs.id AND runs.status = 'success' AND c.at > $1)"""


@dataclass
class Witness:
    """`lost`: who was killed when, and what it held then, as far as anybody could know."""

    url: str
    lost: list[tuple[str, datetime, list[tuple[str, int]]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.database = urlsplit(self.url).path[1:]

    async def install(self) -> None:
        # A crash must lose nothing that was committed, as with PostgreSQL's own defaults.
        await self.ask(f"ALTER DATABASE {self.database} SET synchronous_commit = on")
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(Path(__file__).with_name("witness.sql").read_text("utf-8"))
        finally:
            await connection.close()

    async def make_role(self, who: str) -> str:
        """A role for one process; the address with which it connects."""
        await self.ask(f"CREATE ROLE {who} SUPERUSER LOGIN")
        return self.url.replace("//postgres@", f"//{who}@", 1)

    async def ask(self, query: str, *given: object) -> list[Any]:
        """Asked again while the server is away."""
        deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        while True:
            try:
                connection = await asyncpg.connect(self.url, timeout=10)
                try:
                    return list(await connection.fetch(query, *given))
                finally:
                    connection.terminate()
            except (OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError):
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.2)

    async def now(self) -> datetime:
        (row,) = await self.ask("SELECT clock_timestamp() AS now")
        at: datetime = row["now"]
        return at

    async def note_killed(self, who: str) -> None:
        """Call it as soon as the process is gone."""
        at = await self.now()
        held = await self.ask(_HELD_BY, who)
        self.lost.append((who, at, [(row["id"], row["generation"]) for row in held]))

    async def cut(self, backends: Collection[int]) -> None:
        await self.ask("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", list(backends))

    async def backends(self) -> list[int]:
        """The connections of all workers."""
        rows = await self.ask(
            "SELECT pid FROM pg_stat_activity WHERE datname = $1 AND usename LIKE 'worker%' ORDER BY pid",
            self.database,
        )
        return [row["pid"] for row in rows]

    async def unsynced(self, since: datetime) -> list[str]:
        """Pairs without a successful run under a claim that was made after that moment."""
        return [str(dict(row)) for row in await self.ask(_UNSYNCED, since)]

    async def complaints(self) -> list[str]:
        """Whatever must never happen, and did."""
        found = [
            f"{row['who']}: {row['what']}, pair {row['pair_id']}, {row['at']:%H:%M:%S}"
            for row in await self.ask("SELECT * FROM witness.violations ORDER BY at")
        ]
        found += [f"two wrote under one claim: {dict(row)}" for row in await self.ask(_TWO_WRITERS)]
        found += [f"a run recorded twice: {dict(row)}" for row in await self.ask(_LOGGED_TWICE)]
        for who, at, held in self.lost:
            pairs, generations = [pair for pair, _ in held], [generation for _, generation in held]
            late = await self.ask(_NOT_TAKEN_UP, pairs, generations, who, at + TAKEN_UP_WITHIN)
            for row in late:
                history = [
                    f"{event['at']:%H:%M:%S} {event['what']} {event['generation']} by {event['who']}"
                    for event in await self.ask(_HISTORY, row["pair_id"])
                ]
                found.append(f"{who}, killed {at:%H:%M:%S}: not taken up: {dict(row)}: {', '.join(history)}")
        return found


async def witness_of(server: PostgresqlServer) -> Witness:
    """A fresh database with a witness in it."""
    url = await asyncio.to_thread(server.make_database)
    witness = Witness(server.as_administrator(url))
    await witness.install()
    return witness
