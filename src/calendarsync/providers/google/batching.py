"""Calls that are made at the same moment go in one request."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from calendarsync.providers.base import ProviderError
from calendarsync.providers.google.calls import Call
from calendarsync.providers.google.errors import Answer, raise_for_account
from calendarsync.providers.google.session import Session

BATCH = 50
"""Calls in one request. Google takes 1,000, and advises against many more than 50 (client libraries' guides)."""

_Waiting = tuple[Call, "asyncio.Future[Answer]"]


class Batcher:
    """A call waits for one turn of the event loop; what tasks made together in that turn goes together."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: list[_Waiting] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def send(self, call: Call) -> Answer:
        """Make a call. Raises as `Session.send` does; each call of a batch fails by itself."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((call, answer))
        if len(self._waiting) == BATCH:
            self._send_off()
        elif len(self._waiting) == 1:
            loop.call_soon(self._send_off)
        return await answer

    async def send_all(self, calls: Sequence[Coroutine[Any, Any, Answer]]) -> list[Answer]:
        """Make several calls at once, wait for all of them, and raise the first error."""
        results = await asyncio.gather(*calls, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if isinstance(result, Answer)]

    def _send_off(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            task = asyncio.get_running_loop().create_task(self._deliver(waiting))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _deliver(self, waiting: Sequence[_Waiting]) -> None:
        try:
            results = await self._results([call for call, _ in waiting])
        except asyncio.CancelledError:
            for _, future in waiting:
                future.cancel()
            raise
        for (_, future), result in zip(waiting, results, strict=True):
            _settle(future, result)

    async def _results(self, calls: Sequence[Call]) -> Sequence[Answer | Exception]:
        try:
            if len(calls) == 1:
                return [await self._session.send(calls[0])]
            return [self._judged(answer) for answer in await self._session.send_all(calls)]
        except Exception as error:  # noqa: BLE001 - all who wait are told
            return [error] * len(calls)

    def _judged(self, answer: Answer | Exception) -> Answer | Exception:
        try:
            if isinstance(answer, Answer):
                raise_for_account(answer, self._session.now())
        except ProviderError as error:
            return error
        return answer


def _settle(future: asyncio.Future[Answer], result: Answer | Exception) -> None:
    """Whoever waited may have been ended meanwhile."""
    if future.done():
        return
    if isinstance(result, Answer):
        future.set_result(result)
    else:
        future.set_exception(result)
