"""What the API answers. Every object is frozen; fields that a later server adds are passed over.

Words such as a status are plain strings, since a later server may know more of them. Times are in UTC.
"""

from __future__ import annotations

from calendarsync.client.models.base import Model, Problem
from calendarsync.client.models.connections import CalendarFound, CalendarsFound, Connection
from calendarsync.client.models.logs import Log, LogWithOperations, result_of_log
from calendarsync.client.models.pairs import (
    BulkError,
    BulkResult,
    BulkResults,
    Direction,
    NewPair,
    Operation,
    Options,
    PairOptions,
    SyncMode,
    SyncPair,
    SyncResult,
    SyncStarted,
)
from calendarsync.client.models.webhooks import (
    Attempt,
    Delivery,
    EventName,
    Webhook,
    WebhookFormat,
    WebhookWithSecret,
)

__all__ = [
    "Attempt",
    "BulkError",
    "BulkResult",
    "BulkResults",
    "CalendarFound",
    "CalendarsFound",
    "Connection",
    "Delivery",
    "Direction",
    "EventName",
    "Log",
    "LogWithOperations",
    "Model",
    "NewPair",
    "Operation",
    "Options",
    "PairOptions",
    "Problem",
    "SyncMode",
    "SyncPair",
    "SyncResult",
    "SyncStarted",
    "Webhook",
    "WebhookFormat",
    "WebhookWithSecret",
    "result_of_log",
]
