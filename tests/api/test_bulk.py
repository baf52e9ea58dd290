"""Many pairs with one request: made, paused, resumed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, event, select, update
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.keys import Mode
from calendarsync.store import pairs as pair_store
from calendarsync.store.tables import accounts, pairs
from calendarsync.store.tenancy import Tenant, owned
from tests.api.client import Answer, Client
from tests.api.world import World

URL = "/api/v1/sync-pairs"
HOUR = timedelta(hours=1)


def wanted(a: str, b: str, **changes: Any) -> dict[str, Any]:
    ends = {"connection_a_id": a, "connection_b_id": b}
    return {**ends, "sync_mode": "blocker", "direction": "bidirectional", **changes}


async def stars(world: World, count: int) -> list[dict[str, Any]]:
    """Pairs of one calendar with each of so many others."""
    hub = await world.connection("hub")
    return [wanted(hub, await world.connection(f"spoke{number}")) for number in range(count)]


async def made(client: Client, wanted: list[Any]) -> list[dict[str, Any]]:
    answer = await client.post(f"{URL}/bulk", {"pairs": wanted})
    assert answer.status == 200, answer.body
    results: list[dict[str, Any]] = answer.json["results"]
    assert [each["index"] for each in results] == list(range(len(wanted)))
    return results


async def rows(world: World) -> dict[str, Any]:
    async with world.db.read() as db:
        return {row.id: row for row in await db.execute(select(pairs))}


def stamp(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


async def test_pairs_are_made_as_one_by_one(world: World, client: Client) -> None:
    asked = await stars(world, 3)
    asked[1] |= {"direction": "a_to_b", "sync_mode": "full", "options": {"title": "[W] {title}"}}
    woken = world.runner.woken
    results = await made(client, asked)
    assert [each["status"] for each in results] == [201, 201, 201]
    assert all(set(each) == {"index", "status", "pair"} for each in results)
    listed = (await client.get(URL)).json["pairs"]
    assert [each["pair"] for each in results] == listed, "in the order in which they were sent"
    assert listed[1]["options"]["title"] == "[W] {title}"
    for row in (await rows(world)).values():
        assert world.clock[0] <= row.due_at < world.clock[0] + timedelta(milliseconds=1)
        assert {row.calendar_a, row.calendar_b} <= {"key-hub", "key-spoke0", "key-spoke1", "key-spoke2"}
    assert world.runner.woken == woken + 1


async def test_what_is_wrong_with_one_is_told_and_keeps_no_other_back(world: World, client: Client) -> None:
    good = await stars(world, 3)
    read_only = await world.connection("feed", read_only=True)
    hub = good[0]["connection_a_id"]
    foreign = await world.connection("x", account_id=await world.other_account())
    results = await made(
        client,
        [
            good[0],
            {**good[1], "options": {"past_day": 1}},
            wanted(hub, "conn_nothere"),
            wanted(hub, foreign),
            wanted(hub, read_only),
            wanted(hub, hub),
            {**good[1], "options": {"title": "{title}"}},
            {"connection_a_id": hub},
            "a pair",
            None,
            [],
            {**good[1], "connection_b_id": 7},
            good[2],
        ],
    )
    assert [each["status"] for each in results] == [201, *[422] * 11, 201]
    assert [[detail["field"] for detail in each["error"]["details"]] for each in results[1:-1]] == [
        ["options.past_day"],
        ["connection_b_id"],
        ["connection_b_id"],
        ["connection_b_id"],
        ["connection_b_id"],
        ["options.title"],
        ["connection_b_id", "sync_mode", "direction"],
        ["pair"],
        ["pair"],
        ["pair"],
        ["connection_b_id"],
    ]
    assert results[2]["error"] == {
        "code": "validation_error",
        "message": "connection_b_id: no such connection",
        "details": [{"field": "connection_b_id", "message": "no such connection"}],
    }
    assert len(await rows(world)) == 2


async def test_sent_again_it_makes_nothing_twice_and_tells_what_is_there(
    world: World, client: Client
) -> None:
    asked = await stars(world, 3)
    first = await made(client, asked[:2])
    swapped = wanted(asked[0]["connection_b_id"], asked[0]["connection_a_id"], direction="a_to_b")
    woken = world.runner.woken
    again = await made(client, [*asked[:2], swapped])
    assert [each["status"] for each in again] == [409, 409, 409]
    assert [each["pair"]["id"] for each in again] == [first[each]["pair"]["id"] for each in (0, 1, 0)]
    assert all(each["error"]["code"] == "conflict" and "details" not in each["error"] for each in again)
    assert world.runner.woken == woken
    rest = await made(client, asked)
    assert [each["status"] for each in rest] == [409, 409, 201]
    assert len(await rows(world)) == 3


async def test_an_equal_pair_that_goes_meanwhile_is_told_as_it_was(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = await stars(world, 2)
    (there,) = await made(client, asked[:1])
    insert_pairs, tenant = pair_store.insert_pairs, Tenant(world.account_id, "live")

    async def insert_late(db: AsyncConnection, *given: Any) -> None:
        gone = delete(pairs).where(owned(pairs), pairs.c.id == there["pair"]["id"])
        await db.execute(gone, tenant.parameters())
        await insert_pairs(db, *given)

    monkeypatch.setattr(pair_store, "insert_pairs", insert_late)
    results = await made(client, asked)
    assert [each["status"] for each in results] == [409, 201]
    assert results[0]["pair"] == there["pair"]


@pytest.mark.parametrize("alone", [True, False])
async def test_a_connection_stays_while_pairs_are_made_of_it(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch, *, alone: bool
) -> None:
    (one,) = await stars(world, 1)
    insert_pairs, begun = pair_store.insert_pairs, asyncio.Event()

    async def insert_late(*given: Any) -> None:
        begun.set()
        await asyncio.sleep(0.3)  # time enough to delete it, if that were possible
        await insert_pairs(*given)

    monkeypatch.setattr(pair_store, "insert_pairs", insert_late)
    url, body = (URL, one) if alone else (f"{URL}/bulk", {"pairs": [one]})
    making = asyncio.create_task(client.post(url, body))
    await begun.wait()
    await client.delete(f"/api/v1/connections/{one['connection_b_id']}")
    answer = await making
    assert answer.status == (201 if alone else 200), answer.body
    assert (await client.get(f"/api/v1/connections/{one['connection_b_id']}")).status == 200
    assert len(await rows(world)) == 1


async def test_equal_pairs_in_one_request(world: World, client: Client) -> None:
    (one,) = await stars(world, 1)
    results = await made(client, [{**one, "direction": "a_to_b"}, one, {**one, "direction": "b_to_a"}])
    assert [each["status"] for each in results] == [201, 409, 201]
    assert results[1]["pair"] == results[0]["pair"]


async def test_two_requests_at_once_make_each_pair_once(world: World, client: Client) -> None:
    asked = await stars(world, 20)
    single = [client.post(URL, each) for each in asked]
    answers = await asyncio.gather(made(client, asked), made(client, asked[::-1]), *single)
    stored = Counter((row.connection_a_id, row.connection_b_id) for row in (await rows(world)).values())
    assert list(stored.values()) == [1] * 20
    created = [each["status"] for results in answers[:2] for each in results].count(201)
    alone = [each.status for each in answers[2:] if isinstance(each, Answer)]
    assert set(alone) <= {201, 409}
    assert created + alone.count(201) == 20


@contextmanager
def statements() -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_a_thousand_pairs_take_a_few_statements(world: World, client: Client) -> None:
    hubs = [await world.connection(f"hub{number}") for number in range(32)]
    ends = [(a, b) for number, a in enumerate(hubs) for b in hubs[:number]]
    asked = [wanted(*pair, direction=way) for pair in ends for way in ("a_to_b", "b_to_a")]
    assert len(asked) == 992
    with statements() as seen:
        results = await made(client, asked)
    assert {each["status"] for each in results} == {201}
    assert len([each for each in seen if not each.startswith("SAVEPOINT")]) < 40, seen


async def test_a_thousand_pairs_with_every_option_fit_into_a_body(world: World, client: Client) -> None:
    options = {
        "past_days": 36_500,
        "future_days": 3_650,
        "include_free": False,
        "include_tentative": False,
        "include_unanswered": False,
        "include_all_day": False,
        "title": "x" * 200,
        "private_events": "blocker",
        "attendees_in_description": False,
        "color": "lightgoldenrodyellow",
        "reminders": [40_320] * 5,
        "timezone": "America/Argentina/ComodRivadavia",
    }
    asked = [wanted("conn_" + "x" * 22, "conn_" + "y" * 22, options=options)] * 1_000
    assert len(json.dumps({"pairs": asked}).encode()) < 1_000_000
    assert {each["status"] for each in await made(client, asked)} == {422}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"pairs"}),
        ({"pairs": []}, {"pairs"}),
        ({"pairs": {}}, {"pairs"}),
        ({"pairs": [{}] * 1_001}, {"pairs"}),
        ({"pairs": [{}], "more": 1}, {"more"}),
    ],
)
async def test_a_list_that_is_none_is_refused_as_a_whole(
    client: Client, body: dict[str, Any], fields: set[str]
) -> None:
    answer = await client.post(f"{URL}/bulk", body)
    assert (answer.status, answer.fields) == (422, fields)


async def test_lists_by_connection_and_status(world: World, client: Client) -> None:
    asked = await stars(world, 3)
    ids = [each["pair"]["id"] for each in await made(client, asked)]
    await client.post(f"{URL}/pause", {"pair_ids": ids[1:]})

    async def listed(query: str) -> list[str]:
        return [each["id"] for each in (await client.get(f"{URL}?{query}")).json["pairs"]]

    assert await listed("status=paused") == ids[1:]
    assert await listed(f"connection_id={asked[0]['connection_a_id']}") == ids
    assert await listed(f"connection_id={asked[1]['connection_b_id']}") == [ids[1]]
    assert await listed(f"connection_id={asked[0]['connection_b_id']}&status=paused") == []
    assert await listed("connection_id=conn_nothere") == []
    assert await listed(f"status=paused&starting_after={ids[1]}") == [ids[2]]
    for query, field in (("status=on", "status"), ("connection_id=%00", "connection_id")):
        answer = await client.get(f"{URL}?{query}")
        assert (answer.status, answer.fields) == (422, {field})


async def test_pause_and_resume_of_everything(world: World, client: Client) -> None:
    ids = [each["pair"]["id"] for each in await made(client, await stars(world, 3))]
    async with world.db.write() as db:
        await db.execute(update(pairs).values(quiet_state="seen", quiet_until=world.clock[0] + HOUR))
    other = await world.client(account_id=await world.other_account())
    answer = await client.post(f"{URL}/pause", {"pair_ids": [ids[0]]})
    assert answer.json == {"results": [{"pair_id": ids[0], "result": "changed"}], "changed": 1}
    world.tick()
    answer = await client.post(f"{URL}/pause", {"all": True})
    assert {each["pair_id"]: each["result"] for each in answer.json["results"]} == {
        ids[0]: "unchanged",
        ids[1]: "changed",
        ids[2]: "changed",
    }
    assert answer.json["changed"] == 2
    assert all((row.status, row.due_at) == ("paused", None) for row in (await rows(world)).values())
    assert all(row.quiet_state is row.quiet_until is None for row in (await rows(world)).values())
    assert (await other.post(f"{URL}/resume", {"all": True})).json == {"results": [], "changed": 0}
    assert (await (await world.client(mode=Mode.TEST)).post(f"{URL}/resume", {"all": True})).json[
        "changed"
    ] == 0
    woken, now = world.runner.woken, world.tick()
    answer = await client.post(f"{URL}/resume", {"all": True})
    assert answer.json["changed"] == 3
    assert all((row.status, row.due_at) == ("active", now) for row in (await rows(world)).values())
    assert world.runner.woken == woken + 1
    assert (await client.post(f"{URL}/resume", {"all": True})).json["changed"] == 0
    assert world.runner.woken == woken + 1


async def test_pairs_that_are_named_are_told_of_one_by_one(world: World, client: Client) -> None:
    ids = [each["pair"]["id"] for each in await made(client, await stars(world, 3))]
    foreign = await world.client(account_id=await world.other_account())
    async with world.db.write() as db:
        await db.execute(update(pairs).where(pairs.c.id == ids[1]).values(removal="remove"))
    asked = {"pair_ids": [ids[2], "pair_nothere", ids[1], ids[2], ids[0]]}
    results = (await client.post(f"{URL}/pause", asked)).json["results"]
    assert [(each["pair_id"], each["result"]) for each in results] == [
        (ids[2], "changed"),
        ("pair_nothere", "not_found"),
        (ids[1], "being_removed"),
        (ids[0], "changed"),
    ]
    assert (await rows(world))[ids[1]].status == "active"
    answer = await foreign.post(f"{URL}/resume", asked)
    assert {each["result"] for each in answer.json["results"]} == {"not_found"}


async def test_resuming_leaves_alone_what_was_not_paused(world: World, client: Client) -> None:
    ids = [each["pair"]["id"] for each in await made(client, await stars(world, 2))]
    troubled = {"status": "needs_attention", "attention_code": "emptied", "attention_message": "12 events"}
    async with world.db.write() as db:
        await db.execute(update(pairs).where(pairs.c.id == ids[0]).values(**troubled))
    assert (await client.post(f"{URL}/resume", {"all": True})).json["changed"] == 0
    assert (await client.get(f"{URL}/{ids[0]}")).json["status"] == "needs_attention"
    assert (await client.post(f"{URL}/pause", {"all": True})).json["changed"] == 2, "whatever the status"
    assert (await client.post(f"{URL}/resume", {"all": True})).json["changed"] == 2
    shown = (await client.get(f"{URL}/{ids[0]}")).json
    assert (shown["status"], shown["attention"]) == ("active", None)


async def test_a_pause_that_ends_by_itself(world: World, client: Client) -> None:
    ids = [each["pair"]["id"] for each in await made(client, await stars(world, 2))]
    at = world.clock[0] + HOUR
    answer = await client.post(f"{URL}/pause", {"all": True, "resume_at": stamp(at)})
    assert answer.json["changed"] == 2
    assert all((row.resume_at, row.due_at) == (at, at) for row in (await rows(world)).values())
    assert (await client.get(f"{URL}/{ids[0]}")).json["resume_at"] == stamp(at)
    assert (await client.post(f"{URL}/pause", {"all": True, "resume_at": stamp(at)})).json["changed"] == 0
    assert (await client.post(f"{URL}/pause", {"pair_ids": ids[:1]})).json["changed"] == 1
    row = (await rows(world))[ids[0]]
    assert (row.status, row.resume_at, row.due_at) == ("paused", None, None)


async def test_test_modes_clock_decides_when_a_pause_ends(world: World) -> None:
    tester = await world.client(mode=Mode.TEST)
    a, b = [await world.connection(name, mode="test") for name in "ab"]
    url = f"{URL}/{(await world.pair(tester, a, b))['id']}"
    ahead = timedelta(days=10)
    async with world.db.write() as db:
        await db.execute(update(accounts).values(test_clock_seconds=int(ahead.total_seconds())))
    for body, path in (({"status": "paused"}, url), ({"all": True}, f"{URL}/pause")):
        send = tester.patch if path == url else tester.post
        late = await send(path, {**body, "resume_at": stamp(world.clock[0] + HOUR)})
        assert (late.status, late.fields) == (422, {"resume_at"}), "that is over in the account's time"
        at = world.clock[0] + ahead + (HOUR if path == url else 2 * HOUR)
        assert (await send(path, {**body, "resume_at": stamp(at)})).status == 200
        assert (await tester.get(url)).json["resume_at"] == stamp(at)
        (row,) = (await rows(world)).values()
        assert row.due_at == at - ahead, "the schedule goes by the real clock"


@pytest.mark.parametrize("path", ["pause", "resume"])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "pair_ids"),
        ({"pair_ids": []}, "pair_ids"),
        ({"pair_ids": ["pair_a"] * 1_001}, "pair_ids"),
        ({"pair_ids": [7]}, "pair_ids.0"),
        ({"pair_ids": ["\0"]}, "pair_ids.0"),
        ({"pair_ids": None}, "pair_ids"),
        ({"pair_ids": ["pair_a"], "all": True}, "all"),
        ({"all": False}, "all"),
        ({"all": 1}, "all"),
        ({"all": True, "status": "paused"}, "status"),
    ],
)
async def test_which_pairs_must_be_said_one_way(
    client: Client, path: str, body: dict[str, Any], field: str
) -> None:
    answer = await client.post(f"{URL}/{path}", body)
    assert (answer.status, answer.fields) == (422, {field}), answer.body


@pytest.mark.parametrize("resume_at", ["2026-03-28T09:00:00Z", "2026-03-28T12:00:00", 1774699200, "tomorrow"])
async def test_resume_at_must_make_sense(client: Client, resume_at: object) -> None:
    answer = await client.post(f"{URL}/pause", {"all": True, "resume_at": resume_at})
    assert (answer.status, answer.fields) == (422, {"resume_at"})
    answer = await client.post(f"{URL}/resume", {"all": True, "resume_at": "2026-03-28T12:00:00Z"})
    assert (answer.status, answer.fields) == (422, {"resume_at"})
