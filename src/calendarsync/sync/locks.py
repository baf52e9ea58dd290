"""One run at a time on each calendar of a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakValueDictionary


@dataclass(slots=True)
class Locks:
    """One run at a time on each calendar, whichever pair or account it is for.

    `waiting` is how many runs wait for their calendars.
    """

    waiting: int = 0
    # A lock is there as long as somebody holds it or waits for it.
    _locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    @asynccontextmanager
    async def hold(self, first: str, second: str) -> AsyncIterator[bool]:
        """Whether another run had to end first."""
        earlier, later = (
            self._locks.setdefault(calendar_key, asyncio.Lock()) for calendar_key in sorted((first, second))
        )
        waited = earlier.locked() or later.locked()
        self.waiting += 1
        try:
            await earlier.acquire()
            try:
                await later.acquire()
            except BaseException:
                earlier.release()
                raise
        finally:
            self.waiting -= 1
        try:
            yield waited
        finally:
            later.release()
            earlier.release()
