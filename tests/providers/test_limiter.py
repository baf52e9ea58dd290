"""What one grant may do: requests that are under way at once, and calls in any span of time."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from calendarsync.providers.limiter import Limit, Limiter, Window

FOUR = Limit(at_once=4, calls=1_000_000, seconds=60.0)


async def most_at_once(limiter: Limiter, grants: list[str], places: int = 1) -> int:
    """How many of as many requests, each of one grant, are under way at the same time."""
    under_way, most = 0, 0

    async def request(grant: str) -> None:
        nonlocal under_way, most
        async with limiter.request(grant, FOUR, places=places):
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


async def test_a_batch_takes_as_many_places_as_it_has_parts_and_all_where_it_has_more() -> None:
    assert await most_at_once(Limiter(), ["one"] * 20, places=2) == 2
    assert await most_at_once(Limiter(), ["one"] * 20, places=3) == 1
    assert await most_at_once(Limiter(), ["one"] * 20, places=20) == 1


def test_event_loops_do_not_wait_for_one_another() -> None:
    limiter = Limiter()
    assert [asyncio.run(most_at_once(limiter, ["one"] * 20)) for _ in range(2)] == [4, 4]
    gc.collect()
    assert len(limiter._usages) == 0, "what belonged to a loop goes with it"


async def test_what_asks_for_much_is_not_overtaken_for_ever() -> None:
    limiter, order = Limiter(), []
    held = [asyncio.Event() for _ in range(4)]

    async def request(name: str, places: int, until: asyncio.Event | None = None) -> None:
        async with limiter.request("one", FOUR, places=places):
            order.append(name)
            if until is not None:
                await until.wait()

    tasks = [asyncio.create_task(request(f"held {number}", 1, held[number])) for number in range(4)]
    await _turns()
    tasks.append(asyncio.create_task(request("batch", 4)))
    await _turns()
    tasks.append(asyncio.create_task(request("late", 1)))
    await _turns()
    for each in held:
        assert limiter.waiting == 2
        assert order == [f"held {number}" for number in range(4)], (
            "the late one would fit, but the batch is first"
        )
        each.set()
        await _turns()
    await asyncio.gather(*tasks)
    assert order[4:] == ["batch", "late"]
    assert limiter.waiting == 0


async def test_who_stops_waiting_holds_up_nobody() -> None:
    limiter, done = Limiter(), asyncio.Event()

    async def request(places: int) -> None:
        async with limiter.request("one", FOUR, places=places):
            await done.wait()

    first = asyncio.create_task(request(3))
    await _turns()
    batch, single = asyncio.create_task(request(4)), asyncio.create_task(request(1))
    await _turns()
    assert limiter.waiting == 2
    batch.cancel()
    await _turns()
    assert limiter.waiting == 0
    done.set()
    await asyncio.gather(first, single)


async def test_a_request_that_failed_has_left_its_place_and_counts_as_a_call() -> None:
    clock = Clock()
    limiter, limit = Limiter(clock), Limit(at_once=1, calls=2, seconds=60.0)
    for _ in range(2):
        try:
            async with limiter.request("one", limit):
                raise OSError
        except OSError:
            continue
    assert await _would_wait(limiter, limit)
    clock.now += 60.0
    assert not await _would_wait(limiter, limit)


async def test_what_is_spent_is_there_again_in_time_and_the_first_who_waits_gets_it() -> None:
    """By the real clock: a request waits by itself until the window lets it pass, and is woken then."""
    limiter, limit = Limiter(), Limit(at_once=2, calls=4, seconds=0.05)
    spans: list[tuple[float, float]] = []
    order: list[int] = []
    loop = asyncio.get_running_loop()

    async def request(number: int) -> None:
        async with limiter.request("one", limit):
            order.append(number)
            sent = loop.time()
            await asyncio.sleep(0)
            spans.append((sent, loop.time()))

    async with asyncio.timeout(20):
        await asyncio.gather(*(request(number) for number in range(21)))
    assert order == list(range(21))
    sent = sorted(at for at, _ in spans)
    assert all(later - earlier >= 0.05 for earlier, later in zip(sent, sent[4:], strict=False))


async def test_a_batch_makes_as_many_calls_as_it_has_parts() -> None:
    clock = Clock()
    limiter, limit = Limiter(clock), Limit(at_once=4, calls=600, seconds=60.0)
    for _ in range(11):
        async with limiter.request("one", limit, calls=50):
            pass
    assert not await _would_wait(limiter, limit, calls=50)
    async with limiter.request("one", limit, calls=50):
        assert await _would_wait(limiter, limit), "what is under way counts"
        assert not await _would_wait(limiter, limit, grant="another")
    clock.now += 59.9
    assert await _would_wait(limiter, limit)
    clock.now += 0.1
    assert not await _would_wait(limiter, limit, calls=600)


async def test_more_calls_than_there_may_ever_be_wait_for_all_others() -> None:
    clock = Clock()
    limiter, limit = Limiter(clock), Limit(at_once=4, calls=3, seconds=60.0)
    assert not await _would_wait(limiter, limit, calls=9)
    async with limiter.request("one", limit):
        assert await _would_wait(limiter, limit, calls=9)
    assert await _would_wait(limiter, limit, calls=9)
    clock.now += 60.0
    assert not await _would_wait(limiter, limit, calls=9)


async def test_what_counts_no_longer_is_forgotten() -> None:
    clock = Clock()
    limiter = Limiter(clock)
    known = limiter._usages
    async with limiter.request("busy", FOUR):
        for number in range(3000):
            async with limiter.request(f"grant {number}", FOUR):
                clock.now += 1.0
        (usages,) = known.values()
        assert "busy" in usages
        assert len(usages) < 1100, "those of the last minute, and what came since the last sweep"


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


async def _turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def _would_wait(limiter: Limiter, limit: Limit, *, calls: int = 1, grant: str = "one") -> bool:
    """Whether such a request would; it is not made."""

    async def request() -> None:
        async with limiter.request(grant, limit, calls=calls):
            passed.set()
            await asyncio.Event().wait()

    passed = asyncio.Event()
    usage = limiter._usage(grant, limit)
    before = usage.window._counted, list(usage.window._ended)
    task = asyncio.create_task(request())
    await _turns()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    usage.window._counted, usage.window._ended = before
    return not passed.is_set()


@dataclass
class Sent:
    """A request arrives at its provider at some time between its being sent and its answer: a share of that."""

    began: float
    calls: int
    share: float
    ended: float | None = None

    def arrival(self, now: float) -> float:
        return self.began + self.share * ((self.ended or now) - self.began)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "end", "wait"]),
        st.integers(min_value=1, max_value=5),
        # About as long as what is forgotten together, as a span, and any.
        st.one_of(
            st.sampled_from([0.0, 0.25, 0.5, 59.25, 59.5, 59.75, 60.0]),
            st.floats(min_value=0.0, max_value=40.0),
        ),
    ),
    max_size=60,
)


def test_calls_that_end_almost_together_are_forgotten_with_the_last_of_them() -> None:
    window = Window(2, 60.0)
    for moment in (0.0, 0.5):
        window.begin(1)
        window.end(1, moment)
    assert window.wait(1, 60.25) == 0.25
    assert window.wait(2, 60.5) == 0.0


SHARES = st.lists(st.floats(min_value=0.0, max_value=1.0), min_size=60, max_size=60)


@given(steps=STEPS, shares=SHARES, most=st.integers(min_value=5, max_value=12))
def test_no_span_ever_has_more_calls_than_it_may_whenever_they_arrive(
    steps: list[tuple[str, int, float]], shares: list[float], most: int
) -> None:
    window, now, sent = Window(most, 60.0), 0.0, list[Sent]()
    for (what, number, seconds), share in zip(steps, shares, strict=False):
        now += seconds
        under_way = [each for each in sent if each.ended is None]
        if what == "send" and window.wait(number, now) == 0.0:
            window.begin(number)
            sent.append(Sent(now, number, share))
        elif what == "end" and under_way:
            ended = under_way[number % len(under_way)]
            ended.ended = now
            window.end(ended.calls, now)
    arrivals = [(each.arrival(now), each.calls) for each in sent]
    for start, _ in arrivals:
        assert sum(calls for at, calls in arrivals if start <= at < start + 60.0 - 1e-6) <= most


@given(steps=STEPS, most=st.integers(min_value=5, max_value=12))
def test_a_wait_that_is_told_is_long_enough_and_none_is_longer_than_a_span(
    steps: list[tuple[str, int, float]], most: int
) -> None:
    window, now, under_way = Window(most, 60.0), 0.0, list[int]()
    for what, number, seconds in steps:
        now += seconds
        wait = window.wait(number, now)
        if what == "send" and wait == 0.0:
            window.begin(number)
            under_way.append(number)
        elif what == "end" and under_way:
            window.end(under_way.pop(), now)
        elif what == "wait":
            if wait is None:
                assert under_way, "else nothing would ever end the wait"
                continue
            assert wait <= 60.0 + 60.0 / 100
            now += wait + 1e-6
            assert window.wait(number, now) == 0.0
