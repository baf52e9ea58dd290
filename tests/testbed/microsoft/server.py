"""The HTTP server: who asks, how much at a time, what is ordered to go wrong, and batches taken apart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from aiohttp import web

from . import batch, errors
from .errors import ApiError
from .faults import Fault
from .operations import Answer
from .requests import Request, segments
from .service import Service

_JSON = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
_VERSION = "/v1.0"
_UNREADABLE = object()


class Server:
    """Everything behind one address. `latency`: seconds that each request takes at least."""

    def __init__(self, service: Service) -> None:
        self.latency = 0.0
        self._service = service
        self._world = service.world

    def application(self) -> web.Application:
        application = web.Application(client_max_size=4 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._handle)
        application.cleanup_ctx.append(self._delivering)
        return application

    async def _delivering(self, _: web.Application) -> AsyncIterator[None]:
        await self._service.notifier.open()
        yield
        await self._service.notifier.close()

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        fault: Fault | None = None
        try:
            request = self._read(http, await http.read())
            fault = self._service.fault(request)
            is_batch = request.path == ["$batch"]
            answer = await (self._batch if is_batch else self._single)(request, fault)
        except ApiError as error:
            answer = self._service.refusal(error)
        return await self._send(http, answer, fault.torn if fault else None)

    def _read(self, http: web.Request, content: bytes) -> Request:
        """Raises 400 or 401."""
        grant = self._world.grant(_bearer(http.headers.get("Authorization")))
        path = http.rel_url.raw_path
        if not path.startswith(_VERSION + "/"):
            raise errors.bad_request("BadRequest", "Invalid version.")
        headers = {name: ", ".join(http.headers.getall(name)) for name in http.headers}
        base = str(http.url.origin()) + _VERSION
        parts = segments(path.removeprefix(_VERSION))
        return Request(http.method, parts, dict(http.query), headers, _parsed(content), base, grant)

    async def _single(self, request: Request, fault: Fault | None) -> Answer:
        with self._service.throttle.at_work(self._service.email(request), 1) as places:
            answer = await self._service.answer(request, fault, crowded=not places)
            await self._linger(fault)
        return answer

    async def _batch(self, request: Request, fault: Fault | None) -> Answer:
        """The parts count against the limits one by one; up to four of them are at work at a time."""
        error = fault.error() if fault is not None else None
        try:
            if error is not None and fault is not None and not fault.after:
                raise error
            parts = batch.check(request.body)
            wide = min(len(parts), self._world.habits.in_flight)
            with self._service.throttle.at_work(self._service.email(request), wide) as places:
                free = len(parts) if places == wide else places
                answers = await batch.run(parts, lambda part, number: self._part(request, part, number, free))
                answer = Answer(200, answers)
                await self._linger(fault)
            if error is not None:
                raise error
        except ApiError as refused:
            answer = self._service.refusal(refused)
        self._service.note(request, answer.status)
        return answer

    async def _part(self, outer: Request, part: Mapping[str, Any], number: int, free: int) -> dict[str, Any]:
        """`free`: how many parts find a place; those after them are throttled."""
        request = _inner(outer, part)
        fault = self._service.fault(request)
        answer = await self._service.answer(request, fault, crowded=number >= free)
        headers = {"Content-Type": "application/json", **answer.headers}
        found: dict[str, Any] = {"id": part["id"], "status": answer.status, "headers": headers}
        return found if answer.body is None else found | {"body": answer.body}

    async def _linger(self, fault: Fault | None) -> None:
        await asyncio.sleep(self.latency + (fault.delay if fault else 0))

    async def _send(self, http: web.Request, answer: Answer, torn: int | None) -> web.StreamResponse:
        content = b"" if answer.body is None else json.dumps(answer.body).encode()
        headers = {"request-id": str(uuid4()), **answer.headers}
        if answer.body is not None:
            headers["Content-Type"] = _JSON
        if torn is None:
            return web.Response(status=answer.status, body=content or None, headers=headers)
        response = web.StreamResponse(status=answer.status, headers=headers)
        response.content_length = len(content)
        await response.prepare(http)
        await response.write(content[:torn])
        if http.transport is not None:
            http.transport.close()
        return response


def _bearer(header: str | None) -> str:
    """Raises 401."""
    kind, _, token = (header or "").partition(" ")
    if kind.casefold() != "bearer" or not token.strip():
        raise errors.invalid_token("Access token is empty.")
    return token.strip()


def _parsed(content: bytes) -> Any:
    """JSON, or something that no operation takes for a body."""
    if not content:
        return None
    try:
        return json.loads(content)
    except ValueError:
        return _UNREADABLE


def _inner(outer: Request, part: Mapping[str, Any]) -> Request:
    """A part has headers of its own: a Prefer of the outer request is not its."""
    address = urlsplit(part["url"])
    query = dict(parse_qsl(address.query, keep_blank_values=True))
    headers = part.get("headers") or {}
    return Request(
        part["method"],
        segments(address.path),
        query,
        headers,
        part.get("body"),
        outer.base,
        outer.grant,
        part=True,
    )
