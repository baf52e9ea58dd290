"""What the absence of an answer means for a calendar."""

from __future__ import annotations

from calendarsync.net import ConnectFailed, NetError, ProtocolError, Timeout
from calendarsync.providers.base import NotACalendar, ProviderError, Unavailable, Unreachable


def no_answer(error: NetError) -> ProviderError:
    """What may pass by itself is Unavailable; what our own safety refused is Unreachable."""
    if isinstance(error, ConnectFailed | Timeout):
        return Unavailable(error.message)
    if isinstance(error, ProtocolError):
        kind = Unavailable if error.code == "incomplete_response" else NotACalendar
        return kind(error.message)
    return Unreachable(error.message)
