"""`AsyncCalendarSync`"""

from __future__ import annotations

from types import TracebackType
from typing import Self

import httpx

from calendarsync import __version__
from calendarsync.client._async.account import AsyncAccounts, AsyncApiKeys, AsyncAvailabilities
from calendarsync.client._async.connections import AsyncConnections
from calendarsync.client._async.delegations import AsyncDelegations
from calendarsync.client._async.logs import AsyncLogs
from calendarsync.client._async.pairs import AsyncSyncPairs
from calendarsync.client._async.sandbox import AsyncSandbox
from calendarsync.client._async.transport import AsyncTransport
from calendarsync.client._async.webhooks import AsyncWebhooks
from calendarsync.client.protocol import RateLimit
from calendarsync.client.retries import Retries
from calendarsync.client.server import find_server


class AsyncCalendarSync:
    """The API of one server, for the account and the mode of one key. Use it in `async with`, or `close` it."""

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float = 60,
        max_retries: int = 3,
        longest_wait: float = 60,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        """Without `api_key` and `base_url`, CALENDARSYNC_API_KEY and CALENDARSYNC_URL are taken.

        `timeout` is for each attempt, in seconds; a sync that is waited for takes the server up to 25. A request
        is sent again up to `max_retries` times where that does no harm: see the reference. `longest_wait`: the
        most seconds that a server's Retry-After is followed; above, the error is raised at once. `http_client`
        is for proxies and certificates of your own, and stays yours to close. Raises ValueError.
        """
        self._transport = AsyncTransport(
            find_server(api_key, base_url),
            retries=Retries(max_retries, longest_wait),
            timeout=timeout,
            user_agent=f"calendarsync-python/{__version__}",
            http_client=http_client,
        )
        self.connections = AsyncConnections(self._transport)
        self.delegations = AsyncDelegations(self._transport)
        self.sync_pairs = AsyncSyncPairs(self._transport)
        self.logs = AsyncLogs(self._transport)
        self.webhooks = AsyncWebhooks(self._transport)
        self.availability = AsyncAvailabilities(self._transport)
        self.account = AsyncAccounts(self._transport)
        self.api_keys = AsyncApiKeys(self._transport)
        self.sandbox = AsyncSandbox(self._transport)

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the last answer told of the account's allowance; None before the first."""
        return self._transport.rate_limit

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._transport.server.url!r})"
