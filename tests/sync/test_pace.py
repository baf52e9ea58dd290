"""Rule 27: polling goes on at a slower pace where changes are told, and only there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendarsync.store.schedule import update_connection
from calendarsync.store.tables import pairs
from calendarsync.sync.pace import SLOWEST, interval, share_of_first, slowest_interval
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


def first(at: MemoryDesk, every: timedelta) -> timedelta:
    """From the first sync to the first poll."""
    return every * share_of_first(at.connections["a"])


@pytest.mark.parametrize(("names", "every"), [("ab", TOLD), ("a", POLL), ("b", POLL), ("", POLL)], ids=str)
async def test_a_pair_is_polled_seldom_where_both_ends_tell(
    at: MemoryDesk, names: str, every: timedelta
) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    await watch(at, WEEK, *names)
    await at.app.sync(pair)
    assert await next_poll(at, pair) == first(at, every)
    for _ in ("reads back its copies", "finds nothing"):
        await at.app.sync(pair)
        assert await next_poll(at, pair) == every


async def test_a_channel_that_ends_before_that_is_not_relied_upon_longer(at: MemoryDesk) -> None:
    pair = await at.pair()
    await at.app.sync(pair)
    for lasts, minutes in ((12, 12), (3, 5), (-1, 5)):
        await watch(at, WEEK, "a")
        await watch(at, timedelta(minutes=lasts), "b")
        await at.app.sync(pair)
        assert await next_poll(at, pair) == timedelta(minutes=minutes)


async def test_what_did_not_succeed_is_tried_again_at_the_ordinary_pace(at: MemoryDesk) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    await watch(at, WEEK, "a", "b")
    at.faults[NOWHERE.url + "b/"] = Faults(before=set(range(2, 100)))  # it is read, and takes no copy
    assert (await at.app.run(pair)).status == "failed"
    assert await next_poll(at, pair) == POLL


poll_intervals = st.integers(1, 86_400)
spans = st.floats(0, 1e9)


@pytest.mark.parametrize(
    ("poll", "slowest", "longest"),
    [
        (1, SLOWEST, 6),
        (300, SLOWEST, 1800),
        (600, SLOWEST, 3600),
        (900, SLOWEST, 3600),
        (3600, SLOWEST, 3600),
        (86_400, SLOWEST, 86_400),
        (300, 86_400, 1800),
        (300, 1000, 1000),
        (300, 300, 300),
        (300, 1, 300),
    ],
)
def test_it_is_six_times_as_long_and_no_longer_than_the_installation_says(
    poll: int, slowest: float, longest: float
) -> None:
    assert slowest_interval(poll, slowest) == longest
    assert interval(poll, slowest, unchanged=0.0, watched=1e9) == longest


@pytest.mark.parametrize(
    ("unchanged", "seconds"),
    [
        (timedelta(), 300),
        (timedelta(hours=8), 300),
        (timedelta(hours=10), 360),
        (timedelta(days=1), 864),
        (timedelta(days=2), 1200),
        (timedelta(days=400), 1200),
    ],
    ids=str,
)
def test_what_hardly_changes_is_polled_less_little_by_little(unchanged: timedelta, seconds: float) -> None:
    assert interval(300, unchanged=unchanged.total_seconds()) == seconds


@given(poll_intervals, poll_intervals, spans, st.none() | spans)
def test_an_interval_lies_between_the_poll_interval_and_the_slowest(
    poll: int, slowest: int, unchanged: float, watched: float | None
) -> None:
    seconds = interval(poll, slowest, unchanged=unchanged, watched=watched)
    assert poll <= seconds <= slowest_interval(poll, slowest) <= max(poll, slowest)
    assert seconds <= max(poll, unchanged / 100, watched or 0.0)


@given(poll_intervals, poll_intervals, spans, spans, st.none() | spans)
def test_the_longer_nothing_changed_the_longer_it_is(
    poll: int, slowest: int, one: float, other: float, watched: float | None
) -> None:
    shorter, longer = sorted((one, other))
    assert interval(poll, slowest, unchanged=shorter, watched=watched) <= interval(
        poll, slowest, unchanged=longer, watched=watched
    )
    assert interval(poll, slowest, unchanged=one) <= interval(poll, slowest, unchanged=one, watched=other)


@given(poll_intervals, spans, st.none() | spans)
def test_equal_to_the_poll_interval_it_switches_slowing_off(
    poll: int, unchanged: float, watched: float | None
) -> None:
    assert interval(poll, poll, unchanged=unchanged, watched=watched) == poll
