"""Whose turn it is: accounts share a worker's places, however much each of them has waiting. Pure."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_PARTS = 8
"""One account fills all but one of so many parts of the places that it could have, so that the next finds room."""


@dataclass(frozen=True, slots=True)
class Places:
    """How many runs a worker has room for, takes on at once, and has at work for each account."""

    free: int
    at_once: int
    at_work: Mapping[str, int] = field(default_factory=dict)

    @property
    def room(self) -> int:
        return max(min(self.free, self.at_once), 0)

    def most_of(self, account_id: str) -> int:
        """How many runs of an account may be at work. The rest, and at least one place, is for others.

        Of what is left then the next account may fill as large a share, and so on: the last place is anybody's.
        """
        could_have = self.free + self.at_work.get(account_id, 0)
        return -(-could_have * (_PARTS - 1) // _PARTS)


def in_turn(waiting: Iterable[tuple[str, str]], places: Places) -> list[str]:
    """The pairs that go next, of (account id, pair id) in the order of their waiting.

    The account of which least is at work goes first, among equals the one whose pair has waited longest; each
    account's own pairs keep their order.
    """
    queues: dict[str, deque[tuple[int, str]]] = defaultdict(deque)
    for number, (account_id, pair_id) in enumerate(waiting):
        queues[account_id].append((number, pair_id))
    turns = [
        (places.at_work.get(account_id, 0), queue[0][0], account_id) for account_id, queue in queues.items()
    ]
    heapq.heapify(turns)
    chosen: list[str] = []
    while turns and len(chosen) < places.room:
        at_work, _, account_id = heapq.heappop(turns)
        if at_work >= places.most_of(account_id):
            continue
        queue = queues[account_id]
        chosen.append(queue.popleft()[1])
        if queue:
            heapq.heappush(turns, (at_work + 1, queue[0][0], account_id))
    return chosen
