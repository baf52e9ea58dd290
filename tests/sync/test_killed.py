"""A first sync that is killed at any moment, and run again: nothing doubled, nothing missing."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.testbed.dav import DavServer
from tests.testbed.desk import desk
from tests.testbed.events import event
from tests.testbed.fixtures import SERVERS, server_named

EVENTS = 100
SECRET = "a secret that outlives every kill"
ROOT = Path(__file__).resolve().parents[2]


def _origin(copy: str) -> str:
    mark = next(line for line in copy.splitlines() if line.startswith("X-CALENDARSYNC-MARK:"))
    return mark.split(":", 1)[1].split(";")[1].replace("\\", "")


async def _killed_worker(folder: Path, pair: str, delay: float) -> bool:
    """Run the pair in a process and kill that after `delay` seconds; false where it was done by then."""
    arguments = ("-m", "tests.sync.killed_worker", str(folder), SECRET, pair)
    worker = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert worker.stdout is not None
    assert await worker.stdout.readline() == b"running\n"
    await asyncio.sleep(delay)
    with suppress(ProcessLookupError):
        worker.kill()
    await worker.communicate()
    return worker.returncode == -signal.SIGKILL


async def _trial(server: DavServer, source: str, folder: Path, delay: float | None) -> float | None:
    """Kill a first sync after `delay` seconds, then run it to its end.

    The seconds that the run to the end took; None where there was nothing left to kill.
    """
    async with desk(server, folder, secret=SECRET.encode()) as at:
        source_connection = await at.app.connect(at.account, server, source)
        pair = await at.app.pair(source_connection, at.conn_b, direction="a_to_b", future_days=3650)
        if delay is not None and not await _killed_worker(folder, pair, delay):
            return None
        started = time.monotonic()
        await at.app.sync(pair)
        took = time.monotonic() - started
        origins = Counter(map(_origin, at.copies_b()))
        assert len(origins) == EVENTS
        assert max(origins.values()) == 1
        assert (await at.app.sync(pair)).operations == ()
        return took


async def _killed(server: DavServer, folder: Path, times: int) -> None:
    source = server.make_calendar()
    for number in range(EVENTS):
        day, hour = 3 + number % 25, 6 + number // 25
        start, end = f"202603{day:02}T{hour:02}0000", f"202603{day:02}T{hour:02}3000"
        server.put(source, f"{number}.ics", event(f"uid-{number}", start, end))
    longest = await _trial(server, source, folder / "undisturbed", None)
    assert longest is not None
    chance = random.Random(2026)
    killed = 0
    for number in range(times * 2):
        if killed == times:
            break
        if await _trial(server, source, folder / f"{number}", chance.uniform(0, longest)) is None:
            longest *= 0.8  # the machine has become quicker since
        else:
            killed += 1
    assert killed == times


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SERVERS)
async def test_killed_at_four_random_moments(
    name: str, request: pytest.FixtureRequest, quick_folder: Path
) -> None:
    await _killed(server_named(request, name).newcomer(), quick_folder, 4)


@pytest.mark.long
@pytest.mark.parametrize("name", SERVERS)
async def test_killed_at_a_hundred_random_moments(
    name: str, request: pytest.FixtureRequest, quick_folder: Path
) -> None:
    await _killed(server_named(request, name).newcomer(), quick_folder, 100)
