"""A web server that publishes one feed, as well or as badly as a test asks for."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.testbed.events import vcalendar
from tests.testbed.process import free_port


@dataclass
class FeedServer:
    """`render` makes the body of every answer; `events` are the VEVENTs that the usual one holds.

    `validators`: whether answers carry an ETag, and a request that names it gets a 304. `send_bytes` breaks the
    body off there; `content_length` whether its true length is told nevertheless.
    """

    url: str
    events: dict[str, str] = field(default_factory=dict)
    render: Callable[[], str] | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    validators: bool = True
    send_bytes: int | None = None
    content_length: bool = True
    answers: list[int] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)

    def body(self) -> bytes:
        return (self.render() if self.render else vcalendar(*self.events.values())).encode()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.headers))
        body = self.body()
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        headers = {"Content-Type": "text/calendar; charset=utf-8", **self.headers}
        status = self.status
        if self.validators and status == 200:
            headers["ETag"] = etag
            if request.headers.get("If-None-Match") == etag:
                status, body = 304, b""
        self.answers.append(status)
        if self.send_bytes is None:
            return web.Response(status=status, headers=headers, body=body)
        return await self._broken_off(request, status, headers, body)

    async def _broken_off(
        self, request: web.Request, status: int, headers: dict[str, str], body: bytes
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers=headers)
        if self.content_length:
            response.content_length = len(body)
        else:
            response.force_close()
            response.headers["Content-Type"] = "text/calendar"
        await response.prepare(request)
        await response.write(body[: self.send_bytes])
        if request.transport is not None and self.content_length:
            request.transport.close()
        return response


@asynccontextmanager
async def feed_server() -> AsyncIterator[FeedServer]:
    port = free_port()
    server = FeedServer(f"http://127.0.0.1:{port}/calendar.ics?token=secret-token")
    app = web.Application()
    app.router.add_get("/calendar.ics", server.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield server
    finally:
        await runner.cleanup()
