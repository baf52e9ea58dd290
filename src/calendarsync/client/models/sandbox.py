"""Test mode's calendars, events, faults and clock."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal, TypedDict

from pydantic import Field

from calendarsync.client.models.base import Model

FaultKind = Literal["expire", "rate_limit", "server_error", "slow", "lose_token"]


class _AttendeeAddress(TypedDict):
    email: str


class NewAttendee(_AttendeeAddress, total=False):
    """An invited person, and what came back."""

    name: str
    response: Literal["needs_action", "accepted", "tentative", "declined"]


class _Said(TypedDict, total=False):
    title: str
    description: str
    location: str
    all_day: bool
    timezone: str
    status: Literal["confirmed", "tentative", "cancelled"]
    transparency: Literal["opaque", "transparent"]
    visibility: Literal["public", "private", "confidential"]
    attendees: list[NewAttendee]


class NewEventFields(_Said, total=False):
    """What may be said of a new event, beside its times.

    `recurrence`: RRULE, RDATE and EXDATE lines of RFC 5545. `timezone`: the IANA name of the zone on whose clock
    the event stays. `uid`: the meeting's, equal in all calendars that were invited.
    """

    recurrence: list[str]
    uid: str


class InstanceFields(_Said, total=False):
    """What may be changed of one instance of a series. With `all_day`, `end` is the first day after it."""

    start: datetime | date
    end: datetime | date


class EventFields(InstanceFields, total=False):
    """What may be changed of an event."""

    recurrence: list[str]


class SandboxCalendar(Model, frozen=True):
    """A calendar that lives in CalendarSync itself. Its id is the `calendar_id` of its connection."""

    id: str
    name: str
    timezone: str
    email: str | None
    created_at: datetime


class Attendee(Model, frozen=True):
    email: str
    name: str
    response: str


class SandboxInstance(Model, frozen=True):
    """An instance that was changed. `original_start`: when it would start by the series' own rule.

    Times are RFC 3339 in UTC, and dates where `all_day`.
    """

    title: str
    description: str
    location: str
    start: str
    end: str
    all_day: bool
    timezone: str | None
    status: str
    transparency: str
    visibility: str
    attendees: tuple[Attendee, ...]
    original_start: str


class SandboxEvent(Model, frozen=True):
    """`is_copy`: whether a sync wrote it; `reminders` and `color` are a copy's alone.

    Times are RFC 3339 in UTC, and dates where `all_day`.
    """

    id: str
    calendar_id: str
    uid: str
    title: str
    description: str
    location: str
    start: str
    end: str
    all_day: bool
    timezone: str | None
    status: str
    transparency: str
    visibility: str
    attendees: tuple[Attendee, ...]
    recurrence: tuple[str, ...]
    overrides: tuple[SandboxInstance, ...]
    is_copy: bool = Field(alias="copy")  # pydantic's models have a method of that name
    reminders: tuple[int, ...]
    color: str | None


class Fault(Model, frozen=True):
    """`times`: how many requests will still meet it."""

    kind: str
    times: int


class Faults(Model, frozen=True):
    faults: tuple[Fault, ...]


class Clock(Model, frozen=True):
    """The time that the account's test mode goes by, and how far it is ahead."""

    now: datetime
    advanced_seconds: int
