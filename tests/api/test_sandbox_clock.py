"""POST /sandbox/clock: what waits in the account's test mode waits less, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Table, insert, select, update

from calendarsync.accounts.keys import Mode
from calendarsync.store import tables
from calendarsync.store.ids import new_id
from tests.api.client import Client
from tests.api.world import World

URL = "/api/v1/sandbox/clock"
HOUR = timedelta(hours=1)


@pytest.fixture
async def tester(world: World) -> Client:
    return await world.client(mode=Mode.TEST)


async def change(world: World, table: Table, row_id: str, **values: Any) -> None:
    async with world.db.write() as db:
        await db.execute(update(table).where(table.c.id == row_id).values(**values))


async def row(world: World, table: Table, row_id: str) -> Mapping[str, Any]:
    async with world.db.read() as db:
        return (await db.execute(select(table).where(table.c.id == row_id))).mappings().one()


async def waiting(world: World, client: Client, mode: str, at: datetime) -> dict[str, Any]:
    """A pair, a connection and a delivery of the first account in this mode that wait until then."""
    a, b = [await world.connection(f"{mode}-{name}", mode=mode) for name in "ab"]
    pair = (await world.pair(client, a, b))["id"]
    await change(world, tables.pairs, pair, due_at=at, quiet_until=at, resume_at=at, status="paused")
    await change(world, tables.connections, a, not_before=at)
    ids = {"webhook": new_id("whk"), "event": new_id("evt"), "delivery": new_id("dlv")}
    owner = {"account_id": world.account_id, "mode": mode}
    async with world.db.write() as db:
        webhook = {
            "id": ids["webhook"],
            "url_encrypted": b"x",
            "events": [],
            "format": "json",
            "only_changed": False,
            "status": "enabled",
            "secret_encrypted": b"x",
            "created_at": at,
        }
        event = {"id": ids["event"], "type": "sync.completed", "data": {}, "created_at": at}
        delivery = {
            "id": ids["delivery"],
            "webhook_id": ids["webhook"],
            "event_id": ids["event"],
            "status": "pending",
            "created_at": at,
            "next_attempt_at": at,
            "generation": 0,
            "attempts": [],
        }
        await db.execute(insert(tables.webhooks).values(webhook | owner))
        await db.execute(insert(tables.webhook_events).values(event | owner))
        await db.execute(insert(tables.deliveries).values(delivery | owner))
    return {"pair": pair, "a": a, "b": b, **ids}


async def times(world: World, ids: Mapping[str, str]) -> set[datetime]:
    pair = await row(world, tables.pairs, ids["pair"])
    connection = await row(world, tables.connections, ids["a"])
    delivery = await row(world, tables.deliveries, ids["delivery"])
    waits = [pair["due_at"], pair["quiet_until"], pair["resume_at"]]
    return {*waits, connection["not_before"], delivery["next_attempt_at"]}


async def test_the_clock_is_shown_and_moved(world: World, tester: Client) -> None:
    assert (await tester.get(URL)).json == {"now": "2026-03-28T10:00:00Z", "advanced_seconds": 0}
    moved = await tester.post(URL, {"advance_seconds": 90})
    assert (moved.status, moved.json) == (200, {"now": "2026-03-28T10:01:30Z", "advanced_seconds": 90})
    assert world.runner.woken == 1
    await tester.post(URL, {"advance_seconds": 10})
    assert (await tester.get(URL)).json == {"now": "2026-03-28T10:01:40Z", "advanced_seconds": 100}
    stranger = await world.client(mode=Mode.TEST, account_id=await world.other_account())
    assert (await stranger.get(URL)).json["advanced_seconds"] == 0


@pytest.mark.parametrize("seconds", [0, -1, 366 * 86_400 + 1, 1.5, "60", None, True])
async def test_it_moves_forward_and_not_too_far(tester: Client, seconds: object) -> None:
    answer = await tester.post(URL, {"advance_seconds": seconds})
    assert answer.status == 422
    assert answer.fields == {"advance_seconds"}


async def test_ten_years_ahead_is_the_end(world: World, tester: Client) -> None:
    at = world.clock[0] + 20 * HOUR
    ids = await waiting(world, tester, "test", at)
    for _ in range(10):
        assert (await tester.post(URL, {"advance_seconds": 366 * 86_400})).status == 200
    before = await times(world, ids)
    answer = await tester.post(URL, {"advance_seconds": 1})
    assert answer.status == 422
    assert "3660 days" in answer.error["message"]
    assert await times(world, ids) == before


async def test_all_that_waits_in_test_mode_is_pulled_in(world: World, tester: Client) -> None:
    at = world.clock[0] + 20 * HOUR
    ids = await waiting(world, tester, "test", at)
    live = await waiting(world, await world.client(), "live", at)
    await tester.post(URL, {"advance_seconds": 3600})
    assert await times(world, ids) == {at - HOUR}
    assert await times(world, live) == {at}
    assert (await row(world, tables.connections, ids["b"]))["not_before"] is None


async def test_live_mode_goes_by_the_real_clock(world: World, tester: Client) -> None:
    await tester.post(URL, {"advance_seconds": 3600})
    live, until = await world.client(), world.clock[0] + HOUR / 2
    a, b = [await world.connection(name) for name in "ab"]
    pair = (await world.pair(live, a, b))["id"]
    paused = await live.patch(
        f"/api/v1/sync-pairs/{pair}", {"status": "paused", "resume_at": until.isoformat()}
    )
    assert (paused.status, paused.json["resume_at"]) == (200, "2026-03-28T10:30:00Z")
    assert (await row(world, tables.pairs, pair))["resume_at"] == until


async def test_nobody_elses_waits_are_touched(world: World, tester: Client) -> None:
    at = world.clock[0] + 20 * HOUR
    ids = await waiting(world, tester, "test", at)
    stranger = await world.client(mode=Mode.TEST, account_id=await world.other_account())
    await stranger.post(URL, {"advance_seconds": 3600})
    assert await times(world, ids) == {at}


async def test_a_delivery_that_is_on_its_way_is_left_alone(world: World, tester: Client) -> None:
    at = world.clock[0] + 20 * HOUR
    ids = await waiting(world, tester, "test", at)
    await change(world, tables.deliveries, ids["delivery"], leased_until=at)
    await tester.post(URL, {"advance_seconds": 3600})
    assert (await row(world, tables.deliveries, ids["delivery"]))["next_attempt_at"] == at


async def test_advances_at_once_add_up(world: World, tester: Client) -> None:
    at = world.clock[0] + 20 * HOUR
    ids = await waiting(world, tester, "test", at)
    await asyncio.gather(*(tester.post(URL, {"advance_seconds": 60}) for _ in range(5)))
    assert (await tester.get(URL)).json["advanced_seconds"] == 300
    assert await times(world, ids) == {at - timedelta(minutes=5)}
