"""Requests to one server with one person's credentials, and what their failures mean."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from calendarsync.net import (
    BasicCredentials,
    HttpClient,
    NetError,
    Response,
    TooLarge,
)
from calendarsync.providers.base import (
    CalendarNotFound,
    Forbidden,
    NotACalendar,
    NotAuthorized,
    ProviderError,
    Unavailable,
    Unreachable,
)
from calendarsync.providers.caldav.xml import Row, XmlError, read_multistatus
from calendarsync.providers.concurrency import aside
from calendarsync.providers.failures import no_answer, request_to_slow_down

LISTING_MAX_BYTES = 64 * 1024 * 1024  # 200,000 rows of a listing
LISTING_TIMEOUT_SECONDS = 120.0  # some servers read every file for a listing
LOOK_MAX_BYTES = 1024 * 1024  # what one collection says of itself
TURN_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)  # seconds before a write is tried again
XML = "application/xml; charset=utf-8"


class AnswerTooLarge(Unreachable):
    """The answer exceeds the limit that was set for it; a smaller question may help."""


class DavSession:
    """At most `concurrency` requests at once. `requests` counts them; redirects count as one with their
    cause.
    """

    def __init__(
        self,
        client: HttpClient,
        credentials: BasicCredentials,
        *,
        now: Callable[[], datetime],
        confined: bool = False,
        concurrency: int = 8,
    ) -> None:
        self.requests = 0
        self._client = client
        self._credentials = credentials
        self._now = now
        self._confined = confined
        self._slots = asyncio.Semaphore(concurrency)
        self._turn = asyncio.Lock()
        self._queuing = False

    async def send(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        depth: str | None = None,
        max_bytes: int = LISTING_MAX_BYTES,
    ) -> Response:
        """Any answer that says something about what was asked.

        Raises what is wrong with the account, the server or the way to it: NotAuthorized, RateLimited,
        Unavailable (also 502 to 504), Unreachable, NotACalendar. `body` is XML unless `headers` say
        otherwise.
        """
        # Cyrus refuses a PROPFIND without a Content-Type.
        types = {"Content-Type": XML} if body is not None else {}
        depths = {"Depth": depth} if depth is not None else {}
        async with self._slots:
            self.requests += 1
            try:
                response = await self._client.request(
                    method,
                    url,
                    headers={**types, **depths, **(headers or {})},
                    body=body,
                    credentials=self._credentials,
                    max_bytes=max_bytes,
                    timeout_seconds=LISTING_TIMEOUT_SECONDS,
                    confined=self._confined,
                )
            except NetError as error:
                raise _of_net(error) from error
        self._raise_for_account(response)
        return response

    async def write(
        self, method: str, url: str, body: bytes | None = None, *, headers: Mapping[str, str]
    ) -> Response:
        """Send a PUT or DELETE, and again where it only met another one.

        Xandikos writes one thing at a time: the others are answered 423, a DELETE 500. From then on all queue.
        """
        if not self._queuing:
            response = await self.send(method, url, body, headers=headers)
            if not _met_another(method, response):
                return response
            self._queuing = True
        async with self._turn:
            for pause in TURN_PAUSES:
                response = await self.send(method, url, body, headers=headers)
                if not _met_another(method, response):
                    return response
                await asyncio.sleep(pause)
            return await self.send(method, url, body, headers=headers)

    async def multistatus(
        self,
        method: str,
        url: str,
        body: bytes,
        on_row: Callable[[Row], None],
        *,
        depth: str,
    ) -> Response:
        """Send, and read an answer that must be a 207. Raises CalendarNotFound and Forbidden as well."""
        limit = LOOK_MAX_BYTES if depth == "0" else LISTING_MAX_BYTES
        response = await self.send(method, url, body, depth=depth, max_bytes=limit)
        await read_rows(response, on_row)
        return response

    def _raise_for_account(self, response: Response) -> None:
        status = response.status
        if status == 401:  # Yahoo sends it without a WWW-Authenticate
            raise NotAuthorized("The server does not accept the user name and password.")
        slow_down = request_to_slow_down(response, self._now())
        if slow_down is not None:
            raise slow_down
        if 502 <= status <= 504:
            raise Unavailable("The server is out of order at the moment.")
        if 300 <= status < 400:
            raise Unreachable("The server redirects to an address that is not followed.")


def _met_another(method: str, response: Response) -> bool:
    return response.status == 423 or (method == "DELETE" and response.status == 500)


async def read_rows(response: Response, on_row: Callable[[Row], None]) -> str | None:
    """The rows of a 207, and its sync token. Raises what another answer means for the collection."""
    if response.status != 207:
        raise meaning(response)
    try:
        return await aside(len(response.body), lambda: read_multistatus(response.body, on_row))
    except XmlError as error:
        raise NotACalendar("The server's answer is not valid WebDAV.") from error


def meaning(response: Response) -> ProviderError:
    """What a status means for a collection that was asked about."""
    if response.status in (404, 410):
        return CalendarNotFound("There is no calendar at this address.")
    if response.status == 403:
        return Forbidden("The server does not allow access to this calendar.")
    if response.status >= 500 and response.status != 501:
        return Unavailable("The server failed to answer.")
    return NotACalendar("The server at this address does not speak CalDAV.")


def _of_net(error: NetError) -> ProviderError:
    return AnswerTooLarge(error.message) if isinstance(error, TooLarge) else no_answer(error)
