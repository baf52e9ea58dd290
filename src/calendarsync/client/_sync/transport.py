# Made from ../_async/transport.py by `make client`: change that file, not this one.
"""Requests on their way: sent, sent again where that is safe, and their answers read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
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


class Transport:
    """`rate_limit` is what the last answer told; None before the first."""

    def __init__(
        self,
        server: Server,
        *,
        retries: Retries,
        timeout: float,
        user_agent: str,
        http_client: httpx.Client | None,
    ) -> None:
        self.server = server
        self.rate_limit: RateLimit | None = None
        self._retries = retries
        self._timeout = httpx.Timeout(timeout, connect=min(timeout, 10))
        self._headers = {"Accept": "application/json", "User-Agent": user_agent}
        self._own = http_client is None
        self._http = http_client or httpx.Client(mounts=_NO_PROXY if server.is_loopback else None)

    def close(self) -> None:
        """A client that was given stays open."""
        if self._own:
            self._http.close()

    def one(self, kind: type[Result], call: Call) -> Result:
        return result_of(kind, call, self.send(call))

    def none(self, call: Call) -> None:
        """For what has nothing to tell when it is done. Raises CalendarSyncError."""
        nothing_of(call, self.send(call))

    def send(self, call: Call) -> httpx.Response:
        """The answer, which is a success. Raises CalendarSyncError."""
        attempt = 0
        while True:
            try:
                response = self._exchange(call)
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
            time.sleep(seconds)
            attempt += 1

    def _exchange(self, call: Call) -> httpx.Response:
        return self._http.request(
            call.method,
            self.server.api + call.path,
            params=call.query or None,
            json=call.body,
            headers={**self._headers, **call.headers, "Authorization": f"Bearer {self.server.key}"},
            timeout=self._timeout,
            follow_redirects=False,
        )


class Paged(Generic[Result]):
    """A list that fetches its next part when the loop gets there. Each loop over it begins anew."""

    def __init__(self, transport: Transport, listing: Listing[Result]) -> None:
        self._transport, self._listing = transport, listing

    def __iter__(self) -> Iterator[Result]:
        call: Call | None = self._listing.first()
        while call is not None:
            items, call = self._listing.read(call, self._transport.send(call))
            yield from items

    def all(self) -> list[Result]:
        return list(self)
