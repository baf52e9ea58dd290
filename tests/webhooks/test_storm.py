"""Hundreds of events, a receiver that fails and goes away, and a worker that is killed: nothing is lost."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from sqlalchemy import select

from calendarsync.store.tables import webhook_events
from calendarsync.webhooks import signing
from tests.webhooks.post import Post, check_signatures, post_at
from tests.webhooks.receiver import Behaviour, Got, Receiver, receiver

SECRET = "a secret that outlives every kill"
ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = 50
KILLS = 3


def _failing_a_third(chance: random.Random, secret: str, verified: list[Got]) -> Behaviour:
    """Of what comes a third is refused in one way or another; all of it is verified as it comes."""

    async def behaviour(got: Got) -> web.StreamResponse:
        check_signatures(got, secret)
        verified.append(got)
        if chance.random() < 2 / 3:
            return web.Response(status=chance.choice((200, 202, 204)))
        if chance.random() < 0.1:
            raise asyncio.CancelledError  # the connection is closed without an answer
        headers = {"Retry-After": "0"} if chance.random() < 0.5 else {}
        return web.Response(status=chance.choice((301, 400, 429, 500, 503)), headers=headers, text="no")

    return behaviour


@asynccontextmanager
async def _worker(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    arguments = ("-m", "tests.webhooks.killed_worker", url, SECRET)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"working\n"
    try:
        yield process
    finally:
        process.kill()
        await process.communicate()
        assert process.returncode == -signal.SIGKILL, "it worked until it was killed"


async def _storm(url: str, count: int, seconds: float) -> None:
    chance, secret = random.Random(2026), signing.new_secret()
    verified: list[Got] = []
    async with post_at(url, SECRET.encode()) as post, receiver() as there:
        there.behaviour = _failing_a_third(chance, secret, verified)
        await post.endpoint(there.url, secret)
        emitting = asyncio.create_task(_emit(post, count))
        for kill in range(1, KILLS + 1):
            async with _worker(url):
                await there.until_got(len(there.got) + count // 8, seconds)
                if kill == 2:
                    await _restart(there)
        await emitting
        assert await post.count("pending") > 0, "it was not over when it was killed"
        async with _worker(url):
            await post.until_done(seconds)
        assert len(verified) == len(there.got)
        await _check(post, there, count)


async def _emit(post: Post, count: int) -> None:
    for _ in range(count // AT_ONCE):
        await post.emit(AT_ONCE)
        await asyncio.sleep(0.01)


async def _restart(there: Receiver) -> None:
    await there.stop()
    await asyncio.sleep(1)
    await there.start()
    await there.until_got(len(there.got) + 50)


async def _check(post: Post, there: Receiver, count: int) -> None:
    async with post.db.read() as db:
        written = set((await db.execute(select(webhook_events.c.id))).scalars())
    assert len(written) == count
    assert {got.event_id for got in there.taken} == written, "each arrived, and was taken"
    assert await post.count("succeeded") == count
    bodies = defaultdict(set)
    for got in there.got:
        bodies[got.event_id].add(got.body)
    assert all(len(same) == 1 for same in bodies.values()), "what came twice is the same, under one id"
    assert len(there.got) > len(there.taken) >= count


async def test_five_hundred_events(database_url: str) -> None:
    await _storm(database_url, 500, 120)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_ten_thousand_events(database_url: str) -> None:
    await _storm(database_url, 10_000, 900)
