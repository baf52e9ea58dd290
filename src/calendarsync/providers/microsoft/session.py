"""Requests to Graph with one grant's tokens, and what their failures mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import quote

from calendarsync.net import HttpClient, NetError, Response
from calendarsync.providers.concurrency import aside
from calendarsync.providers.failures import no_answer
from calendarsync.providers.limiter import OF_THIS_PROCESS, Limit, Limiter
from calendarsync.providers.microsoft.failures import Answer, incomplete, problem_of
from calendarsync.providers.tokens import Tokens

VERSION = "/v1.0"
MAX_BYTES = 64 * 1024 * 1024
TIMEOUT_SECONDS = 120.0
LIMIT = Limit(at_once=4, calls=10_000, seconds=600.0)
"""Of one mailbox and one app (throttling-limits, "Outlook service limits"); each part of a batch is a call.

There is a limit of 150 MB that are written in 5 minutes as well, which events do not come near.
"""

PREFER = 'IdType="ImmutableId", outlook.timezone="UTC", outlook.body-content-type="text"'
"""outlook-immutable-id, event-get. It holds for the request that it stands in: each part of a batch has its own."""


class GraphSession:
    """A grant keeps to `LIMIT` in this process, with all that is inside batches.

    `api_url` is Graph's base URL, one of a national cloud for instance. `requests` counts what was sent over HTTP.
    """

    def __init__(
        self,
        client: HttpClient,
        tokens: Tokens,
        *,
        api_url: str,
        now: Callable[[], datetime],
        limiter: Limiter = OF_THIS_PROCESS,
    ) -> None:
        self.requests = 0
        self._mailbox: str | None = None
        self._client = client
        self._tokens = tokens
        self._base = api_url.rstrip("/") + VERSION
        self._now = now
        self._limiter = limiter

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        prefer: str = PREFER,
        parts: int = 1,
        denied: Callable[[Answer], bool] = lambda answer: False,
    ) -> Answer:
        """Send to `path`, which follows the API's version, or to a link that Graph gave.

        `parts` is how many requests it is to the mailbox; `denied` tells of an answer that it refuses the token
        though its status is no 401. Raises what is wrong with the account, the server or the
        way to it: NotAuthorized, Forbidden, NoMailbox, RateLimited, Unavailable, Unreachable, NotACalendar.
        Whatever says something about the thing that was asked for is an answer: 400, 404, 409, 410.
        """
        url = path if self.owns(path) else self._base + path
        headers = {"Accept": "application/json", "Prefer": prefer}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body, separators=(",", ":")).encode()
        answer, token = await self._once(method, url, headers, data, parts)
        if answer.status == 401 or denied(answer):
            answer, _ = await self._once(method, url, headers, data, parts, rejected=token)
        self.check(answer)
        return answer

    async def mailbox(self) -> str:
        """What paths into the mailbox begin with: `/me`, or its name where an application's permission is used."""
        if self._mailbox is None:
            await self._tokens.access_token()
            user = self._tokens.user
            self._mailbox = "/me" if user is None else f"/users/{quote(user, safe='')}"
        return self._mailbox

    def follows(self, link: object) -> str:
        """A nextLink or deltaLink, if it leads to where the token may go. Raises Unavailable."""
        if isinstance(link, str) and self.owns(link):
            return link
        raise incomplete()

    def owns(self, link: str) -> bool:
        """Whether a link leads to the service that this session speaks to."""
        return link.startswith(self._base + "/")

    def check(self, answer: Answer) -> None:
        """Raise what an answer, or one part of a batch's, says of the account or the server."""
        error = problem_of(answer, self._now(), application=self._tokens.user is not None)
        if error is not None:
            raise error

    async def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        parts: int,
        *,
        rejected: str | None = None,
    ) -> tuple[Answer, str]:
        """The answer, and the token with which it was got: another one than `rejected`."""
        async with self._limiter.request(self._tokens.grant, LIMIT, places=parts, calls=parts):
            # Only now: who waits for its turn may wait for longer than a token is good for.
            token = await self._tokens.access_token(rejected=rejected)
            self.requests += 1
            self._tokens.sent(parts)
            try:
                response = await self._client.request(
                    method,
                    url,
                    headers={**headers, "Authorization": f"Bearer {token}"},
                    body=body,
                    max_bytes=MAX_BYTES,
                    timeout_seconds=TIMEOUT_SECONDS,
                    follow_redirects=False,
                )
            except NetError as error:
                raise no_answer(error) from error
        return await _read(response), token


async def _read(response: Response) -> Answer:
    """Raises Unavailable where a success is no JSON object."""
    body = response.body
    data: object = {}
    if body:
        try:
            data = await aside(len(body), lambda: json.loads(body))
        except (ValueError, RecursionError):
            data = None
    if not isinstance(data, dict):
        if response.status < 300:
            raise incomplete()
        data = {}
    return Answer(response.status, response.headers, data)
