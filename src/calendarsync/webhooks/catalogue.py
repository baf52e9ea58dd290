"""What webhooks tell: the types of events, and their data, which is what the API shows of the same thing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class EventType(StrEnum):
    SYNC_COMPLETED = "sync.completed"
    SYNC_FAILED = "sync.failed"
    CONNECTION_EXPIRED = "connection.expired"
    WEBHOOK_TEST = "webhook.test"


SUBSCRIBABLE = (EventType.SYNC_COMPLETED, EventType.SYNC_FAILED, EventType.CONNECTION_EXPIRED)
"""The others are sent to the endpoint that asked for them."""

_OF_LOG = (
    *("id", "pair_id", "status", "duration_ms", "sync_id", "trigger", "events_created", "events_updated"),
    *("events_deleted", "events_skipped", "provider_requests", "undid"),
)
_OF_CONNECTION = (
    *("id", "provider", "email", "calendar_name", "status", "calendar_id", "read_only", "mode"),
)


def log_data(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `runs` as GET /logs/{id} shows it, without the operations."""
    return {name: row[name] for name in _OF_LOG} | {
        "events_synced": row["events_processed"],
        "created_at": instant(row["created_at"]),
        "error": _problem(row["error_code"], row["error_message"]),
    }


def connection_data(row: Mapping[str, Any]) -> dict[str, Any]:
    """A connection, as the store shows it to callers, in the form of GET /connections/{id}."""
    synced = row["last_synced_at"]
    return {name: row[name] for name in _OF_CONNECTION} | {
        "last_synced_at": instant(synced) if synced else None,
        "created_at": instant(row["created_at"]),
        "last_error": _problem(row["last_error_code"], row["last_error_message"]),
    }


def test_data(webhook_id: str) -> dict[str, Any]:
    return {"webhook_id": webhook_id, "message": "Your endpoint receives the events of CalendarSync."}


def instant(moment: datetime) -> str:
    """RFC 3339 in UTC, as the API writes it; `moment` is aware."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _problem(code: str | None, message: str | None) -> dict[str, str] | None:
    return {"code": code, "message": message or ""} if code else None
