"""If-Match: what somebody else has changed meanwhile is left alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from calendarsync.api.v1 import connecting
from calendarsync.store.run_tables import operations
from tests.api.client import Answer, Client
from tests.api.routes import check_error
from tests.api.test_logs import log
from tests.api.world import World


@pytest.fixture
async def pair(world: World, client: Client) -> str:
    """The address of a pair."""
    made = await world.pair(client, await world.connection("a"), await world.connection("b"))
    return f"/api/v1/sync-pairs/{made['id']}"


async def if_match(client: Client, method: str, url: str, etag: str, body: Any = None) -> Answer:
    return await client.request(method, url, body, headers=[("If-Match", etag)])


async def etag_of(client: Client, url: str) -> str:
    return (await client.get(url)).headers["etag"]


async def test_a_change_needs_what_was_seen(client: Client, pair: str) -> None:
    seen = await etag_of(client, pair)
    assert (await if_match(client, "PATCH", pair, f'"other", {seen}', {"status": "paused"})).status == 200
    now = await etag_of(client, pair)
    assert now != seen
    check_error(await if_match(client, "PATCH", pair, seen, {"status": "active"}), 412, "precondition_failed")
    check_error(await if_match(client, "DELETE", pair, seen), 412, "precondition_failed")
    assert await etag_of(client, pair) == now
    assert (await if_match(client, "PATCH", pair, now, {"status": "paused"})).status == 200  # nothing changes
    assert await etag_of(client, pair) == now
    assert (await if_match(client, "PATCH", pair, "*", {"status": "active"})).status == 200
    assert (await if_match(client, "DELETE", pair, await etag_of(client, pair))).status == 204
    check_error(await if_match(client, "DELETE", pair, "*"), 404, "not_found")


async def test_a_pair_that_tells_its_latency(world: World, client: Client, pair: str) -> None:
    """What it tells is a part of what was seen; the longest that the column holds, too."""
    done = {
        "direction": "a_to_b",
        "event_id": "one",
        "original_start": "",
        "action": "create",
        "reason": "new",
    }
    run_id = await log(world, 1, pair_id=pair.rpartition("/")[2])
    async with world.db.write() as db:
        row = {**done, "run_id": run_id, "position": 0, "latency_ms": 2**31 - 1}
        await db.execute(operations.insert().values(row))
    seen = await client.get(pair)
    assert (seen.json["latency"]["p95_ms"], seen.json["latency"]["changes"]) == (2**31 - 1, 1)
    changed = await if_match(client, "PATCH", pair, seen.headers["etag"], {"options": {"past_days": 9}})
    assert changed.status == 200


async def test_of_two_who_saw_the_same_one_changes_it(client: Client, pair: str) -> None:
    seen = await etag_of(client, pair)
    answers = await asyncio.gather(
        *(
            if_match(client, "PATCH", pair, seen, {"options": {"past_days": number}})
            for number in range(10, 18)
        )
    )
    assert sorted(answer.status for answer in answers) == [200] + [412] * 7
    (changed,) = [answer for answer in answers if answer.status == 200]
    assert (await client.get(pair)).json == changed.json | {"latency": None}


async def test_connections(world: World, client: Client, pair: str) -> None:
    connection_id = (await client.get(pair)).json["connection_a_id"]
    url = f"/api/v1/connections/{connection_id}"
    seen = await etag_of(client, url)
    answers = await asyncio.gather(
        *(if_match(client, "PATCH", url, seen, {"calendar_name": f"Name {number}"}) for number in range(4))
    )
    assert sorted(answer.status for answer in answers) == [200, 412, 412, 412]
    for cascade in ("", "?cascade=true", "?cascade=true&abandon=true"):
        check_error(await if_match(client, "DELETE", url + cascade, seen), 412, "precondition_failed")
    assert (await client.get(pair)).status == 200
    now = await etag_of(client, url)
    assert (await if_match(client, "DELETE", f"{url}?cascade=true", now)).status == 204
    assert (await client.get(pair)).status == 404


@pytest.mark.parametrize("options", ["", "&abandon=true"])
async def test_a_connection_that_changes_while_it_is_judged(
    world: World, client: Client, pair: str, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    """The first look is only the first: what counts is the one inside the transaction that writes."""
    connection_id = (await client.get(pair)).json["connection_a_id"]
    url = f"/api/v1/connections/{connection_id}"
    seen, remove = await etag_of(client, url), connecting.remove_pairs

    async def changed_before(*given: Any, **named: Any) -> None:
        await client.patch(url, {"calendar_name": "Another"})
        await remove(*given, **named)

    monkeypatch.setattr(connecting, "remove_pairs", changed_before)
    answer = await if_match(client, "DELETE", f"{url}?cascade=true{options}", seen)
    check_error(answer, 412, "precondition_failed")
    assert (await client.get(pair)).json["removal"] is None
