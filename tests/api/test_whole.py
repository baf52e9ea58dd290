"""Routes, engine and a real server together: from a key to a copy, and back to nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from calendarsync.jobs.deliveries import Deliverer
from calendarsync.jobs.outbox import Outbox
from calendarsync.jobs.results import Results
from calendarsync.jobs.runner import Runner
from calendarsync.jobs.wakeups import Wakeups
from calendarsync.jobs.wiring import build_engine
from calendarsync.jobs.worker import Worker
from calendarsync.webhooks.delivery import Sender
from tests.api.client import Client
from tests.api.test_connections import access
from tests.api.world import World, build, close
from tests.testbed.radicale import RadicaleServer

CONNECTIONS, PAIRS = "/api/v1/connections", "/api/v1/sync-pairs"


@pytest.fixture
async def whole(database_url: str) -> AsyncIterator[World]:
    """A world with a real worker, and no schedule: only what is asked for runs."""
    world = await build(database_url)
    services = world.services
    db = services.db
    wakeups, results = Wakeups(db), Results(db)
    deliverer = Deliverer(db, Sender(services.keyring, services.http, db.now), metrics=services.metrics)
    engine = build_engine(db, services.keyring, services.http, poll_seconds=300, on_events=deliverer.wake)
    worker = Worker(
        db, engine, wakeups, results, deliverer=deliverer, poll_seconds=300, metrics=services.metrics
    )
    await worker.start(schedule=False)
    runner, outbox = Runner(db, wakeups, results), Outbox(db, wakeups)
    world.app.state.services = replace(services, runner=runner, outbox=outbox, now=db.now, wait_seconds=25)
    yield world
    await worker.stop()
    await results.stop()
    await close(world)


def event(title: str) -> str:
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Example//Test//EN",
        "BEGIN:VEVENT",
        f"UID:{title}@example.com",
        "DTSTAMP:20260101T000000Z",
        f"DTSTART:{start:%Y%m%dT%H%M%SZ}",
        f"DTEND:{start + timedelta(hours=1):%Y%m%dT%H%M%SZ}",
        f"SUMMARY:{title}",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ]
    return "\r\n".join(lines)


async def connect(client: Client, server: RadicaleServer, calendar: str) -> str:
    answer = await client.post(CONNECTIONS, access(server, calendar_id=calendar))
    assert answer.status == 201, answer.body
    return str(answer.json["id"])


async def test_from_a_key_to_a_copy_and_back(whole: World, radicale: RadicaleServer) -> None:
    client = await whole.client()
    work, home = radicale.make_calendar(), radicale.make_calendar()
    radicale.put(work, "standup.ics", event("standup"))
    a, b = await connect(client, radicale, work), await connect(client, radicale, home)
    pair = await whole.pair(client, a, b)
    url = f"{PAIRS}/{pair['id']}"

    dry = (await client.post(f"{url}/trigger", {"dry_run": True})).json
    assert [each["action"] for each in dry["operations"]] == ["create"]
    assert radicale.list(home) == {}

    first = (await client.post(f"{url}/trigger")).json
    assert (first["success"], first["events_created"]) == (True, 1)
    (copy,) = radicale.list(home)
    assert b"SUMMARY:Busy" in (radicale.get(home, copy) or b"")
    again = (await client.post(f"{url}/trigger")).json
    assert (again["success"], again["events_created"], again["events_updated"]) == (True, 0, 0)

    logs = (await client.get(f"/api/v1/logs?pair_id={pair['id']}")).json
    assert [each["sync_id"] for each in logs["logs"]] == [again["sync_id"], first["sync_id"]]
    log = (await client.get(f"/api/v1/logs/{logs['logs'][1]['id']}")).json
    assert [each["action"] for each in log["operations"]] == ["create"]
    assert (await client.get(url)).json["last_synced_at"] is not None

    assert (await client.delete(f"{CONNECTIONS}/{b}")).status == 409
    assert (await client.delete(f"{CONNECTIONS}/{b}?cascade=true")).status == 204
    assert radicale.list(home) == {}
    assert set(radicale.list(work)) == {"standup.ics"}
    assert (await client.get(PAIRS)).json == {"pairs": [], "has_more": False}


async def test_copies_may_be_kept(whole: World, radicale: RadicaleServer) -> None:
    client = await whole.client()
    work, home = radicale.make_calendar(), radicale.make_calendar()
    radicale.put(work, "standup.ics", event("standup"))
    pair = await whole.pair(
        client,
        await connect(client, radicale, work),
        await connect(client, radicale, home),
        direction="a_to_b",
    )
    url = f"{PAIRS}/{pair['id']}"
    assert (await client.post(f"{url}/trigger")).json["events_created"] == 1
    assert (await client.delete(f"{url}?keep_copies=true")).status == 204
    assert len(radicale.list(home)) == 1


async def test_an_undone_pair_rests_until_it_is_resumed(whole: World, radicale: RadicaleServer) -> None:
    client = await whole.client()
    work, home = radicale.make_calendar(), radicale.make_calendar()
    radicale.put(work, "standup.ics", event("standup"))
    ends = [await connect(client, radicale, each) for each in (work, home)]
    pair = await whole.pair(client, ends[0], ends[1], direction="a_to_b")
    url = f"{PAIRS}/{pair['id']}"
    assert (await client.post(f"{url}/undo")).status == 409, "there is no run to take back"
    assert (await client.get(url)).json["status"] == "active"
    first = (await client.post(f"{url}/trigger")).json
    dry = (await client.post(f"{url}/undo", {"dry_run": True})).json
    assert [each["action"] for each in dry["operations"]] == ["delete"]
    assert (await client.get(url)).json["status"] == "active"

    undone = (await client.post(f"{url}/undo", {"sync_id": first["sync_id"]})).json
    assert (undone["success"], undone["undid"], undone["events_deleted"]) == (True, first["sync_id"], 1)
    assert radicale.list(home) == {}
    assert (await client.get(url)).json["status"] == "paused"
    assert (await client.post(f"{url}/trigger")).status == 409
    again = (await client.post(f"{url}/undo")).json
    assert (again["events_deleted"], again["undid"]) == (0, first["sync_id"])

    await client.patch(url, {"status": "active"})
    assert (await client.post(f"{url}/trigger")).json["events_created"] == 1
    assert set(radicale.list(work)) == {"standup.ics"}
