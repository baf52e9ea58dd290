"""Several requests in one: `$batch` (concepts/json-batching), at most 20 of them.

Graph hands the parts of a batch to the mailbox four at a time, which is what a mailbox allows; that is what
Microsoft's staff say (learn.microsoft.com/answers, question 1660054). So a batch takes all the places that there
are, and runs alone. Parts that depend on one another run one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from calendarsync.providers.base import ProviderError, Unavailable
from calendarsync.providers.microsoft.failures import Answer, incomplete, part_answer
from calendarsync.providers.microsoft.session import PREFER, GraphSession

BATCH_SIZE = 20


@dataclass(frozen=True, slots=True)
class Request:
    """`path` leads on from the mailbox."""

    method: str
    path: str
    body: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _Group:
    """Requests that are done one after the other, as far as they succeed."""

    requests: Sequence[Request]
    answered: asyncio.Future[list[Answer]]


class Batcher:
    """What tasks ask for in the same two turns of the event loop is sent together."""

    def __init__(self, session: GraphSession) -> None:
        self._session = session
        self._queue: list[_Group] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def send(self, request: Request) -> Answer:
        """One answer; it raises as GraphSession.send does, for this request alone."""
        (answer,) = await self._submit((request,))
        return answer

    async def follow(self, link: object) -> Answer:
        """What a nextLink leads to. Raises as GraphSession.send does."""
        return await self._session.send("GET", self._session.follows(link))

    async def in_order(self, requests: Sequence[Request]) -> list[Answer]:
        """The answers to requests that are done one after the other; they end with the first that fails.

        Raises as GraphSession.send does.
        """
        answers: list[Answer] = []
        for start in range(0, len(requests), BATCH_SIZE):
            answers += await self._submit(requests[start : start + BATCH_SIZE])
            if not answers[-1].ok:
                break
        return answers

    async def _submit(self, requests: Sequence[Request]) -> list[Answer]:
        loop = asyncio.get_running_loop()
        group = _Group(requests, loop.create_future())
        waiting = sum(len(each.requests) for each in self._queue)
        if waiting + len(requests) > BATCH_SIZE:
            self._flush()
        self._queue.append(group)
        if waiting + len(requests) == BATCH_SIZE:
            self._flush()
        elif len(self._queue) == 1:
            # A turn later than the next: a task that gathers others has them ask in the next one.
            loop.call_soon(loop.call_soon, self._flush)
        return await group.answered

    def _flush(self) -> None:
        groups, self._queue = self._queue, []
        if groups:
            task = asyncio.get_running_loop().create_task(self._send(groups))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, groups: Sequence[_Group]) -> None:
        try:
            answers = await self._post([group.requests for group in groups])
        except ProviderError as error:
            for group in groups:
                if not group.answered.done():
                    group.answered.set_exception(error)
            return
        except BaseException:
            for group in groups:
                group.answered.cancel()
            raise
        for group, found in zip(groups, answers, strict=True):
            if not group.answered.done():
                self._settle(group, found)

    def _settle(self, group: _Group, found: Sequence[Answer | None]) -> None:
        answers: list[Answer] = []
        try:
            for answer in found:
                if answer is None:
                    raise incomplete()
                self._session.check(answer)
                answers.append(answer)
                if not answer.ok:
                    break
        except ProviderError as error:
            group.answered.set_exception(error)
        else:
            group.answered.set_result(answers)

    async def _post(self, groups: Sequence[Sequence[Request]]) -> list[list[Answer | None]]:
        """The answers by group, None where the batch's has none; a request alone goes as it is."""
        mailbox = await self._session.mailbox()
        if sum(map(len, groups)) == 1:
            ((only,),) = groups
            return [[await self._session.send(only.method, mailbox + only.path, only.body)]]
        parts = list(_parts(groups, mailbox))
        answer = await self._session.send(
            "POST", "/$batch", {"requests": parts}, parts=len(parts), denied=_all_denied
        )
        if answer.status != 200:
            raise Unavailable("Microsoft does not take several requests at once at the moment.")
        try:
            found = {str(part["id"]): part_answer(part) for part in answer.data["responses"]}
        except (KeyError, TypeError, ValueError):
            raise incomplete() from None
        numbers = count()
        return [[found.get(str(next(numbers))) for _ in group] for group in groups]


def _parts(groups: Sequence[Sequence[Request]], mailbox: str) -> Iterator[dict[str, Any]]:
    numbers = count()
    for group in groups:
        for place, request in enumerate(group):
            number = next(numbers)
            part: dict[str, Any] = {
                "id": str(number),
                "method": request.method,
                "url": mailbox + request.path,
            }
            part["headers"] = {"Prefer": PREFER}
            if request.body is not None:
                part["headers"]["Content-Type"] = "application/json"
                part["body"] = request.body
            if place:
                part["dependsOn"] = [str(number - 1)]
            yield part


def _all_denied(answer: Answer) -> bool:
    """Whether no part did anything for want of a token that is accepted."""
    parts = answer.data.get("responses")
    return (
        isinstance(parts, list)
        and bool(parts)
        and all(isinstance(part, Mapping) and part.get("status") in (401, 424) for part in parts)
    )
