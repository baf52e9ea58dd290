"""/webhooks/{id}/test, and the log of deliveries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from calendarsync.accounts.keys import Mode
from calendarsync.accounts.scopes import Scope
from calendarsync.secrets import Keyring
from calendarsync.store.tables import deliveries, webhook_events
from calendarsync.store.webhooks import seal
from tests.api.client import Client
from tests.api.test_webhooks import URL, check, create
from tests.api.world import World


@pytest.fixture
async def webhook_id(client: Client) -> str:
    return str((await create(client))["id"])


async def deliver(world: World, webhook_id: str, number: int, **values: Any) -> str:
    """A delivery of an event of its own, as the engine leaves it."""
    tenant = {"account_id": world.account_id, "mode": "live"}
    at = world.clock[0] + timedelta(seconds=number)
    event = {"id": f"evt_{webhook_id}_{number}"[:40], "type": "sync.failed", "data": {}, "created_at": at}
    row = {
        "id": f"dlv_{number}_{webhook_id}"[:40],
        "webhook_id": webhook_id,
        "event_id": event["id"],
        "status": "succeeded",
        "created_at": at,
        "generation": 1,
        "attempts": [{"at": "2026-03-28T10:00:01Z", "duration_ms": 12, "status_code": 200, "error": None}],
        **values,
    }
    async with world.db.write() as connection:
        await connection.execute(insert(webhook_events), event | tenant)
        await connection.execute(insert(deliveries), row | tenant)
    return str(row["id"])


async def test_a_test_event_is_ordered(world: World, client: Client, webhook_id: str) -> None:
    woken = world.runner.woken
    answer = await client.post(f"{URL}/{webhook_id}/test")
    assert answer.status == 202
    found = answer.json
    assert found == {
        "id": found["id"],
        "event_id": found["event_id"],
        "event_type": "webhook.test",
        "status": "pending",
        "created_at": found["created_at"],
        "next_attempt_at": found["created_at"],
        "attempts": [],
        "response": None,
    }
    assert world.runner.woken == woken + 1
    assert answer.headers["location"] == f"{URL}/{webhook_id}/deliveries/{found['id']}"
    assert (await client.get(answer.headers["location"])).json == found
    assert (await client.get(f"{URL}/{webhook_id}/deliveries")).json["deliveries"] == [found]


async def test_the_log_is_paged_from_the_newest(world: World, client: Client, webhook_id: str) -> None:
    made = [await deliver(world, webhook_id, number) for number in range(5)]
    other = (await create(client))["id"]
    foreign = await deliver(world, other, 9)
    seen: list[str] = []
    more = True
    while more:
        after = f"&starting_after={seen[-1]}" if seen else ""
        page = (await client.get(f"{URL}/{webhook_id}/deliveries?limit=2{after}")).json
        seen += [each["id"] for each in page["deliveries"]]
        more = page["has_more"]
    assert seen == made[::-1]
    for wrong in (foreign, "dlv_nowhere"):
        check(await client.get(f"{URL}/{webhook_id}/deliveries?starting_after={wrong}"), 422)


async def test_the_log_by_status(world: World, client: Client, webhook_id: str) -> None:
    statuses = "pending", "succeeded", "failed", "canceled"
    made = {status: await deliver(world, webhook_id, n, status=status) for n, status in enumerate(statuses)}
    for status in statuses:
        found = (await client.get(f"{URL}/{webhook_id}/deliveries?status={status}")).json
        assert [each["id"] for each in found["deliveries"]] == [made[status]]
    check(await client.get(f"{URL}/{webhook_id}/deliveries?status=lost"), 422)


async def test_what_the_endpoint_answered_is_shown(world: World, client: Client, webhook_id: str) -> None:
    delivery_id = await deliver(
        world,
        webhook_id,
        1,
        attempts=[
            {"at": "2026-03-28T10:00:01Z", "duration_ms": 15000, "status_code": None, "error": "timeout"},
            {"at": "2026-03-28T10:00:06Z", "duration_ms": 12, "status_code": 500, "error": "status"},
        ],
    )
    sealed = seal(world.services.keyring, delivery_id, "Zürich \ufffd")
    async with world.db.write() as connection:
        await connection.execute(
            update(deliveries).where(deliveries.c.id == delivery_id).values(response_encrypted=sealed)
        )
    found = (await client.get(f"{URL}/{webhook_id}/deliveries/{delivery_id}")).json
    assert found["response"] == "Zürich \ufffd"
    assert [(each["status_code"], each["error"]) for each in found["attempts"]] == [
        (None, "timeout"),
        (500, "status"),
    ]
    assert found["event_type"] == "sync.failed"


async def test_an_event_is_delivered_once_more(world: World, client: Client, webhook_id: str) -> None:
    delivery_id = await deliver(world, webhook_id, 1, status="failed")
    answer = await client.post(f"{URL}/{webhook_id}/deliveries/{delivery_id}/redeliver")
    assert answer.status == 202
    again = answer.json
    assert answer.headers["location"] == f"{URL}/{webhook_id}/deliveries/{again['id']}"
    assert again["id"] != delivery_id
    before = (await client.get(f"{URL}/{webhook_id}/deliveries/{delivery_id}")).json
    assert (again["event_id"], again["status"], again["attempts"]) == (before["event_id"], "pending", [])
    assert before["status"] == "failed"
    async with world.db.read() as connection:
        events = (await connection.execute(select(webhook_events.c.id))).scalars().all()
    assert events == [before["event_id"]]


async def test_what_one_may_not_read_is_not_sent_elsewhere(world: World, client: Client) -> None:
    """Neither what still waits for an endpoint nor what was delivered once, though it is not subscribed to now."""
    low = await world.client(scopes=(Scope.WEBHOOKS_READ, Scope.WEBHOOKS_WRITE, Scope.CONNECTIONS_READ))
    webhook_id = (await create(client))["id"]
    delivery_id = await deliver(world, webhook_id, 1, status="pending", next_attempt_at=world.clock[0])
    narrowed = {"events": ["connection.expired"]}
    assert (await low.patch(f"{URL}/{webhook_id}", narrowed)).status == 200
    for changes in ({"url": "https://evil.example/"}, {"url": "https://evil.example/", **narrowed}):
        check(await low.patch(f"{URL}/{webhook_id}", changes), 403, "sync.failed needs the scope logs:read")
    async with world.db.write() as connection:
        await connection.execute(update(deliveries).values(status="failed", next_attempt_at=None))
    assert (await low.patch(f"{URL}/{webhook_id}", {"url": "https://elsewhere.example/"})).status == 200
    redeliver = f"{URL}/{webhook_id}/deliveries/{delivery_id}/redeliver"
    check(await low.post(redeliver), 403, "sync.failed needs the scope logs:read")
    assert (await client.post(redeliver)).status == 202
    test = (await low.post(f"{URL}/{webhook_id}/test")).json["id"]
    assert (await low.post(f"{URL}/{webhook_id}/deliveries/{test}/redeliver")).status == 202


async def test_an_answer_that_can_be_read_no_more(world: World, client: Client, webhook_id: str) -> None:
    lost = seal(Keyring([b"another secret, which was dropped"]), "dlv", "secret")
    await deliver(world, webhook_id, 1, response_encrypted=lost)
    (found,) = (await client.get(f"{URL}/{webhook_id}/deliveries")).json["deliveries"]
    assert found["response"] is None


async def test_a_disabled_endpoint_gets_neither(world: World, client: Client, webhook_id: str) -> None:
    delivery_id = await deliver(world, webhook_id, 1)
    await client.patch(f"{URL}/{webhook_id}", {"status": "disabled"})
    for route in ("test", f"deliveries/{delivery_id}/redeliver"):
        check(await client.post(f"{URL}/{webhook_id}/{route}"), 409, "disabled")
    assert len((await client.get(f"{URL}/{webhook_id}/deliveries")).json["deliveries"]) == 1


async def test_a_delivery_belongs_to_its_endpoint(world: World, client: Client, webhook_id: str) -> None:
    delivery_id, other = await deliver(world, webhook_id, 1), (await create(client))["id"]
    stranger = await world.client(account_id=await world.other_account())
    tester = await world.client(mode=Mode.TEST)
    for caller, owner in ((client, other), (stranger, webhook_id), (tester, webhook_id)):
        check(await caller.get(f"{URL}/{owner}/deliveries/{delivery_id}"), 404, "webhook delivery")
        check(await caller.post(f"{URL}/{owner}/deliveries/{delivery_id}/redeliver"), 404, "webhook delivery")
    for caller in (stranger, tester):
        check(await caller.get(f"{URL}/{webhook_id}/deliveries"), 404, "webhook")
        check(await caller.post(f"{URL}/{webhook_id}/test"), 404, "webhook")
