"""Servers that fail, refuse or change under our hands, each in turn (rules 3 and 22 to 25)."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import update

from calendarsync.store.tables import connections
from tests.sync.helpers import done
from tests.sync.stories import days, fill, on, stamp
from tests.testbed.desk import EMAILS, Desk, desk
from tests.testbed.events import event
from tests.testbed.fixtures import SERVERS, own_server
from tests.testbed.proxy import Answer, Forward, Hook, Proxy, Request, proxy_of

REFUSAL = b'<error xmlns="DAV:"><valid-calendar-data xmlns="urn:ietf:params:xml:ns:caldav"/></error>'


@pytest.fixture
async def proxy(beside: Desk) -> AsyncIterator[Proxy]:
    """Between us and the calendar b, but not between that and people."""
    async with proxy_of(beside.b) as made:
        await _connect_through(made, beside)
        yield made


async def _connect_through(proxy: Proxy, at: Desk) -> None:
    url = proxy.url(at.b)
    at.keepers[url] = at.keepers[at.b]
    at.conn_b = await at.connect(at.app, at.account, url, email=EMAILS["b"])


def _after(count: int, answer: Answer) -> Hook:
    """Every PUT after the first `count` gets this answer and does nothing."""
    heard: list[Request] = []

    async def hook(request: Request, forward: Forward) -> Answer:
        if request.method == "PUT":
            heard.append(request)
            if len(heard) > count:
                return answer
        return await forward(request)

    return hook


async def _honest(request: Request, forward: Forward) -> Answer:
    return await forward(request)


def _assert_each_is_copied_once(at: Desk) -> None:
    origins = [(resource.mark or "").split(";")[1] for resource in at.resources(at.b, copies=True)]
    assert len(origins) == len(set(origins)) == len(at.read(at.a))
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_rule_3_copies_whose_answers_were_lost_are_found(
    beside: Desk, proxy: Proxy, status: int
) -> None:
    at = beside
    fill(at, range(3, 9))
    pair = await at.pair(direction="a_to_b")

    async def lost(request: Request, forward: Forward) -> Answer:
        answer = await forward(request)
        return Answer(status) if request.method == "PUT" else answer

    proxy.hook = lost
    assert (await at.app.run(pair)).error is not None
    written = len(at.copies_b())
    assert written > 0
    proxy.hook = _honest
    report = await at.app.sync(pair)
    actions = Counter(operation.action for operation in report.operations)
    assert (actions["adopt"], actions["create"]) == (written, 6 - written)
    _assert_each_is_copied_once(at)
    assert (await at.app.sync(pair)).operations == ()


async def test_an_update_whose_answer_was_lost_and_whose_source_went_back(beside: Desk, proxy: Proxy) -> None:
    """What is written then is not what our record says, though the record says what is wanted."""
    at = beside
    at.put_a("4", on(4))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)

    async def lost(request: Request, forward: Forward) -> Answer:
        answer = await forward(request)
        return Answer(503) if request.method == "PUT" else answer

    proxy.hook = lost
    at.put_a("4", event("uid-4", stamp(6), stamp(6, 10)))
    assert (await at.app.run(pair)).status != "success"
    assert days(at) == [6]
    proxy.hook = _honest
    at.put_a("4", on(4))
    assert done(await at.app.sync(pair)) == [("update", "unanswered_write")]
    assert days(at) == [4]
    assert (await at.app.sync(pair)).operations == ()


@pytest.mark.parametrize("name", SERVERS)
async def test_a_server_that_stops_in_between_and_starts_again(name: str, quick_folder: Path) -> None:
    with own_server(name) as server:
        assert server.service is not None
        service = server.service
        async with desk(server, quick_folder) as at, proxy_of(at.b) as proxy:
            await _connect_through(proxy, at)
            fill(at, range(3, 23))
            written: list[Request] = []

            async def stopping(request: Request, forward: Forward) -> Answer:
                try:
                    answer = await forward(request)
                except aiohttp.ClientError:
                    return Answer(502)
                if request.method == "PUT":
                    written.append(request)
                    if len(written) == 8:
                        service.stop()
                return answer

            proxy.hook = stopping
            pair = await at.pair(direction="a_to_b")
            report = await at.app.run(pair)
            assert report.error is not None
            assert report.error.code == "provider_unavailable"
            service.start()
            report = await at.app.sync(pair)
            assert 0 < report.events_created <= 12
            _assert_each_is_copied_once(at)
            assert (await at.app.sync(pair)).operations == ()


async def test_rule_22_a_refused_event_holds_up_no_other(beside: Desk, proxy: Proxy) -> None:
    at = beside
    fill(at, range(3, 9))
    pair = await at.pair(direction="a_to_b")
    tried = []

    async def refusing(request: Request, forward: Forward) -> Answer:
        if request.method == "PUT" and stamp(5).encode() in request.body:
            tried.append(at.app.clock())
            return Answer(403, REFUSAL)
        return await forward(request)

    proxy.hook = refusing
    report = await at.app.run(pair)
    assert (report.status, report.events_created) == ("partial", 5)
    assert ("skip", "refused_by_provider") in done(report)
    assert ((await at.app.run(pair)).status, len(tried)) == ("partial", 1)
    at.app.clock.advance(hours=25)
    assert ((await at.app.run(pair)).status, len(tried)) == ("partial", 2)
    proxy.hook = _honest
    at.put_a("5", on(5, title="Changed"))
    await at.app.change_pair(pair, sync_mode="full")
    assert (await at.app.sync(pair)).events_created == 1
    _assert_each_is_copied_once(at)


async def test_rule_23_a_copy_that_changed_under_our_hands_is_read_again(beside: Desk, proxy: Proxy) -> None:
    at = beside
    at.put_a("4", on(4))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    ((name, text),) = at.copies(at.b).items()
    edits = [text.replace("SUMMARY:Busy", "SUMMARY:Theirs")]

    async def racing(request: Request, forward: Forward) -> Answer:
        if request.method == "PUT" and edits:
            at.put(at.b, name, edits.pop())
        return await forward(request)

    proxy.hook = racing
    at.put_a("4", event("uid-4", stamp(6), stamp(6, 10)))
    report = await at.app.sync(pair)
    assert edits == []
    assert report.events_updated == 1
    assert proxy.methods.count("PUT") == 3, "one create, one that found another version, one after reading it"
    assert days(at) == [6]


async def test_rule_23_a_copy_that_is_gone_under_our_hands_stays_away(beside: Desk, proxy: Proxy) -> None:
    at = beside
    at.put_a("4", on(4))
    pair = await at.pair(direction="a_to_b", sync_mode="full")
    await at.app.sync(pair)
    names = list(at.copies(at.b))

    async def racing(request: Request, forward: Forward) -> Answer:
        if request.method == "PUT" and names:
            at.delete(at.b, names.pop())
        return await forward(request)

    proxy.hook = racing
    at.put_a("4", on(4, title="Renamed"))
    await at.app.sync(pair)
    assert (names, at.copies_b()) == ([], [])


async def test_rule_24_a_server_that_asks_to_slow_down_is_left_alone(beside: Desk, proxy: Proxy) -> None:
    at = beside
    fill(at, range(3, 15))
    pair = await at.pair(direction="a_to_b")
    proxy.hook = _after(5, Answer(429).changed(Retry_After="120"))
    report = await at.app.run(pair)
    assert report.error is not None
    assert (report.error.code, report.events_created) == ("provider_rate_limited", 5)
    proxy.hook = _honest
    before = len(proxy.requests)
    assert (await at.app.run(pair)).error is not None
    assert len(proxy.requests) == before
    at.app.clock.advance(seconds=145)
    await at.app.sync(pair)
    _assert_each_is_copied_once(at)


async def test_rule_25_credentials_that_are_dead_stop_the_pair_until_they_are_given_anew(
    beside: Desk, proxy: Proxy
) -> None:
    at = beside
    fill(at, range(3, 15))
    pair = await at.pair(direction="a_to_b")
    proxy.hook = _after(5, Answer(401))
    assert (await at.app.run(pair)).error is not None
    proxy.hook = _honest
    before = len(proxy.requests)
    assert (await at.app.run(pair)).error is not None
    assert (await at.app.row(connections, at.conn_b)).status == "expired"
    assert len(proxy.requests) == before
    async with at.app.db.write() as db:
        await db.execute(update(connections).values(status="active"))
    await at.app.sync(pair)
    _assert_each_is_copied_once(at)
