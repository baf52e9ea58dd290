"""The sandbox's calendars, events, faults and clock as they come in and go out."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path
from pydantic import AfterValidator, BaseModel, Field

from calendarsync.api.paging import Paged
from calendarsync.api.v1.fields import Body, Email, Id, Name, Text, none_of, omitted
from calendarsync.api.v1.pair_options import Zone

_NOT_PROSE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

MAX_ADVANCE_SECONDS = 366 * 86_400
MAX_FAULT_TIMES = 100


def _check_prose(value: str) -> str:
    if _NOT_PROSE.search(value):
        raise ValueError("must not contain control characters other than line feeds and tabs")
    return value


Prose = Annotated[str, AfterValidator(_check_prose), none_of(_NOT_PROSE)]
SandboxId = Annotated[Id, Path(description="`sbx_…`", examples=["sbx_abc123"])]
EventId = Annotated[Id, Path(description="`sbe_…`, or a copy's own id", examples=["sbe_abc123"])]
OriginalStart = Annotated[
    str,
    Path(
        description="When the instance would start by the series' own rule: a time in RFC 3339, or a date.",
        examples=["2026-03-09T08:00:00Z"],
        max_length=50,
    ),
]

Status = Literal["confirmed", "tentative", "cancelled"]
Transparency = Literal["opaque", "transparent"]
Visibility = Literal["public", "private", "confidential"]
Response = Literal["needs_action", "accepted", "tentative", "declined"]
FaultKind = Literal["expire", "rate_limit", "server_error", "slow", "lose_token"]


class NewSandboxCalendar(Body):
    """A calendar that lives in CalendarSync itself, for tests. `email` is its owner's address."""

    name: Annotated[Name, Field(min_length=1, max_length=500, examples=["Work"])]
    timezone: Zone = Field(default="UTC", description="IANA zone.", examples=["Europe/Berlin"])
    email: Email = Field(
        default_factory=omitted, description="Its responses to invitations are the owner's own."
    )


class SandboxCalendarOut(BaseModel):
    id: str
    name: str
    timezone: str
    email: str | None
    created_at: datetime


class SandboxCalendarList(Paged):
    calendars: list[SandboxCalendarOut]


class AttendeeIn(Body):
    email: Email
    name: Annotated[Text, Field(max_length=200)] = ""
    response: Response = "needs_action"


class InstanceChanges(Body):
    """What is given changes, for this one instance."""

    title: Annotated[Text, Field(max_length=1000)] = Field(default_factory=omitted)
    description: Annotated[Prose, Field(max_length=8000)] = Field(default_factory=omitted)
    location: Annotated[Text, Field(max_length=1000)] = Field(default_factory=omitted)
    start: Annotated[str, Field(max_length=50)] = Field(
        default_factory=omitted,
        description="A time in RFC 3339 with its offset; with `all_day` a date.",
        examples=["2026-03-04T09:00:00+01:00"],
    )
    end: Annotated[str, Field(max_length=50)] = Field(
        default_factory=omitted,
        description="Not before `start`; with `all_day` the day after the last one.",
        examples=["2026-03-04T10:00:00+01:00"],
    )
    all_day: bool = Field(default_factory=omitted)
    timezone: Zone = Field(
        default_factory=omitted,
        description="IANA zone on whose clock the event stays. Default: the calendar's.",
    )
    status: Status = Field(default_factory=omitted)
    transparency: Transparency = Field(
        default_factory=omitted, description="`transparent` events are free time."
    )
    visibility: Visibility = Field(default_factory=omitted)
    attendees: list[AttendeeIn] = Field(default_factory=omitted, max_length=200)


class SandboxEventChanges(InstanceChanges):
    """What is given changes. Instances that were changed stay so where the series still has them."""

    recurrence: list[Annotated[str, Field(max_length=4000)]] = Field(
        default_factory=omitted,
        max_length=100,
        description="RRULE, RDATE and EXDATE lines of RFC 5545; an empty list makes it a single event.",
        examples=[["RRULE:FREQ=WEEKLY;COUNT=4", "EXDATE;TZID=Europe/Berlin:20260311T090000"]],
    )


class NewSandboxEvent(SandboxEventChanges):
    """An event that a person puts into the calendar."""

    start: Annotated[str, Field(max_length=50)] = Field(
        description="A time in RFC 3339 with its offset; with `all_day` a date.",
        examples=["2026-03-04T09:00:00+01:00"],
    )
    end: Annotated[str, Field(max_length=50)] = Field(
        description="Not before `start`; with `all_day` the day after the last one.",
        examples=["2026-03-04T10:00:00+01:00"],
    )
    uid: Annotated[Text, Field(min_length=1, max_length=255)] = Field(
        default_factory=omitted,
        description="The meeting's UID, equal in all calendars that were invited. Default: the event's id.",
    )


class AttendeeOut(BaseModel):
    email: str
    name: str
    response: Response


class PartOut(BaseModel):
    title: str
    description: str
    location: str
    start: str = Field(description="RFC 3339 in UTC; a date where `all_day`.")
    end: str
    all_day: bool
    timezone: str | None = Field(description="Null for dates, and for times that float.")
    status: Status
    transparency: Transparency
    visibility: Visibility
    attendees: list[AttendeeOut]


class InstanceOut(PartOut):
    original_start: str = Field(description="When it would start by the series' own rule.")


class SandboxEventOut(PartOut):
    id: str
    calendar_id: str
    uid: str
    recurrence: list[str]
    overrides: list[InstanceOut] = Field(description="Instances of the series that were changed.")
    # pydantic's models have a method of that name.
    is_copy: bool = Field(serialization_alias="copy", description="Whether a sync wrote it.")
    reminders: list[int] = Field(description="Minutes before the start; a copy's alone.")
    color: str | None = Field(description="CSS3 name of a colour; a copy's alone.")


class SandboxEventList(Paged):
    events: list[SandboxEventOut]


class NewFault(Body):
    """The calendar's next requests fail so. A fault that waits is replaced by one of the same kind."""

    kind: FaultKind = Field(
        description="`expire`: the credentials are refused, the connection becomes `expired`. `rate_limit`: it "
        "asks to wait for 60 s. `server_error`: the request fails. `slow`: the answer takes 5 s. `lose_token`: the "
        "next reading of changes finds its sync token unknown."
    )
    times: int = Field(default=1, ge=1, le=MAX_FAULT_TIMES, description="How many requests meet it.")


class FaultOut(BaseModel):
    kind: FaultKind
    times: int = Field(description="How many requests will still meet it.")


class FaultList(BaseModel):
    faults: list[FaultOut]


class Advance(Body):
    advance_seconds: int = Field(ge=1, le=MAX_ADVANCE_SECONDS, examples=[3600])


class ClockOut(BaseModel):
    now: datetime = Field(description="The time that the account's test mode goes by.")
    advanced_seconds: int = Field(description="How far it is ahead, by all advances together.")
