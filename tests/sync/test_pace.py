"""Rule 27: polling goes on at a slower pace where changes are told, and only there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from calendarsync.store.schedule import update_connection
from calendarsync.store.tables import pairs
from calendarsync.sync.round import watched_interval
from tests.testbed.events import event
from tests.testbed.memory import Faults
from tests.testbed.memory_desk import NOWHERE, MemoryDesk, memory_desk

POLL, TOLD = timedelta(minutes=5), timedelta(minutes=30)
WEEK = timedelta(days=7)


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(database_url) as desk:
        yield desk


async def watch(at: MemoryDesk, lasts: timedelta, *names: str) -> None:
    async with at.app.db.write() as db:
        for name in names:
            await update_connection(db, at.connections[name], watched_until=at.app.clock() + lasts)


async def next_poll(at: MemoryDesk, pair: str) -> timedelta:
    due_at = (await at.app.row(pairs, pair)).due_at
    assert due_at is not None
    return timedelta(seconds=(due_at - at.app.clock()).total_seconds())


@pytest.mark.parametrize(("names", "interval"), [("ab", TOLD), ("a", POLL), ("b", POLL), ("", POLL)], ids=str)
async def test_a_pair_is_polled_seldom_where_both_ends_tell(
    at: MemoryDesk, names: str, interval: timedelta
) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    await watch(at, WEEK, *names)
    for _ in ("the first run", "reads back its copies", "finds nothing"):
        await at.app.sync(pair)
        assert await next_poll(at, pair) == interval


async def test_a_channel_that_ends_before_that_is_not_relied_upon_longer(at: MemoryDesk) -> None:
    pair = await at.pair()
    for lasts, interval in ((12, 12), (3, 5), (-1, 5)):
        await watch(at, WEEK, "a")
        await watch(at, timedelta(minutes=lasts), "b")
        await at.app.sync(pair)
        assert await next_poll(at, pair) == timedelta(minutes=interval)


async def test_what_did_not_succeed_is_tried_again_at_the_ordinary_pace(at: MemoryDesk) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    await watch(at, WEEK, "a", "b")
    at.faults[NOWHERE.url + "b/"] = Faults(before=set(range(2, 100)))  # it is read, and takes no copy
    assert (await at.app.run(pair)).status == "failed"
    assert await next_poll(at, pair) == POLL


@pytest.mark.parametrize(
    ("poll", "interval"), [(1, 6), (300, 1800), (600, 3600), (900, 3600), (3600, 3600), (86_400, 86_400)]
)
def test_it_is_six_times_as_long_and_an_hour_at_most(poll: float, interval: float) -> None:
    assert watched_interval(poll) == interval
