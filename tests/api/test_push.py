"""POST /push/google and /push/microsoft: anybody may call, and only Google and Microsoft are believed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select, update

from calendarsync.api import push, route
from calendarsync.jobs import notices as notices_module
from calendarsync.jobs.pushing import OFF, address_of, state_of_push
from calendarsync.settings import Settings
from calendarsync.store.channels import ChannelRecord, begin_channel, complete_channel
from calendarsync.store.database import Database
from calendarsync.store.schedule import load_connection
from calendarsync.store.tables import connections, orders
from tests.api.client import Answer, Client
from tests.api.routes import check_error
from tests.api.test_health import take_away
from tests.api.world import World

TOKEN = "a token that only the provider was given"
SUBSCRIPTION = "7f105c7d-2dc5-4530-97cd-4e7ae6534c07"


@dataclass(frozen=True)
class Told:
    """A channel of each provider, and whoever calls without a key."""

    world: World
    pairs: dict[str, str]
    caller: Client

    async def google(self, **changed: str | None) -> Answer:
        headers = {
            "Content-Type": "application/json; utf-8",
            "X-Goog-Channel-ID": "chn_google",
            "X-Goog-Channel-Token": TOKEN,
            "X-Goog-Resource-State": "exists",
            "X-Goog-Resource-ID": "ret08u3rv24htgh289g",
            "X-Goog-Message-Number": "10",
        } | {f"X-Goog-{name.replace('_', '-')}": value for name, value in changed.items()}
        given = [(name, value) for name, value in headers.items() if value is not None]
        return await self.caller.post("/push/google", headers=given)

    async def microsoft(self, *notices: dict[str, Any]) -> Answer:
        return await self.caller.post("/push/microsoft", {"value": list(notices)})

    async def ordered(self) -> set[str]:
        """The providers whose pair's run has been ordered, once nothing waits in memory."""
        await self.world.services.notices.stop(20)
        async with self.world.db.read() as db:
            ids = set(
                (await db.execute(select(orders.c.pair_id).where(orders.c.trigger == "push"))).scalars()
            )
        return {provider for provider, pair_id in self.pairs.items() if pair_id in ids}


def notice(**changed: Any) -> dict[str, Any]:
    """As Graph sends it, with more than is read of it."""
    return {
        "subscriptionId": SUBSCRIPTION,
        "clientState": TOKEN,
        "changeType": "updated",
        "resource": "Users/user/Events/id",
        "subscriptionExpirationDateTime": "2026-04-02T11:00:00.0000000Z",
        "resourceData": {"@odata.type": "#Microsoft.Graph.Event", "id": "id"},
        "tenantId": "84bd8158-6d4d-4958-8b9f-9d6445542f95",
        **changed,
    }


@pytest.fixture
async def told(world: World, client: Client, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Told]:
    monkeypatch.setattr(notices_module, "ANSWER_SECONDS", 30.0)  # no machine is too slow to know
    pairs = {}
    for provider, remote_id in (("google", "ret08u3rv24htgh289g"), ("microsoft", SUBSCRIPTION)):
        a = await world.connection(f"{provider}-a", provider=provider, grant_id="grant_1")
        b = await world.connection(f"{provider}-b")
        pairs[provider] = (await world.pair(client, a, b))["id"]
        now = datetime.now(UTC)
        channel = ChannelRecord(f"chn_{provider}", None, now + timedelta(days=1), now)
        async with world.db.write() as db:
            token_hash = world.services.keyring.channel_hash(TOKEN)
            assert await begin_channel(db, await load_connection(db, a), channel, token_hash)
            assert await complete_channel(db, a, replace(channel, remote_id=remote_id))
    yield Told(world, pairs, Client(world.app))
    await world.services.notices.stop(20)


async def test_a_message_of_google_orders_a_run(told: Told) -> None:
    answer = await told.google()
    assert (answer.status, answer.body) == (202, b"")
    assert await told.ordered() == {"google"}


async def test_the_first_message_of_a_channel_orders_none(told: Told) -> None:
    assert (await told.google(Resource_State="sync", Message_Number="1")).status == 202
    assert await told.ordered() == set()


async def test_notifications_of_microsoft_order_a_run(told: Told) -> None:
    answer = await told.microsoft(*(notice(changeType=kind) for kind in ("created", "updated", "deleted")))
    assert (answer.status, answer.body) == (202, b"")
    assert await told.ordered() == {"microsoft"}


async def test_an_address_is_validated_by_the_token_that_microsoft_sends(told: Told) -> None:
    token = 'Validation: Testing client application reachability <script>alert("1")</script> ü+&='
    answer = await told.caller.post(f"/push/microsoft?validationToken={quote(token)}")
    assert (answer.status, answer.body.decode()) == (200, token)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    longest = push.LONGEST_VALIDATION
    too_long = await told.caller.post(f"/push/microsoft?validationToken={'x' * (longest + 1)}")
    check_error(too_long, 400, "bad_request")


@pytest.mark.parametrize(
    ("event", "ordered", "cut_short"),
    [
        ("missed", {"microsoft"}, False),
        ("reauthorizationRequired", set(), True),
        ("subscriptionRemoved", {"microsoft"}, True),
        ("something new", {"microsoft"}, False),
    ],
)
async def test_lifecycle_notifications_are_followed(
    told: Told, event: str, ordered: set[str], *, cut_short: bool
) -> None:
    async with told.world.db.write() as db:
        await db.execute(update(connections).values(watch_at=None))
    lifecycle = {"lifecycleEvent": event, "subscriptionId": SUBSCRIPTION, "clientState": TOKEN}
    assert (await told.microsoft(lifecycle)).status == 202
    assert await told.ordered() == ordered
    async with told.world.db.read() as db:
        due = connections.c.watch_at.is_not(None)
        providers = list((await db.execute(select(connections.c.provider).where(due))).scalars())
    assert providers == (["microsoft"] if cut_short else [])


async def test_nothing_tells_a_forged_notice_from_an_unknown_channel(told: Told) -> None:
    answers = [
        await told.google(Channel_Token="another"),
        await told.google(Channel_Token=None),
        await told.google(Channel_ID="chn_unknown"),
        await told.google(Channel_ID=None),
        await told.google(Channel_ID="chn_microsoft"),
        await told.google(Channel_ID="x" * 20_000),
        await told.google(Channel_ID="\x7f\xe9"),
        await told.microsoft(notice(clientState="another")),
        await told.microsoft(notice(clientState=None)),
        await told.microsoft(notice(subscriptionId="unknown")),
        await told.microsoft(notice(subscriptionId="\x00")),
        await told.microsoft(notice(subscriptionId="chn_microsoft")),
        await told.microsoft(),
    ]
    for answer in answers:
        check_error(answer, 403, "forbidden")
    assert len({answer.error["message"] for answer in answers}) == 1
    assert await told.ordered() == set()


async def test_one_that_is_genuine_vouches_for_no_other(told: Told) -> None:
    unknown = [notice(subscriptionId=f"unknown-{number}") for number in range(100)]
    assert (await told.microsoft(*unknown, notice(clientState="another"), notice())).status == 202
    assert await told.ordered() == {"microsoft"}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"value": {}}', b'{"value": [1]}', b'{"value": [{"subscriptionId": 1}]}'],
)
async def test_what_is_no_collection_of_notifications_is_refused(told: Told, body: bytes) -> None:
    check_error(await told.caller.post("/push/microsoft", body), 400, "bad_request")


async def test_a_request_has_its_bounds(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("/push/google", "/push/microsoft", "/push/microsoft?validationToken=x"):
        large = await told.caller.post(path, b"x" * (route.MAX_BODY_BYTES + 1))
        check_error(large, 413, "payload_too_large")
    many = [{"subscriptionId": "x"}] * (push.MOST_NOTICES + 1)
    check_error(await told.microsoft(*many), 413, "payload_too_large")


async def test_calls_count_for_no_limit(told: Told) -> None:
    answer = await told.google(Channel_Token="another")
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
    assert (await told.caller.get("/push/google")).status == 405
    assert (await told.caller.post("/push/apple")).status == 404


async def test_while_the_database_is_away_they_are_asked_to_try_again(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        take_away(told.world, patched)
        check_error(await told.google(), 503, "unavailable")
        check_error(await told.microsoft(notice()), 503, "unavailable")


async def test_so_they_are_while_too_many_wait(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices_module, "MOST_WAITING", 0)
    check_error(await told.google(), 503, "unavailable")


async def test_what_waits_is_bounded_by_notices_too(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand requests may hold two million notices that somebody made up: gigabytes."""
    monkeypatch.setattr(notices_module, "MOST_NOTICES_WAITING", 3)
    never = asyncio.Event()

    async def stuck(_: Database) -> None:
        await never.wait()

    with monkeypatch.context() as patched:
        patched.setattr(notices_module, "ANSWER_SECONDS", 0.0)
        patched.setattr(Database, "_ensure_clock", stuck)
        assert (await told.microsoft(notice(), notice(clientState="x"))).status == 202
        check_error(await told.microsoft(notice(), notice(clientState="x")), 503, "unavailable")
        assert (await told.google()).status == 202
        check_error(await told.google(), 503, "unavailable")
    never.set()
    assert await told.ordered() == {"google", "microsoft"}
    assert (await told.microsoft(*(notice(subscriptionId=each) for each in "abc"))).status == 403
    assert (await told.microsoft(*(notice(subscriptionId=each) for each in "abc"))).status == 403


async def test_an_answer_waits_for_no_database(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    never = asyncio.Event()

    async def stuck(_: Database) -> None:
        await never.wait()

    with monkeypatch.context() as patched:
        patched.setattr(notices_module, "ANSWER_SECONDS", 0.08)
        patched.setattr(Database, "_ensure_clock", stuck)
        answer = await asyncio.wait_for(told.google(), 20)
    assert answer.status == 202
    never.set()
    assert await told.ordered() == {"google"}


async def test_health_says_whether_changes_are_told(world: World) -> None:
    answer = await Client(world.app).get("/health")
    assert answer.json["push"] == OFF
    assert "CALENDARSYNC_PUBLIC_URL" in OFF


LOOPBACK = "http://127.0.0.1:4000"


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, None),
        ({"public_url": "https://calendar.example.com"}, "https://calendar.example.com/push/google"),
        ({"public_url": "https://example.com/calendar/"}, "https://example.com/calendar/push/google"),
        ({"public_url": "http://calendar.example.com"}, None),
        ({"public_url": "https://localhost:8000"}, None),
        ({"public_url": "https://10.0.0.1"}, None),
        ({"public_url": "https://[::1]"}, None),
        ({"public_url": "http://127.0.0.1:8000"}, None),
        ({"google_api_url": LOOPBACK}, None),
        (
            {"public_url": "http://127.0.0.1:8000", "google_api_url": LOOPBACK},
            "http://127.0.0.1:8000/push/google",
        ),
        ({"public_url": "http://10.0.0.1", "google_api_url": LOOPBACK}, None),
    ],
    ids=str,
)
def test_google_is_given_an_address_that_it_can_reach(given: dict[str, str], address: str | None) -> None:
    settings = Settings(**given)
    assert address_of(settings, "google") == address
    assert state_of_push(settings) == (OFF if address is None else "on")
    assert address_of(settings, "caldav") is None
