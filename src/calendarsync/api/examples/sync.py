"""Examples of connections, pairs, logs and availability."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AT = "2026-03-28T10:00:00Z"
CREATED = "2026-03-01T08:30:00Z"

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
    "created_at": CREATED,
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
    "on_copy_edited": "restore",
    "on_copy_deleted": "respect",
    "relay": False,
    "only_between": {
        "weekdays": ["MO", "TU", "WE", "TH", "FR"],
        "from": "08:00",
        "to": "18:00",
        "timezone": "Europe/Berlin",
    },
    "title_contains": [],
    "title_excludes": ["lunch"],
    "categories": [],
    "min_minutes": 0,
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
    "created_at": CREATED,
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

_SWITCHED: dict[str, Any] = {"results": [{"pair_id": "pair_xyz789", "result": "changed"}], "changed": 1}

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
    "undid": None,
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
    "latency_ms": 2140,
}
_SKIPPED: dict[str, Any] = _OPERATION | {
    "event_id": "lunch@example.com",
    "action": "skip",
    "reason": "free",
    "copy_id": None,
    "latency_ms": None,
}
_EXPLAINED: dict[str, Any] = {
    "explanations": [
        {
            "event_id": "lunch@example.com",
            "role": "source",
            "decision": "skip",
            "rule": 6,
            "reason": "free",
            "explanation": "It is shown as free.",
            "remedy": "Show it as busy, or set the pair's `include_free`.",
            "connection_id": "conn_abc123",
            "direction": "a_to_b",
            "original_start": "",
            "starts_at": "2026-03-30T10:00:00Z",
            "copy_id": None,
            "source_id": None,
            "since": "2026-03-22T07:13:00Z",
            "retry_at": None,
        }
    ],
    "has_more": False,
    "problems": [],
    "calendars": [
        {"connection_id": "conn_abc123", "status": "active", "last_synced_at": AT, "known": True},
        {"connection_id": "conn_def456", "status": "active", "last_synced_at": AT, "known": True},
    ],
    "window": {"first": "2026-03-21", "last": "2026-09-24"},
    "operations": [_SKIPPED | {"sync_id": "sync_run_123", "created_at": AT}],
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

_SANDBOX: dict[str, Any] = {"provider": "sandbox", "calendar_id": "sbx_work123"}

_DELEGATED: dict[str, Any] = {"provider": "google", "delegated_user": "new.hire@example.com"}
_GRANTED: dict[str, Any] = {"grant_of": "conn_abc123"}

BODIES: Mapping[str, Mapping[str, Any]] = {
    "discover_calendars": {
        "CalDAV": _CALDAV,
        "A feed": _FEED,
        "Of a grant": _GRANTED,
        "Through a delegation": _DELEGATED,
    },
    "authorize_connection": {
        "A new connection": {
            "provider": "google",
            "return_url": "https://app.example.com/connected",
            "email": "you@example.com",
        },
        "Once more": {"provider": "google", "connection_id": "conn_abc123"},
    },
    "create_connection": {
        "CalDAV": _CALDAV
        | {"calendar_id": "https://caldav.example.com/you/home/", "email": "you@example.com"},
        "A feed": _FEED,
        "A sandbox calendar, in test mode": _SANDBOX,
        "Another calendar of a grant": _GRANTED | {"calendar_id": "team@group.calendar.example.com"},
        "Through a delegation": _DELEGATED,
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
        "Only working hours, no lunch": _NEW_PAIR
        | {
            "options": {
                "only_between": {
                    "weekdays": ["MO", "TU", "WE", "TH", "FR"],
                    "from": "08:00",
                    "to": "18:00",
                },
                "title_excludes": ["lunch"],
            },
        },
    },
    "create_pairs": {"Two": {"pairs": [_NEW_PAIR, _NEW_PAIR | {"connection_b_id": "conn_ghi789"}]}},
    "pause_pairs": {
        "Everything, until Monday": {"all": True, "resume_at": "2026-03-30T06:00:00Z"},
        "Some": {"pair_ids": ["pair_xyz789"]},
    },
    "resume_pairs": {"Everything": {"all": True}},
    "change_pair": {
        "Pause": {"status": "paused"},
        "Pause until": {"status": "paused", "resume_at": "2026-04-01T06:00:00Z"},
        "Resume": {"status": "active"},
    },
    "undo_pair": {"The last run": {}, "What it would do": {"dry_run": True}},
    "trigger_pair": {"A dry run": {"dry_run": True}, "Read everything again": {"full": True}},
}

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
    "authorize_connection": {
        200: {
            "connection_id": "conn_abc123",
            "authorization_url": "https://calendar.example.com/connect/3kTMd…",
            "expires_at": "2026-03-28T10:15:00Z",
        }
    },
    "create_connection": {201: CONNECTION | {"last_synced_at": None}},
    "get_connection": {200: CONNECTION},
    "change_connection": {200: CONNECTION},
    "delete_connection": {202: CONNECTION},
    "list_pairs": {200: {"pairs": [PAIR], "has_more": False}},
    "create_pair": {201: PAIR | {"last_synced_at": None}},
    "create_pairs": {
        200: {
            "results": [
                {"index": 0, "status": 201, "pair": PAIR | {"last_synced_at": None}},
                {
                    "index": 1,
                    "status": 422,
                    "error": {
                        "code": "validation_error",
                        "message": "connection_b_id: no such connection",
                        "details": [{"field": "connection_b_id", "message": "no such connection"}],
                    },
                },
            ]
        }
    },
    "pause_pairs": {200: _SWITCHED},
    "resume_pairs": {200: _SWITCHED},
    "get_pair": {
        200: PAIR
        | {"latency": {"p50_ms": 2140, "p95_ms": 63900, "changes": 41, "since": "2026-03-22T07:13:00Z"}}
    },
    "change_pair": {200: PAIR | {"status": "paused", "resume_at": "2026-04-01T06:00:00Z"}},
    "delete_pair": {202: PAIR | {"removal": "pending"}},
    "trigger_pair": {200: _RESULT, 202: {"sync_id": "sync_run_123"}},
    "undo_pair": {
        200: {
            "success": True,
            "sync_id": "sync_run_124",
            "undid": "sync_run_123",
            "events_created": 0,
            "events_deleted": 1,
            "operations": [_OPERATION | {"action": "delete", "reason": "undone"}],
            "not_undone": [
                _OPERATION
                | {"event_id": "review@example.com", "action": "skip", "reason": "contents_not_held"}
            ],
        },
        202: {"sync_id": "sync_run_124"},
    },
    "list_logs": {200: {"logs": [LOG], "total": 48, "page": 1, "next_cursor": None}},
    "get_availability": {
        200: {
            "busy": [
                {"start": "2026-03-30T07:00:00Z", "end": "2026-03-30T08:30:00Z"},
                {"start": "2026-03-30T12:00:00Z", "end": "2026-03-30T13:00:00Z"},
            ],
            "connections": [
                {
                    "id": "conn_abc123",
                    "status": "active",
                    "last_synced_at": AT,
                    "known": True,
                    "unreadable_events": 0,
                }
            ],
        }
    },
    "explain_pair": {200: _EXPLAINED},
    "get_log": {200: LOG | {"operations": [_OPERATION, _SKIPPED]}},
}
