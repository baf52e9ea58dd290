"""A reverse proxy that makes a good server misbehave: its hook may change any request and any answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

_HOP_BY_HOP = {"connection", "content-encoding", "content-length", "host", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: CIMultiDict[str]
    body: bytes = b""

    def changed(self, **headers: str) -> Request:
        """The request with headers set; an empty value removes one. `If_Match` names `If-Match`."""
        return replace(self, headers=_changed(self.headers, headers))


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)

    def changed(self, **headers: str) -> Answer:
        """The answer with headers set; an empty value removes one."""
        return replace(self, headers=_changed(self.headers, headers))


Forward = Callable[[Request], Awaitable[Answer]]
Hook = Callable[[Request, Forward], Awaitable[Answer]]


class Proxy:
    """`requests` is what came in, in order. `hook` gets each of them, and a way to pass it on."""

    def __init__(self, upstream: str, port: int, session: aiohttp.ClientSession) -> None:
        self.requests: list[Request] = []
        self.hook: Hook = _pass
        self._upstream = urlsplit(upstream).netloc
        self._own = f"127.0.0.1:{port}"
        self._session = session

    def url(self, upstream_url: str) -> str:
        """The same place, seen through the proxy."""
        return urlunsplit(urlsplit(upstream_url)._replace(netloc=self._own))

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    async def forward(self, request: Request) -> Answer:
        url = URL(f"http://{self._upstream}{request.path}", encoded=True)
        async with self._session.request(
            request.method, url, headers=request.headers, data=request.body or None, allow_redirects=False
        ) as response:
            headers = CIMultiDict(
                (name, value) for name, value in response.headers.items() if name.lower() not in _HOP_BY_HOP
            )
            return Answer(response.status, await response.read(), headers)

    async def answer(self, incoming: web.BaseRequest) -> web.StreamResponse:
        headers = CIMultiDict(
            (name, value) for name, value in incoming.headers.items() if name.lower() not in _HOP_BY_HOP
        )
        request = Request(incoming.method, incoming.raw_path, headers, await incoming.read())
        self.requests.append(request)
        answer = await self.hook(request, self.forward)
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


@asynccontextmanager
async def proxy_of(upstream: str) -> AsyncIterator[Proxy]:
    """A proxy in front of the server at the URL `upstream`, on a free loopback port."""
    async with aiohttp.ClientSession(auto_decompress=True) as session:
        proxies: list[Proxy] = []

        async def handler(request: web.BaseRequest) -> web.StreamResponse:
            return await proxies[0].answer(request)

        runner = web.ServerRunner(web.Server(handler))
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            proxy = Proxy(upstream, runner.addresses[0][1], session)
            proxies.append(proxy)
            yield proxy
        finally:
            await runner.cleanup()


async def _pass(request: Request, forward: Forward) -> Answer:
    return await forward(request)


def _changed(headers: CIMultiDict[str], changes: dict[str, str]) -> CIMultiDict[str]:
    result = CIMultiDict(headers)
    for name, value in changes.items():
        result.pop(name.replace("_", "-"), None)
        if value:
            result[name.replace("_", "-")] = value
    return result
