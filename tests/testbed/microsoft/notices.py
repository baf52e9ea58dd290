"""Delivery of change and lifecycle notifications.

Sources: https://learn.microsoft.com/graph/change-notifications-delivery-webhooks (validation, 2xx within 3 seconds,
else tried again) and change-notifications-lifecycle-events.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp

from .contract import Contract
from .state import World

_PATIENCE = aiohttp.ClientTimeout(total=3)
_VALIDATION = aiohttp.ClientTimeout(total=10)


@dataclass(frozen=True)
class Notice:
    """A notification as it went out. `sent`: by time.perf_counter. `status`: None where nobody answered."""

    url: str
    body: dict[str, Any]
    sent: float
    status: int | None


class Notifier:
    """Posts what comes in, in the loop of the server; what comes in at once for an address goes in one request.

    `drop`: so many of the next notifications are lost on their way.
    """

    def __init__(self, world: World, contract: Contract) -> None:
        self._world = world
        self._contract = contract
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self.sent: list[Notice] = []
        self.drop = 0

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._session = aiohttp.ClientSession(timeout=_PATIENCE)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self._session is not None
        await self._session.close()
        self._loop = None

    async def validate(self, url: str) -> bool:
        """Whether the address echoes a token as plain text, as a new subscription needs it."""
        assert self._session is not None
        token = f"Validation: Testing client application reachability for subscription Request-Id: {uuid4()}"
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        try:
            async with self._session.post(
                url, params={"validationToken": token}, headers=headers, timeout=_VALIDATION
            ) as answer:
                is_text = answer.content_type == "text/plain"
                return answer.status == 200 and is_text and await answer.text() == token
        except (aiohttp.ClientError, TimeoutError):
            return False

    def post(self, url: str, notice: dict[str, Any]) -> None:
        """From any thread."""
        self._world.violations += self._contract.answer("changeNotification", notice)
        if self.drop:
            self.drop -= 1
        elif self._loop is not None:
            self._loop.call_soon_threadsafe(self._take, url, notice)

    def _take(self, url: str, notice: dict[str, Any]) -> None:
        first = not self._waiting[url]
        self._waiting[url].append(notice)
        if first:
            task = asyncio.get_running_loop().create_task(self._deliver(url))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, url: str) -> None:
        body = {"value": self._waiting.pop(url)}
        for wait in (0.0, *self._world.habits.retries):
            await asyncio.sleep(wait)
            sent = time.perf_counter()
            status = await self._send(url, body)
            self.sent.append(Notice(url, body, sent, status))
            if status is not None and 200 <= status < 300:
                return

    async def _send(self, url: str, body: dict[str, Any]) -> int | None:
        assert self._session is not None
        try:
            async with self._session.post(url, json=body) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return None
