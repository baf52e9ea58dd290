"""The API on a loopback port, with things in it, beside a test that asks it over HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass

import uvicorn

from calendarsync.accounts.keys import Mode
from tests.api.client import Client
from tests.api.routes import DELEGATION
from tests.api.world import World

START_SECONDS = 120
STOP_SECONDS = 60


@dataclass(frozen=True)
class Served:
    """`keys` are one for each mode, with all scopes; `ids` those of what is there, by the name in the path."""

    url: str
    keys: dict[Mode, str]
    ids: dict[str, str]

    def headers(self, path: str) -> dict[str, str]:
        """The sandbox is there for test keys alone."""
        return {"Authorization": f"Bearer {self.keys[Mode.TEST if '/sandbox/' in path else Mode.LIVE]}"}


@contextmanager
def in_thread(opened: AbstractAsyncContextManager[tuple[uvicorn.Server, Served]]) -> Iterator[Served]:
    """`opened` is entered, serves and is left in a thread with a loop of its own."""
    ready = threading.Event()
    found: list[tuple[uvicorn.Server, Served]] = []

    async def serve() -> None:
        async with opened as (server, served):
            found.append((server, served))
            serving = asyncio.create_task(server.serve())
            while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
                await asyncio.sleep(0.01)
            ready.set()
            await serving

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(START_SECONDS)
        yield found[0][1]
    finally:
        for server, _ in found:
            server.should_exit = True
        thread.join(STOP_SECONDS)
    assert not thread.is_alive()


async def things(world: World, clients: dict[Mode, Client]) -> dict[str, str]:
    """One of each: in live mode what reaches no calendar, in test mode a calendar of the sandbox."""
    live, test = clients[Mode.LIVE], clients[Mode.TEST]
    a, b, c = [await world.connection(name) for name in "abc"]
    pair = await world.pair(live, a, b)
    other = await world.pair(live, b, c)
    ids = {"connection_id": c, "pair_id": pair["id"], "log_id": "log_none", "a": a, "b": c}
    ids["to_trigger"] = other["id"]  # no request to change a pair pauses this one
    ids["webhook_id"] = hook = await made(live, "webhooks", {"url": "https://hooks.example.com/"})
    ids["delivery_id"] = await made(live, f"webhooks/{hook}/test", {})
    ids["key_id"] = await made(live, "api-keys", {})
    ids["delegation_id"] = await made(live, "delegations", DELEGATION)
    ids["calendar_id"] = calendar = await made(test, "sandbox/calendars", {"name": "Work"})
    series = {
        "start": "2026-03-30T09:00:00Z",
        "end": "2026-03-30T10:00:00Z",
        "recurrence": ["RRULE:FREQ=DAILY"],
    }
    ids["event_id"] = await made(test, f"sandbox/calendars/{calendar}/events", dict(series))
    return ids | {"original_start": "2026-03-31T09:00:00Z"}


async def made(client: Client, path: str, body: object) -> str:
    """The id of what a POST makes."""
    answer = await client.post(f"/api/v1/{path}", body)
    assert answer.status in (201, 202), answer
    return str(answer.json["id"])
