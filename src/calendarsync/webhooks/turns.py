"""Whose turn it is: how many deliveries each endpoint may begin, so that none holds up the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

IN_FLIGHT = 4
"""How many deliveries to one endpoint are under way at once, over all processes; one where it fails."""


FAILING_AFTER = timedelta(minutes=1)
"""An endpoint fails when it has done nothing else for so long; that one answer was an error says little."""

SLOW_AFTER = timedelta(seconds=0.5)
"""An attempt that is under way for so long may hang: its endpoint gets no other until it is over."""


@dataclass(frozen=True, slots=True)
class Queue:
    """An endpoint with deliveries that are due, how many are under way to it, and whether one of them is slow."""

    webhook_id: str
    in_flight: int
    failing: bool
    slow: bool

    @property
    def room(self) -> int:
        return 0 if self.slow else max((1 if self.failing else IN_FLIGHT) - self.in_flight, 0)


def share_out(queues: Sequence[Queue], room: int, *, failing_room: int) -> dict[str, int]:
    """How many deliveries each endpoint may begin, `room` at most together; those without any are left out.

    One for each in turn, in the order given, until there is no more room; those first that have the fewest under
    way. Those that fail come last and take `failing_room` at most: however many endpoints hang, they never take
    all places.
    """
    shares: dict[str, int] = {}
    for turn in range(IN_FLIGHT):
        for queue in queues:
            if room > 0 and queue.in_flight <= turn and queue.room and not queue.failing:
                shares[queue.webhook_id] = turn + 1 - queue.in_flight
                room -= 1
    failing = [queue.webhook_id for queue in queues if queue.failing and queue.room]
    return shares | dict.fromkeys(failing[: max(min(room, failing_room), 0)], 1)
