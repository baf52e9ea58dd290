"""/webhooks: endpoints, their secrets, and where they may be."""

from __future__ import annotations

import asyncio
import io
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from calendarsync.accounts.keys import Mode
from calendarsync.accounts.scopes import Scope
from calendarsync.api.v1.webhook_models import SCOPE_OF
from calendarsync.api.v1.webhooking import MOST_ENDPOINTS
from calendarsync.secrets import Keyring
from calendarsync.store.tables import deliveries, webhooks
from calendarsync.store.webhooks import seal, unseal
from calendarsync.webhooks.catalogue import SUBSCRIBABLE
from tests.api.client import Answer, Client
from tests.api.world import World

URL = "/api/v1/webhooks"
RECEIVER = "https://hooks.example.com/in?token=canary-9f2e"


async def create(client: Client, url: str = RECEIVER, **values: Any) -> dict[str, Any]:
    answer = await client.post(URL, {"url": url, **values})
    assert answer.status == 201, answer.body
    assert answer.headers["location"] == f"{URL}/{answer.json['id']}"
    created: dict[str, Any] = answer.json
    return created


async def stored(world: World, webhook_id: str) -> dict[str, Any]:
    async with world.db.read() as connection:
        query = select(webhooks).where(webhooks.c.id == webhook_id)
        return dict((await connection.execute(query)).mappings().one())


async def store(world: World, webhook_id: str, **values: Any) -> None:
    async with world.db.write() as connection:
        await connection.execute(update(webhooks).where(webhooks.c.id == webhook_id).values(**values))


def check(answer: Answer, status: int, words: str = "") -> None:
    assert answer.status == status, answer.body
    assert words in answer.error["message"], answer.error


async def test_an_endpoint_and_its_secret(world: World, client: Client, log: io.StringIO) -> None:
    created = await create(client)
    secret = created.pop("secret")
    assert created == {
        "id": created["id"],
        "url": RECEIVER,
        "events": ["sync.completed", "sync.failed", "connection.expired"],
        "format": "event",
        "only_changed": False,
        "status": "enabled",
        "disabled_reason": None,
        "disabled_at": None,
        "failing_since": None,
        "previous_secret_until": None,
        "created_at": "2026-03-28T10:00:00Z",
        "mode": "live",
    }
    assert created["id"].startswith("whk_")
    assert secret.startswith("whsec_")
    assert (await client.get(f"{URL}/{created['id']}")).json == created
    assert (await client.get(URL)).json == {"webhooks": [created], "has_more": False}
    row = await stored(world, created["id"])
    assert unseal(world.services.keyring, row["id"], row["secret_encrypted"]) == secret
    for text in (secret, "canary-9f2e"):
        assert text not in log.getvalue()
        assert text not in repr(row)


def test_what_can_be_subscribed_to_is_what_is_sent() -> None:
    assert tuple(SCOPE_OF) == SUBSCRIBABLE


async def test_what_is_asked_for_is_kept(client: Client) -> None:
    wanted = {"events": ["connection.expired", "sync.failed", "sync.failed"], "only_changed": True}
    created = await create(client, "HTTPS://Hooks.Example.com/a#x", format="slack", **wanted)
    assert created["events"] == ["sync.failed", "connection.expired"]
    assert (created["format"], created["only_changed"]) == ("slack", True)
    assert created["url"] == "https://hooks.example.com/…"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": None}, "url"),
        ({"url": ""}, "url"),
        ({"url": "https://x.example/\n"}, "url"),
        ({"url": "https://x.example/" + "x" * 2000}, "url"),
        ({"events": []}, "events"),
        ({"events": ["sync.begun"]}, "events.0"),
        ({"events": ["webhook.test"]}, "events.0"),
        ({"events": "sync.failed"}, "events"),
        ({"events": ["sync.failed"] * 21}, "events"),
        ({"events": None}, "events"),
        ({"format": "email"}, "format"),
        ({"only_changed": "yes"}, "only_changed"),
        ({"secret": "whsec_MDEy"}, "secret"),
        ({"status": "asleep"}, "status"),
    ],
)
async def test_a_body_that_is_wrong(client: Client, changes: dict[str, Any], field: str) -> None:
    webhook_id = (await create(client))["id"]
    for answer in (
        await client.post(URL, {"url": RECEIVER, **changes}),
        await client.patch(f"{URL}/{webhook_id}", changes),
    ):
        check(answer, 422)
        assert answer.fields == {field}
        assert "canary" not in answer.body.decode()


async def test_a_subscription_needs_the_scope_that_reads_the_same(world: World, client: Client) -> None:
    webhook_id = (await create(client))["id"]
    bare = await world.client(scopes=(Scope.WEBHOOKS_WRITE,))
    check(
        await bare.post(URL, {"url": RECEIVER}), 403, "sync.completed, sync.failed needs the scope logs:read"
    )
    for events, scope in ((["sync.failed"], "logs:read"), (["connection.expired"], "connections:read")):
        check(await bare.post(URL, {"url": RECEIVER, "events": events}), 403, f"needs the scope {scope}")
    # To send elsewhere what one may not read, or to wake it, would be the same.
    for changes in ({"url": "https://evil.example/"}, {"status": "enabled"}, {"only_changed": True}):
        check(await bare.patch(f"{URL}/{webhook_id}", changes), 403, "needs the scope logs:read")
    assert (await client.get(f"{URL}/{webhook_id}")).json["url"] == RECEIVER
    reader = await world.client(scopes=(Scope.WEBHOOKS_WRITE, Scope.LOGS_READ))
    check(
        await reader.post(URL, {"url": RECEIVER}), 403, "connection.expired needs the scope connections:read"
    )
    assert (await create(reader, events=["sync.failed"]))["events"] == ["sync.failed"]
    narrowed = await reader.patch(f"{URL}/{webhook_id}", {"events": ["sync.failed"]})
    assert narrowed.json["events"] == ["sync.failed"]


async def test_only_what_is_given_changes(world: World, client: Client) -> None:
    created = await create(client)
    del created["secret"]
    before = await stored(world, created["id"])
    assert (await client.patch(f"{URL}/{created['id']}", {})).json == created
    for changes in (
        {"url": "https://other.example.com/"},
        {"events": ["sync.failed"]},
        {"only_changed": True},
        {"format": "slack", "url": "https://hooks.slack.com/services/T0/B0/X"},
    ):
        created |= changes
        answer = await client.patch(f"{URL}/{created['id']}", changes)
        if created["format"] == "slack":
            created["url"] = "https://hooks.slack.com/…"
        assert answer.json == created
    assert (await stored(world, created["id"]))["secret_encrypted"] == before["secret_encrypted"]


async def test_a_slack_address_is_not_shown_by_way_of_another_format(client: Client) -> None:
    webhook_id = (await create(client, "https://hooks.slack.com/services/canary", format="slack"))["id"]
    answer = await client.patch(f"{URL}/{webhook_id}", {"format": "event"})
    check(answer, 422)
    assert answer.fields == {"url"}
    assert (await client.patch(f"{URL}/{webhook_id}", {"format": "slack"})).status == 200
    renewed = await client.patch(f"{URL}/{webhook_id}", {"format": "event", "url": RECEIVER})
    assert (renewed.json["format"], renewed.json["url"]) == ("event", RECEIVER)
    assert not any(b'canary"' in answer.body for answer in client.answers)


async def test_disabled_and_enabled_again(world: World, client: Client) -> None:
    url = f"{URL}/{(await create(client))['id']}"
    off = (await client.patch(url, {"status": "disabled"})).json
    assert (off["status"], off["disabled_reason"]) == ("disabled", "requested")
    assert off["disabled_at"] == "2026-03-28T10:00:00Z"
    world.tick(60)
    assert (await client.patch(url, {"status": "disabled"})).json == off
    on = (await client.patch(url, {"status": "enabled"})).json
    assert on == {**off, "status": "enabled", "disabled_reason": None, "disabled_at": None}


async def test_enabling_or_another_address_ends_the_failing(world: World, client: Client) -> None:
    webhook_id = (await create(client))["id"]
    for changes in ({"status": "enabled"}, {"url": RECEIVER}):
        await store(world, webhook_id, failing_since=world.clock[0])
        assert (await client.patch(f"{URL}/{webhook_id}", {"only_changed": True})).json["failing_since"]
        assert (await client.patch(f"{URL}/{webhook_id}", changes)).json["failing_since"] is None
    gone = {"status": "disabled", "disabled_reason": "gone", "disabled_at": world.clock[0]}
    await store(world, webhook_id, **gone)
    # What the receiver said stays, whatever is asked for beside it.
    assert (await client.patch(f"{URL}/{webhook_id}", {"status": "disabled"})).json[
        "disabled_reason"
    ] == "gone"
    moved = (await client.patch(f"{URL}/{webhook_id}", {"url": RECEIVER})).json
    assert (moved["status"], moved["disabled_reason"]) == ("disabled", "gone")


async def test_a_secret_is_rotated(world: World, client: Client) -> None:
    created = await create(client)
    webhook_id, keyring = created["id"], world.services.keyring
    first = await client.post(f"{URL}/{webhook_id}/rotate-secret")
    assert first.status == 200
    assert first.json["previous_secret_until"] == "2026-03-29T10:00:00Z"
    row = await stored(world, webhook_id)
    assert unseal(keyring, webhook_id, row["secret_encrypted"]) == first.json["secret"] != created["secret"]
    assert unseal(keyring, webhook_id, row["previous_secret_encrypted"]) == created["secret"]
    second = await client.post(f"{URL}/{webhook_id}/rotate-secret", {"overlap_seconds": 604_800})
    assert second.json["previous_secret_until"] == "2026-04-04T10:00:00Z"
    row = await stored(world, webhook_id)
    assert unseal(keyring, webhook_id, row["previous_secret_encrypted"]) == first.json["secret"]
    assert row["previous_until"] == world.clock[0] + timedelta(days=7)
    world.tick(604_800)
    shown = (await client.get(f"{URL}/{webhook_id}")).json
    assert (shown["previous_secret_until"], "secret" in shown) == (None, False)


async def test_a_secret_is_replaced_at_once(world: World, client: Client) -> None:
    webhook_id = (await create(client))["id"]
    await client.post(f"{URL}/{webhook_id}/rotate-secret")
    answer = await client.post(f"{URL}/{webhook_id}/rotate-secret", {"overlap_seconds": 0})
    assert answer.json["previous_secret_until"] is None
    row = await stored(world, webhook_id)
    assert row["previous_secret_encrypted"] is row["previous_until"] is None
    for seconds in (-1, 604_801, 1.5, "1", None):
        wrong = await client.post(f"{URL}/{webhook_id}/rotate-secret", {"overlap_seconds": seconds})
        check(wrong, 422)
        assert wrong.fields == {"overlap_seconds"}


async def test_an_endpoint_whose_address_and_secret_can_be_read_no_more(world: World, client: Client) -> None:
    """They were encrypted with a secret of the installation that has been dropped since."""
    url = f"{URL}/{(await create(client))['id']}"
    webhook_id, other = url.rpartition("/")[2], (await create(client))["id"]
    lost = seal(Keyring([b"another secret, which was dropped"]), webhook_id, RECEIVER)
    await store(world, webhook_id, url_encrypted=lost, secret_encrypted=lost)
    listed = (await client.get(URL)).json["webhooks"]
    assert {each["id"]: each["url"] for each in listed} == {webhook_id: None, other: RECEIVER}
    assert (await client.patch(url, {"only_changed": True})).json["url"] is None
    assert (await client.patch(url, {"url": RECEIVER})).json["url"] == RECEIVER
    renewed = (await client.post(f"{url}/rotate-secret")).json
    assert renewed["previous_secret_until"] is None, "nothing is signed with what cannot be read"
    assert (await stored(world, webhook_id))["previous_secret_encrypted"] is None
    await store(world, webhook_id, url_encrypted=lost)
    assert (await client.delete(url)).status == 204


async def test_an_endpoint_ends_with_its_deliveries(world: World, client: Client) -> None:
    webhook_id, other = (await create(client))["id"], (await create(client))["id"]
    for each in (webhook_id, other):
        assert (await client.post(f"{URL}/{each}/test")).status == 202
    assert (await client.delete(f"{URL}/{webhook_id}")).status == 204
    check(await client.get(f"{URL}/{webhook_id}"), 404)
    check(await client.delete(f"{URL}/{webhook_id}"), 404)
    async with world.db.read() as connection:
        left = (await connection.execute(select(deliveries.c.webhook_id))).scalars().all()
    assert left == [other]


async def test_there_is_a_most_in_each_mode_even_at_once(world: World, client: Client) -> None:
    both = (client, await world.client())
    answers = await asyncio.gather(
        *(each.post(URL, {"url": RECEIVER}) for each in both for _ in range(MOST_ENDPOINTS))
    )
    refused = [answer for answer in answers if answer.status == 409]
    assert len(answers) - len(refused) == MOST_ENDPOINTS
    check(refused[0], 409, "delete one first")
    async with world.db.read() as connection:
        count = (await connection.execute(select(func.count()).select_from(webhooks))).scalar_one()
    assert count == MOST_ENDPOINTS
    tester = await world.client(mode=Mode.TEST)
    await create(tester, "http://127.0.0.1:9000/")
    await create(await world.client(account_id=await world.other_account()))


async def test_the_list_is_paged_from_the_oldest(world: World, client: Client) -> None:
    made = []
    for _ in range(5):
        made.append((await create(client))["id"])
        world.tick()
    seen: list[str] = []
    more = True
    while more:
        after = f"&starting_after={seen[-1]}" if seen else ""
        page = (await client.get(f"{URL}?limit=2{after}")).json
        seen += [each["id"] for each in page["webhooks"]]
        more = page["has_more"]
    assert seen == made
    check(await client.get(f"{URL}?starting_after=whk_nowhere"), 422)


async def test_the_modes_know_nothing_of_each_other(world: World, client: Client) -> None:
    tester = await world.client(mode=Mode.TEST)
    created = await create(tester, "http://127.0.0.1:9000/")
    assert created["mode"] == "test"
    assert (await client.get(URL)).json["webhooks"] == []
    check(await client.get(f"{URL}/{created['id']}"), 404)


async def test_changes_of_what_was_read_only(client: Client) -> None:
    url = f"{URL}/{(await create(client))['id']}"
    first = (await client.get(url)).headers["etag"]
    matches, differs = [("If-Match", first)], [("If-Match", '"other"')]
    check(await client.patch(url, {}, headers=differs), 412)
    changed = await client.patch(url, {"only_changed": True}, headers=matches)
    assert changed.status == 200
    check(await client.patch(url, {"only_changed": False}, headers=matches), 412)
    check(await client.delete(url, headers=matches), 412)
    now = (await client.get(url)).headers["etag"]
    assert (await client.get(url)).json["only_changed"] is True
    assert (await client.delete(url, headers=[("If-Match", now)])).status == 204
