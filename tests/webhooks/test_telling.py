"""Events are written with what they tell of, in the form of the API, once, and for those who asked for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from calendarsync.api.v1.connection_models import connection_out
from calendarsync.providers.base import Calendar, NotAuthorized, Unavailable
from calendarsync.store.connections import get_connection
from calendarsync.store.ids import new_id
from calendarsync.store.tables import accounts, connections, deliveries, pairs, runs, webhook_events, webhooks
from calendarsync.store.tenancy import Tenant
from calendarsync.sync import quiet, run_log
from calendarsync.sync.report import Order
from calendarsync.webhooks.catalogue import SUBSCRIBABLE, connection_data, log_data
from tests.api.client import Client
from tests.api.world import World, build, close
from tests.testbed.events import event
from tests.testbed.memory import MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk, memory_desk


@pytest.fixture
async def at(database_url: str) -> Any:
    async with memory_desk(database_url) as desk:
        yield desk


async def endpoint(at: MemoryDesk, account: str | None = None, **values: Any) -> str:
    row = {
        "id": new_id("whk"),
        "account_id": account or at.account,
        "mode": "live",
        "url_encrypted": b"sealed",
        "events": list(SUBSCRIBABLE),
        "format": "event",
        "only_changed": False,
        "status": "enabled",
        "secret_encrypted": b"sealed",
        "created_at": at.app.clock(),
        **values,
    }
    async with at.app.db.write() as db:
        await db.execute(insert(webhooks), row)
    return str(row["id"])


async def told(at: MemoryDesk, webhook_id: str | None = None) -> Sequence[Any]:
    """Events that were written, in the order of their runs; for an endpoint, those that go to it."""
    query = select(webhook_events).order_by(webhook_events.c.created_at)
    if webhook_id is not None:
        query = query.join(deliveries, deliveries.c.event_id == webhook_events.c.id)
        query = query.where(deliveries.c.webhook_id == webhook_id)
    async with at.app.db.read() as db:
        return (await db.execute(query)).all()


async def rows_of(at: MemoryDesk, table: Any) -> int:
    async with at.app.db.read() as db:
        return int((await db.execute(select(func.count()).select_from(table))).scalar_one())


async def log_of(at: MemoryDesk, data: dict[str, Any]) -> Any:
    return await at.app.row(runs, data["id"])


async def test_runs_are_told_to_those_who_want_to_hear_of_them(at: MemoryDesk) -> None:
    everything = await endpoint(at)
    changes = await endpoint(at, only_changed=True)
    failures = await endpoint(at, events=["sync.failed"])
    for values in ({"mode": "test"}, {"status": "disabled"}, {"account": await at.app.account()}):
        await endpoint(at, **values)  # type: ignore[arg-type]
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    first = await at.app.sync(pair)
    at.app.clock.advance(seconds=1)
    await at.app.sync(pair)  # hears of the copy
    at.app.clock.advance(seconds=1)
    unchanged = await at.app.sync(pair)
    assert (first.events_created, unchanged.events_processed) == (1, 0)

    events = await told(at, everything)
    assert [each.type for each in events] == ["sync.completed"] * 3
    assert [each.data["sync_id"] for each in (events[0], events[2])] == [first.sync_id, unchanged.sync_id]
    assert [each.id for each in await told(at, changes)] == [events[0].id]
    assert await told(at, failures) == []
    assert await rows_of(at, webhook_events) == 3
    assert await rows_of(at, deliveries) == 4
    for each in events:
        row = await log_of(at, each.data)
        assert each.data == log_data(row._mapping)
        assert (each.account_id, each.mode) == (at.account, "live")


async def test_nothing_is_written_where_nobody_subscribed(at: MemoryDesk) -> None:
    await endpoint(at, events=[])
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    await at.app.sync(pair)
    await at.app.sync(pair)
    assert await rows_of(at, webhook_events) == await rows_of(at, deliveries) == 0


async def test_a_run_that_fails_and_one_that_a_guard_stops_are_told(at: MemoryDesk) -> None:
    there = await endpoint(at, only_changed=True)
    for number in range(20):
        at.store("a").put(f"{number}.ics", event(f"uid-{number}"))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    at.store("a").resources.clear()
    at.store("a").journal.append("an unrelated change")
    at.store("a").forget_tokens()
    at.app.clock.advance(seconds=1)
    stopped = await at.app.run(pair)
    assert (await at.app.row(pairs, pair)).status == "needs_attention"

    def down(_: object, __: object) -> Calendar:
        raise Unavailable("The server is down.")

    at.app.wrap = down
    at.app.clock.advance(seconds=1)
    failed = await at.app.run(pair)
    events = (await told(at, there))[1:]
    assert [each.type for each in events] == ["sync.failed"] * 2
    assert [each.data["sync_id"] for each in events] == [stopped.sync_id, failed.sync_id]
    assert [each.data["error"]["code"] for each in events] == ["needs_attention", "provider_unavailable"]


async def test_what_leaves_no_log_is_not_told(at: MemoryDesk) -> None:
    await endpoint(at)
    pair = await at.pair()
    await at.app.run(pair, dry_run=True)
    await at.app.change_pair(pair, status="paused")
    await at.app.run(pair)
    assert await told(at) == []


async def test_the_end_of_a_removal_is_told(at: MemoryDesk) -> None:
    there = await endpoint(at, only_changed=True)
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    await at.app.change_pair(pair, removal="remove")
    at.app.clock.advance(seconds=1)
    await at.app.sync(pair)
    assert await at.app.row(pairs, pair) is None
    made, removed = await told(at, there)
    assert (made.data["events_created"], removed.data["events_deleted"]) == (1, 1)


async def test_an_expiry_is_told_once_until_access_was_granted_again(
    at: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await endpoint(at, events=["connection.expired"])
    await at.add("c")
    several = [await at.pair("a", "b"), await at.pair("a", "c")]
    together = asyncio.Barrier(2)

    async def refuse(self: MemoryCalendar, *_: object, **__: object) -> object:
        if self.store is at.store("a"):
            async with asyncio.timeout(5):
                await together.wait()
            raise NotAuthorized("The server does not accept the user name and password.")
        return await read(self, *_, **__)  # type: ignore[arg-type]

    read = MemoryCalendar.read
    monkeypatch.setattr(MemoryCalendar, "read", refuse)
    # As in two processes, neither of which knows of the other's locks.
    engines = [at.app.engine, type(at.app.engine)(at.app.engine._reader, at.app.engine._tools)]
    for time in (1, 2):
        work = [await at.app._claim(pair, Order(new_id("sync_run"), "api")) for pair in several]
        await asyncio.gather(
            *(
                engine.work_off(each, engine.new_round())
                for engine, each in zip(engines, work, strict=True)
                if each is not None
            )
        )
        events = await told(at, there)
        assert len(events) == time
        row = await at.app.row(connections, at.connections["a"])
        assert row.status == "expired"
        tenant = Tenant(at.account, "live")
        async with at.app.db.read() as db:
            shown = await get_connection(db, tenant, row.id)
        assert shown is not None
        assert (
            events[-1].data
            == connection_data(dict(shown))
            == json.loads(connection_out(shown).model_dump_json())
        )
        assert (events[-1].data["status"], events[-1].data["last_error"]["code"]) == (
            "expired",
            NotAuthorized.code,
        )
        # While it is expired nobody is asked, and nothing is told anew.
        at.app.clock.advance(seconds=1)
        for pair in several:
            await at.app.run(pair)
        assert len(await told(at, there)) == time
        async with at.app.db.write() as db:
            await db.execute(update(connections).values(status="active"))


class _RolledBackError(Exception):
    pass


@pytest.mark.parametrize("unchanged", [False, True])
async def test_a_run_that_is_rolled_back_leaves_no_event(
    at: MemoryDesk, monkeypatch: pytest.MonkeyPatch, unchanged: bool
) -> None:
    await endpoint(at)
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    if unchanged:
        await at.app.sync(pair)
        await at.app.sync(pair)
    before = [await rows_of(at, table) for table in (runs, webhook_events, deliveries)]
    module = quiet if unchanged else run_log
    emit, emitted = module.emit, []

    async def then_fail(*given: Any) -> bool:
        emitted.append(await emit(*given))
        raise _RolledBackError

    monkeypatch.setattr(module, "emit", then_fail)
    with pytest.raises(_RolledBackError):
        await at.app.run(pair)
    assert emitted == [True]
    assert [await rows_of(at, table) for table in (runs, webhook_events, deliveries)] == before
    monkeypatch.undo()
    await at.app.sync(pair)
    assert [await rows_of(at, table) for table in (runs, webhook_events, deliveries)] == [
        count + 1 for count in before
    ]


async def test_an_endpoint_that_is_deleted_meanwhile_fails_no_run(at: MemoryDesk) -> None:
    webhook_id = await endpoint(at)
    pair = await at.pair()
    async with asyncio.timeout(20):
        await asyncio.gather(_run_often(at, pair), _register_often(at, webhook_id))
    assert await rows_of(at, runs) == 20


async def _run_often(at: MemoryDesk, pair: str) -> None:
    for _ in range(20):
        await at.app.sync(pair)


async def _register_often(at: MemoryDesk, webhook_id: str) -> None:
    for _ in range(20):
        async with at.app.db.write() as db:
            await db.execute(webhooks.delete().where(webhooks.c.id == webhook_id))
        await asyncio.sleep(0.002)
        webhook_id = await endpoint(at)


@pytest.fixture
async def world(database_url: str) -> Any:
    made = await build(database_url)
    yield made
    await close(made)


async def test_data_is_what_the_api_shows(world: World) -> None:
    client: Client = await world.client()
    tenant = Tenant(world.account_id, "live")
    row = {
        "id": new_id("log"),
        "sync_id": new_id("sync_run"),
        **tenant.values(),
        "pair_id": "pair_1",
        "trigger": "schedule",
        **{f"events_{name}": 3 for name in ("processed", "created", "updated", "deleted", "skipped")},
        "provider_requests": 2,
        "undid": None,
        "duration_ms": 843,
        "created_at": world.tick(0.25),
    }
    errors = {"error_code": "needs_attention", "error_message": "Too many."}
    rows = [
        row | {"status": "success", "error_code": None, "error_message": None},
        row | {"id": new_id("log"), "sync_id": new_id("sync_run"), "status": "failed", **errors},
    ]
    async with world.db.write() as db:
        await db.execute(insert(runs), rows)
        assert (await db.execute(select(accounts.c.id))).first() is not None
    for each in rows:
        shown = (await client.get(f"/api/v1/logs/{each['id']}")).json
        del shown["operations"]
        assert log_data(each) == shown
    for values in ({}, {"last_error_code": "x", "last_error_message": None, "last_synced_at": world.tick()}):
        connection_id = await world.connection(new_id("name"), **values)
        shown = (await client.get(f"/api/v1/connections/{connection_id}")).json
        async with world.db.read() as db:
            found = await get_connection(db, tenant, connection_id)
        assert found is not None
        assert connection_data(dict(found)) == shown
