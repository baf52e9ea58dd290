"""Faults on PostgreSQL with three workers, while 300 pairs are being changed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.kinds import Fault, plan
from tests.faults.stage import CHANGE_SECONDS, WORKERS, Stage, stage
from tests.faults.town import town_of
from tests.testbed.postgresql import PostgresqlServer

pytestmark = pytest.mark.postgresql

PAIRS = 300


async def _play(at: Stage, faults: Sequence[Fault], pause: float) -> list[str]:
    """All that is wrong after these faults."""
    begun = await at.witness.now()
    await asyncio.gather(*(at.hire() for _ in range(WORKERS)))
    # First syncs of 300 pairs at once keep two cores busy for a while, and what is taken up late then says nothing.
    await at.settled(begun)
    enough = asyncio.Event()
    busy = [
        asyncio.create_task(at.town.keep_changing(CHANGE_SECONDS, enough)),
        asyncio.create_task(at.keep_ordering(enough)),
    ]
    for fault in faults:
        await asyncio.sleep(at.chance.uniform(0, 2 * pause))
        at.note(fault.__name__)
        await fault(at)
        at.check()
        for task in busy:
            assert not task.done(), task
    await at.heal()
    enough.set()
    await asyncio.gather(*busy)
    await at.settled(await at.witness.now())
    if strays := at.town.strays():
        at.note(f"strays: {strays}")
        await at.settled(await at.witness.now())
    found = await at.complaints()
    return found + await at.dismiss()


async def _survives(
    server: PostgresqlServer, folder: Path, wrong_clock: Path, *, seed: int, count: int, pause: float
) -> None:
    chance = random.Random(seed)
    with town_of(folder / "town", PAIRS, chance) as town:
        async with stage(server, folder, town, chance, wrong_clock=wrong_clock) as at:
            try:
                found = await _play(at, plan(count, chance), pause)
            except BaseException as error:
                error.add_note("\n".join([f"seed {seed}", *at.diary]))
                raise
            assert not found, "\n".join(
                [f"{len(found)} with seed {seed}:", *found[:30], *at.diary, *await at.autopsies()]
            )
            assert len(at.tickets) > count
            assert town.changes > 2 * count


@pytest.mark.timeout(600)
async def test_ten_faults(own_postgresql: PostgresqlServer, folder: Path, wrong_clock: Path) -> None:
    await _survives(own_postgresql, folder, wrong_clock, seed=2026, count=10, pause=2)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_hundred_faults(
    own_postgresql: PostgresqlServer, folder: Path, wrong_clock: Path, seed: int
) -> None:
    """Twice: 200 in all."""
    await _survives(own_postgresql, folder, wrong_clock, seed=seed, count=100, pause=3)
