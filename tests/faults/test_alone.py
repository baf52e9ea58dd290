"""Faults on SQLite, where one process does all, while 300 pairs are being changed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from calendarsync.store.database import Database
from tests.faults.alone import Alone
from tests.faults.crew import Crew
from tests.faults.kinds import LEASE_SECONDS
from tests.faults.settlers import settle_in
from tests.faults.stage import CHANGE_SECONDS, settings
from tests.faults.town import town_of

PAIRS = 300
Fault = Callable[[Alone, random.Random], Awaitable[None]]


async def _killed(at: Alone, chance: random.Random) -> None:
    at.kill()
    await asyncio.sleep(chance.uniform(0, 3))
    await at.start()
    await at.until_taken_up()


async def _killed_at_once_again(at: Alone, chance: random.Random) -> None:
    """Before it can have found what the last one left."""
    at.kill()
    await at.start()
    await asyncio.sleep(chance.uniform(0, 3))
    at.kill()
    await at.start()


async def _frozen(at: Alone, chance: random.Random) -> None:
    (process,) = at.crew.running
    process.freeze()
    await asyncio.sleep(LEASE_SECONDS + chance.uniform(1, 5))
    process.thaw()


async def _drained(at: Alone, chance: random.Random) -> None:
    (process,) = at.crew.running
    await process.drain()
    assert not at.held()
    await at.start()


KINDS: tuple[Fault, ...] = (_killed, _frozen, _killed_at_once_again, _drained)


@asynccontextmanager
async def _alone(folder: Path, chance: random.Random) -> AsyncIterator[Alone]:
    path = folder / "calendarsync.sqlite3"
    url = f"sqlite:///{path}"
    db = Database(url)
    await db.migrate()
    await db.close()
    with town_of(folder / "town", PAIRS, chance) as town:
        await settle_in(url, town)
        crew = Crew(folder, settings(folder) | {"CALENDARSYNC_DATABASE_URL": url})
        try:
            yield Alone(path, town, crew)
        finally:
            crew.kill_all()


async def _survives(folder: Path, *, seed: int, count: int, pause: float) -> None:
    chance = random.Random(seed)
    faults = [KINDS[number % len(KINDS)] for number in range(count)]
    chance.shuffle(faults)
    async with _alone(folder, chance) as at:
        try:
            await at.start()
            enough = asyncio.Event()
            people = asyncio.create_task(at.town.keep_changing(CHANGE_SECONDS, enough))
            for fault in faults:
                await asyncio.sleep(chance.uniform(0, 2 * pause))
                await fault(at, chance)
                assert not people.done(), people
            enough.set()
            await people
            await at.settled()
            if at.town.strays():
                await at.settled()
            found = at.complaints()
            await at.crew.running[0].drain()
        except BaseException as error:
            error.add_note(f"seed {seed}; {at.complaints()}")
            raise
        assert not found, "\n".join([f"{len(found)} complaints with seed {seed}:", *found[:20]])
        assert not at.held()
        assert at.town.changes > 2 * count


@pytest.mark.timeout(600)
async def test_faults_of_every_kind(folder: Path) -> None:
    await _survives(folder, seed=2026, count=len(KINDS), pause=2)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_forty_faults(folder: Path) -> None:
    await _survives(folder, seed=1, count=40, pause=4)
