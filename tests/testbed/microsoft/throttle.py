"""The limits of a mailbox: requests at a time, and requests in ten minutes.

Sources: https://learn.microsoft.com/graph/throttling-limits (Outlook service limits: 10,000 API requests in a 10
minute period, 4 concurrent requests, for each app and mailbox) and throttling. Up to four parts of a batch are at
work at a time, as Microsoft's staff say (learn.microsoft.com/answers, question 1660054).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from .errors import throttled
from .state import World


class Throttle:
    """`peak`: the most requests that were at work at a time, by mailbox."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._at_work: dict[str, int] = defaultdict(int)
        self._times: dict[str, deque[datetime]] = defaultdict(deque)
        self.peak: dict[str, int] = defaultdict(int)

    @contextmanager
    def at_work(self, email: str, places: int) -> Iterator[int]:
        """Takes `places`, as many as are free; gives how many it got."""
        free = self._world.habits.in_flight - self._at_work[email]
        self.peak[email] = max(self.peak[email], self._at_work[email] + places)
        taken = max(0, min(places, free))
        self._at_work[email] += taken
        try:
            yield taken
        finally:
            self._at_work[email] -= taken

    def busy(self, email: str) -> int:
        """How many places are taken right now."""
        return self._at_work[email]

    def count(self, email: str) -> None:
        """Raises 429 where the mailbox has had its requests of the last minutes."""
        now, habits, times = self._world.now(), self._world.habits, self._times[email]
        while times and (now - times[0]).total_seconds() >= habits.seconds:
            times.popleft()
        if len(times) >= habits.requests:
            raise throttled("requests", habits.seconds - (now - times[0]).total_seconds())
        times.append(now)
