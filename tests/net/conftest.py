"""Real servers on the loopback, and a resolver that gives them any name and port."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from ipaddress import ip_network
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from calendarsync.net import HttpClient

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
RawHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LOOPBACK = [ip_network("127.0.0.0/8")]


class StaticResolver(AbstractResolver):
    """Answers from `hosts`: name → [(address, port or None for the port asked for)]; counts its questions."""

    def __init__(self) -> None:
        self.hosts: dict[str, list[tuple[str, int | None]]] = {}
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:  # type: ignore[override]
        self.asked.append(host)
        if host not in self.hosts:
            raise OSError(None, "unknown")
        return [
            ResolveResult(hostname=host, host=address, port=real or port, family=2, proto=0, flags=0)
            for address, real in self.hosts[host]
        ]

    async def close(self) -> None:
        pass


class Servers:
    """Starts servers and clients that end with the test."""

    def __init__(self, stack: AsyncExitStack, authority: trustme.CA) -> None:
        self._stack = stack
        self.authority = authority
        self.resolver = StaticResolver()

    async def http(
        self, handler: Handler, *, tls: trustme.LeafCert | None = None, address: str = "127.0.0.1"
    ) -> int:
        runner = web.ServerRunner(web.Server(handler, handler_cancellation=True), shutdown_timeout=0)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        context = None
        if tls is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.configure_cert(context)
        site = web.TCPSite(runner, address, 0, ssl_context=context)
        await site.start()
        port: int = runner.addresses[0][1]
        return port

    async def raw(self, handler: RawHandler) -> int:
        tasks: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handler(reader, writer)
            except (ConnectionError, asyncio.CancelledError):
                pass
            finally:
                writer.close()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(serve(reader, writer))
            tasks.add(task)

        async def finish() -> None:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self._stack.push_async_callback(finish)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def client(self, **options: Any) -> HttpClient:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        options = {
            "allowed_private_networks": LOOPBACK,
            "ssl_context": context,
            "resolver": self.resolver,
        } | options
        return await self._stack.enter_async_context(HttpClient(**options))


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def servers(authority: trustme.CA) -> AsyncIterator[Servers]:
    async with AsyncExitStack() as stack:
        yield Servers(stack, authority)
