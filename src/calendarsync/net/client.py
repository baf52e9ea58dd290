"""The one HTTP client for requests to hosts that users name."""

import asyncio
import io
import logging
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDictProxy
from yarl import URL

from calendarsync import __version__
from calendarsync.net.addresses import AddressPolicy, Network, is_address
from calendarsync.net.authentication import (
    DigestMemory,
    basic_authorization,
    digest_authorization,
    follow_nonce,
    offered,
)
from calendarsync.net.body import read_beginning, read_body
from calendarsync.net.connector import (
    GuardedResolver,
    Limits,
    RefusedByPolicyError,
    default_ssl_context,
    guarded_session,
)
from calendarsync.net.credentials import BasicCredentials
from calendarsync.net.errors import AddressRefused, InsecureCredentials, Timeout, TooManyRedirects
from calendarsync.net.failures import address_refused, dns_failed, net_error
from calendarsync.net.names import SystemResolver
from calendarsync.net.redirects import (
    MAX_REDIRECTS,
    PERMANENT_STATUSES,
    REDIRECT_STATUSES,
    SAFE_METHODS,
    keeps_credentials,
    redirected_method,
)
from calendarsync.net.urls import host_label, join_url, parse_url

USER_AGENT = f"CalendarSync/{__version__}"
DEFAULT_MAX_BYTES = 16 * 1024 * 1024
# Redirects and 401s may carry a page that nobody asked for: it is read, so that the connection stays usable.
INTERMEDIATE_MAX_BYTES = 64 * 1024
STREAMED_BODY_BYTES = (
    1024 * 1024
)  # larger request bodies are sent in pieces, so that none blocks the event loop

SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
BODY_HEADERS = frozenset({"content-type", "content-length", "content-encoding", "content-language"})

logger = logging.getLogger(__name__)


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


@dataclass(slots=True, repr=False)
class _Hop:
    """One request of a chain of redirects."""

    method: str
    url: URL
    headers: dict[str, str]
    body: bytes | None
    credentials: BasicCredentials | None
    max_bytes: int
    confined: bool
    secret_url: bool
    beginning_only: bool

    @property
    def has_secrets(self) -> bool:
        return self.credentials is not None or any(name.lower() in SECRET_HEADERS for name in self.headers)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: CIMultiDictProxy[str] = field(repr=False)
    body: bytes = field(repr=False)


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
        self._user_agent = user_agent
        self._ssl_context = ssl_context or default_ssl_context()
        self._limits = Limits(
            connections=max_connections,
            connections_per_host=max_connections_per_host,
            connect_timeout_seconds=connect_timeout_seconds,
            read_timeout_seconds=read_timeout_seconds,
            keepalive_seconds=keepalive_seconds,
        )
        self._system_names = SystemResolver(max_lookups)
        self._resolver = resolver or self._system_names
        # Two pools: a connection that an open request made must not serve a confined one.
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._digests = DigestMemory()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; the client cannot be used afterwards."""
        self._closed = True
        while self._sessions:
            await self._sessions.popitem()[1].close()
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
        hop = _Hop(
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

    async def _follow(self, hop: _Hop, follow_redirects: bool) -> Response:
        visited = {(hop.method, hop.url)}
        permanent = True
        while True:
            answer = await self._authenticate(hop)
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
            _advance(hop, method, target, keeps)
            if (method, target) in visited:
                raise TooManyRedirects("redirect_loop", f"{host_label(target)} redirects in a circle.")
            if len(visited) > MAX_REDIRECTS:
                raise TooManyRedirects("too_many_redirects", f"More than {MAX_REDIRECTS} redirects were met.")
            visited.add((method, target))
        final = str(hop.url)
        moved = permanent and len(visited) > 1
        return Response(answer.status, final, answer.headers, answer.body, final if moved else None)

    async def _authenticate(self, hop: _Hop) -> _Answer:
        """One hop, sent again where its first answer is a 401 with a challenge that can be met."""
        if hop.confined or hop.url.scheme == "https" or not hop.has_secrets:
            return await self._negotiate(hop, confined=hop.confined, secure=True)
        # Plain http: the pool that only reaches the allowed networks vouches that a secret goes nowhere else.
        if self._allowed:
            try:
                return await self._negotiate(hop, confined=True, secure=True)
            except AddressRefused:
                pass
        if hop.credentials is None:
            raise _insecure(hop.url)
        return await self._negotiate(hop, confined=False, secure=False)

    async def _negotiate(self, hop: _Hop, *, confined: bool, secure: bool) -> _Answer:
        credentials = hop.credentials
        if credentials is None:
            return await self._exchange(hop, confined, None)
        known = self._digests.get(hop.url)
        if known is not None:
            authorization: str | None = digest_authorization(known, hop.method, hop.url, credentials)
        else:
            authorization = basic_authorization(credentials) if secure else None
        answer = await self._exchange(hop, confined, authorization)
        if answer.status != 401:
            if known is not None:
                follow_nonce(known, answer.headers)
            return answer

        challenge, basic = offered(answer.headers.getall("WWW-Authenticate", ()))
        if challenge is not None:
            if known is not None and challenge.nonce == known.nonce:
                return answer  # the very nonce that was answered: the password is wrong
            self._digests.remember(hop.url, challenge)
            authorization = digest_authorization(challenge, hop.method, hop.url, credentials)
            answer = await self._exchange(hop, confined, authorization)
            follow_nonce(challenge, answer.headers)
            return answer
        if basic and not secure:
            raise _insecure(hop.url)
        if basic and known is not None:
            self._digests.forget(hop.url)
            return await self._exchange(hop, confined, basic_authorization(credentials))
        return answer

    async def _exchange(self, hop: _Hop, confined: bool, authorization: str | None) -> _Answer:
        headers = hop.headers if authorization is None else {**hop.headers, "Authorization": authorization}
        session = self._session(confined)
        # A kept connection may have been closed by the server meanwhile. aiohttp sends again what HTTP calls
        # idempotent; the safe methods of WebDAV are ours to add.
        attempts = 2 if hop.method in {"PROPFIND", "REPORT", "SEARCH"} else 1
        while True:
            attempts -= 1
            try:
                return await self._send(session, hop, headers)
            except aiohttp.ClientConnectorError as error:
                raise net_error(error, hop.url) from None
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if not attempts:
                    raise net_error(error, hop.url) from None
            except TimeoutError:  # some of aiohttp's are a ClientError as well
                raise
            except aiohttp.ClientError as error:
                raise net_error(error, hop.url) from None

    async def _send(self, session: aiohttp.ClientSession, hop: _Hop, headers: dict[str, str]) -> _Answer:
        body = hop.body if hop.body is None or len(hop.body) < STREAMED_BODY_BYTES else io.BytesIO(hop.body)
        async with session.request(
            hop.method, hop.url, headers=headers, data=body, allow_redirects=False
        ) as response:
            status = response.status
            limit = hop.max_bytes
            if status == 401 or status in REDIRECT_STATUSES:
                limit = max(limit, INTERMEDIATE_MAX_BYTES)
            if hop.beginning_only:
                content = await read_beginning(response, hop.max_bytes)
            else:
                content = await read_body(response, limit)
            logger.debug("%s answered %d", hop.url.raw_host, status)
            return _Answer(status, response.headers, content)

    def _session(self, confined: bool) -> aiohttp.ClientSession:
        session = self._sessions.get(confined)
        if session is None:
            if self._closed:
                raise RuntimeError("the client is closed")
            policy = AddressPolicy(self._allowed, confined=confined)
            session = guarded_session(
                policy, self._resolver, self._ssl_context, self._limits, self._user_agent
            )
            self._sessions[confined] = session
        return session


def _advance(hop: _Hop, method: str, target: URL, keeps_credentials: bool) -> None:
    dropped = frozenset[str]()
    if not keeps_credentials:
        hop.credentials = None
        dropped |= SECRET_HEADERS
    if method != hop.method:
        hop.body = None
        dropped |= BODY_HEADERS
    hop.headers = {name: value for name, value in hop.headers.items() if name.lower() not in dropped}
    hop.method, hop.url = method, target


def _exposed(url: URL) -> InsecureCredentials:
    return InsecureCredentials(
        "insecure_credentials", f"{host_label(url)} redirects to http, where anybody could read the address."
    )


def _insecure(url: URL) -> InsecureCredentials:
    return InsecureCredentials(
        "insecure_credentials", f"A password for {host_label(url)} would be sent unencrypted: use https."
    )
