"""Examples of the sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calendarsync.api.examples.sync import AT, CREATED

_CALENDAR: dict[str, Any] = {
    "id": "sbx_work123",
    "name": "Work",
    "timezone": "Europe/Berlin",
    "email": "you@example.com",
    "created_at": CREATED,
}
_EVENT: dict[str, Any] = {
    "id": "sbe_standup1",
    "calendar_id": "sbx_work123",
    "uid": "sbe_standup1",
    "title": "Stand-up",
    "description": "",
    "location": "Room 4",
    "start": "2026-03-30T07:00:00Z",
    "end": "2026-03-30T07:15:00Z",
    "all_day": False,
    "timezone": "Europe/Berlin",
    "status": "confirmed",
    "transparency": "opaque",
    "visibility": "public",
    "attendees": [{"email": "you@example.com", "name": "", "response": "accepted"}],
    "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"],
    "overrides": [],
    "copy": False,
    "reminders": [],
    "color": None,
}
_FAULTS: dict[str, Any] = {"faults": [{"kind": "expire", "times": 1}]}
_CLOCK: dict[str, Any] = {"now": "2026-03-28T11:00:00Z", "advanced_seconds": 3600}
_SERIES: dict[str, Any] = {
    "title": "Stand-up",
    "start": "2026-03-30T09:00:00+02:00",
    "end": "2026-03-30T09:15:00+02:00",
    "timezone": "Europe/Berlin",
    "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"],
}

BODIES: Mapping[str, Mapping[str, Any]] = {
    "create_sandbox_calendar": {
        "A calendar": {"name": "Work", "timezone": "Europe/Berlin", "email": "you@example.com"}
    },
    "create_sandbox_event": {
        "An hour": {"title": "Dentist", "start": "2026-03-30T14:00:00Z", "end": "2026-03-30T15:00:00Z"},
        "A series": _SERIES,
        "A day": {"title": "Fair", "start": "2026-03-30", "end": "2026-03-31", "all_day": True},
        "An invitation": {
            "title": "Review",
            "start": "2026-03-31T08:00:00Z",
            "end": "2026-03-31T09:00:00Z",
            "attendees": [{"email": "you@example.com", "response": "declined"}],
        },
    },
    "change_sandbox_event": {
        "Move it": {"start": "2026-03-30T10:00:00Z", "end": "2026-03-30T10:15:00Z"},
        "Free time": {"transparency": "transparent"},
    },
    "change_sandbox_instance": {"Cancel it": {"status": "cancelled"}},
    "order_sandbox_fault": {
        "Credentials expire": {"kind": "expire"},
        "Three times: slow down": {"kind": "rate_limit", "times": 3},
    },
    "advance_sandbox_clock": {"An hour": {"advance_seconds": 3600}},
}

ANSWERS: Mapping[str, Mapping[int, Any]] = {
    "list_sandbox_calendars": {200: {"calendars": [_CALENDAR], "has_more": False}},
    "create_sandbox_calendar": {201: _CALENDAR},
    "get_sandbox_calendar": {200: _CALENDAR},
    "list_sandbox_events": {200: {"events": [_EVENT], "has_more": False}},
    "create_sandbox_event": {201: _EVENT},
    "get_sandbox_event": {200: _EVENT},
    "change_sandbox_event": {200: _EVENT | {"transparency": "transparent"}},
    "change_sandbox_instance": {
        200: _EVENT
        | {
            "overrides": [
                {
                    **{
                        name: _EVENT[name]
                        for name in ("title", "description", "location", "all_day", "timezone")
                    },
                    **{name: _EVENT[name] for name in ("transparency", "visibility", "attendees")},
                    "start": "2026-04-06T07:00:00Z",
                    "end": "2026-04-06T07:15:00Z",
                    "status": "cancelled",
                    "original_start": "2026-04-06T07:00:00Z",
                }
            ]
        }
    },
    "list_sandbox_faults": {200: _FAULTS},
    "order_sandbox_fault": {201: _FAULTS},
    "get_sandbox_clock": {200: {"now": AT, "advanced_seconds": 0}},
    "advance_sandbox_clock": {200: _CLOCK},
}
