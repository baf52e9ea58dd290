"""Requests to Google's servers with one grant's tokens, and what their failures mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from calendarsync.net import HttpClient, NetError, Response
from calendarsync.providers.base import Unavailable
from calendarsync.providers.concurrency import aside
from calendarsync.providers.failures import no_answer
from calendarsync.providers.google.calls import Call, data_of
from calendarsync.providers.google.errors import Answer, raise_for_account
from calendarsync.providers.google.multipart import CONTENT_TYPE, read_batch, write_batch
from calendarsync.providers.limiter import OF_THIS_PROCESS, Limit, Limiter
from calendarsync.providers.tokens import Tokens

LIMIT = Limit(at_once=4, calls=600, seconds=60.0)
"""Of one grant: Google counts by person, 600 calls a minute in a sliding window (Calendar API, "Usage limits").

A batch of n calls counts as n ("Send batch requests"), a patch as three. No number is told for requests at once;
who is in a hurry is answered 403.
"""

MAX_BYTES = 64 * 1024 * 1024  # a page of 2,500 events with long descriptions
TIMEOUT_SECONDS = 60.0
_BATCH_PATH = "/batch/calendar/v3"


class Session:
    """`requests` counts HTTP requests; a batch is one."""

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
        self.now = now
        self._client = client
        self._tokens = tokens
        self._api_url = api_url.rstrip("/")
        self._limiter = limiter

    async def send(self, call: Call) -> Answer:
        """Make one call. Raises what the answer says of the grant, the app or the service, and no other error.

        That is NotAuthorized, MissingScope, AppForbidden, RateLimited, Unavailable, Unreachable, NotACalendar.
        """
        response = await self._request(call)
        data = await aside(len(response.body), lambda: data_of(response.status, response.body))
        if data is None:
            raise _unreadable()
        answer = Answer(response.status, data, response.headers)
        raise_for_account(answer, self.now())
        return answer

    async def send_all(self, calls: Sequence[Call]) -> Sequence[Answer | Unavailable]:
        """Make the calls in one request; Unavailable stands for an answer that is missing.

        An answer may be any error: calls in a batch fail each by itself. What fails all of them is raised. Calls
        that are answered 401 were not carried out; they are made once more with another token.
        """
        answers, token = await self._batch(calls)
        rejected = [
            place
            for place, answer in enumerate(answers)
            if isinstance(answer, Answer) and answer.status == 401
        ]
        if rejected:
            again, _ = await self._batch([calls[place] for place in rejected], rejected=token)
            for place, answer in zip(rejected, again, strict=True):
                answers[place] = answer
        return answers

    async def _batch(
        self, calls: Sequence[Call], *, rejected: str | None = None
    ) -> tuple[list[Answer | Unavailable], str]:
        """The answers, and the token with which they were got."""
        body = await aside(len(calls) * 4096, lambda: write_batch(list(calls)))
        headers = {"Content-Type": CONTENT_TYPE}
        units = sum(call.units for call in calls)
        response, token = await self._once("POST", _BATCH_PATH, headers, body, units=units, rejected=rejected)
        if response.status == 401:
            return [Answer(401)] * len(calls), token
        if response.status != 200:
            raise_for_account(
                Answer(response.status, data_of(response.status, response.body) or {}, response.headers),
                self.now(),
            )
            raise Unavailable("Google Calendar did not understand the request.")
        kind = response.headers.get("Content-Type", "")
        found = await aside(len(response.body), lambda: read_batch(kind, response.body))
        return [found.get(place) or _unreadable() for place in range(len(calls))], token

    async def _request(self, call: Call) -> Response:
        asked = (call.method, call.target, call.headers, call.content or None)
        response, token = await self._once(*asked, units=call.units)
        if response.status == 401:
            response, _ = await self._once(*asked, units=call.units, rejected=token)
        return response

    async def _once(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        units: int,
        rejected: str | None = None,
    ) -> tuple[Response, str]:
        """The answer, and the token with which it was got: another one than `rejected`."""
        async with self._limiter.request(self._tokens.grant, LIMIT, calls=units):
            # Only now: who waits for its turn may wait for longer than a token is good for.
            token = await self._tokens.access_token(rejected=rejected)
            self.requests += 1
            self._tokens.sent(units)
            try:
                response = await self._client.request(
                    method,
                    f"{self._api_url}{target}",
                    headers={"Authorization": f"Bearer {token}", **headers},
                    body=body,
                    max_bytes=MAX_BYTES,
                    timeout_seconds=TIMEOUT_SECONDS,
                    follow_redirects=False,
                )
            except NetError as error:
                raise no_answer(error) from None
        return response, token


def _unreadable() -> Unavailable:
    return Unavailable("Google Calendar's answer broke off.")
