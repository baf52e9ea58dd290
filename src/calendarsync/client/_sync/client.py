# Made from ../_async/client.py by `make client`: change that file, not this one.
"""`CalendarSync`"""

from __future__ import annotations

from types import TracebackType
from typing import Self

import httpx

from calendarsync import __version__
from calendarsync.client._sync.account import Accounts, ApiKeys, Availabilities
from calendarsync.client._sync.connections import Connections
from calendarsync.client._sync.delegations import Delegations
from calendarsync.client._sync.logs import Logs
from calendarsync.client._sync.pairs import SyncPairs
from calendarsync.client._sync.sandbox import Sandbox
from calendarsync.client._sync.transport import Transport
from calendarsync.client._sync.webhooks import Webhooks
from calendarsync.client.protocol import RateLimit
from calendarsync.client.retries import Retries
from calendarsync.client.server import find_server


class CalendarSync:
    """The API of one server, for the account and the mode of one key. Use it in `with`, or `close` it."""

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float = 60,
        max_retries: int = 3,
        longest_wait: float = 60,
        http_client: httpx.Client | None = None,
    ) -> None:
        """Without `api_key` and `base_url`, CALENDARSYNC_API_KEY and CALENDARSYNC_URL are taken.

        `timeout` is for each attempt, in seconds; a sync that is waited for takes the server up to 25. A request
        is sent again up to `max_retries` times where that does no harm: see the reference. `longest_wait`: the
        most seconds that a server's Retry-After is followed; above, the error is raised at once. `http_client`
        is for proxies and certificates of your own, and stays yours to close. Raises ValueError.
        """
        self._transport = Transport(
            find_server(api_key, base_url),
            retries=Retries(max_retries, longest_wait),
            timeout=timeout,
            user_agent=f"calendarsync-python/{__version__}",
            http_client=http_client,
        )
        self.connections = Connections(self._transport)
        self.delegations = Delegations(self._transport)
        self.sync_pairs = SyncPairs(self._transport)
        self.logs = Logs(self._transport)
        self.webhooks = Webhooks(self._transport)
        self.availability = Availabilities(self._transport)
        self.account = Accounts(self._transport)
        self.api_keys = ApiKeys(self._transport)
        self.sandbox = Sandbox(self._transport)

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the last answer told of the account's allowance; None before the first."""
        return self._transport.rate_limit

    def close(self) -> None:
        """Close the connections to the server."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._transport.server.url!r})"
