"""The faults that can be ordered of a sandbox calendar, and which request each of them meets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

SLOW_SECONDS = 5.0
RETRY_AFTER_SECONDS = 60.0


class Fault(StrEnum):
    EXPIRE = "expire"
    """The credentials are refused."""
    RATE_LIMIT = "rate_limit"
    """The provider asks to wait for `RETRY_AFTER_SECONDS`."""
    SERVER_ERROR = "server_error"
    """The request fails, and may succeed when it is sent again."""
    SLOW = "slow"
    """The answer takes `SLOW_SECONDS`."""
    LOSE_TOKEN = "lose_token"  # noqa: S105 - a kind of fault
    """The next reading of changes finds its sync token unknown."""


Waiting = Sequence[Mapping[str, Any]]
"""`{"kind", "times"}`, the one that comes first in front."""


def take(waiting: Waiting, *, with_token: bool) -> tuple[Fault | None, Waiting]:
    """The fault that a request meets, and what is left. Only a request with a sync token can lose it."""
    for position, fault in enumerate(waiting):
        kind = Fault(fault["kind"])
        if kind is Fault.LOSE_TOKEN and not with_token:
            continue
        again = [{"kind": kind.value, "times": fault["times"] - 1}] if fault["times"] > 1 else []
        return kind, [*waiting[:position], *again, *waiting[position + 1 :]]
    return None, waiting


def order(waiting: Waiting, kind: Fault, times: int) -> Waiting:
    """With another fault behind those that wait; one of the same kind is replaced."""
    others = [fault for fault in waiting if fault["kind"] != kind]
    return [*others, {"kind": kind.value, "times": times}]
