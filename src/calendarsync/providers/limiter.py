"""What a provider lets one grant do, kept to by this process whichever of the grant's calendars is asked for.

A provider counts by person or mailbox. That no other process works with the same grant at the same time is the
claims' affair (docs/decisions/grants-across-workers.md).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

_PARTS = 100
"""A span is divided into so many parts. Calls that end in one of them are forgotten together, with the last one."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Requests of a grant under way at once, and calls of it within any `seconds`; a batch is several calls."""

    at_once: int
    calls: int
    seconds: float


@dataclass(slots=True)
class Window:
    """The calls of one grant within the last `seconds`; times are those of one clock that never goes back.

    A call counts from when it is sent until `seconds` after its answer: when it got to the provider in between is
    not known, and so there are never more than `most` in any such span by the provider's clock either.
    """

    most: int
    seconds: float
    _counted: int = 0
    # First and last time of calls that are forgotten together, and how many they are.
    _ended: list[tuple[float, float, int]] = field(default_factory=list)

    def wait(self, calls: int, now: float) -> float | None:
        """Seconds until so many more may be sent; 0.0: now. None: not before some that are under way have ended.

        More than there may ever be wait until there are no others.
        """
        self._forget(now)
        too_many = self._counted + min(calls, self.most) - self.most
        if too_many <= 0:
            return 0.0
        for _, last, count in self._ended:
            too_many -= count
            if too_many <= 0:
                return last + self.seconds - now
        return None

    def begin(self, calls: int) -> None:
        self._counted += calls

    def end(self, calls: int, now: float) -> None:
        first, count = now, calls
        if self._ended and now - self._ended[-1][0] < self.seconds / _PARTS:
            first, _, before = self._ended.pop()
            count += before
        self._ended.append((first, now, count))

    def is_empty(self, now: float) -> bool:
        self._forget(now)
        return self._counted == 0

    def _forget(self, now: float) -> None:
        while self._ended and self._ended[0][1] + self.seconds <= now:
            self._counted -= self._ended.pop(0)[2]


@dataclass(slots=True, eq=False)
class _Usage:
    """What one grant is at. `queue`: those that wait, the first of them next."""

    window: Window
    under_way: int = 0
    queue: list[asyncio.Event] = field(default_factory=list)

    def wake(self) -> None:
        if self.queue:
            self.queue[0].set()


class Limiter:
    """Lets requests pass in the order in which they come, by grant and event loop.

    `clock` gives seconds as `time.monotonic` does. `waiting`: how many requests wait now.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.waiting = 0
        self._clock = clock
        self._usages: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Usage]] = WeakKeyDictionary()
        self._sweep_at = 1024

    @asynccontextmanager
    async def request(
        self, grant: str, limit: Limit, *, places: int = 1, calls: int = 1
    ) -> AsyncIterator[None]:
        """Be under way with a request that takes so many of the grant's places, and makes so many calls.

        Who asks for more of either than there is waits until there is nothing else.
        """
        usage = self._usage(grant, limit)
        places = min(places, limit.at_once)
        if usage.queue or self._must_wait(usage, limit, places, calls) != 0.0:
            await self._wait(usage, limit, places, calls)
        usage.under_way += places
        usage.window.begin(calls)
        try:
            yield
        finally:
            usage.under_way -= places
            usage.window.end(calls, self._clock())
            usage.wake()

    def _must_wait(self, usage: _Usage, limit: Limit, places: int, calls: int) -> float | None:
        """Seconds until the request may be sent, or None: until another one ends."""
        if usage.under_way + places > limit.at_once:
            return None
        return usage.window.wait(calls, self._clock())

    async def _wait(self, usage: _Usage, limit: Limit, places: int, calls: int) -> None:
        """Wait to be the first, and for room. Whoever returns from here begins in the same turn of the loop."""
        mine = asyncio.Event()
        usage.queue.append(mine)
        self.waiting += 1
        try:
            while True:
                seconds = None
                if usage.queue[0] is mine:
                    seconds = self._must_wait(usage, limit, places, calls)
                    if seconds == 0.0:
                        return
                mine.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(mine.wait(), seconds)
        finally:
            self.waiting -= 1
            usage.queue.remove(mine)
            usage.wake()

    def _usage(self, grant: str, limit: Limit) -> _Usage:
        usages = self._usages.setdefault(asyncio.get_running_loop(), {})
        usage = usages.get(grant)
        if usage is None:
            if len(usages) >= self._sweep_at:
                self._forget(usages)
            usage = usages[grant] = _Usage(Window(limit.calls, limit.seconds))
        return usage

    def _forget(self, usages: dict[str, _Usage]) -> None:
        """Drop what counts no longer, whenever it may be half of all there is."""
        now = self._clock()
        for grant, usage in list(usages.items()):
            if not usage.under_way and not usage.queue and usage.window.is_empty(now):
                del usages[grant]
        self._sweep_at = max(1024, 2 * len(usages))


OF_THIS_PROCESS = Limiter()
"""Shared by all calendars, since a provider counts by grant and not by calendar."""
