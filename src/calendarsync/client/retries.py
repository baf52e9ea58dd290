"""When a request is sent again, and after how long."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

import httpx

_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds
_PASSING = frozenset({500, 502, 503, 504})
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Repeatable(Protocol):
    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once."""


@dataclass(frozen=True)
class Retries:
    """At most `count` more attempts. A `Retry-After` of more than `longest_wait` seconds is not waited for."""

    count: int
    longest_wait: float

    def after_answer(self, call: Repeatable, attempt: int, response: httpx.Response) -> float | None:
        """Seconds to wait before the next attempt; None where there is none. `attempt` counts from 0."""
        told = retry_after(response)
        too_long = told is not None and told > self.longest_wait
        if attempt >= self.count or too_long or not _may_pass(call, response.status_code, told):
            return None
        return max(told or 0.0, backoff(attempt))

    def after_failure(self, call: Repeatable, attempt: int, error: httpx.RequestError) -> float | None:
        """The same for a request that got no answer."""
        again = isinstance(error, httpx.TransportError) and (call.repeatable or isinstance(error, _NOT_SENT))
        return backoff(attempt) if again and attempt < self.count else None


def _may_pass(call: Repeatable, status: int, told: float | None) -> bool:
    if status == 429:
        return True  # it was not begun, and may be sent again whatever it is
    # A 409 that asks to wait: an earlier attempt of this very call is still being answered.
    return call.repeatable and (status in _PASSING or (status == 409 and told is not None))


def backoff(attempt: int) -> float:
    """Longer each time, up to 8 s, of which chance takes away up to a half."""
    seconds = _PAUSES[min(attempt, len(_PAUSES) - 1)]
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311 - it spreads clients over time, and protects nothing


def retry_after(response: httpx.Response) -> float | None:
    """Seconds that the answer asks to wait (RFC 9110 section 10.2.3); None where it does not say."""
    told = response.headers.get("retry-after", "").strip()
    if told.isdecimal():
        return float(told)
    try:
        return max(0.0, (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):  # TypeError: a date without a zone
        return None
