"""Requests that are under way at once, by grant."""

from __future__ import annotations

import asyncio
import gc

from calendarsync.providers.limiter import Limiter


async def most_at_once(limiter: Limiter, grants: list[str]) -> int:
    """How many of as many requests, each of one grant, are under way at the same time."""
    under_way, most = 0, 0

    async def request(grant: str) -> None:
        nonlocal under_way, most
        async with limiter.slots(grant, 4):
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1

    await asyncio.gather(*(request(grant) for grant in grants))
    return most


async def test_a_grant_has_so_many_requests_under_way_and_no_more() -> None:
    assert await most_at_once(Limiter(), ["one"] * 20) == 4


async def test_grants_do_not_wait_for_one_another() -> None:
    assert await most_at_once(Limiter(), ["one", "two"] * 10) == 8


def test_event_loops_do_not_wait_for_one_another() -> None:
    limiter = Limiter()
    assert [asyncio.run(most_at_once(limiter, ["one"] * 20)) for _ in range(2)] == [4, 4]


async def test_what_nobody_uses_is_forgotten() -> None:
    limiter = Limiter()
    await most_at_once(limiter, [f"grant {number}" for number in range(50)])
    gc.collect()
    assert len(limiter._slots) == 0
