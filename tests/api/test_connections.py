"""/connections, against a real CalDAV server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import select

from calendarsync.accounts.keys import Mode
from calendarsync.providers.caldav import canonical_url
from calendarsync.secrets import Keyring
from calendarsync.store.connections import open_credentials, seal_credentials
from calendarsync.store.tables import connections, pairs
from tests.api.client import Client
from tests.api.world import World, build, close
from tests.testbed.dav import DavServer
from tests.testbed.radicale import RadicaleServer

URL = "/api/v1/connections"


def access(server: DavServer, **changes: object) -> dict[str, object]:
    return {
        "provider": "caldav",
        "url": server.home,
        "username": server.username,
        "password": server.password,
        **changes,
    }


async def stored(world: World, connection_id: str) -> dict[str, Any]:
    async with world.db.read() as connection:
        query = select(connections).where(connections.c.id == connection_id)
        return dict((await connection.execute(query)).mappings().one())


async def connect(client: Client, server: DavServer, **changes: object) -> dict[str, Any]:
    answer = await client.post(URL, access(server, **changes))
    assert answer.status == 201, answer.body
    assert answer.headers["location"] == f"{URL}/{answer.json['id']}"
    created: dict[str, Any] = answer.json
    return created


async def test_discover(client: Client, radicale: RadicaleServer) -> None:
    calendar = radicale.make_calendar(properties="<displayname>Work</displayname>")
    answer = await client.post(f"{URL}/discover", access(radicale))
    assert answer.status == 200, answer.body
    found = {each["id"]: each for each in answer.json["calendars"]}
    assert found[canonical_url(calendar)] == {
        "id": canonical_url(calendar),
        "name": "Work",
        "read_only": False,
        "timezone": None,
    }


async def test_connect(world: World, client: Client, radicale: RadicaleServer) -> None:
    calendar = radicale.make_calendar(properties="<displayname>Work</displayname>")
    created = await connect(client, radicale, calendar_id=calendar, email="Alice@example.com")
    assert created == {
        "id": created["id"],
        "provider": "caldav",
        "email": "Alice@example.com",
        "calendar_name": "Work",
        "status": "active",
        "last_synced_at": None,
        "calendar_id": canonical_url(calendar),
        "read_only": False,
        "mode": "live",
        "created_at": "2026-03-28T10:00:00Z",
        "last_error": None,
    }
    row = await stored(world, created["id"])
    assert row["calendar_key"] == sha256(canonical_url(calendar).encode()).hexdigest()
    assert row["owner_addresses"][-1] == "alice@example.com"
    assert radicale.password.encode() not in row["credentials_encrypted"]
    credentials = open_credentials(world.services.keyring, created["id"], row["credentials_encrypted"])
    assert credentials == {"username": "alice", "password": radicale.password}
    assert (await client.get(URL)).json == {"connections": [created], "has_more": False}
    assert (await client.get(f"{URL}/{created['id']}")).json == created


async def test_connections_of_one_user_at_one_server_share_a_grant(
    world: World, client: Client, radicale: RadicaleServer
) -> None:
    first = await connect(client, radicale, calendar_id=radicale.make_calendar())
    second = await connect(client, radicale, calendar_id=radicale.make_calendar())
    bob = radicale.user("bob")
    third = await connect(client, bob, calendar_id=bob.make_calendar())
    grants = [(await stored(world, each["id"]))["grant_hash"] for each in (first, second, third)]
    assert grants[0] == grants[1] != grants[2]


async def test_the_calendars_own_address_needs_no_calendar_id(
    client: Client, radicale: RadicaleServer
) -> None:
    calendar = radicale.make_calendar()
    assert (await connect(client, radicale, url=calendar))["calendar_id"] == canonical_url(calendar)


async def test_several_calendars_need_a_choice(client: Client, radicale: RadicaleServer) -> None:
    radicale.make_calendar()
    radicale.make_calendar()
    answer = await client.post(URL, access(radicale))
    assert (answer.status, answer.fields) == (422, {"calendar_id"})


async def test_the_same_calendar_twice_is_a_conflict(
    world: World, client: Client, radicale: RadicaleServer
) -> None:
    calendar = radicale.make_calendar()
    await connect(client, radicale, calendar_id=calendar)
    other_spelling = calendar.rstrip("/").replace("alice", "%61lice")
    answer = await client.post(URL, access(radicale, calendar_id=other_spelling))
    assert (answer.status, answer.error["code"]) == (409, "conflict")
    stranger = await world.client(account_id=await world.other_account())
    assert (await connect(stranger, radicale, calendar_id=calendar))["calendar_id"] == canonical_url(calendar)
    tester = await world.client(mode=Mode.TEST)
    assert (await connect(tester, radicale, calendar_id=calendar))["mode"] == "test"


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"password": "wrong"}, {"username", "password"}),
        ({"username": "nobody"}, {"username", "password"}),
        ({"calendar_id": "http://127.0.0.1:1/elsewhere/"}, {"calendar_id"}),
        ({"calendar_id": "no url"}, {"calendar_id"}),
        ({"calendar_id": "conn_123"}, {"calendar_id"}),
        ({"url": "http://127.0.0.1:1/"}, {"url"}),
        ({"url": "http://"}, {"url"}),
        ({"url": "https:///path"}, {"url"}),
        ({"url": "http://[::1"}, {"url"}),
        ({"url": "http://host:99999/"}, {"url"}),
        ({"url": "ftp://dav.example.com/"}, {"url"}),
        ({"url": "file:///etc/passwd"}, {"url"}),
        ({"url": "http://10.0.0.1/"}, {"url"}),
        ({"url": "http://169.254.169.254/latest/"}, {"url"}),
        ({"url": "http://alice:secret@127.0.0.1/"}, {"url"}),
        ({"url": "https://nothing.invalid/"}, {"url"}),
        ({"url": "x" * 2001}, {"url"}),
        ({"url": "http://127.0.0.1/\r\nHost: x"}, {"url"}),
        ({"url": 7}, {"url"}),
        ({"password": None}, {"password"}),
        ({"password": "a\r\nb"}, {"password"}),
        ({"password": ""}, {"password"}),
        ({"username": "a\x00b"}, {"username"}),
        ({"email": "nobody"}, {"email"}),
        ({"provider": "google"}, {"delegated_user", "url", "username", "password"}),
        ({"provider": "ics"}, {"username", "password"}),
        ({"provider": None}, {"provider"}),
        ({"provider": "exchange"}, {"provider"}),
        ({"token": "x"}, {"token"}),
    ],
)
async def test_what_cannot_be_connected_is_named(
    client: Client, radicale: RadicaleServer, changes: dict[str, object], fields: set[str]
) -> None:
    answer = await client.post(URL, access(radicale, **changes))
    assert answer.status == 422, answer.body
    assert answer.fields == fields
    assert (await client.get(URL)).json == {"connections": [], "has_more": False}


@pytest.mark.parametrize("answer", ["200 OK", "207 Multi-Status", "404 Not Found", "500 Oops"])
async def test_a_server_that_is_not_caldav(client: Client, radicale: RadicaleServer, answer: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        result = await client.post(f"{URL}/discover", access(radicale, url=f"http://127.0.0.1:{port}/"))
    assert (result.status, result.fields) == (422, {"url"})


async def test_nothing_is_asked_of_a_server_before_the_body_is_right(client: Client) -> None:
    body = {"provider": "caldav", "url": "http://127.0.0.1:1/", "username": "alice"}
    answer = await client.post(URL, body)
    assert (answer.status, answer.fields) == (422, {"password"})


@pytest.fixture
async def walled(database_url: str) -> AsyncIterator[World]:
    """A world whose operator opened no private network."""
    world = await build(database_url, networks="")
    yield world
    await close(world)


async def test_private_networks_are_closed_by_default(walled: World, radicale: RadicaleServer) -> None:
    for mode in Mode:
        client = await walled.client(mode=mode)
        answer = await client.post(f"{URL}/discover", access(radicale))
        assert (answer.status, answer.fields) == (422, {"url"})


async def test_test_mode_reaches_no_public_host(world: World) -> None:
    """192.88.98.1 is public, and nobody answers there: a refusal comes at once, an attempt would time out."""
    client = await world.client(mode=Mode.TEST)
    body = {"provider": "caldav", "url": "http://192.88.98.1/", "username": "alice", "password": "x"}
    answer = await client.post(f"{URL}/discover", body)
    assert (answer.status, answer.fields) == (422, {"url"})
    assert "not allowed" in answer.error["message"]


async def test_rename(client: Client, world: World) -> None:
    connection_id = await world.connection("a")
    answer = await client.patch(f"{URL}/{connection_id}", {"calendar_name": "Team"})
    assert (answer.status, answer.json["calendar_name"]) == (200, "Team")
    for wrong in (None, "", "x" * 501, "a\x07b", 1):
        answer = await client.patch(f"{URL}/{connection_id}", {"calendar_name": wrong})
        assert (answer.status, answer.fields) == (422, {"calendar_name"})


async def test_new_credentials_wake_an_expired_connection(
    world: World, client: Client, radicale: RadicaleServer
) -> None:
    created = await connect(client, radicale, calendar_id=radicale.make_calendar())
    url = f"{URL}/{created['id']}"
    pair = await world.pair(client, created["id"], await world.connection("b"))
    async with world.db.write() as connection:
        await connection.execute(
            connections.update()
            .where(connections.c.id == created["id"])
            .values(status="expired", last_error_code="not_authorized", last_error_message="No.")
        )
        await connection.execute(pairs.update().values(due_at=None))
    assert (await client.get(url)).json["last_error"] == {"code": "not_authorized", "message": "No."}
    answer = await client.patch(url, {"password": "wrong"})
    assert (answer.status, answer.fields) == (422, {"username", "password"})
    assert (await client.get(url)).json["status"] == "expired"
    woken, now = world.runner.woken, world.tick()
    answer = await client.patch(url, {"password": radicale.password})
    assert (answer.json["status"], answer.json["last_error"]) == ("active", None)
    assert world.runner.woken == woken + 1
    async with world.db.read() as connection:
        query = select(pairs.c.due_at).where(pairs.c.id == pair["id"])
        assert (await connection.execute(query)).scalar_one() == now


async def test_new_credentials_must_reach_the_same_calendar(client: Client, radicale: RadicaleServer) -> None:
    created = await connect(client, radicale, calendar_id=radicale.make_calendar())
    url = f"{URL}/{created['id']}"
    answer = await client.patch(url, {"username": "bob", "password": "bob-password"})
    assert (answer.status, answer.fields) == (422, {"username"})
    answer = await client.patch(url, {"username": "bob"})
    assert (answer.status, answer.fields) == (422, {"password"})


async def test_credentials_that_can_be_read_no_more_are_given_anew(
    world: World, client: Client, radicale: RadicaleServer
) -> None:
    """They were encrypted with a secret of the installation that has been dropped since."""
    created = await connect(client, radicale, calendar_id=radicale.make_calendar())
    dropped = Keyring([b"another secret, which was dropped"])
    lost = seal_credentials(dropped, created["id"], {"username": "alice", "password": "x"})
    async with world.db.write() as connection:
        await connection.execute(connections.update().values(credentials_encrypted=lost))
    url = f"{URL}/{created['id']}"
    answer = await client.patch(url, {"password": radicale.password})
    assert (answer.status, answer.fields) == (422, {"username"})
    answer = await client.patch(url, {"username": radicale.username, "password": radicale.password})
    assert (answer.status, answer.json["status"]) == (200, "active")


async def test_delete(world: World, client: Client) -> None:
    url = f"{URL}/{await world.connection('a')}"
    assert (await client.delete(url)).status == 204
    assert (await client.get(url)).status == 404


async def test_a_connection_in_use_is_kept_unless_all_goes(world: World, client: Client) -> None:
    a, b = await world.connection("a"), await world.connection("b")
    pair = await world.pair(client, a, b)
    answer = await client.delete(f"{URL}/{a}")
    assert (answer.status, answer.error["code"]) == (409, "conflict")
    assert world.runner.asked == []
    assert (await client.delete(f"{URL}/{a}?cascade=true")).status == 204
    assert world.runner.asked == [(pair["id"], {"remove": "remove"})]
    assert (await client.get("/api/v1/sync-pairs")).json == {"pairs": [], "has_more": False}
    assert [each["id"] for each in (await client.get(URL)).json["connections"]] == [b]


async def test_a_cascade_that_takes_its_time_is_finished_by_the_next_request(
    world: World, client: Client
) -> None:
    a = await world.connection("a")
    await world.pair(client, a, await world.connection("b"))
    world.runner.cannot_remove = True
    answer = await client.delete(f"{URL}/{a}?cascade=true&keep_copies=true")
    assert (answer.status, answer.json["id"]) == (202, a)
    (pair,) = (await client.get("/api/v1/sync-pairs")).json["pairs"]
    assert pair["removal"] == "pending"
    world.runner.cannot_remove = False
    assert (await client.delete(f"{URL}/{a}?cascade=true")).status == 204


async def test_a_cascade_can_be_given_up(world: World, client: Client) -> None:
    a = await world.connection("a")
    await world.pair(client, a, await world.connection("b"))
    world.runner.stuck = True
    assert (await client.delete(f"{URL}/{a}?cascade=true&abandon=true")).status == 204
    assert (await client.get("/api/v1/sync-pairs")).json == {"pairs": [], "has_more": False}
