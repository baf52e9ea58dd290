"""Limits as a caller sees them: headers, 429, and the count over everything that serves."""

from __future__ import annotations

import asyncio
import re
import signal
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest

from calendarsync.accounts import limits
from calendarsync.accounts.accounts import create_account
from calendarsync.accounts.keys import Mode, create_key, generate_key
from calendarsync.accounts.limits import WINDOW
from calendarsync.secrets import Keyring
from calendarsync.store import limits as store
from calendarsync.store.database import Database, DatabaseUnavailable
from tests.api.client import Client
from tests.api.routes import check_allowance, check_error
from tests.api.world import World
from tests.cli.processes import end, environment, read_until, running

URL = "/api/v1/sync-pairs"
SECRET = "a secret that several processes share"


async def use(world: World, requests: int) -> None:
    """So many of the account's have been made already."""
    async with world.db.write() as connection:
        await store.count(
            connection, world.account_id, requests, limit=2_000, now=world.clock[0], lasts=WINDOW
        )


async def test_the_allowance_is_told_and_ends(world: World, client: Client) -> None:
    await use(world, 1_998)
    first = await client.get(URL)
    assert (first.status, check_allowance(first)) == (200, 1)
    reset = int(world.clock[0].timestamp()) + 3600
    assert (first.headers["x-ratelimit-limit"], first.headers["x-ratelimit-reset"]) == ("2000", str(reset))
    tester = await world.client(mode=Mode.TEST)
    assert check_allowance(await tester.get(f"{URL}/nothing")) == 0
    world.tick(600)
    for each in (client, tester):
        answer = await each.post(URL, {"not": "looked at"})
        check_error(answer, 429, "rate_limited")
        assert check_allowance(answer) == 0
        assert answer.headers["retry-after"] == "3000"
    world.tick(3000)
    assert check_allowance(await client.get(URL)) == 1_999


async def test_the_trial_ends_and_its_limit_with_it(world: World, client: Client) -> None:
    assert (await client.get(URL)).headers["x-ratelimit-limit"] == "2000"
    world.tick(timedelta(days=14).total_seconds())
    assert (await client.get(URL)).headers["x-ratelimit-limit"] == "100"


async def test_as_many_of_two_thousand_pass_as_are_left(world: World, client: Client) -> None:
    await use(world, 1_900)
    answers = await asyncio.gather(*(client.get(f"{URL}/nothing") for _ in range(2_000)))
    assert Counter(answer.status for answer in answers) == {404: 100, 429: 1_900}
    assert sorted(check_allowance(each) for each in answers if each.status == 404) == list(range(100))


async def test_errors_of_ours_tell_the_allowance_too(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, status, code in (
        (RuntimeError("canary"), 500, "server_error"),
        (DatabaseUnavailable("gone"), 503, "unavailable"),
    ):

        def fail(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr("calendarsync.store.pairs.list_pairs", fail)
        answer = await client.get(URL)
        check_error(answer, status, code)
        check_allowance(answer)


async def test_guesses_are_limited_and_cost_the_account_nothing(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FAILURES_PER_HOUR", 3)
    guesser = Client(world.app, generate_key(Mode.LIVE))
    for left in (2, 1, 0):
        answer = await guesser.get(URL)
        check_error(answer, 401, "unauthorized")
        assert (check_allowance(answer), answer.headers["x-ratelimit-limit"]) == (left, "3")
    for each in (guesser, Client(world.app), Client(world.app, "cs_live_nonsense")):
        answer = await each.get(URL)
        check_error(answer, 429, "rate_limited")
        assert answer.headers["retry-after"] == "3600"
        assert check_allowance(answer) == 0
    assert check_allowance(await client.get(URL)) == 1_999  # from the same network


async def test_a_clock_that_is_set_back_prolongs_no_limit(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FAILURES_PER_HOUR", 1)
    await use(world, 2_000)
    guesser = Client(world.app)

    async def ask() -> list[int]:
        return [(await each.get(URL)).status for each in (client, guesser, guesser)]

    assert await ask() == [429, 401, 429]
    world.tick(-86_400)
    assert await ask() == [200, 401, 429]


async def test_only_trusted_proxies_tell_who_asks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FAILURES_PER_HOUR", 1)
    stranger = Client(world.app)

    async def ask(address: str) -> int:
        return (await stranger.get(URL, headers=[("X-Forwarded-For", address)])).status

    assert [await ask("198.51.100.1"), await ask("198.51.100.2")] == [401, 429]
    proxies = {"trusted_proxies": (ip_network("192.0.2.0/24"),)}
    settings = world.services.settings.model_copy(update=proxies)
    world.app.state.services = replace(world.services, settings=settings)
    assert [await ask("198.51.100.1"), await ask("198.51.100.2")] == [401, 401]
    assert [await ask("203.0.113.1, 198.51.100.2"), await ask("198.51.100.3")] == [429, 401]


def test_servers_share_the_count_and_a_restart_keeps_it(tmp_path: Path, postgresql_database: str) -> None:
    settings = environment(
        tmp_path, CALENDARSYNC_DATABASE_URL=postgresql_database, CALENDARSYNC_SECRET_KEY=SECRET
    )
    server = partial(running, tmp_path, settings, "serve", "--port", "0", "--no-worker")
    with server() as first, server() as second:
        addresses = [_address(read_until(process, "Ctrl-C")) for process in (first, second)]
        key = asyncio.run(_free_account(postgresql_database))
        with ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(_status, address, key) for address in addresses * 70]
        assert Counter(each.result() for each in asked) == {404: 100, 429: 40}
        assert [end(process, signal.SIGTERM)[0] for process in (first, second)] == [0, 0]
    with server() as third:
        assert _status(_address(read_until(third, "Ctrl-C")), key) == 429
        end(third, signal.SIGTERM)


def _address(said: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+", said)
    assert found is not None, said
    return found.group()


def _status(address: str, key: str) -> int:
    request = urllib.request.Request(f"{address}{URL}/nothing", headers={"Authorization": f"Bearer {key}"})
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60)
    with error.value as answer:
        return answer.code


async def _free_account(url: str) -> str:
    db = Database(url)
    async with db.read():
        now = db.now()
    account_id = await create_account(db, "you@example.com", now=now, plan="free")
    key = await create_key(db, Keyring([SECRET.encode()]), account_id, Mode.LIVE, now=now)
    await db.close()
    return key
