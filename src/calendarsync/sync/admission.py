"""Whether the schedule may run a pair now, as far as the grants of its connections go (rules 24 and 25)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from calendarsync.store.schedule import ConnectionRecord, PairRecord


@dataclass(frozen=True, slots=True)
class Wait:
    """A pair that the schedule may not run: until when, or until somebody does something about it."""

    until: datetime | None


def held_back(pair: PairRecord, connections: Mapping[str, ConnectionRecord], now: datetime) -> Wait | None:
    """Grants that are dead, and providers that asked for a pause (rules 24 and 25).

    A pair that is being removed needs only the grants of the calendars that it wrote to.
    """
    ends = {"a_to_b": pair.connection_a_id, "b_to_a": pair.connection_b_id}
    spared = ends.get(pair.direction) if pair.removal else None
    both = [connections[pair.connection_a_id], connections[pair.connection_b_id]]
    if any(end.status == "expired" and end.id != spared for end in both):
        return Wait(None)
    pauses = [end.not_before for end in both if end.not_before is not None and end.not_before > now]
    return Wait(max(pauses)) if pauses else None
