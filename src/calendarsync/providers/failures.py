"""What it means for any calendar that there is no answer, or one that puts off."""

from __future__ import annotations

from datetime import datetime

from calendarsync.net import (
    ConnectFailed,
    NetError,
    ProtocolError,
    Response,
    Timeout,
    retry_after_seconds,
)
from calendarsync.providers.base import NotACalendar, ProviderError, RateLimited, Unavailable, Unreachable


def no_answer(error: NetError) -> ProviderError:
    """What may pass by itself is Unavailable; what our own safety refused is Unreachable."""
    if isinstance(error, ConnectFailed | Timeout):
        return Unavailable(error.message)
    if isinstance(error, ProtocolError):
        kind = Unavailable if error.code == "incomplete_response" else NotACalendar
        return kind(error.message)
    return Unreachable(error.message)


def request_to_slow_down(response: Response, now: datetime) -> RateLimited | None:
    """What a 429 asks for, and a 503 or 403 that names a time: Google answers 403 to too many requests."""
    status = response.status
    if status == 429 or (status in (403, 503) and "Retry-After" in response.headers):
        seconds = retry_after_seconds(response.headers, now)
        return RateLimited("The server asks to slow down.", retry_after=seconds)
    return None
