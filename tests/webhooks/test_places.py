"""Places: who has one, for how long, and what becomes of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from aiohttp import web
from sqlalchemy import update

from calendarsync.jobs import deliveries as module
from calendarsync.jobs.deliveries import AT_ONCE, LEASE, Pace
from calendarsync.jobs.outbox import Outbox
from calendarsync.jobs.wakeups import Wakeups
from calendarsync.store import tables
from calendarsync.store.pruning import delete_old
from calendarsync.store.webhooks import seal
from tests.webhooks.post import Post, at_work
from tests.webhooks.receiver import SOON, Got, receiver


async def test_a_crowd_that_begins_to_hang_leaves_places_for_the_others(post: Post) -> None:
    """None of them has failed yet, and each has more to be sent than one at a time."""
    release = asyncio.Event()

    async def hang(_: Got) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    async with (
        receiver(hang) as hanging,
        receiver() as other,
        at_work(post.deliverer(Pace(), timeout=2 * SOON)),
    ):
        for _ in range(AT_ONCE + 10):
            await post.endpoint(hanging.url, events=["sync.failed"])
        await post.emit(2)
        await hanging.until_got(AT_ONCE)
        await post.endpoint(other.url, events=["sync.completed"])
        await post.emit(20, type="sync.completed")
        await other.until_taken(20)
        assert hanging.waiting >= AT_ONCE, "they hang still"
        release.set()


async def test_a_receiver_that_takes_its_time_gets_everything(post: Post) -> None:
    async def think(_: Got) -> web.StreamResponse:
        await asyncio.sleep(0.6)
        return web.Response()

    async with receiver(think) as there, at_work(post.deliverer(Pace())):
        await post.endpoint(there.url)
        await post.emit(10)
        await post.until_done()
    assert len(there.taken) == 10
    assert there.most_waiting == 4


async def test_an_attempt_whose_claim_lapsed_in_its_own_process_is_minded_to_its_end(post: Post) -> None:
    """As after a night in which the machine slept."""
    release = asyncio.Event()

    async def hold(_: Got) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    lapsing = post.deliverer(Pace(delays=(timedelta(0),), lease=timedelta(milliseconds=1)))
    async with receiver(hold) as there:
        await post.endpoint(there.url)
        await post.emit()
        for count in (1, 2):
            await lapsing.look()
            await there.until_got(count)
            assert len(lapsing._under_way) == count
            await asyncio.sleep(0.01)
        release.set()
        await lapsing.drain(SOON)
        assert lapsing._under_way == {}
    (delivery,) = await post.deliveries()
    assert (delivery.status, len(delivery.attempts)) == ("succeeded", 1)
    assert len({(got.event_id, got.body) for got in there.got}) == 1


async def test_what_waits_for_disabled_endpoints_is_ended_a_part_at_a_time(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ENDED_AT_ONCE", 5)
    there = [await post.endpoint("http://127.0.0.1:1/") for _ in range(3)]
    await post.emit(4)
    for webhook_id in there:
        await post.change(webhook_id, status="disabled")
    deliverer, ended = post.deliverer(), []
    for _ in range(4):
        deliverer.woken.clear()
        await deliverer.look()
        ended.append((await post.count("canceled"), deliverer.woken.is_set()))
    assert ended == [(5, True), (10, True), (12, False), (12, False)]


@pytest.mark.parametrize("moved", [False, True])
async def test_an_endpoint_is_not_disabled_by_the_address_that_it_had_before(post: Post, moved: bool) -> None:
    answer, asked = asyncio.Event(), asyncio.Event()

    async def gone(_: Got) -> web.StreamResponse:
        asked.set()
        await answer.wait()
        return web.Response(status=410)

    async with receiver(gone) as old, receiver() as new, at_work(post.deliverer()):
        webhook_id = await post.endpoint(old.url)
        await post.emit()
        await asked.wait()
        if moved:
            await post.change(webhook_id, url_encrypted=seal(post.keyring, webhook_id, new.url))
        answer.set()
        await post.until_done()
        row = await post.row(webhook_id)
        assert (row.status, row.failing_since is None) == (
            ("enabled", True) if moved else ("disabled", False)
        )


async def test_a_clock_that_is_set_back_puts_off_retries_alone(post: Post) -> None:
    webhook_id, hour = await post.endpoint("http://127.0.0.1:1/"), timedelta(hours=1)
    await post.emit(3)
    table, deliverer = tables.deliveries, post.deliverer(Pace())
    first, claimed, retried = [row.id for row in await post.deliveries(webhook_id)]
    later, before = post.db.now() + hour, post.db.now()
    async with post.db.write() as db:
        for delivery_id, values in (
            (first, {}),
            (claimed, {"generation": 1, "leased_until": later}),
            (retried, {"generation": 1}),
        ):
            one = update(table).where(table.c.id == delivery_id)
            await db.execute(one.values(next_attempt_at=later, **values))
    await deliverer.mind_the_clock()
    assert deliverer.woken.is_set()
    found = {row.id: (row.next_attempt_at, row.leased_until) for row in await post.deliveries(webhook_id)}
    at, until = found[first][0], found[claimed][1]
    assert before <= at <= post.db.now()
    assert until == at + LEASE
    assert found == {first: (at, None), claimed: (until, until), retried: (later, None)}


async def test_what_is_being_forgotten_at_this_moment_is_not_delivered_again(post: Post) -> None:
    webhook_id = await post.endpoint("http://127.0.0.1:1/")
    await post.emit()
    (delivery,) = await post.deliveries()
    outbox = Outbox(post.db, Wakeups(post.db))
    async with post.db.write() as db:
        assert await delete_old(db, tables.webhook_events.c.created_at, post.db.now(), 10) == 1
        again = asyncio.create_task(outbox.redeliver(post.tenant, webhook_id, delivery.id))
        await asyncio.sleep(0.3)
    with pytest.raises(LookupError):
        await again


async def test_two_who_forget_at_once_do_not_wait_for_each_other(post: Post) -> None:
    await post.endpoint("http://127.0.0.1:1/")
    await post.emit(4)
    until = post.db.now()

    async def forget() -> int:
        async with post.db.write() as db:
            return await delete_old(db, tables.webhook_events.c.created_at, until, 2)

    if post.db.backend == "postgresql":
        async with post.db.write() as db:
            assert await delete_old(db, tables.webhook_events.c.created_at, until, 2) == 2
            assert await asyncio.wait_for(asyncio.create_task(forget()), 5) == 2
    else:
        assert await forget() == await forget() == 2
    assert await post.deliveries() == []
