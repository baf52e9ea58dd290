"""Idempotency-Key: a POST is done once, whatever happens in between."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import RowMapping, select, update
from sqlalchemy.exc import OperationalError
from starlette.types import Message

from calendarsync.accounts.keys import Mode
from calendarsync.accounts.scopes import Scope
from calendarsync.api import idempotency
from calendarsync.api.idempotency import KEPT_FOR, LEASE, SECRETS_KEPT_FOR
from calendarsync.api.v1 import pairing
from calendarsync.store import idempotency as store
from calendarsync.store import pruning, tables
from calendarsync.store.database import DatabaseUnavailable
from tests.api.client import Answer, Client
from tests.api.routes import check_error
from tests.api.world import World

PAIRS, WEBHOOKS = "/api/v1/sync-pairs", "/api/v1/webhooks"
HEADERS = [("Idempotency-Key", "one")]
HOOK = {"url": "http://127.0.0.1:9/in"}


@pytest.fixture
async def wanted(world: World) -> dict[str, Any]:
    """A pair that can be made."""
    ends = {f"connection_{each}_id": await world.connection(each) for each in "ab"}
    return {**ends, "sync_mode": "blocker", "direction": "bidirectional"}


async def rows(world: World) -> list[RowMapping]:
    async with world.db.read() as connection:
        return list((await connection.execute(select(tables.idempotency))).mappings())


async def pairs(client: Client) -> int:
    return len((await client.get(PAIRS)).json["pairs"])


def replayed(answer: Answer) -> bool:
    return answer.headers.get("idempotency-replayed") == "true"


async def test_the_first_answer_is_kept_for_a_day(
    world: World, client: Client, wanted: dict[str, Any]
) -> None:
    first = await client.post(PAIRS, wanted, headers=HEADERS)
    assert first.status == 201
    await client.patch(first.headers["location"], {"status": "paused"})
    world.tick((KEPT_FOR - timedelta(minutes=1)).total_seconds())
    again = await client.post(PAIRS, wanted, headers=HEADERS)
    assert (again.status, again.body, replayed(again)) == (201, first.body, True)
    assert again.headers["location"] == first.headers["location"]
    assert await pairs(client) == 1
    world.tick(60)
    check_error(
        await client.post(PAIRS, wanted, headers=HEADERS), 409, "conflict"
    )  # done anew: an equal pair
    assert await pairs(client) == 1


async def test_errors_are_answers_too(world: World, client: Client, wanted: dict[str, Any]) -> None:
    wrong = wanted | {"connection_b_id": "conn_later"}
    first = await client.post(PAIRS, wrong, headers=HEADERS)
    check_error(first, 422, "validation_error")
    again = await client.post(PAIRS, wrong, headers=HEADERS)
    check_error(again, 422, "validation_error")
    assert replayed(again)
    assert again.error["request_id"] != first.error["request_id"]
    without_id = [answer.error | {"request_id": ""} for answer in (first, again)]
    assert without_id[0] == without_id[1]


@pytest.mark.parametrize("change", ["body", "query", "white space"])
async def test_another_request_is_not_answered_with_it(
    client: Client, wanted: dict[str, Any], change: str
) -> None:
    assert (await client.post(PAIRS, wanted, headers=HEADERS)).status == 201
    url = f"{PAIRS}?x=1" if change == "query" else PAIRS
    body: Any = {**wanted, "sync_mode": "full"} if change == "body" else wanted
    if change == "white space":
        body = str(wanted).replace("'", '"').replace(" ", "  ").encode()
    answer = await client.post(url, body, headers=HEADERS)
    check_error(answer, 409, "conflict")
    assert "another body" in answer.error["message"]
    assert not replayed(answer)


async def test_a_key_is_the_accounts_in_its_mode_at_its_path(
    world: World, client: Client, wanted: dict[str, Any]
) -> None:
    assert (await client.post(PAIRS, wanted, headers=HEADERS)).status == 201
    tester = await world.client(mode=Mode.TEST)
    stranger = await world.client(account_id=await world.other_account())
    for each in (tester, stranger):
        answer = await each.post(PAIRS, wanted, headers=HEADERS)
        assert (answer.status, replayed(answer)) == (422, False)
    assert not replayed(await client.post(WEBHOOKS, wanted, headers=HEADERS))
    assert replayed(
        await (await world.client()).post(PAIRS, wanted, headers=HEADERS)
    )  # a key of the same account
    reader = await world.client(scopes=(Scope.PAIRS_READ,))
    check_error(await reader.post(PAIRS, wanted, headers=HEADERS), 403, "forbidden")


async def test_other_methods_ignore_it(client: Client, wanted: dict[str, Any]) -> None:
    pair = (await client.post(PAIRS, wanted, headers=HEADERS)).headers["location"]
    for _ in range(2):
        assert not replayed(await client.get(pair, headers=HEADERS))
        assert not replayed(await client.patch(pair, {"status": "paused"}, headers=HEADERS))
    assert (await client.delete(pair, headers=HEADERS)).status == 204
    assert (await client.delete(pair, headers=HEADERS)).status == 404


async def test_two_at_once_are_one(client: Client, wanted: dict[str, Any]) -> None:
    answers = await asyncio.gather(*(client.post(PAIRS, wanted, headers=HEADERS) for _ in range(8)))
    found = Counter((answer.status, replayed(answer)) for answer in answers)
    assert found[201, False] == 1
    assert found.keys() <= {(201, False), (201, True), (409, False)}
    assert await pairs(client) == 1


async def test_while_the_first_is_at_work(
    world: World, client: Client, wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    monkeypatch.setattr("calendarsync.api.v1.pairing.create", _waiting(begun, go_on))
    first = asyncio.create_task(client.post(PAIRS, wanted, headers=HEADERS))
    await begun.wait()
    answer = await client.post(PAIRS, wanted, headers=HEADERS)
    check_error(answer, 409, "conflict")
    assert "being answered" in answer.error["message"]
    assert answer.headers["retry-after"] == "1"
    go_on.set()
    assert (await first).status == 201
    assert replayed(await client.post(PAIRS, wanted, headers=HEADERS))


def _waiting(begun: asyncio.Event, go_on: asyncio.Event) -> Callable[..., Awaitable[Any]]:
    """`pairing.create`, which waits before it begins its transaction: that would hold up SQLite's other writers."""
    create = pairing.create

    async def slow(*given: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await create(*given)

    return slow


async def test_its_time_is_renewed_while_it_is_at_work(
    world: World, client: Client, wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "_RENEWED_EVERY", timedelta(milliseconds=20))
    begun, go_on = asyncio.Event(), asyncio.Event()
    monkeypatch.setattr("calendarsync.api.v1.pairing.create", _waiting(begun, go_on))
    first = asyncio.create_task(client.post(PAIRS, wanted, headers=HEADERS))
    await begun.wait()
    for _ in range(3):
        at = world.tick((LEASE - timedelta(seconds=1)).total_seconds())
        async with asyncio.timeout(20):
            while (await rows(world))[0]["expires_at"] != at + LEASE:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        check_error(await client.post(PAIRS, wanted, headers=HEADERS), 409, "conflict")
    go_on.set()
    assert (await first).status == 201


async def test_a_process_that_died_keeps_nobody_out(
    world: World, client: Client, wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had begun to answer: its row is there, and nobody renews it."""
    killed = asyncio.Event()

    async def die(*_: object) -> None:
        killed.set()
        await asyncio.Event().wait()

    async def nothing(*_: object, **__: object) -> None:
        pass

    with monkeypatch.context() as patch:
        patch.setattr("calendarsync.api.v1.pairing.create", die)
        patch.setattr(store, "release", nothing)  # nobody is left to do so
        dying = asyncio.create_task(client.post(PAIRS, wanted, headers=HEADERS))
        await killed.wait()
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
    assert [row["status"] for row in await rows(world)] == [None]
    check_error(await client.post(PAIRS, wanted, headers=HEADERS), 409, "conflict")
    world.tick(LEASE.total_seconds())
    answer = await client.post(PAIRS, wanted, headers=HEADERS)
    assert (answer.status, replayed(answer)) == (201, False)


async def test_who_was_overtaken_writes_nothing(
    world: World, client: Client, wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    with monkeypatch.context() as patch:
        patch.setattr("calendarsync.api.v1.pairing.create", _waiting(begun, go_on))
        first = asyncio.create_task(client.post(PAIRS, wanted, headers=HEADERS))
        await begun.wait()
    world.tick(LEASE.total_seconds())
    second = await client.post(PAIRS, wanted, headers=HEADERS)
    assert second.status == 201
    go_on.set()
    check_error(await first, 409, "conflict")  # an equal pair
    third = await client.post(PAIRS, wanted, headers=HEADERS)
    assert (third.body, replayed(third)) == (second.body, True)


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("canary"), 500), (DatabaseUnavailable("gone"), 503)]
)
async def test_what_went_wrong_on_our_side_is_done_again(
    world: World,
    client: Client,
    wanted: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
) -> None:
    async def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(pairing, "create", fail)
        assert (await client.post(PAIRS, wanted, headers=HEADERS)).status == status
    assert await rows(world) == []
    answer = await client.post(PAIRS, wanted, headers=HEADERS)
    assert (answer.status, replayed(answer)) == (201, False)


async def test_whoever_hangs_up_finds_the_answer_later(
    world: World, client: Client, wanted: dict[str, Any]
) -> None:
    async def hang_up(message: Message) -> None:
        raise OSError("nobody listens")

    with pytest.raises(RuntimeError, match="StopIteration"):  # the client's, who got no answer
        await _send(client, wanted, hang_up)
    answer = await client.post(PAIRS, wanted, headers=HEADERS)
    assert (answer.status, replayed(answer)) == (201, True)


async def _send(client: Client, body: dict[str, Any], send: Callable[[Message], Awaitable[None]]) -> None:
    class Deaf:
        async def __call__(self, scope: Any, receive: Any, _: Any) -> None:
            await client.app(scope, receive, send)

    await Client(Deaf(), client.key).post(PAIRS, body, headers=HEADERS)


@pytest.mark.parametrize(
    "error", [DatabaseUnavailable("gone"), OperationalError("UPDATE", {}, sqlite3.OperationalError("locked"))]
)
async def test_an_answer_that_cannot_be_kept_is_given(
    client: Client, wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Neither can its time be renewed while it is at work."""
    failures: list[object] = []

    async def fail(*given: object) -> None:
        failures.append(given)
        raise error

    monkeypatch.setattr(idempotency, "_RENEWED_EVERY", timedelta(milliseconds=1))
    monkeypatch.setattr(store, "change", fail)
    begun, go_on = asyncio.Event(), asyncio.Event()
    monkeypatch.setattr("calendarsync.api.v1.pairing.create", _waiting(begun, go_on))
    asked = asyncio.create_task(client.post(PAIRS, wanted, headers=HEADERS))
    async with asyncio.timeout(20):
        while len(failures) < 2:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    go_on.set()
    assert (await asked).status == 201
    assert await pairs(client) == 1


async def test_a_key_that_cannot_be_released_hides_no_error(
    client: Client, wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise OperationalError("DELETE", {}, sqlite3.OperationalError("locked"))

    async def unavailable(*_: object) -> None:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(store, "release", fail)
    monkeypatch.setattr(pairing, "create", unavailable)
    check_error(await client.post(PAIRS, wanted, headers=HEADERS), 503, "unavailable")


async def test_a_body_that_is_too_large_takes_no_key(world: World, client: Client) -> None:
    answer = await client.post(PAIRS, b'"' + b"x" * 1_000_000 + b'"', headers=HEADERS)
    check_error(answer, 413, "payload_too_large")
    assert await rows(world) == []


async def test_a_large_answer_takes_little_room(world: World, client: Client) -> None:
    url = f"{PAIRS}/bulk"
    first = await client.post(url, {"pairs": [{}] * 1_000}, headers=HEADERS)
    (row,) = await rows(world)
    assert len(first.body) > 200_000
    assert len(row["answer_encrypted"]) < 20_000
    again = await client.post(url, {"pairs": [{}] * 1_000}, headers=HEADERS)
    assert (again.status, again.body, replayed(again)) == (200, first.body, True)


async def test_a_secret_is_kept_for_minutes_and_for_one_key(world: World, client: Client) -> None:
    first = await client.post(WEBHOOKS, HOOK, headers=HEADERS)
    assert first.status == 201
    (row,) = await rows(world)
    assert first.json["secret"].encode() not in row["answer_encrypted"]
    again = await client.post(WEBHOOKS, HOOK, headers=HEADERS)
    assert (again.json["secret"], replayed(again)) == (first.json["secret"], True)
    other = await (await world.client()).post(WEBHOOKS, HOOK, headers=HEADERS)
    check_error(other, 409, "conflict")
    assert b"whsec_" not in other.body
    world.tick(SECRETS_KEPT_FOR.total_seconds())
    anew = await client.post(WEBHOOKS, HOOK, headers=HEADERS)
    assert (anew.status, replayed(anew)) == (201, False)
    assert anew.json["id"] != first.json["id"]


async def test_nothing_of_a_request_is_at_rest_in_the_clear(
    world: World, client: Client, wanted: dict[str, Any]
) -> None:
    await client.post(PAIRS, wanted, headers=[("Idempotency-Key", "canary-of-a-key")])
    (row,) = await rows(world)
    for text in ("canary-of-a-key", wanted["connection_a_id"], "blocker"):
        assert text.encode() not in repr(dict(row)).encode()
    async with world.db.write() as connection:  # a row of another key does not decrypt
        moved = update(tables.idempotency).values(key_hash="0" * 64)
        await connection.execute(moved)
    assert not replayed(await client.post(PAIRS, wanted, headers=HEADERS))


async def test_what_is_kept_no_longer_is_forgotten(
    world: World, client: Client, wanted: dict[str, Any]
) -> None:
    await client.post(PAIRS, wanted, headers=HEADERS)
    expires_at = tables.idempotency.c.expires_at
    for later, gone in ((timedelta(0), 0), (KEPT_FOR, 1), (KEPT_FOR, 0)):
        async with world.db.write() as connection:
            assert await pruning.delete_old(connection, expires_at, world.clock[0] + later, 10) == gone
