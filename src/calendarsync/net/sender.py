"""Sending one request and reading its answer, authenticated where the server asks for that and it is safe."""

import io
import logging
import ssl
from collections.abc import Sequence

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from calendarsync.net.addresses import AddressPolicy, Network
from calendarsync.net.authentication import (
    DigestMemory,
    basic_authorization,
    digest_authorization,
    follow_nonce,
    offered,
)
from calendarsync.net.body import read_beginning, read_body
from calendarsync.net.connector import Limits, guarded_session
from calendarsync.net.errors import AddressRefused, InsecureCredentials
from calendarsync.net.failures import net_error
from calendarsync.net.hop import Answer, Hop
from calendarsync.net.redirects import REDIRECT_STATUSES
from calendarsync.net.urls import host_label

# Redirects and 401s may carry a page that nobody asked for: it is read, so that the connection stays usable.
INTERMEDIATE_MAX_BYTES = 64 * 1024
# Larger request bodies are sent in pieces, so that none blocks the event loop.
STREAMED_BODY_BYTES = 1024 * 1024

logger = logging.getLogger(__name__)


class Sender:
    """The pools of connections, and the challenges that servers have set."""

    def __init__(
        self,
        allowed: Sequence[Network],
        resolver: AbstractResolver,
        ssl_context: ssl.SSLContext,
        limits: Limits,
        user_agent: str,
    ) -> None:
        self._allowed = allowed
        self._resolver = resolver
        self._ssl_context = ssl_context
        self._limits = limits
        self._user_agent = user_agent
        # Two pools: a connection that an open request made must not serve a confined one.
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._digests = DigestMemory()
        self._closed = False

    async def close(self) -> None:
        """Close all connections; nothing can be sent afterwards."""
        self._closed = True
        while self._sessions:
            await self._sessions.popitem()[1].close()

    async def send(self, hop: Hop) -> Answer:
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

    async def _negotiate(self, hop: Hop, *, confined: bool, secure: bool) -> Answer:
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

    async def _exchange(self, hop: Hop, confined: bool, authorization: str | None) -> Answer:
        headers = hop.headers if authorization is None else {**hop.headers, "Authorization": authorization}
        session = self._session(confined)
        # A kept connection may have been closed by the server meanwhile. aiohttp sends again what HTTP calls
        # idempotent; the safe methods of WebDAV are ours to add.
        attempts = 2 if hop.method in {"PROPFIND", "REPORT", "SEARCH"} else 1
        while True:
            attempts -= 1
            try:
                return await self._transmit(session, hop, headers)
            except aiohttp.ClientConnectorError as error:
                raise net_error(error, hop.url) from None
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if not attempts:
                    raise net_error(error, hop.url) from None
            except TimeoutError:  # some of aiohttp's are a ClientError as well
                raise
            except aiohttp.ClientError as error:
                raise net_error(error, hop.url) from None

    async def _transmit(self, session: aiohttp.ClientSession, hop: Hop, headers: dict[str, str]) -> Answer:
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
            return Answer(status, response.headers, content)

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


def _insecure(url: URL) -> InsecureCredentials:
    return InsecureCredentials(
        "insecure_credentials", f"A password for {host_label(url)} would be sent unencrypted: use https."
    )
