"""Channels: made where they are of use, renewed before they end, and nothing falls between (rule 27)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import delete, select

from calendarsync.jobs import channels as channels_module
from calendarsync.jobs import notices
from calendarsync.jobs.channels import LEASE, MARGIN
from calendarsync.jobs.notices import About
from calendarsync.providers.base import CalendarNotFound, RateLimited, Unavailable
from calendarsync.store import pairs as pair_store
from calendarsync.store.columns import AT_ONCE
from calendarsync.store.neighbours import delete_pair
from calendarsync.store.schedule import expire, load_connection, load_pair
from calendarsync.store.tables import connections, orders
from calendarsync.store.tenancy import Tenant
from tests.jobs.standin import LIFE, PROVIDER, StandIn, Watcher, grant, watcher
from tests.testbed.memory_desk import MemoryDesk

pytestmark = pytest.mark.rule(27)


@pytest.fixture
async def standin(at: MemoryDesk, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StandIn]:
    monkeypatch.setattr(notices, "ANSWER_SECONDS", 30.0)  # no machine is too slow to know
    made = StandIn(at.app.clock)
    yield made
    await made.close()


@pytest.fixture
def here(at: MemoryDesk, standin: StandIn) -> Watcher:
    return watcher(at, standin)


async def test_a_connection_in_use_has_a_channel(at: MemoryDesk, here: Watcher) -> None:
    await at.pair()
    await grant(at, "a")
    await here.look()
    (channel,) = await here.known()
    (token,) = here.standin.tokens.values()
    assert channel.token_hash == at.app.keyring.channel_hash(token) != token
    assert channel.remote_id == f"remote-{channel.id}"
    row = await here.row()
    assert row.watched_until == channel.expires_at == at.app.clock() + LIFE
    assert row.watch_at == channel.expires_at - MARGIN
    assert (await here.row("b")).watched_until is None, "its provider cannot push"


async def test_what_changed_before_the_channel_was_there_is_read(at: MemoryDesk, here: Watcher) -> None:
    pair = await at.pair()
    await grant(at, "a")
    await here.look()
    assert await here.ordered() == 1
    async with at.app.db.read() as db:
        (order,) = (await db.execute(select(orders))).all()
    assert (order.pair_id, order.trigger) == (pair, "push")


@pytest.mark.parametrize("unused", ["no pair", "paused", "being removed"])
async def test_a_connection_that_is_not_in_use_has_none(at: MemoryDesk, here: Watcher, unused: str) -> None:
    if unused != "no pair":
        pair = await at.pair()
        await at.app.change_pair(pair, **{"status": "paused"} if unused == "paused" else {"removal": "keep"})
    await grant(at, "a")
    await here.look()
    assert here.standin.asked == []
    assert (await here.row()).watch_at is None


async def test_a_pause_that_ends_by_itself_finds_its_channel(at: MemoryDesk, here: Watcher) -> None:
    pair = await at.pair()
    await at.app.change_pair(pair, status="paused", resume_at=at.app.clock() + timedelta(hours=1))
    await grant(at, "a")
    await here.look()
    assert here.standin.asked == ["watch"]


async def test_a_pause_ends_the_channel_and_a_new_start_makes_another(at: MemoryDesk, here: Watcher) -> None:
    pair, tenant = await at.pair(), Tenant(at.account, "live")
    await grant(at, "a")
    await here.look()
    for status, asked in (("paused", ["watch", "unwatch"]), ("active", ["watch", "unwatch", "watch"])):
        async with at.app.db.write_as(tenant) as db:
            await pair_store.update_pair(db, tenant, pair, {"status": status})
        await here.look()
        assert here.standin.asked == asked
        assert len(await here.known()) == len(here.standin.tokens) == (status == "active")
        assert ((await here.row()).watched_until is None) == (status == "paused")


async def test_the_last_pair_takes_the_channel_with_it(at: MemoryDesk, here: Watcher) -> None:
    pair_id = await at.pair()
    await grant(at, "a")
    await here.look()
    async with at.app.db.write() as db:
        pair = await load_pair(db, pair_id)
        assert pair is not None
        await delete_pair(db, pair, at.app.clock())
    await here.look()
    assert here.standin.tokens == {}
    row = await here.row()
    assert (row.watched_until, row.watch_at) == (None, None)


async def test_a_channel_is_ended_before_its_connection_is_deleted(at: MemoryDesk, here: Watcher) -> None:
    await at.pair()
    await grant(at, "a")
    await here.look()
    notice = here.standin.notice()
    await here.channels.end(at.connections["a"])
    assert here.standin.tokens == {}
    assert not await here.notices.take(PROVIDER, [notice])
    await here.look()
    assert len(here.standin.tokens) == 1, "it was not deleted after all"


async def test_nobody_waits_long_for_that(
    at: MemoryDesk, here: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.sleep(60)

    await at.pair()
    await grant(at, "a")
    await here.look()
    monkeypatch.setattr(StandIn, "unwatch", never)
    monkeypatch.setattr(channels_module, "END_SECONDS", 0.05)
    await asyncio.wait_for(here.channels.end(at.connections["a"]), 5)


async def test_rule_25_a_grant_that_is_dead_has_none(at: MemoryDesk, here: Watcher) -> None:
    await at.pair()
    await grant(at, "a")
    await here.look()
    async with at.app.db.write() as db:
        assert await expire(db, await load_connection(db, at.connections["a"]))
    assert (await here.row()).watch_at == AT_ONCE
    await here.look()
    assert here.standin.asked == ["watch"], "nobody there listens to us any more"
    assert await here.known() == []
    row = await here.row()
    assert (row.watched_until, row.watch_at) == (None, None)


async def test_a_new_channel_is_there_before_the_old_one_is_ended(at: MemoryDesk, here: Watcher) -> None:
    await at.pair()
    await grant(at, "a")
    await here.look()
    await here.ordered()
    old = here.standin.notice()
    at.app.clock.advance(seconds=(LIFE - MARGIN).total_seconds() - 1)
    await here.look()
    assert here.standin.asked == ["watch"], "not before its time"
    at.app.clock.advance(seconds=2)
    here.standin.held = asyncio.Event()
    looking = asyncio.create_task(here.look())
    here.standin.watching.clear()
    await asyncio.wait_for(here.standin.watching.wait(), 10)
    assert await here.notices.take(PROVIDER, [old])
    here.standin.held.set()
    await looking
    assert here.standin.asked == ["watch", "watch", "unwatch"]
    new = here.standin.notice()
    assert new.channel != old.channel
    assert await here.notices.take(PROVIDER, [new])
    assert not await here.notices.take(PROVIDER, [old]), "sent once more, it starts nothing"
    assert len(await here.known()) == 1
    assert (await here.row()).watched_until == at.app.clock() + LIFE


async def test_where_a_channel_can_be_renewed_it_is(at: MemoryDesk, here: Watcher) -> None:
    here.standin.renews = True
    await at.pair()
    await grant(at, "a")
    await here.look()
    (before,) = await here.known()
    for _ in range(2):
        at.app.clock.advance(days=6, seconds=1)
        await here.look()
    assert here.standin.asked == ["watch", "renew", "renew"]
    (after,) = await here.known()
    assert (after.id, after.expires_at) == (before.id, at.app.clock() + LIFE)
    assert (await here.row()).watched_until == after.expires_at


async def test_one_that_is_gone_at_the_provider_is_made_anew(at: MemoryDesk, here: Watcher) -> None:
    here.standin.renews = True
    await at.pair()
    await grant(at, "a")
    await here.look()
    here.standin.tokens.clear()
    at.app.clock.advance(days=6, seconds=1)
    await here.look()
    assert here.standin.asked == ["watch", "renew", "watch", "unwatch"]
    assert len(await here.known()) == 1


async def test_a_channel_that_ended_unnoticed_is_made_anew_and_what_was_missed_is_read(
    at: MemoryDesk, here: Watcher
) -> None:
    await at.pair()
    await grant(at, "a")
    await here.look()
    assert await here.ordered() == 1
    async with at.app.db.write() as db:
        await db.execute(delete(orders))
    at.app.clock.advance(days=8)
    here.standin.asked.clear()
    await here.look()
    assert here.standin.asked == ["watch"]
    assert await here.ordered() == 1


async def test_a_failure_is_tried_again_each_time_later_and_leaves_the_old_channel(
    at: MemoryDesk, here: Watcher
) -> None:
    await at.pair()
    await grant(at, "a")
    await here.look()
    (old,) = await here.known()
    at.app.clock.advance(days=6, seconds=1)
    waits = []
    for _ in range(9):
        here.standin.failing = [Unavailable("it may pass")]
        await here.look()
        assert [row.id for row in await here.known()] == [old.id]
        row = await here.row()
        waits.append((row.watch_at - at.app.clock()).total_seconds() / 60)
        at.app.clock.now = row.watch_at
        assert row.watched_until == old.expires_at
        assert (row.status, row.last_error_code) == ("active", None), "a run fails with it no sooner"
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    await here.look()
    assert len(here.standin.tokens) == 1
    assert (await here.row()).watched_until == at.app.clock() + LIFE


@pytest.mark.parametrize(
    ("error", "minutes"),
    [(CalendarNotFound("no such calendar"), 12), (RateLimited("slow down", retry_after=600), 10)],
    ids=["what does not pass", "as long as asked"],
)
async def test_a_refusal_waits_longer(
    at: MemoryDesk, here: Watcher, error: Unavailable, minutes: int
) -> None:
    await at.pair()
    await grant(at, "a")
    here.standin.failing = [error]
    await here.look()
    assert (await here.row()).watch_at == at.app.clock() + timedelta(minutes=minutes)
    assert await here.known() == []


async def test_rule_24_a_grant_that_rests_is_asked_for_no_channel(at: MemoryDesk, here: Watcher) -> None:
    await at.pair()
    await grant(at, "a")
    until = at.app.clock() + timedelta(minutes=7)
    await here.change(not_before=until)
    await here.look()
    assert here.standin.asked == []
    assert (await here.row()).watch_at == until


async def test_a_provider_that_does_not_answer_is_left_in_time(
    at: MemoryDesk, here: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels_module, "PATIENCE_SECONDS", 0.05)
    here.standin.held = asyncio.Event()
    await at.pair()
    await grant(at, "a")
    await asyncio.wait_for(here.look(), 10)
    assert (await here.row()).watch_at == at.app.clock() + timedelta(minutes=1)
    here.standin.held.set()
    at.app.clock.advance(minutes=1)
    await here.look()
    assert len(await here.known()) == 1, "of the one that may have been made nothing is left"


async def test_two_workers_make_one_channel(at: MemoryDesk, here: Watcher, standin: StandIn) -> None:
    await at.pair()
    await grant(at, "a")
    other = watcher(at, standin)
    await asyncio.gather(here.look(), other.look())
    assert standin.asked == ["watch"]
    assert len(await here.known()) == 1


async def test_a_worker_killed_while_it_renews_is_followed_by_another(
    at: MemoryDesk, here: Watcher, standin: StandIn
) -> None:
    await at.pair()
    await grant(at, "a")
    await here.look()
    old = standin.notice()
    at.app.clock.advance(days=6, seconds=1)
    standin.held = asyncio.Event()
    standin.watching.clear()
    await here.channels.look()
    await asyncio.wait_for(standin.watching.wait(), 10)
    await here.channels.drain(0)
    standin.held = None
    other = watcher(at, standin)
    await other.look()
    assert standin.asked == ["watch", "watch"], "its lease has not run out"
    assert await other.notices.take(PROVIDER, [old])
    at.app.clock.advance(seconds=LEASE.total_seconds())
    await other.look()
    assert standin.asked == ["watch", "watch", "watch", "unwatch"]
    (channel,) = await other.known()
    assert (await other.row()).watched_until == channel.expires_at == at.app.clock() + LIFE


async def test_a_worker_frozen_while_it_renews_ends_what_it_made(
    at: MemoryDesk, here: Watcher, standin: StandIn
) -> None:
    await at.pair()
    await grant(at, "a")
    standin.held = asyncio.Event()
    frozen = asyncio.create_task(here.look())
    await asyncio.wait_for(standin.watching.wait(), 10)
    held, standin.held = standin.held, None
    at.app.clock.advance(seconds=LEASE.total_seconds())
    other = watcher(at, standin)
    async with asyncio.timeout(10):
        await other.channels.look()
        while (await other.row()).watched_until is None:  # noqa: ASYNC110 - the database has no event
            await asyncio.sleep(0.02)
    before = await other.row()
    held.set()
    await frozen
    assert standin.asked == ["watch", "watch", "unwatch"]
    (channel,) = await other.known()
    assert list(standin.tokens) == [channel.id]
    assert await other.row() == before


async def test_without_an_address_there_are_none_until_there_is_one(at: MemoryDesk, standin: StandIn) -> None:
    await at.pair()
    await grant(at, "a")
    standin.reachable = False
    await watcher(at, standin).look()
    assert (await watcher(at, standin).row()).watch_at is None
    standin.reachable = True
    await watcher(at, standin).look()
    assert standin.asked == ["watch"]
    standin.reachable = False
    await watcher(at, standin).change(watch_at=at.app.clock())
    await watcher(at, standin).look()
    assert standin.asked == ["watch", "unwatch"]


@pytest.mark.parametrize("renews", [True, False], ids=["renewed", "made anew"])
async def test_a_channel_that_is_to_be_authorized_anew_is_renewed_at_once(
    at: MemoryDesk, here: Watcher, *, renews: bool
) -> None:
    here.standin.renews = renews
    await at.pair()
    await grant(at, "a")
    await here.look()
    ordered = await here.ordered()
    at.app.clock.advance(minutes=1)
    assert await here.notices.take(PROVIDER, [here.standin.notice(about=About.REAUTHORIZE)])
    assert await here.ordered() == ordered, "it tells of no change"
    await here.look()
    assert here.standin.asked == ["watch", "renew"] if renews else ["watch", "watch", "unwatch"]
    assert (await here.row()).watched_until == at.app.clock() + LIFE


async def test_a_channel_that_the_provider_removed_is_made_anew_and_what_was_missed_is_read(
    at: MemoryDesk, here: Watcher
) -> None:
    here.standin.renews = True
    await at.pair()
    await grant(at, "a")
    await here.look()
    await here.ordered()
    async with at.app.db.write() as db:
        await db.execute(delete(orders))
    assert await here.notices.take(PROVIDER, [here.standin.notice(about=About.REMOVED)])
    assert await here.ordered() == 1
    here.standin.tokens.clear()
    await here.look()
    assert here.standin.asked == ["watch", "watch"]
    (channel,) = await here.known()
    assert channel.expires_at == at.app.clock() + LIFE


async def test_a_change_while_a_look_is_under_way_leads_to_another(at: MemoryDesk, here: Watcher) -> None:
    pair, tenant = await at.pair(), Tenant(at.account, "live")
    await grant(at, "a")
    here.standin.held = asyncio.Event()
    looking = asyncio.create_task(here.look())
    await asyncio.wait_for(here.standin.watching.wait(), 10)
    async with at.app.db.write_as(tenant) as db:
        await pair_store.update_pair(db, tenant, pair, {"status": "paused"})
    here.standin.held.set()
    await looking
    await here.look()
    assert here.standin.tokens == {}
    assert (await here.row()).watched_until is None


async def test_a_connection_that_is_deleted_meanwhile_leaves_nothing(at: MemoryDesk, here: Watcher) -> None:
    pair_id = await at.pair()
    await grant(at, "a")
    here.standin.held = asyncio.Event()
    looking = asyncio.create_task(here.look())
    await asyncio.wait_for(here.standin.watching.wait(), 10)
    async with at.app.db.write() as db:
        pair = await load_pair(db, pair_id)
        assert pair is not None
        await delete_pair(db, pair, at.app.clock())
        await db.execute(delete(connections).where(connections.c.id == at.connections["a"]))
    here.standin.held.set()
    await looking
    assert here.standin.tokens == {}
