"""The witness sees what it is there for, and a wrong clock is wrong."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.stage import Stage, stage
from tests.faults.town import town_of
from tests.faults.witness import Witness
from tests.testbed.postgresql import PostgresqlServer

_CLAIM = "UPDATE pairs SET generation = generation + 1, leased_until = now() + interval '15 s'"
_LAPSE = "UPDATE pairs SET generation = generation + 1, leased_until = NULL"
_RENEW = "UPDATE pairs SET leased_until = now() + interval '20 s'"
_RELEASE = "UPDATE pairs SET leased_until = NULL"
_LOCK = "SELECT FROM pairs FOR UPDATE"
_FAIL = (
    "INSERT INTO failures SELECT id, 'a_to_b', gen_random_uuid(), '', 'refused', '', now() FROM pairs; "
    "UPDATE connections SET last_error_code = 'refused'"
)


@pytest.fixture
async def at(own_postgresql: PostgresqlServer, folder: Path) -> AsyncIterator[Stage]:
    """With one pair."""
    chance = random.Random(0)
    with town_of(folder / "town", 1, chance, servers=1) as town:
        async with stage(own_postgresql, folder, town, chance) as made:
            yield made


async def _complaints(witness: Witness, *transactions: tuple[str, str]) -> list[str]:
    """What the witness says of these, each by one of two workers."""
    roles = {who: Witness(await witness.make_role(f"worker_{who}_{witness.database[-8:]}")) for who in "ab"}
    for who, statements in transactions:
        await roles[who].ask(
            f"DO $$ BEGIN {statements.replace(_LOCK, 'PERFORM FROM pairs FOR UPDATE')}; END $$"
        )
    return await witness.complaints()


@pytest.mark.postgresql
async def test_a_run_as_it_should_be(at: Stage) -> None:
    run = [("a", _CLAIM), ("b", f"{_LOCK}; {_FAIL}"), ("b", _RENEW), ("b", f"{_RELEASE}; {_FAIL}")]
    assert await _complaints(at.witness, *run, ("a", _CLAIM), ("a", f"{_LOCK}; {_FAIL}"), ("a", _LAPSE)) == []


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("transactions", "complaint"),
    [
        ([("a", _FAIL)], "INSERT of failures without a claim"),
        ([("a", f"{_LOCK}; {_FAIL}")], "UPDATE of connections without a claim"),
        ([("a", _CLAIM), ("a", _FAIL)], "INSERT of failures without a claim"),
        ([("a", _CLAIM), ("a", _RENEW), ("b", f"{_LOCK}; {_FAIL}")], "two wrote under one claim"),
        ([("a", _CLAIM), ("a", f"{_LOCK}; {_FAIL}"), ("b", _RELEASE)], "two wrote under one claim"),
        ([("a", _CLAIM), ("a", _RELEASE), ("b", "UPDATE pairs SET quiet_state = ''")], "a pair written without"),
        ([("a", _CLAIM), ("b", _CLAIM)], "claimed while claimed"),
    ],
)  # fmt: skip
async def test_it_complains(at: Stage, transactions: list[tuple[str, str]], complaint: str) -> None:
    found = await _complaints(at.witness, *transactions)
    assert any(complaint in each for each in found), found


@pytest.mark.postgresql
async def test_what_a_killed_worker_held_must_be_taken_up(at: Stage) -> None:
    assert await _complaints(at.witness, ("a", _CLAIM), ("a", _RENEW)) == []
    await at.witness.note_killed(f"worker_a_{at.witness.database[-8:]}")
    (complaint,) = await at.witness.complaints()
    assert "not taken up" in complaint
    other = Witness(at.witness.url.replace("//postgres@", f"//worker_b_{at.witness.database[-8:]}@"))
    await other.ask(_LAPSE)
    assert len(await at.witness.complaints()) == 1
    await other.ask(_CLAIM)
    assert await at.witness.complaints() == []


@pytest.mark.postgresql
@pytest.mark.long
@pytest.mark.timeout(300)
async def test_without_a_fence_a_frozen_worker_is_seen_to_write(
    own_postgresql: PostgresqlServer, folder: Path
) -> None:
    chance = random.Random(0)
    with town_of(folder / "town", 200, chance) as town:
        async with stage(own_postgresql, folder, town, chance) as at:
            at.program = ("tests.faults.unfenced", "worker")
            workers = await asyncio.gather(at.hire(), at.hire())
            await asyncio.sleep(2)
            workers[0].freeze()
            await asyncio.sleep(18)
            workers[0].thaw()
            await asyncio.sleep(5)
            found = await at.witness.complaints()
    assert any("without a claim" in each or "two wrote" in each for each in found), found


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_process_may_have_a_wrong_clock(wrong_clock: Path, seconds: int) -> None:
    script = (
        "import time; from datetime import UTC, datetime; "
        "print(time.time(), datetime.now(UTC).timestamp(), time.monotonic())"
    )
    shifted = os.environ | {"LD_PRELOAD": str(wrong_clock), "WRONG_CLOCK_SECONDS": str(seconds)}
    told = subprocess.run([sys.executable, "-c", script], env=shifted, check=True, capture_output=True).stdout
    wall, of_datetime, elapsed = map(float, told.split())
    assert wall == pytest.approx(time.time() + seconds, abs=60)
    assert of_datetime == pytest.approx(wall, abs=60)
    assert elapsed == pytest.approx(time.monotonic(), abs=60)
