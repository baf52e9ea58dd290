"""The one HTTP client for requests to hosts that users name."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiohttp.abc import AbstractResolver
from multidict import CIMultiDictProxy
from yarl import URL

from calendarsync import __version__
from calendarsync.net.addresses import AddressPolicy, Network, is_address
from calendarsync.net.connector import GuardedResolver, Limits, RefusedByPolicyError, default_ssl_context
from calendarsync.net.credentials import BasicCredentials
from calendarsync.net.errors import InsecureCredentials, Timeout, TooManyRedirects
from calendarsync.net.failures import address_refused, dns_failed
from calendarsync.net.hop import Hop
from calendarsync.net.names import SystemResolver
from calendarsync.net.redirects import (
    MAX_REDIRECTS,
    PERMANENT_STATUSES,
    REDIRECT_STATUSES,
    SAFE_METHODS,
    keeps_credentials,
    redirected_method,
)
from calendarsync.net.sender import Sender
from calendarsync.net.urls import host_label, join_url, parse_url

USER_AGENT = f"CalendarSync/{__version__}"
DEFAULT_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, read to its end.

    `url` is the one that answered, after redirects. `permanent_url` is where the resource is to be looked for
    from now on: the last URL, where every redirect on the way was permanent (301, 308) and the credentials of
    the request, if it had any, may go there. `headers` are as received, save that `body` is already
    decompressed.
    """

    status: int
    url: str = field(repr=False)  # may hold a secret, as ICS links do
    headers: CIMultiDictProxy[str] = field(repr=False)
    body: bytes = field(repr=False)
    permanent_url: str | None = field(repr=False)


class HttpClient:
    """A pooled client that connects to public addresses and `allowed_private_networks`, and to nothing else.

    One per process, used as an async context manager or closed with `close()`. Proxies of the environment are
    ignored, because through one the address that is connected to could not be judged; cookies are not kept.

    At most `max_connections` are open at once, `max_connections_per_host` to one host and port; waiting for
    one counts into a request's timeout. `connect_timeout_seconds` covers TCP and TLS of one attempt,
    `read_timeout_seconds` the pause between two reads; a connection that nobody uses is kept for
    `keepalive_seconds`, whatever the limits. `max_lookups` names are looked up at once. `ssl_context` replaces
    the system's trusted authorities and the minimum of TLS 1.2. `resolver` replaces the system's and stays its
    caller's to close.
    """

    def __init__(
        self,
        *,
        allowed_private_networks: Sequence[Network] = (),
        user_agent: str = USER_AGENT,
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout_seconds: float = 10,
        read_timeout_seconds: float = 20,
        max_connections: int = 256,
        max_connections_per_host: int = 8,
        keepalive_seconds: float = 30,
        max_lookups: int = 32,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._allowed = tuple(allowed_private_networks)
        limits = Limits(
            connections=max_connections,
            connections_per_host=max_connections_per_host,
            connect_timeout_seconds=connect_timeout_seconds,
            read_timeout_seconds=read_timeout_seconds,
            keepalive_seconds=keepalive_seconds,
        )
        self._system_names = SystemResolver(max_lookups)
        self._resolver = resolver or self._system_names
        self._sender = Sender(
            self._allowed, self._resolver, ssl_context or default_ssl_context(), limits, user_agent
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; the client cannot be used afterwards."""
        await self._sender.close()
        await self._system_names.close()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        credentials: BasicCredentials | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
        timeout_seconds: float = 30,
        follow_redirects: bool = True,
        confined: bool = False,
        secret_url: bool = False,
        beginning_only: bool = False,
    ) -> Response:
        """Send a request and read the whole answer, whatever its status; raises NetError where there is none.

        `max_bytes` limits the body before and after decompression (redirects and 401s may have 64 KiB in any
        case); `timeout_seconds` covers everything, redirects included. With `confined`, only addresses inside
        the allowed private networks are reached. With `beginning_only` a longer body is no error: its first
        `max_bytes` are returned, nothing of one that is compressed.

        Up to five redirects are followed with method and body (303 after a write: with GET). Credentials, and
        the headers Authorization and Cookie, stay within the registrable domain and are never taken from
        https to http; beyond that a chain goes on without them. A write (any method but GET, HEAD, OPTIONS,
        PROPFIND, REPORT, SEARCH) is not carried there: the redirect itself is returned. With `secret_url`, for
        resources that whoever knows the URL can read, no redirect leads from https to http.

        Credentials are sent as Basic at once over https and inside the allowed networks, and as Digest (RFC
        7616) where the server asks for that; over plain http to any other host only Digest is answered, and
        whatever else would show a secret raises InsecureCredentials.
        """
        hop = Hop(
            method.upper(),
            parse_url(url),
            dict(headers or ()),
            body,
            credentials,
            max_bytes,
            confined,
            secret_url,
            beginning_only,
        )
        if credentials is not None and any(name.lower() == "authorization" for name in hop.headers):
            raise ValueError("pass either credentials or an Authorization header")
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._follow(hop, follow_redirects)
        except TimeoutError:
            raise Timeout("timeout", f"{host_label(hop.url)} did not answer in time.") from None

    async def judge(self, url: str, *, confined: bool = False, timeout_seconds: float = 5) -> str:
        """The address that a request to `url` would go to, in the form in which it is sent; nothing is sent.

        Raises InvalidUrl, AddressRefused; ConnectFailed and Timeout where the host's name leads nowhere for
        the moment. It says what holds now: every connection is judged again.
        """
        target = parse_url(url)
        host = target.raw_host or ""
        policy = AddressPolicy(self._allowed, confined=confined)
        try:
            if is_address(host):
                if not policy.permits(host):
                    raise RefusedByPolicyError
            else:
                async with asyncio.timeout(timeout_seconds):
                    await GuardedResolver(self._resolver, policy).resolve(host)
        except TimeoutError:
            raise Timeout("timeout", f"{host_label(target)} was not found in time.") from None
        except RefusedByPolicyError:
            raise address_refused(target) from None
        except OSError:
            raise dns_failed(target) from None
        return str(target)

    async def _follow(self, hop: Hop, follow_redirects: bool) -> Response:
        visited = {(hop.method, hop.url)}
        permanent = True
        while True:
            answer = await self._sender.send(hop)
            location = answer.headers.get("Location")
            if not follow_redirects or answer.status not in REDIRECT_STATUSES or location is None:
                break
            target = join_url(hop.url, location)
            method = redirected_method(hop.method, answer.status)
            keeps = keeps_credentials(hop.url, target)
            if not keeps and method not in SAFE_METHODS:
                break
            downgraded = hop.url.scheme == "https" and target.scheme == "http"
            if downgraded and hop.secret_url:
                raise _exposed(hop.url)
            permanent &= (
                answer.status in PERMANENT_STATUSES and not downgraded and (keeps or not hop.has_secrets)
            )
            hop.advance(method, target, keeps_credentials=keeps)
            if (method, target) in visited:
                raise TooManyRedirects("redirect_loop", f"{host_label(target)} redirects in a circle.")
            if len(visited) > MAX_REDIRECTS:
                raise TooManyRedirects("too_many_redirects", f"More than {MAX_REDIRECTS} redirects were met.")
            visited.add((method, target))
        final = str(hop.url)
        moved = permanent and len(visited) > 1
        return Response(answer.status, final, answer.headers, answer.body, final if moved else None)


def _exposed(url: URL) -> InsecureCredentials:
    return InsecureCredentials(
        "insecure_credentials", f"{host_label(url)} redirects to http, where anybody could read the address."
    )
