"""What an event is to CalendarSync, whichever provider it came from.

A *resource* is what a provider stores and versions as one thing: for CalDAV a calendar object resource
(RFC 4791 section 4.1). It holds one or more *components* that share a UID: a single event or a series'
master, and the overridden instances of a series (RFC 5545 section 3.8.4.4). Components hold no text;
the texts of a component are its `Content`, which lives in memory only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from calendarsync.domain.timezones import zone_info

ORIGINAL_OF_MASTER = ""
"""Key of a master (or single) component where overrides are keyed by their original start."""


@dataclass(frozen=True, slots=True)
class EventTime:
    """A DATE or DATE-TIME of RFC 5545 (sections 3.3.4 and 3.3.5).

    `value` is a plain `date` for all-day events, else a naive local `datetime`. `zone` is an IANA key or
    `"UTC"`; None marks a floating time and an all-day date.
    """

    value: date | datetime
    zone: str | None = None

    @property
    def all_day(self) -> bool:
        return not isinstance(self.value, datetime)

    @property
    def local(self) -> datetime:
        """The wall-clock reading; midnight for an all-day date."""
        if isinstance(self.value, datetime):
            return self.value
        return datetime(self.value.year, self.value.month, self.value.day)  # noqa: DTZ001 - naive by design

    def instant(self, floating: str) -> datetime:
        """The moment in UTC. Floating times and dates are read in the zone `floating`.

        A local time inside a gap or an overlap of the clocks is read as RFC 5545 section 3.3.5 says: with the
        offset before the gap, and as the first of the two.
        """
        return self.local.replace(tzinfo=zone_info(self.zone or floating)).astimezone(UTC)

    def __str__(self) -> str:
        if self.all_day:
            return self.value.isoformat()
        text = self.local.isoformat(timespec="seconds")
        if self.zone == "UTC":
            return f"{text}Z"
        return f"{text}[{self.zone}]" if self.zone else text

    @classmethod
    def parse(cls, text: str) -> EventTime:
        """The inverse of `str()`. Raises ValueError."""
        if len(text) == len("2026-01-01"):
            return cls(date.fromisoformat(text))
        if text.endswith("Z"):
            return cls(datetime.fromisoformat(text[:-1]), "UTC")
        local, bracket, zone = text.partition("[")
        return cls(datetime.fromisoformat(local), zone.rstrip("]") if bracket else None)


@dataclass(frozen=True, slots=True)
class Duration:
    """A DURATION of RFC 5545 section 3.3.6: `days` are nominal (wall clock), `seconds` are exact."""

    days: int = 0
    seconds: int = 0

    def __str__(self) -> str:
        return f"{self.days}d{self.seconds}s"

    @classmethod
    def parse(cls, text: str) -> Duration:
        """The inverse of `str()`. Raises ValueError."""
        days, _, seconds = text.partition("d")
        return cls(int(days), int(seconds.removesuffix("s")))

    def nominal(self) -> timedelta:
        return timedelta(days=self.days, seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class RecurrenceDate:
    """One RDATE; `end` or `duration` only where it was given as a PERIOD (RFC 5545 section 3.8.5.2)."""

    start: EventTime
    end: EventTime | None = None
    duration: Duration | None = None


@dataclass(frozen=True, slots=True)
class Recurrence:
    """The recurrence set's parts. Rules are RRULE values in upper case without the property's name."""

    rrules: tuple[str, ...] = ()
    rdates: tuple[RecurrenceDate, ...] = ()
    exdates: tuple[EventTime, ...] = ()
    exrules: tuple[str, ...] = ()


class Status(StrEnum):
    CONFIRMED = "confirmed"
    TENTATIVE = "tentative"
    CANCELLED = "cancelled"


class Response(StrEnum):
    """The calendar owner's own answer to an invitation (PARTSTAT, RFC 5545 section 3.2.12)."""

    NEEDS_ACTION = "needs_action"
    ACCEPTED = "accepted"
    TENTATIVE = "tentative"
    DECLINED = "declined"


class EventType(StrEnum):
    DEFAULT = "default"
    OUT_OF_OFFICE = "out_of_office"
    FOCUS_TIME = "focus_time"
    WORKING_LOCATION = "working_location"
    BIRTHDAY = "birthday"


class Visibility(StrEnum):
    """CLASS of RFC 5545 section 3.8.1.3."""

    PUBLIC = "public"
    PRIVATE = "private"
    CONFIDENTIAL = "confidential"


@dataclass(frozen=True, slots=True)
class Component:
    """One VEVENT without its texts. Exactly one of `end` and `duration` is set.

    `response` is None where the owner is no attendee. `organized_by_owner` is None where unknown.
    """

    uid: str
    start: EventTime
    end: EventTime | None = None
    duration: Duration | None = None
    recurrence_id: EventTime | None = None
    this_and_future: bool = False
    recurrence: Recurrence | None = None
    transparent: bool = False
    status: Status = Status.CONFIRMED
    response: Response | None = None
    event_type: EventType = EventType.DEFAULT
    visibility: Visibility = Visibility.PUBLIC
    has_attendees: bool = False
    organized_by_owner: bool | None = None

    @property
    def original(self) -> str:
        """This component's key within its resource: its original start, or `ORIGINAL_OF_MASTER`."""
        return ORIGINAL_OF_MASTER if self.recurrence_id is None else str(self.recurrence_id)


@dataclass(frozen=True, slots=True, repr=False)
class Content:
    """The texts of a component. Never stored, never logged: its repr is empty on purpose."""

    title: str = ""
    description: str = ""
    location: str = ""
    categories: tuple[str, ...] = ()
    attendees: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "Content(…)"


class Problem(StrEnum):
    """Why a resource cannot be read as an event. It is skipped with this as its reason (rule 22)."""

    UNREADABLE = "unreadable"
    NO_EVENT = "no_event"
    NO_START = "no_start"
    END_BEFORE_START = "end_before_start"
    UNKNOWN_ZONE = "unknown_zone"
    BAD_RECURRENCE = "bad_recurrence"
    TOO_MANY_INSTANCES = "too_many_instances"
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as a provider gave it: version (ETag, changeKey), components and their contents by key.

    `mark` is the raw value of our own property, unverified. With `problem` set, `components` may be empty.
    `modified` is when it was last changed, as the provider says; it says nothing of what the event means.
    """

    id: str
    version: str | None
    uid: str
    components: tuple[Component, ...]
    contents: Mapping[str, Content] = field(default_factory=dict)
    mark: str | None = None
    problem: Problem | None = None
    modified: datetime | None = None


def master_of(components: Sequence[Component]) -> Component | None:
    """The component without a RECURRENCE-ID, if there is one."""
    return next((component for component in components if component.recurrence_id is None), None)
