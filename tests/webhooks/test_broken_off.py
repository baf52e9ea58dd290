"""A process that ends at any moment of a delivery, and a database that goes away: nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest

from calendarsync.jobs.deliveries import Deliverer, Pace, _Attempt
from calendarsync.store.database import Database, DatabaseUnavailable
from tests.webhooks.post import Post, at_work
from tests.webhooks.receiver import Receiver, receiver

SHORT = Pace(delays=(timedelta(0),), lease=timedelta(milliseconds=1))


class _Broken:
    """Awaits a coroutine, and cancels the task in which it does so at the coroutine's `at`-th suspension."""

    def __init__(self, coroutine: Coroutine[Any, Any, object], at: int) -> None:
        self._coroutine = coroutine
        self._at = at
        self.reached = False

    def __await__(self) -> Generator[Any, Any, None]:
        step: Callable[[], Any] = partial(self._coroutine.send, None)
        for number in count(1):
            try:
                waited_for = step()
            except StopIteration:
                return
            if number == self._at:
                self.reached = True
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                yield waited_for
            except BaseException as error:  # noqa: BLE001 - it is the coroutine's
                step = partial(self._coroutine.throw, error)
            else:
                step = partial(self._coroutine.send, None)


async def _break_off(coroutine: Coroutine[Any, Any, object], at: int) -> bool:
    """Whether it had not come to its end before."""
    broken = _Broken(coroutine, at)

    async def run() -> None:
        await broken

    await asyncio.wait([asyncio.create_task(run())])
    return broken.reached


async def _claimed_and_sent(deliverer: Deliverer) -> None:
    task = asyncio.current_task()
    assert task is not None
    for delivery in await deliverer._claim(10):
        deliverer._under_way[task] = _Attempt(delivery, 0.0)
        await deliverer._deliver(delivery)


async def _check(post: Post, there: Receiver, events: int) -> None:
    async with at_work(post.deliverer(SHORT)):
        await post.until_done()
    rows = await post.deliveries()
    assert [row.status for row in rows] == ["succeeded"] * events
    assert {row.event_id for row in rows} == {got.event_id for got in there.taken}
    assert all(row.leased_until is row.next_attempt_at is None for row in rows)


async def test_it_may_be_broken_off_at_every_await(post: Post) -> None:
    async with receiver() as there:
        await post.endpoint(there.url)
        moments = 0
        for at in count(1):
            await post.emit()
            moments = at
            if not await _break_off(_claimed_and_sent(post.deliverer(SHORT)), at):
                break
        assert moments > 10, "there are more awaits than that in a claim, a request and two transactions"
        await _check(post, there, moments)


class _Away:
    """The database goes away with the `number`-th transaction: before it, or after it has been committed."""

    def __init__(self, db: Database, number: int, *, committed: bool) -> None:
        self._db = db
        self._number = number
        self._committed = committed
        self.begun = 0

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Any]:
        self.begun += 1
        away = self.begun == self._number
        if away and not self._committed:
            raise DatabaseUnavailable("it is away")
        async with self._db.write() as connection:
            yield connection
        if away:
            raise DatabaseUnavailable("nobody knows whether it was committed")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


@pytest.mark.parametrize("committed", [False, True])
async def test_the_database_may_go_away_at_every_transaction(post: Post, committed: bool) -> None:
    async with receiver() as there:
        await post.endpoint(there.url)
        for number in count(1):
            await post.emit()
            deliverer = post.deliverer(SHORT)
            away = deliverer._db = _Away(post.db, number, committed=committed)  # type: ignore[assignment]
            try:
                await _claimed_and_sent(deliverer)
            except DatabaseUnavailable:
                assert number == 1, "only a claim that fails is told to whoever looks"
            if away.begun < number:
                break
        assert number >= 3
        await _check(post, there, number)
