"""All that `calendarsync serve` is made of, at work in a process of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from pydantic import SecretStr

from calendarsync.accounts import limits, plans
from calendarsync.accounts.accounts import create_account
from calendarsync.accounts.keys import Mode
from calendarsync.accounts.plans import Plan
from calendarsync.accounts.scopes import Scope
from calendarsync.api.app import create_app
from calendarsync.api.server import Server
from calendarsync.api.services import services_for
from calendarsync.jobs import process
from calendarsync.net import HttpClient
from calendarsync.observability import configure_logging
from calendarsync.settings import Settings
from tests.api.client import Client
from tests.api.serving import START_SECONDS, STOP_SECONDS, Served, made, things
from tests.api.world import FakeRunner, NoNames, World
from tests.testbed.process import free_port

BOUNDLESS = Plan("boundless", requests_per_hour=10_000_000, log_days=90)


@contextmanager
def whole(url: str, log: Path) -> Iterator[Served]:
    """On an empty database, with an account whose requests nothing limits. It reaches no other server.

    What it logs from INFO on stands in `log` afterwards.
    """
    spawning = multiprocessing.get_context("spawn")
    receiving, sending = spawning.Pipe(duplex=False)
    child = spawning.Process(target=_run, args=(url, log, sending))
    child.start()
    sending.close()  # what the child has is the last one then: where it dies, the wait ends
    try:
        assert receiving.poll(START_SECONDS), log.read_text()
        yield receiving.recv()
    finally:
        child.terminate()
        child.join(STOP_SECONDS)
    assert child.exitcode == 0, log.read_text()[-4000:]


def _run(url: str, log: Path, sending: Connection) -> None:
    plans.PLANS[BOUNDLESS.name] = BOUNDLESS  # type: ignore[index]
    limits.FAILURES_PER_HOUR = BOUNDLESS.requests_per_hour
    process.HttpClient = partial(HttpClient, resolver=NoNames())  # type: ignore[misc, assignment]
    with log.open("w", buffering=1) as stream:
        configure_logging("INFO", stream)
        asyncio.run(_serve(url, sending))


async def _serve(url: str, sending: Connection) -> None:
    secret = SecretStr("a secret that only tests know and nobody else")
    settings = Settings(database_url=url, secret_key=secret)
    async with process.running(settings, schedule=True) as running:
        services = services_for(running, settings)
        server = Server(services)
        server.config.port = free_port()
        world = World(create_app(services), services, FakeRunner(running.db), "", [running.db.now()])
        keys, ids = await _filled(world)
        signal.signal(signal.SIGTERM, server.handle_exit)
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
            await asyncio.sleep(0.01)
        sending.send(Served(f"http://127.0.0.1:{server.config.port}", keys, ids))
        await serving


async def _filled(world: World) -> tuple[dict[Mode, str], dict[str, str]]:
    """Keys and ids of an account that has one of each, and in test mode a pair that can be run."""
    world.account_id = await create_account(
        world.db, "you@example.com", now=world.clock[0], plan=BOUNDLESS.name
    )
    clients = {mode: await world.client(mode=mode, scopes=tuple(Scope)) for mode in Mode}
    ids = await things(world, clients)
    await _sandbox_pair(world, clients[Mode.TEST])
    return {mode: client.key or "" for mode, client in clients.items()}, ids


async def _sandbox_pair(world: World, client: Client) -> None:
    calendars = [await made(client, "sandbox/calendars", {"name": name}) for name in "ab"]
    sandbox = [{"provider": "sandbox", "calendar_id": calendar} for calendar in calendars]
    a, b = [await made(client, "connections", body) for body in sandbox]
    await world.pair(client, a, b)
    await made(client, "webhooks", {"url": "https://hooks.example.com/"})
    await made(client, "api-keys", {})
