"""The model as a web server."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from . import batch
from .api import Api, Request
from .calls import Answer
from .channels import Channels
from .contract import Contract
from .errors import ApiError
from .faults import Fault
from .oauth import Tokens
from .state import Seen, World

_BATCH = "/batch/calendar/v3"
_LARGEST = 64 * 1024 * 1024


class Server:
    """Serves a world on a loopback port."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.channels = Channels(world)
        self.api = Api(world, Contract(), self.channels)
        self.tokens = Tokens(world)
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> int:
        """Listen; the port that was taken, for 0 means any."""
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_post(_BATCH, self._batch)
        app.router.add_get("/o/oauth2/v2/auth", self._consent)
        app.router.add_post("/token", self._token)
        app.router.add_post("/revoke", self._revoke)
        app.router.add_route("*", "/{path:.*}", self._single)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await self.channels.start()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        taken: int = self._runner.addresses[0][1]
        self.tokens.issuer = f"http://127.0.0.1:{taken}"
        return taken

    async def stop(self) -> None:
        await self.channels.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _single(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = self.api.answer(Request(request.method, request.raw_path, headers, await request.read()))
        return await _sent(request, reply.answer, reply.fault)

    async def _batch(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        content = await request.read()
        fault = self.world.faults.meet("batch", None, None)
        error = fault.error() if fault else None
        try:
            if error is not None and fault is not None and not fault.after:
                raise error
            parts = batch.read(headers.get("content-type", ""), content, headers, self.world.violations)
            kind, body = batch.answered(parts, self.api.answer)
            if error is not None:
                raise error
        except ApiError as refused:
            self.world.seen.append(Seen("batch", _BATCH, {}, None, refused.status))
            return await _sent(request, Answer(refused.status, refused.body(), refused.headers), fault)
        self.world.seen.append(Seen("batch", _BATCH, {}, None, 200))
        return await _delivered(request, 200, {"Content-Type": kind}, body, fault)

    async def _consent(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": self.tokens.consent(request.raw_path)})

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        status, body = self.tokens.token(form)
        return web.json_response(body, status=status)

    async def _revoke(self, request: web.Request) -> web.StreamResponse:
        status, body = self.tokens.revoke(str((await request.post()).get("token", "")))
        return web.json_response(body, status=status)


async def _sent(request: web.Request, answer: Answer, fault: Fault | None) -> web.StreamResponse:
    headers = dict(answer.headers)
    body = b""
    if answer.body is not None:
        headers["Content-Type"] = "application/json; charset=UTF-8"
        body = json.dumps(answer.body).encode()
    return await _delivered(request, answer.status, headers, body, fault)


async def _delivered(
    request: web.Request, status: int, headers: dict[str, str], body: bytes, fault: Fault | None
) -> web.StreamResponse:
    """Hand the answer over, late or torn as the fault wants."""
    if fault is not None and fault.delay:
        await asyncio.sleep(fault.delay)
    if fault is not None and fault.dropped:
        assert request.transport is not None
        request.transport.close()
    if fault is None or fault.torn is None:
        return web.Response(status=status, headers=headers, body=body)
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = max(len(body), fault.torn + 1)
    await response.prepare(request)
    await response.write(body[: fault.torn])
    if request.transport is not None:
        request.transport.close()
    return response


def serve(port: int, token: str) -> None:
    """Serve until interrupted: somebody whose bearer token is `token`, and who has the calendar `primary`."""
    asyncio.run(_serve(port, token))


async def _serve(port: int, token: str) -> None:
    world = World()
    world.add_user("ann@example.com", token)
    server = Server(world)
    taken = await server.start(port)
    print(f"Google Calendar v3 model on http://127.0.0.1:{taken}, token {token}", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop()
