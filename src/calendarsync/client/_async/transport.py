"""Requests on their way: sent, sent again where that is safe, and their answers read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Generic, TypeVar

import httpx

from calendarsync.client.models import Model
from calendarsync.client.protocol import (
    Call,
    Listing,
    RateLimit,
    error_of,
    failure_of,
    nothing_of,
    rate_limit_of,
    result_of,
)
from calendarsync.client.retries import Retries
from calendarsync.client.server import Server

Result = TypeVar("Result", bound=Model)

_NO_PROXY: Mapping[str, None] = {"all://": None, "http://": None, "https://": None}
"""Each name that the environment has one for: certificates are still taken from there."""


class AsyncTransport:
    """`rate_limit` is what the last answer told; None before the first."""

    def __init__(
        self,
        server: Server,
        *,
        retries: Retries,
        timeout: float,
        user_agent: str,
        http_client: httpx.AsyncClient | None,
    ) -> None:
        self.server = server
        self.rate_limit: RateLimit | None = None
        self._retries = retries
        self._timeout = httpx.Timeout(timeout, connect=min(timeout, 10))
        self._headers = {"Accept": "application/json", "User-Agent": user_agent}
        self._own = http_client is None
        self._http = http_client or httpx.AsyncClient(mounts=_NO_PROXY if server.is_loopback else None)

    async def close(self) -> None:
        """A client that was given stays open."""
        if self._own:
            await self._http.aclose()

    async def one(self, kind: type[Result], call: Call) -> Result:
        return result_of(kind, call, await self.send(call))

    async def none(self, call: Call) -> None:
        """For what has nothing to tell when it is done. Raises CalendarSyncError."""
        nothing_of(call, await self.send(call))

    async def send(self, call: Call) -> httpx.Response:
        """The answer, which is a success. Raises CalendarSyncError."""
        attempt = 0
        while True:
            try:
                response = await self._exchange(call)
            except httpx.RequestError as error:
                seconds = self._retries.after_failure(call, attempt, error)
                if seconds is None:
                    raise failure_of(call, error) from error
            else:
                self.rate_limit = rate_limit_of(response) or self.rate_limit
                if response.is_success:
                    return response
                seconds = self._retries.after_answer(call, attempt, response)
                if seconds is None:
                    raise error_of(call, response)
            await asyncio.sleep(seconds)
            attempt += 1

    async def _exchange(self, call: Call) -> httpx.Response:
        return await self._http.request(
            call.method,
            self.server.api + call.path,
            params=call.query or None,
            json=call.body,
            headers={**self._headers, **call.headers, "Authorization": f"Bearer {self.server.key}"},
            timeout=self._timeout,
            follow_redirects=False,
        )


class AsyncPaged(Generic[Result]):
    """A list that fetches its next part when the loop gets there. Each loop over it begins anew."""

    def __init__(self, transport: AsyncTransport, listing: Listing[Result]) -> None:
        self._transport, self._listing = transport, listing

    async def __aiter__(self) -> AsyncIterator[Result]:
        call: Call | None = self._listing.first()
        while call is not None:
            items, call = self._listing.read(call, await self._transport.send(call))
            for item in items:
                yield item

    async def all(self) -> list[Result]:
        return [item async for item in self]
