"""Connections that can only lead to permitted addresses.

The guard sits where sockets are made: aiohttp asks its `socket_factory` for a socket for one address and
connects that socket to that address. Nothing is resolved again in between, so a name that changes its address
(DNS rebinding) gains nothing, and hosts written as an IP address, which skip the resolver, are judged too.
"""

import socket
import ssl
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from calendarsync.net.addresses import AddressPolicy

DNS_CACHE_SECONDS = 30
MAX_LINE_BYTES = 8190  # the status line, and each header
MAX_HEADERS = 128


class RefusedByPolicyError(OSError):
    """The address policy forbids every address of the host; an OSError, so that it passes through aiohttp."""


class GuardedResolver(AbstractResolver):
    """Keeps of a host's addresses those that `policy` permits, so that one bad does not spoil the others.

    `resolver` stays its caller's to close.
    """

    def __init__(self, resolver: AbstractResolver, policy: AddressPolicy) -> None:
        self._resolver = resolver
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The permitted addresses of `host`; raises RefusedByPolicyError where there are only others."""
        results = await self._resolver.resolve(host, port, family)
        permitted = [result for result in results if self._policy.permits(result["host"])]
        if results and not permitted:
            raise RefusedByPolicyError
        if not permitted:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        return permitted

    async def close(self) -> None:
        """Nothing to close: the inner resolver is shared."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections a pool holds, and how long they may take."""

    connections: int
    connections_per_host: int  # to one host and port
    connect_timeout_seconds: float  # TCP and TLS of one attempt
    read_timeout_seconds: float  # between two reads
    keepalive_seconds: float


def guarded_session(
    policy: AddressPolicy,
    resolver: AbstractResolver,
    ssl_context: ssl.SSLContext,
    limits: Limits,
    user_agent: str,
) -> aiohttp.ClientSession:
    """A session with its own pool of connections to permitted addresses; needs a running event loop."""

    def make_socket(address_info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = address_info
        if not policy.permits(address[0]):
            raise RefusedByPolicyError
        return socket.socket(family, kind, protocol)

    connector = aiohttp.TCPConnector(
        resolver=GuardedResolver(resolver, policy),
        socket_factory=make_socket,
        ssl=ssl_context,
        limit=limits.connections,
        limit_per_host=limits.connections_per_host,
        ttl_dns_cache=DNS_CACHE_SECONDS,
        keepalive_timeout=limits.keepalive_seconds,
    )
    return aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": user_agent, "Accept-Encoding": "gzip"},
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=limits.connect_timeout_seconds, sock_read=limits.read_timeout_seconds
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        max_line_size=MAX_LINE_BYTES,
        max_field_size=MAX_LINE_BYTES,
        max_headers=MAX_HEADERS,
    )


def default_ssl_context() -> ssl.SSLContext:
    """The system's trusted authorities, TLS 1.2 or newer, HTTP/1.1."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
