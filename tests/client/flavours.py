"""Both flavours behind one call, so that each test holds for both."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Protocol

from calendarsync.client import AsyncCalendarSync, CalendarSync

KEY = "cs_live_canary0key0of0nobody"


class Perform(Protocol):
    """Does `work` with a client and returns what it gives; options are the client's."""

    def __call__(self, work: Callable[[Any], Any], **options: Any) -> Any: ...


def blocking(work: Callable[[Any], Any], **options: Any) -> Any:
    with CalendarSync(options.pop("api_key", KEY), **options) as client:
        return work(client)


def asynchronous(work: Callable[[Any], Any], **options: Any) -> Any:
    async def run() -> Any:
        async with AsyncCalendarSync(options.pop("api_key", KEY), **options) as client:
            given = work(client)
            return await given if inspect.isawaitable(given) else given

    return asyncio.run(run())
