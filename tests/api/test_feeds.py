"""Connections to feeds."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from calendarsync.accounts.keys import Mode
from calendarsync.providers.ics import FeedAddress
from calendarsync.store.connections import open_credentials
from calendarsync.store.tables import connections
from tests.api.client import Client
from tests.api.world import World
from tests.testbed.events import vcalendar, vevent
from tests.testbed.feed import FeedServer, feed_server
from tests.testbed.stored import stored

URL = "/api/v1/connections"


@pytest.fixture
async def feed() -> AsyncIterator[FeedServer]:
    async with feed_server() as server:
        server.events["a"] = vevent("a")
        yield server


def masked(feed: FeedServer) -> str:
    return FeedAddress.parse(feed.url).masked


async def connect(client: Client, feed: FeedServer, **given: Any) -> dict[str, Any]:
    answer = await client.post(URL, {"provider": "ics", "url": feed.url, **given})
    assert answer.status == 201, answer.body
    created: dict[str, Any] = answer.json
    return created


async def row_of(world: World, connection_id: str) -> dict[str, Any]:
    async with world.db.read() as db:
        query = select(connections).where(connections.c.id == connection_id)
        return dict((await db.execute(query)).mappings().one())


async def test_connect(world: World, client: Client, feed: FeedServer) -> None:
    head = "X-WR-CALNAME:Trips\r\nX-WR-TIMEZONE:Europe/Berlin\r\n"
    feed.render = lambda: vcalendar(vevent("a")).replace("VERSION:2.0\r\n", "VERSION:2.0\r\n" + head)
    created = await connect(client, feed, email="Alice@example.com")
    assert created == {
        "id": created["id"],
        "provider": "ics",
        "email": "Alice@example.com",
        "calendar_name": "Trips",
        "status": "active",
        "last_synced_at": None,
        "calendar_id": masked(feed),
        "read_only": True,
        "mode": "live",
        "created_at": "2026-03-28T10:00:00Z",
        "last_error": None,
    }
    row = await row_of(world, created["id"])
    assert row["timezone"] == "Europe/Berlin"
    secret = open_credentials(world.services.keyring, created["id"], row["credentials_encrypted"])
    assert secret == {"url": feed.url}
    assert (await client.get(f"{URL}/{created['id']}")).json == created


async def test_the_address_is_kept_and_shown_nowhere(
    world: World, client: Client, feed: FeedServer, capfd: pytest.CaptureFixture[str]
) -> None:
    created = await connect(client, feed)
    answers = [await client.get(URL), await client.post(URL, {"provider": "ics", "url": feed.url})]
    feed.status = 404
    answers.append(await client.patch(f"{URL}/{created['id']}", {"url": feed.url}))
    assert [answer.status for answer in answers] == [200, 409, 422]
    assert all(b"secret-token" not in answer.body for answer in answers)
    kept = await stored(world.db, world.services.settings.database_url)
    assert created["id"].encode() in kept
    assert b"secret-token" not in kept
    assert "secret-token" not in "".join(capfd.readouterr())


async def test_discover(client: Client, feed: FeedServer) -> None:
    answer = await client.post(f"{URL}/discover", {"provider": "ics", "url": feed.url})
    host = re.sub(r":\d+$", "", masked(feed).removeprefix("http://").removesuffix("/…"))
    assert answer.json == {
        "calendars": [{"id": masked(feed), "name": host, "read_only": True, "timezone": None}]
    }


async def test_one_feed_is_connected_once_whatever_its_spelling(client: Client, feed: FeedServer) -> None:
    await connect(client, feed)
    for url in (feed.url, feed.url.replace("calendar", "%63alendar"), f" {feed.url}#here"):
        answer = await client.post(URL, {"provider": "ics", "url": url})
        assert (answer.status, answer.error["code"]) == (409, "conflict"), url


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"url": "http://127.0.0.1:1/"}, {"url"}),
        ({"url": "calendar.example.com/a.ics"}, {"url"}),
        ({"url": "ftp://example.com/a.ics"}, {"url"}),
        ({"url": "http://10.0.0.1/a.ics"}, {"url"}),
        ({"url": "webcal://10.0.0.1/a.ics"}, {"url"}),
        ({"url": "https://nothing.invalid/"}, {"url"}),
        ({"url": "x" * 2001}, {"url"}),
        ({"url": ""}, {"url"}),
        ({"url": None}, {"url"}),
        ({"url": "http://127.0.0.1/\r\nHost: x"}, {"url"}),
        ({"username": "bo", "password": "pw"}, {"username", "password"}),
        ({"calendar_id": "x"}, {"calendar_id"}),
        ({"email": "nobody"}, {"email"}),
    ],
)
async def test_what_cannot_be_connected_is_named(
    client: Client, feed: FeedServer, changes: dict[str, object], fields: set[str]
) -> None:
    answer = await client.post(URL, {"provider": "ics", "url": feed.url, **changes})
    assert (answer.status, answer.fields) == (422, fields), answer.body
    assert (await client.get(URL)).json == {"connections": [], "has_more": False}


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, "<html>Sign in</html>", "web page"),
        (200, "", "nothing at all"),
        (200, "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", "breaks off"),
        (401, "", "does not allow"),
        (404, "", "no feed"),
        (500, "", "failed"),
    ],
)
async def test_what_is_no_feed_is_told_in_plain_words(
    client: Client, feed: FeedServer, status: int, body: str, words: str
) -> None:
    feed.status, feed.render = status, lambda: body
    answer = await client.post(URL, {"provider": "ics", "url": feed.url})
    assert (answer.status, answer.fields) == (422, {"url"})
    assert words in answer.error["message"]


async def test_a_new_address_is_a_new_credential(world: World, client: Client, feed: FeedServer) -> None:
    """As after a reset of Google's secret address: the calendar stays the same one."""
    created = await connect(client, feed)
    before = await row_of(world, created["id"])
    renewed = feed.url.replace("secret-token", "another")
    answer = await client.patch(f"{URL}/{created['id']}", {"url": renewed})
    assert answer.status == 200, answer.body
    row = await row_of(world, created["id"])
    secret = open_credentials(world.services.keyring, created["id"], row["credentials_encrypted"])
    assert secret == {"url": renewed}
    assert row["calendar_key"] == before["calendar_key"]
    assert row["grant_hash"] != before["grant_hash"]


async def test_a_feed_that_moved_is_not_connected_twice(client: Client, feed: FeedServer) -> None:
    first = await connect(client, feed)
    moved, third = (feed.url.replace("secret-token", name) for name in ("moved", "third"))
    assert (await client.patch(f"{URL}/{first['id']}", {"url": moved})).status == 200
    assert (await client.post(URL, {"provider": "ics", "url": moved})).status == 409
    other = await client.post(URL, {"provider": "ics", "url": third})
    assert (await client.patch(f"{URL}/{other.json['id']}", {"url": moved})).status == 409
    assert (await client.patch(f"{URL}/{other.json['id']}", {"url": third})).status == 200
    assert (await client.patch(f"{URL}/{other.json['id']}", {"calendar_name": "Third"})).status == 200


@pytest.mark.parametrize("field", ["username", "password"])
async def test_a_feed_has_no_password_to_change(client: Client, feed: FeedServer, field: str) -> None:
    created = await connect(client, feed)
    answer = await client.patch(f"{URL}/{created['id']}", {field: "x"})
    assert (answer.status, answer.fields) == (422, {field})


async def test_a_caldav_calendar_keeps_its_address(world: World, client: Client) -> None:
    connection_id = await world.connection()
    answer = await client.patch(f"{URL}/{connection_id}", {"url": "https://dav.example.com/other/"})
    assert (answer.status, answer.fields) == (422, {"url"})


async def test_a_feed_is_no_target(world: World, client: Client, feed: FeedServer) -> None:
    created, other = await connect(client, feed), await world.connection()
    body = {"connection_a_id": created["id"], "connection_b_id": other, "sync_mode": "full"}
    for direction in ("bidirectional", "b_to_a"):
        answer = await client.post("/api/v1/sync-pairs", {**body, "direction": direction})
        assert (answer.status, answer.fields) == (422, {"connection_a_id"})
    assert (await client.post("/api/v1/sync-pairs", {**body, "direction": "a_to_b"})).status == 201


async def test_in_test_mode_only_private_networks_are_asked(world: World, feed: FeedServer) -> None:
    tester = await world.client(mode=Mode.TEST)
    assert (await connect(tester, feed))["mode"] == "test"
    answer = await tester.post(URL, {"provider": "ics", "url": "https://192.88.98.1/a.ics"})
    assert (answer.status, answer.fields) == (422, {"url"})
