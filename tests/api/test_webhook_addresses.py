"""Where an endpoint may be: judged when it is registered, in words that tell what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.abc import ResolveResult

from calendarsync.accounts.keys import Mode
from calendarsync.net import HttpClient
from tests.api.client import Answer, Client
from tests.api.test_webhooks import URL, check
from tests.api.world import World
from tests.net.conftest import LOOPBACK, StaticResolver

INSIDE = "CALENDARSYNC_ALLOWED_PRIVATE_NETWORKS"


@pytest.fixture
async def names(world: World) -> AsyncIterator[StaticResolver]:
    names = StaticResolver()
    names.hosts |= {
        "public.example.com": [("1.1.1.1", None)],
        "inside.example.com": [("127.0.0.1", None)],
        "private.example.com": [("10.0.0.1", None), ("::1", None)],
        "both.example.com": [("10.0.0.1", None), ("1.1.1.1", None)],
    }
    async with HttpClient(allowed_private_networks=LOOPBACK, resolver=names) as http:
        world.services = world.app.state.services = replace(world.services, http=http)
        yield names


async def both(client: Client, url: str) -> list[Answer]:
    """A new endpoint there, and one that moves there."""
    made = await client.post(URL, {"url": "https://127.0.0.1/"})
    assert made.status == 201, made.body
    moved = await client.patch(made.headers["location"], {"url": url})
    return [await client.post(URL, {"url": url}), moved]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://10.0.0.1/", f"Requests to 10.0.0.1 are not allowed. Webhooks go to public addresses, and to the"
                              f" networks of {INSIDE}."),
        ("https://private.example.com/", "Requests to private.example.com are not allowed. Webhooks go to public"),
        ("http://1.1.1.1/", f"Over plain http webhooks go only to the networks of {INSIDE}; use https."),
        ("http://public.example.com/", "use https"),
        ("http://both.example.com/", "use https"),
        ("http://nowhere.example.com/", "The host nowhere.example.com was not found. Over plain http"),
        ("https://user:canary-pass@public.example.com/", "must not contain a user name or password"),
        ("https://2130706433/", "an unusual spelling of an IP address"),
        ("ftp://public.example.com/", "must start with http:// or https://"),
        ("hooks", "must start with http:// or https://"),
    ],
)  # fmt: skip
async def test_an_address_that_no_delivery_would_reach(
    client: Client, names: StaticResolver, url: str, words: str
) -> None:
    for answer in await both(client, url):
        check(answer, 422, words)
        assert answer.fields == {"url"}
        assert "canary" not in answer.body.decode()


@pytest.mark.parametrize(
    "url",
    [
        "https://1.1.1.1/",
        "https://public.example.com/hook?a=b",
        "https://both.example.com/",
        "https://nowhere.example.com/",
        "https://127.0.0.1/",
        "https://inside.example.com/",
        "http://127.0.0.1:8000/",
        "http://inside.example.com/",
    ],
)
async def test_an_address_that_is_taken(client: Client, names: StaticResolver, url: str) -> None:
    made, moved = await both(client, url)
    assert (made.status, moved.status) == (201, 200)
    assert made.json["url"] == moved.json["url"] == url


async def test_test_mode_goes_to_the_allowed_networks_alone(world: World, names: StaticResolver) -> None:
    tester = await world.client(mode=Mode.TEST)
    for url in ("https://1.1.1.1/", "https://public.example.com/", "http://public.example.com/"):
        for answer in await both(tester, url):
            check(answer, 422, f"In test mode webhooks go only to the networks of {INSIDE}.")
    for url in ("https://inside.example.com/", "http://127.0.0.1/", "http://nowhere.example.com/"):
        made, moved = await both(tester, url)
        assert (made.status, moved.status) == (201, 200)


async def test_a_name_that_is_not_answered_in_time_is_taken(
    client: Client, names: StaticResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: Any) -> list[ResolveResult]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(names, "resolve", hang)
    judge = HttpClient.judge

    async def at_once(http: HttpClient, url: str, **options: Any) -> str:
        return await judge(http, url, **options, timeout_seconds=0.01)

    monkeypatch.setattr(HttpClient, "judge", at_once)
    assert (await client.post(URL, {"url": "https://slow.example.com/"})).status == 201
    check(await client.post(URL, {"url": "http://slow.example.com/"}), 422, "was not found in time")


async def test_nothing_is_sent_to_an_address_that_is_judged(client: Client, names: StaticResolver) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        touched.append(True)
        writer.close()

    touched: list[bool] = []
    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        assert (await client.post(URL, {"url": f"http://127.0.0.1:{port}/"})).status == 201
    assert touched == []
