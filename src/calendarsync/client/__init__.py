"""The API from Python: `CalendarSync` blocks, `AsyncCalendarSync` does not; in all else they are the same.

    from calendarsync.client import CalendarSync

    with CalendarSync() as client:
        for pair in client.sync_pairs.list():
            print(pair.id, pair.status)

The reference is docs/reference/client.md.
"""

from __future__ import annotations

from calendarsync.client._async.client import AsyncCalendarSync
from calendarsync.client._async.transport import AsyncPaged
from calendarsync.client._sync.client import CalendarSync
from calendarsync.client._sync.transport import Paged
from calendarsync.client.errors import (
    APIError,
    AuthenticationError,
    CalendarSyncError,
    Conflict,
    ConnectionFailed,
    Detail,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    SignatureInvalid,
    TimedOut,
    UnexpectedAnswer,
    ValidationError,
)
from calendarsync.client.protocol import UNCHANGED, RateLimit
from calendarsync.client.webhooks import Event, verify_webhook

__all__ = [
    "UNCHANGED",
    "APIError",
    "AsyncCalendarSync",
    "AsyncPaged",
    "AuthenticationError",
    "CalendarSync",
    "CalendarSyncError",
    "Conflict",
    "ConnectionFailed",
    "Detail",
    "Event",
    "NotFound",
    "Paged",
    "PermissionDenied",
    "RateLimit",
    "RateLimited",
    "ServerError",
    "SignatureInvalid",
    "TimedOut",
    "UnexpectedAnswer",
    "ValidationError",
    "verify_webhook",
]
