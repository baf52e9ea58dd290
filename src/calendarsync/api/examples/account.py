"""Examples of the account, its keys and its webhook endpoints, and of what needs no key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calendarsync.api.examples.sync import AT, CREATED

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
    "created_at": CREATED,
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

_ACCOUNT: dict[str, Any] = {
    "id": "acct_1",
    "email": "you@example.com",
    "mode": "live",
    "plan": "pro",
    "base_plan": "free",
    "trial_ends_at": "2026-04-04T09:00:00Z",
    "limits": {"requests_per_hour": 2000, "log_days": 90},
    "usage": {"used": 118, "remaining": 1882, "resets_at": "2026-03-28T10:41:07Z"},
    "counts": {"connections": 2, "pairs": 1, "webhooks": 1},
    "members": [{"email": "you@example.com", "role": "owner"}],
    "notices": [
        {
            "code": "connection_expired",
            "message": "The calendar server refuses the user name and password.",
            "at": AT,
            "subject": "conn_abc123",
        }
    ],
    "return_urls": ["https://app.example.com/connected"],
    "created_at": CREATED,
}
_DELEGATION: dict[str, Any] = {
    "id": "dlg_1",
    "provider": "google",
    "display": "sync@project.iam.gserviceaccount.com",
    "domains": ["example.com"],
    "mode": "live",
    "created_at": CREATED,
}
_KEY: dict[str, Any] = {
    "id": "key_1",
    "name": "reporting",
    "display": "cs_live_…4Kd2",
    "mode": "live",
    "scopes": ["pairs:read", "logs:read"],
    "status": "active",
    "created_at": CREATED,
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": AT,
    "replaced_by": None,
}
_NEW_KEY: dict[str, Any] = _KEY | {"last_used_at": None, "key": "cs_live_…"}

BODIES: Mapping[str, Mapping[str, Any]] = {
    "change_account": {"Where people go": {"return_urls": ["https://app.example.com/connected"]}},
    "create_delegation": {
        "Google": {
            "provider": "google",
            "service_account": {
                "type": "service_account",
                "client_email": "sync@project.iam.gserviceaccount.com",
                "private_key_id": "8f2c…",
                "private_key": "-----BEGIN PRIVATE KEY-----\n…",
            },
            "domains": ["example.com"],
        },
        "Microsoft, by secret": {
            "provider": "microsoft",
            "tenant_id": "example.com",
            "client_id": "00000000-0000-0000-0000-000000000000",
            "client_secret": "…",
            "domains": ["example.com"],
        },
        "Microsoft, by certificate": {
            "provider": "microsoft",
            "tenant_id": "example.com",
            "client_id": "00000000-0000-0000-0000-000000000000",
            "certificate": "-----BEGIN CERTIFICATE-----\n…",
            "private_key": "-----BEGIN PRIVATE KEY-----\n…",
            "domains": ["example.com"],
        },
    },
    "change_delegation": {"A new secret": {"client_secret": "…"}},
    "create_api_key": {
        "For a report": {"name": "reporting", "scopes": ["pairs:read", "logs:read"]},
        "For a month": {"name": "migration", "expires_at": "2026-05-01T00:00:00Z"},
    },
    "rotate_api_key": {"One day of both": {"overlap_seconds": 86400}},
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

ANSWERS: Mapping[str, Mapping[int, Any]] = {
    "get_account": {200: _ACCOUNT},
    "change_account": {200: _ACCOUNT},
    "list_delegations": {200: {"delegations": [_DELEGATION], "has_more": False}},
    "create_delegation": {201: _DELEGATION},
    "get_delegation": {200: _DELEGATION},
    "change_delegation": {200: _DELEGATION},
    "list_api_keys": {200: {"api_keys": [_KEY], "has_more": False}},
    "create_api_key": {201: _NEW_KEY},
    "get_api_key": {200: _KEY},
    "rotate_api_key": {201: _NEW_KEY | {"id": "key_2", "created_at": AT}},
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
            "push": "on",
        },
        503: {
            "status": "error",
            "version": "1.0.0",
            "database": "error",
            "reason": "the database did not answer within 2 s",
            "schedule_late_seconds": None,
            "push": "off: CALENDARSYNC_PUBLIC_URL is not a public https address; calendars are polled",
        },
    },
    "health_live": {200: {"status": "ok", "version": "1.0.0"}},
    "metrics": {
        200: "# HELP calendarsync_runs_total Runs that this process carried out, dry runs left out.\n"
        "# TYPE calendarsync_runs_total counter\n"
        'calendarsync_runs_total{status="success",trigger="schedule"} 1204.0\n'
    },
}
