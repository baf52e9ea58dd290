"""Connections."""

from __future__ import annotations

from datetime import datetime

from calendarsync.client.models.base import Model, Problem


class CalendarFound(Model, frozen=True):
    """A calendar that may be connected. `id` is the `calendar_id` of its connection."""

    id: str
    name: str
    read_only: bool
    timezone: str | None


class CalendarsFound(Model, frozen=True):
    calendars: tuple[CalendarFound, ...]


class Connection(Model, frozen=True):
    """One calendar in one provider account. `status`: `pending`, `active`, `expired` or `error`."""

    id: str
    provider: str
    email: str | None
    calendar_name: str
    status: str
    last_synced_at: datetime | None
    calendar_id: str
    read_only: bool
    mode: str
    created_at: datetime
    last_error: Problem | None
