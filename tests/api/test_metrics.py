"""/metrics: who is told, what is counted, and that nothing of an account is in it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from calendarsync.api import metrics
from tests.api.client import Client
from tests.api.test_whole import CONNECTIONS, PAIRS, connect, event, whole
from tests.api.world import World
from tests.testbed.radicale import RadicaleServer

__all__ = ["whole"]

TOKEN = "a token that only the scraper knows"
SAMPLES = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(
    world: World, peer: str = "127.0.0.1", headers: Mapping[str, str] | None = None
) -> httpx.Response:
    transport = httpx.ASGITransport(app=world.app, client=(peer, 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        return await client.get("/metrics", headers=headers or {})


def samples(text: str) -> SAMPLES:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: SAMPLES, name: str, **labels: str) -> float:
    return found[f"calendarsync_{name}", frozenset(labels.items())]


def set_token(world: World) -> None:
    services = world.app.state.services
    settings = services.settings.model_copy(update={"metrics_token": SecretStr(TOKEN)})
    world.app.state.services = replace(services, settings=settings)


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
async def test_this_machine_is_told(world: World, peer: str) -> None:
    answer = await scrape(world, peer)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


@pytest.mark.parametrize(
    "peer", ["192.0.2.1", "10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "0.0.0.0", "testclient", ""]
)
async def test_others_are_not(world: World, peer: str) -> None:
    answer = await scrape(world, peer)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    answer = await scrape(world, peer, {"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "header",
    [
        *("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port"),
        *("X-Real-IP", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP"),
    ],
)
async def test_a_proxy_on_this_machine_is_not_this_machine(world: World, header: str) -> None:
    assert (await scrape(world, headers={header: "127.0.0.1"})).status_code == 403
    assert (await scrape(world, headers={header: ""})).status_code == 403


async def test_with_a_token_it_alone_counts(world: World) -> None:
    set_token(world)
    for peer in ("127.0.0.1", "192.0.2.1"):
        for headers in (
            {},
            {"Authorization": "Bearer "},
            {"Authorization": f"Bearer {TOKEN}x"},
            {"Authorization": f"Bearer {TOKEN[:-1]}"},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": TOKEN},
            {"Authorization": "Bearer \xe9\xff"},
        ):
            encoded = {name: text.encode("latin-1") for name, text in headers.items()}
            answer = await scrape(world, peer, encoded)  # type: ignore[arg-type] - httpx takes bytes too
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized"), headers
            assert answer.headers["www-authenticate"].startswith("Bearer ")
        for headers in ({}, {"X-Forwarded-For": "192.0.2.7"}):
            sent = {"Authorization": f"bearer {TOKEN}", **headers}
            assert (await scrape(world, peer, sent)).status_code == 200


async def test_a_key_is_no_token(world: World, client: Client) -> None:
    set_token(world)
    answer = await scrape(world, headers={"Authorization": f"Bearer {client.key}"})
    assert answer.status_code == 401


async def test_requests_are_counted_by_operation_and_status(world: World, client: Client) -> None:
    for _ in range(3):
        await client.get(PAIRS)
    await client.get(f"{PAIRS}/pair_secret-in-the-path")
    await client.get("/nowhere/in-particular?secret=query")
    await Client(world.app).get(PAIRS)
    text = (await scrape(world)).text
    found = samples(text)
    assert value(found, "http_requests_total", operation="list_pairs", status="200") == 3
    assert value(found, "http_requests_total", operation="list_pairs", status="401") == 1
    assert value(found, "http_requests_total", operation="get_pair", status="404") == 1
    assert value(found, "http_requests_total", operation="none", status="404") == 1
    assert value(found, "http_request_duration_seconds_count", operation="list_pairs") == 4
    assert "secret" not in text
    again = samples((await scrape(world)).text)
    assert value(again, "http_requests_total", operation="metrics", status="200") == 1


async def test_what_this_process_is_and_how_its_database_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.runner.late = 12.5
    found = samples((await scrape(world)).text)
    backend = world.db.backend
    assert value(found, "database_up", backend=backend) == 1
    assert value(found, "schedule_lateness_seconds") == 12.5
    assert value(found, "database_connections", state="in_use") == 0
    assert value(found, "database_connections", state="idle") >= 1
    assert len([name for name, _ in found if name == "calendarsync_build_info"]) == 1
    world.runner.late = None
    assert value(samples((await scrape(world)).text), "schedule_lateness_seconds") == 0
    async with world.db.read():
        assert value(samples((await scrape(world)).text), "database_connections", state="in_use") == 1
    monkeypatch.setattr(metrics, "_PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(type(world.runner), "lateness", never)
    answer = await scrape(world)
    assert answer.status_code == 200
    assert value(samples(answer.text), "database_up", backend=backend) == 0
    assert "calendarsync_schedule_lateness_seconds NaN" in answer.text


async def never(_: object) -> float | None:
    await asyncio.sleep(60)
    return None


async def test_runs_are_counted_and_nothing_of_theirs_is_told(whole: World, radicale: RadicaleServer) -> None:
    client = await whole.client()
    work, home = radicale.make_calendar(), radicale.make_calendar()
    radicale.put(work, "standup.ics", event("canary-4b2f"))
    a, b = await connect(client, radicale, work), await connect(client, radicale, home)
    pair = await whole.pair(client, a, b)
    url = f"{PAIRS}/{pair['id']}"
    await client.post(f"{url}/trigger", {"dry_run": True})
    assert "calendarsync_runs_total" not in {name for name, _ in samples((await scrape(whole)).text)}
    logs = [(await client.post(f"{url}/trigger")).json for _ in range(2)]
    assert (await client.patch(f"{CONNECTIONS}/{a}", {"password": "wrong"})).status == 422
    text = (await scrape(whole)).text
    found = samples(text)
    assert value(found, "runs_total", status="success", trigger="api") == len(logs)
    assert value(found, "run_duration_seconds_count") == len(logs)
    assert value(found, "copies_total", action="create") == 1
    assert value(found, "copies_total", action="delete") == 0
    assert value(found, "provider_requests_total") > len(logs)
    told = ("canary", a, b, pair["id"], logs[0]["sync_id"], whole.account_id, radicale.url, "alice", work)
    assert [word for word in told if word in text] == []
