"""Several requests in one: `$batch` (concepts/json-batching), at most 20 of them.

Graph hands the parts of a batch to the mailbox four at a time, which is what a mailbox allows; that is what
Microsoft's staff say (learn.microsoft.com/answers, question 1660054). So a batch takes all the places that there
are, and runs alone. Parts that depend on one another run one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from calendarsync.providers.base import ProviderError, Unavailable
from calendarsync.providers.microsoft.failures import Answer, incomplete, part_answer
from calendarsync.providers.microsoft.session import AT_ONCE, PREFER, GraphSession

BATCH_SIZE = 20


@dataclass(frozen=True, slots=True)
class Request:
    """`path` leads on from the mailbox."""

    method: str
    path: str
    body: Mapping[str, Any] | None = field(default=None, repr=False)


_Queued = tuple[Request, "asyncio.Future[Answer]"]


class Batcher:
    """What tasks ask for in the same turn of the event loop is sent together."""

    def __init__(self, session: GraphSession) -> None:
        self._session = session
        self._queue: list[_Queued] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def send(self, request: Request) -> Answer:
        """One answer; it raises as GraphSession.send does, for this request alone."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._queue.append((request, future))
        if len(self._queue) == BATCH_SIZE:
            self._flush()
        elif len(self._queue) == 1:
            loop.call_soon(self._flush)
        return await future

    async def follow(self, link: object) -> Answer:
        """What a nextLink leads to. Raises as GraphSession.send does."""
        return await self._session.send("GET", self._session.follows(link))

    async def in_order(self, requests: Sequence[Request]) -> list[Answer]:
        """One after the other, in as few HTTP requests as may be; what follows a failure is not done.

        The answers end with that failure. Raises as GraphSession.send does.
        """
        answers: list[Answer] = []
        for start in range(0, len(requests), BATCH_SIZE):
            part = requests[start : start + BATCH_SIZE]
            answers += await self._chain(part)
            if len(answers) < start + len(part) or not answers[-1].ok:
                break
        return answers

    async def _chain(self, requests: Sequence[Request]) -> list[Answer]:
        if len(requests) == 1:
            return [await self._alone(requests[0])]
        found = await self._post(requests, chained=True)
        answers = []
        for answer in found:
            if answer is None or answer.status == 424:
                break
            self._session.check(answer)
            answers.append(answer)
            if not answer.ok:
                break
        if not answers:
            raise incomplete()
        return answers

    def _flush(self) -> None:
        queued, self._queue = self._queue, []
        if queued:
            task = asyncio.get_running_loop().create_task(self._send(queued))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, queued: Sequence[_Queued]) -> None:
        try:
            await self._settle(queued)
        except ProviderError as error:
            for _, future in queued:
                if not future.done():
                    future.set_exception(error)
        except BaseException:
            for _, future in queued:
                future.cancel()
            raise

    async def _settle(self, queued: Sequence[_Queued]) -> None:
        if len(queued) == 1:
            request, future = queued[0]
            answer = await self._alone(request)
            if not future.done():
                future.set_result(answer)
            return
        answers = await self._post([request for request, _ in queued])
        for (_, future), found in zip(queued, answers, strict=True):
            if future.done():
                continue
            if found is None:
                future.set_exception(incomplete())
                continue
            try:
                self._session.check(found)
            except ProviderError as error:
                future.set_exception(error)
            else:
                future.set_result(found)

    async def _alone(self, request: Request) -> Answer:
        mailbox = await self._session.mailbox()
        return await self._session.send(request.method, mailbox + request.path, request.body)

    async def _post(self, requests: Sequence[Request], *, chained: bool = False) -> list[Answer | None]:
        """An answer for each request, None where the batch's has none."""
        mailbox = await self._session.mailbox()
        parts = [_part(number, mailbox, request) for number, request in enumerate(requests)]
        if chained:
            parts[1:] = [{**part, "dependsOn": [str(number)]} for number, part in enumerate(parts[1:])]
        places = min(len(parts), AT_ONCE)
        body = {"requests": parts}
        answer = await self._session.send("POST", "/$batch", body, places=places, denied=_all_denied)
        if answer.status != 200:
            raise Unavailable("Microsoft does not take several requests at once at the moment.")
        answers: dict[str, Answer] = {}
        try:
            for part in answer.data["responses"]:
                answers[str(part["id"])] = part_answer(part)
        except (KeyError, TypeError, ValueError):
            raise incomplete() from None
        return [answers.get(str(number)) for number in range(len(requests))]


def _part(number: int, mailbox: str, request: Request) -> dict[str, Any]:
    part = {"id": str(number), "method": request.method, "url": mailbox + request.path}
    headers = {"Prefer": PREFER}
    if request.body is None:
        return {**part, "headers": headers}
    return {**part, "headers": {**headers, "Content-Type": "application/json"}, "body": request.body}


def _all_denied(answer: Answer) -> bool:
    """Whether no part did anything for want of a token that is accepted."""
    parts = answer.data.get("responses")
    return (
        isinstance(parts, list)
        and bool(parts)
        and all(isinstance(part, Mapping) and part.get("status") in (401, 424) for part in parts)
    )
