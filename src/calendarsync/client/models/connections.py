"""Connections."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

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


class Authorization(Model, frozen=True):
    """A link that a person opens to grant access to their calendars; good for one use, until `expires_at`."""

    connection_id: str
    authorization_url: str = Field(repr=False)
    expires_at: datetime


class Delegation(Model, frozen=True):
    """What an organisation gave, by what may be shown of it; `domains`: whose people it serves."""

    id: str
    provider: str
    display: str
    domains: tuple[str, ...]
    mode: str
    created_at: datetime
