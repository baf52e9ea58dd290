"""One process on SQLite, and what its database says in the end."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.faults.crew import Crew, Member
from tests.faults.town import Town

SERVE = ("calendarsync", "serve", "--port", "0")
TAKEN_UP_WITHIN = timedelta(seconds=30)
_SETTLE_SECONDS = 150.0

_HELD = "SELECT id, generation FROM pairs WHERE leased_until IS NOT NULL"
_UNSYNCED = """
    SELECT id, status, attention_code FROM pairs
    WHERE status <> 'active' OR attention_code IS NOT NULL OR NOT EXISTS (
        SELECT 1 FROM runs WHERE runs.pair_id = pairs.id AND runs.status = 'success'
            AND julianday(runs.created_at) - runs.duration_ms / 86400000.0 > julianday(?))"""
_GENERATIONS = "SELECT id, generation, leased_until FROM pairs"


@dataclass
class Alone:
    """`serve`; every start of it is another member of the crew. `lost`: the claims of those that were killed."""

    path: Path
    town: Town
    crew: Crew
    lost: set[tuple[str, int]] = field(default_factory=set)
    _hired: int = 0
    _late: list[str] = field(default_factory=list)

    async def start(self) -> Member:
        self._hired += 1
        return await self.crew.start(f"serve_{self._hired}", SERVE)

    def ask(self, query: str, *given: object) -> Sequence[tuple[str, ...]]:
        """Reads beside the process."""
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)) as db:
            return db.execute(query, given).fetchall()

    def held(self) -> set[tuple[str, int]]:
        """Claims, but for those that killed processes left."""
        return {(pair, int(generation)) for pair, generation in self.ask(_HELD)} - self.lost

    def kill(self) -> None:
        (process,) = self.crew.running
        process.kill()
        self.lost |= self.held()

    async def until_taken_up(self) -> None:
        """Note which pairs of killed processes are not taken up in time."""
        deadline = time.monotonic() + TAKEN_UP_WITHIN.total_seconds()
        while True:
            now = {pair: (int(generation), held) for pair, generation, held in self.ask(_GENERATIONS)}
            waiting = [pair for pair, at in self.lost if now[pair][0] == at or now[pair] == (at + 1, None)]
            if not waiting:
                return
            if time.monotonic() > deadline:
                self._late += [f"not taken up: {pair}" for pair in waiting]
                return
            await asyncio.sleep(0.5)

    async def settled(self) -> None:
        """Wait until each pair has had a run that began after now."""
        since = datetime.now(UTC).replace(tzinfo=None).isoformat(" ")
        deadline = time.monotonic() + _SETTLE_SECONDS
        while unsynced := self.ask(_UNSYNCED, since):
            assert time.monotonic() < deadline, f"{len(unsynced)} pairs left unsynced, such as {unsynced[:5]}"
            assert len(self.crew.running) == 1, self.crew.members[-1].said[-3000:]
            await asyncio.sleep(0.5)

    def complaints(self) -> list[str]:
        found = self.town.complaints() + self.crew.complaints() + self._late
        twice = self.ask("SELECT sync_id FROM runs GROUP BY sync_id HAVING count(*) > 1")
        found += [f"recorded twice: {row[0]}" for row in twice]
        found += [f"the database: {row[0]}" for row in self.ask("PRAGMA integrity_check") if row[0] != "ok"]
        return found
