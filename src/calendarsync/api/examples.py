"""Examples for the OpenAPI document: one of each body and of each answer, all about the same few people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AT = "2026-03-28T10:00:00Z"
_CREATED = "2026-03-01T08:30:00Z"

CONNECTION: dict[str, Any] = {
    "id": "conn_abc123",
    "provider": "caldav",
    "email": "you@example.com",
    "calendar_name": "My Calendar",
    "status": "active",
    "last_synced_at": AT,
    "calendar_id": "https://caldav.example.com/you/home/",
    "read_only": False,
    "mode": "live",
    "created_at": _CREATED,
    "last_error": None,
}
EXPIRED: dict[str, Any] = CONNECTION | {
    "status": "expired",
    "last_error": {
        "code": "not_authorized",
        "message": "The calendar server refuses the user name and password.",
    },
}

_OPTIONS: dict[str, Any] = {
    "past_days": 7,
    "future_days": 180,
    "include_free": False,
    "include_tentative": True,
    "include_unanswered": False,
    "include_all_day": True,
    "title": "Busy",
    "private_events": "blocker",
    "attendees_in_description": False,
    "color": None,
    "reminders": [],
    "timezone": None,
}
PAIR: dict[str, Any] = {
    "id": "pair_xyz789",
    "connection_a_id": "conn_abc123",
    "connection_b_id": "conn_def456",
    "sync_mode": "blocker",
    "direction": "bidirectional",
    "status": "active",
    "last_synced_at": AT,
    "options": _OPTIONS,
    "mode": "live",
    "created_at": _CREATED,
    "resume_at": None,
    "attention": None,
    "removal": None,
}
_NEW_PAIR: dict[str, Any] = {
    "connection_a_id": "conn_abc123",
    "connection_b_id": "conn_def456",
    "sync_mode": "blocker",
    "direction": "bidirectional",
}

LOG: dict[str, Any] = {
    "id": "log_456",
    "pair_id": "pair_xyz789",
    "status": "success",
    "events_synced": 12,
    "duration_ms": 843,
    "created_at": AT,
    "sync_id": "sync_run_123",
    "trigger": "api",
    "events_created": 2,
    "events_updated": 0,
    "events_deleted": 1,
    "events_skipped": 1,
    "provider_requests": 9,
    "error": None,
}
FAILED: dict[str, Any] = LOG | {
    "id": "log_457",
    "sync_id": "sync_run_124",
    "status": "failed",
    "trigger": "schedule",
    "error": {
        "code": "not_authorized",
        "message": "conn_abc123: The calendar server refuses the user name and password.",
    },
    **{f"events_{name}": 0 for name in ("synced", "created", "updated", "deleted", "skipped")},
}
_OPERATION: dict[str, Any] = {
    "direction": "a_to_b",
    "event_id": "standup@example.com",
    "original_start": "",
    "action": "create",
    "reason": "new",
    "copy_id": "0d8f3b52c7",
}
_SKIPPED: dict[str, Any] = _OPERATION | {
    "event_id": "lunch@example.com",
    "action": "skip",
    "reason": "free",
    "copy_id": None,
}
_RESULT: dict[str, Any] = {
    "success": True,
    "sync_id": "sync_run_123",
    "events_processed": 12,
    "events_created": 2,
    "events_updated": 0,
    "events_deleted": 1,
}

_CALDAV: dict[str, Any] = {
    "provider": "caldav",
    "url": "https://caldav.example.com/",
    "username": "you@example.com",
    "password": "an app password",
}
_FEED: dict[str, Any] = {"provider": "ics", "url": "https://calendar.example.com/feed.ics?key=…"}

_WEBHOOK: dict[str, Any] = {
    "id": "whk_789",
    "url": "https://example.com/hooks/calendarsync",
    "events": ["sync.failed", "connection.expired"],
    "format": "event",
    "only_changed": False,
    "status": "enabled",
    "disabled_reason": None,
    "disabled_at": None,
    "failing_since": None,
    "previous_secret_until": None,
    "created_at": _CREATED,
    "mode": "live",
}
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwEXAMPLEONLY="  # noqa: S105 - made up
_WEBHOOK_SHOWN: dict[str, Any] = _WEBHOOK | {"secret": WEBHOOK_SECRET}
_DELIVERY: dict[str, Any] = {
    "id": "dlv_321",
    "event_id": "evt_654",
    "event_type": "sync.failed",
    "status": "succeeded",
    "created_at": AT,
    "next_attempt_at": None,
    "attempts": [
        {"at": AT, "duration_ms": 15000, "status_code": None, "error": "timeout"},
        {"at": "2026-03-28T10:00:21Z", "duration_ms": 84, "status_code": 204, "error": None},
    ],
    "response": "",
}
_BEGUN: dict[str, Any] = _DELIVERY | {
    "status": "pending",
    "next_attempt_at": AT,
    "attempts": [],
    "response": None,
}

BODIES: Mapping[str, Mapping[str, Any]] = {
    "discover_calendars": {"CalDAV": _CALDAV, "A feed": _FEED},
    "create_connection": {
        "CalDAV": _CALDAV
        | {"calendar_id": "https://caldav.example.com/you/home/", "email": "you@example.com"},
        "A feed": _FEED,
    },
    "change_connection": {
        "A new password": {"password": "another app password"},
        "Another name": {"calendar_name": "Home"},
    },
    "create_pair": {
        "Busy times": _NEW_PAIR,
        "Everything, one way": _NEW_PAIR
        | {
            "sync_mode": "full",
            "direction": "a_to_b",
            "options": {"future_days": 90, "include_all_day": False},
        },
    },
    "change_pair": {
        "Pause": {"status": "paused"},
        "Pause until": {"status": "paused", "resume_at": "2026-04-01T06:00:00Z"},
        "Resume": {"status": "active"},
    },
    "trigger_pair": {"A dry run": {"dry_run": True}, "Read everything again": {"full": True}},
    "create_webhook": {
        "What needs attention": {
            "url": "https://example.com/hooks/calendarsync",
            "events": ["sync.failed", "connection.expired"],
        },
        "A Slack channel": {
            "url": "https://hooks.slack.com/services/T000/B000/XXXX",
            "format": "slack",
            "only_changed": True,
        },
    },
    "change_webhook": {"Not for the time being": {"status": "disabled"}},
    "rotate_secret": {"One hour of both": {"overlap_seconds": 3600}},
}
"""By operation: bodies by a title in words."""

ANSWERS: Mapping[str, Mapping[int, Any]] = {
    "list_connections": {200: {"connections": [CONNECTION], "has_more": False}},
    "discover_calendars": {
        200: {
            "calendars": [
                {
                    "id": "https://caldav.example.com/you/home/",
                    "name": "Home",
                    "read_only": False,
                    "timezone": "Europe/Berlin",
                }
            ]
        }
    },
    "create_connection": {201: CONNECTION | {"last_synced_at": None}},
    "get_connection": {200: CONNECTION},
    "change_connection": {200: CONNECTION},
    "delete_connection": {202: CONNECTION},
    "list_pairs": {200: {"pairs": [PAIR], "has_more": False}},
    "create_pair": {201: PAIR | {"last_synced_at": None}},
    "get_pair": {200: PAIR},
    "change_pair": {200: PAIR | {"status": "paused", "resume_at": "2026-04-01T06:00:00Z"}},
    "delete_pair": {202: PAIR | {"removal": "pending"}},
    "trigger_pair": {200: _RESULT, 202: {"sync_id": "sync_run_123"}},
    "list_logs": {200: {"logs": [LOG], "total": 48, "page": 1, "next_cursor": None}},
    "get_log": {200: LOG | {"operations": [_OPERATION, _SKIPPED]}},
    "list_webhooks": {200: {"webhooks": [_WEBHOOK], "has_more": False}},
    "create_webhook": {201: _WEBHOOK_SHOWN},
    "get_webhook": {200: _WEBHOOK},
    "change_webhook": {
        200: _WEBHOOK | {"status": "disabled", "disabled_reason": "requested", "disabled_at": AT}
    },
    "rotate_secret": {200: _WEBHOOK_SHOWN | {"previous_secret_until": "2026-03-28T11:00:00Z"}},
    "test_webhook": {202: _BEGUN | {"event_type": "webhook.test"}},
    "list_deliveries": {200: {"deliveries": [_DELIVERY], "has_more": False}},
    "get_delivery": {200: _DELIVERY},
    "redeliver": {202: _BEGUN},
    "health": {
        200: {
            "status": "ok",
            "version": "1.0.0",
            "database": "ok",
            "reason": None,
            "schedule_late_seconds": 0.4,
        },
        503: {
            "status": "error",
            "version": "1.0.0",
            "database": "error",
            "reason": "the database did not answer within 2 s",
            "schedule_late_seconds": None,
        },
    },
    "health_live": {200: {"status": "ok", "version": "1.0.0"}},
    "metrics": {
        200: "# HELP calendarsync_runs_total Runs that this process carried out, dry runs left out.\n"
        "# TYPE calendarsync_runs_total counter\n"
        'calendarsync_runs_total{status="success",trigger="schedule"} 1204.0\n'
    },
}
"""By operation and status."""
