"""A receiver of webhooks on a loopback socket, which answers as a test says, and can be restarted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

SOON = 20.0
"""Seconds after which a test gives up waiting for what happens at once."""


@dataclass(frozen=True)
class Got:
    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]


Behaviour = Callable[[Got], Awaitable[web.StreamResponse]]


async def accept(_: Got) -> web.StreamResponse:
    return web.Response(status=204)


@dataclass
class Receiver:
    """`got` is all that came, whatever was answered; `taken` what was answered with 2xx."""

    port: int = 0
    behaviour: Behaviour = accept
    got: list[Got] = field(default_factory=list)
    taken: list[Got] = field(default_factory=list)
    waiting: int = 0
    most_waiting: int = 0
    _runner: web.AppRunner | None = None
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def until_taken(self, count: int, seconds: float = SOON) -> None:
        await self._until(lambda: len(self.taken) >= count, seconds)

    async def until_got(self, count: int, seconds: float = SOON) -> None:
        await self._until(lambda: len(self.got) >= count, seconds)

    async def _until(self, so: Callable[[], bool], seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while not so():
                self._came.clear()
                await self._came.wait()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        got = Got({name.lower(): value for name, value in request.headers.items()}, await request.read())
        self.got.append(got)
        self._came.set()
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        try:
            answer = await self.behaviour(got)
        finally:
            self.waiting -= 1
        if 200 <= answer.status < 300:
            self.taken.append(got)
            self._came.set()
        return answer


@asynccontextmanager
async def receiver(behaviour: Behaviour = accept) -> AsyncIterator[Receiver]:
    made = Receiver(behaviour=behaviour)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
