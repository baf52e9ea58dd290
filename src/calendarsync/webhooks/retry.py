"""What follows from an attempt: whether and when it is made again, and when an endpoint is given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

DELAYS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""Between one attempt and the next; after the last there is none."""

JITTER = 0.1
"""How much longer than that it takes at most, as a share: what failed together is not tried together."""

LONGEST_WAIT = timedelta(hours=24)
"""Whatever a receiver says in Retry-After."""

PATIENCE = timedelta(days=5)
"""An endpoint that did nothing but fail for so long is disabled."""

GONE, FAILING = "gone", "failing"
"""Why an endpoint was disabled: it answered 410 (RFC 9110 §15.5.11), or it ran out of patience."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an attempt: an answer with its `status`, or an `error`, one of our codes; never both None.

    `retry_after`: seconds, where the receiver asked for them. `body`: the beginning of the answer's.
    """

    status: int | None = None
    error: str | None = None
    retry_after: float | None = None
    body: bytes = field(default=b"", repr=False)

    @property
    def delivered(self) -> bool:
        return self.error is None

    @property
    def gone(self) -> bool:
        return self.status == 410


def wait_for_next(
    answer: Answer, made: int, chance: float, delays: Sequence[timedelta] = DELAYS
) -> timedelta | None:
    """How long after a failed attempt the next one is made; None where it was the last.

    `made`: attempts made, this one included. `chance`: from 0 to 1.
    """
    if answer.gone or made > len(delays):
        return None
    asked = min(timedelta(seconds=answer.retry_after or 0.0), LONGEST_WAIT)
    return max(delays[made - 1], asked) * (1 + JITTER * chance)


def reason_to_disable(answer: Answer, failing_since: datetime, now: datetime) -> str | None:
    """Why an endpoint is to be disabled after a failed attempt, if it is."""
    if answer.gone:
        return GONE
    return FAILING if now - failing_since >= PATIENCE else None
