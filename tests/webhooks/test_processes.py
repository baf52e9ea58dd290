"""Processes of the program as they are run: one that is told to end, and one that is woken by another."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from calendarsync.jobs import process
from calendarsync.jobs import worker as worker_module
from calendarsync.settings import Settings
from tests.faults.crew import Crew
from tests.faults.settlers import SECRET
from tests.faults.stage import settings
from tests.testbed import fixtures
from tests.webhooks.post import post_at
from tests.webhooks.receiver import SOON, Got, receiver

SERVE = ("calendarsync", "serve", "--port", "0")


@pytest.fixture
def crew(database_url: str) -> Iterator[Crew]:
    """In memory where that is possible."""
    with tempfile.TemporaryDirectory(dir=fixtures._MEMORY, prefix="webhooks") as name:
        made = Crew(Path(name), settings(Path(name)) | {"CALENDARSYNC_DATABASE_URL": database_url})
        try:
            yield made
        finally:
            made.kill_all()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("in_time", [True, False])
async def test_sigterm_finishes_what_is_under_way_or_gives_it_back(
    database_url: str, crew: Crew, in_time: bool
) -> None:
    release = asyncio.Event()

    async def hold(_: Got) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    async with post_at(database_url, SECRET.encode()) as post, receiver(hold) as there:
        await post.endpoint(there.url)
        await post.emit(3)
        first = await crew.start("first", SERVE)
        await there.until_got(3)
        ending = asyncio.create_task(first.drain())
        await asyncio.sleep(1)
        assert not ending.done(), "it waits for them"
        if in_time:
            release.set()
        await ending
        rows = await post.deliveries()
        assert [row.leased_until for row in rows] == [None] * 3
        ends = [("succeeded", 1) if in_time else ("pending", 0)] * 3
        assert [(row.status, len(row.attempts)) for row in rows] == ends
        release.set()
        await post.emit()
        second = await crew.start("second", SERVE)
        await post.until_done()
        await second.drain()
        assert {row.status for row in await post.deliveries()} == {"succeeded"}
        assert len(there.got) == (4 if in_time else 7)
        assert len({got.event_id for got in there.got}) == len({got.body for got in there.got}) == 4
    assert crew.complaints() == []


@pytest.mark.postgresql
async def test_a_process_without_a_worker_wakes_those_that_have_one(
    postgresql_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for a test event, or for a redelivery, waits for it: nobody looks by himself meanwhile."""
    given = Settings(
        database_url=postgresql_database, secret_key=SECRET, allowed_private_networks=("127.0.0.0/8",)
    )
    async with (
        post_at(postgresql_database, SECRET.encode()) as post,
        receiver() as there,
        process.running(given, schedule=False) as front,
    ):
        assert front.worker is None
        webhook_id = await post.endpoint(there.url)
        monkeypatch.setattr(worker_module, "TICK_SECONDS", 10 * SOON)
        async with process.running(given, schedule=True):
            first = await front.outbox.test(post.tenant, webhook_id)
            await there.until_taken(1)
            await post.until_done()
            await front.outbox.redeliver(post.tenant, webhook_id, first)
            await there.until_taken(2)
            await post.until_done()
    assert len({got.event_id for got in there.taken}) == 1
