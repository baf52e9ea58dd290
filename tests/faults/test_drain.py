"""SIGTERM while runs are under way, and a database that is away for a while."""

from __future__ import annotations

import asyncio
import random
import re
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.crew import Member
from tests.faults.stage import Stage, stage
from tests.faults.town import town_of
from tests.testbed.postgresql import PostgresqlServer
from tests.testbed.proxy import Answer, Forward, Proxy, Request, proxy_of

pytestmark = pytest.mark.postgresql

PAIRS = 10
POLL_SECONDS = 5
_ENDS = "SELECT what, count(*) FROM witness.claims WHERE what <> 'claimed' GROUP BY what"
_RUNS = "SELECT FROM runs"
_HELD = "SELECT FROM pairs WHERE leased_until IS NOT NULL"


@asynccontextmanager
async def _slow_stage(server: PostgresqlServer, folder: Path) -> AsyncIterator[tuple[Stage, Proxy]]:
    """The calendars are behind a proxy."""
    chance = random.Random(0)
    with town_of(folder / "town", PAIRS, chance, servers=1) as town:
        async with (
            proxy_of(town.servers[0].url) as proxy,
            stage(server, folder, town, chance, through=proxy.url, poll=POLL_SECONDS) as at,
        ):
            yield at, proxy


@pytest.mark.parametrize(("seconds", "end"), [(0.4, "released"), (60.0, "ended")])
async def test_sigterm_finishes_what_runs_or_gives_it_back(
    own_postgresql: PostgresqlServer, folder: Path, seconds: float, end: str
) -> None:
    async with _slow_stage(own_postgresql, folder) as (at, proxy):
        ordinary, slow, over = proxy.hook, asyncio.Event(), asyncio.Event()

        async def hesitate(request: Request, forward: Forward) -> Answer:
            slow.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), seconds)
            return await forward(request)

        proxy.hook = hesitate
        first = await at.hire()
        await asyncio.wait_for(slow.wait(), 20)
        held = len(await at.witness.ask(_HELD))
        assert held > 1
        assert not await at.witness.ask(_RUNS)
        await first.drain()
        assert not await at.witness.ask(_HELD)
        assert {row["what"]: row["count"] for row in await at.witness.ask(_ENDS)} == {end: held}
        assert len(await at.witness.ask(_RUNS)) == (held if end == "released" else 0)
        proxy.hook = ordinary
        over.set()
        since = await at.witness.now()
        await at.hire()
        await at.settled(since)
        assert await at.complaints() == []
        assert await at.dismiss() == []


def _health(address: str) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{address}/health", timeout=30) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


async def _until_health_is(address: str, wanted: int) -> None:
    deadline = time.monotonic() + 30
    while (status := await asyncio.to_thread(_health, address)) != wanted:
        assert time.monotonic() < deadline, status
        await asyncio.sleep(0.2)


def _address(process: Member) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+", process.said)
    assert found is not None, process.said
    return found.group()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seconds", [10.0, pytest.param(60.0, marks=pytest.mark.long)])
async def test_all_processes_outlive_a_database_that_is_away(
    own_postgresql: PostgresqlServer, folder: Path, seconds: float
) -> None:
    own = own_postgresql.own
    assert own is not None
    chance = random.Random(0)
    with town_of(folder / "town", PAIRS, chance) as town:
        async with stage(own_postgresql, folder, town, chance, poll=POLL_SECONDS) as at:
            await at.hire()
            at.program = ("calendarsync", "serve", "--port", "0")
            addresses = [_address(await at.hire())]
            at.program = (*at.program, "--no-worker")
            addresses.append(_address(await at.hire()))
            for address in addresses:
                await _until_health_is(address, 200)
            own.stop()
            try:
                for address in addresses:
                    await _until_health_is(address, 503)
                await asyncio.sleep(seconds)
                assert len(at.crew.running) == 3
                town.change_something()
            finally:
                await asyncio.to_thread(own.start)
            for address in addresses:
                await _until_health_is(address, 200)
            await at.settled(await at.witness.now())
            at.check()
            assert await at.complaints() == []
            assert await at.dismiss() == []
