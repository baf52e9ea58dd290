"""What the model remembers: people, calendars and their events, all in memory.

Every write of an event takes the world's next change number. Delta tokens name a change number.
"""

from __future__ import annotations

import base64
import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from threading import RLock
from typing import Any
from uuid import uuid4

from . import errors
from .faults import Faults
from .habits import Habits
from .zones import Moment

SCOPES = frozenset({"Calendars.ReadWrite", "MailboxSettings.Read", "User.Read"})
TENANT = "84bd8158-6d4d-4958-8b9f-9d6445542f95"


def change_key() -> str:
    return base64.b64encode(secrets.token_bytes(21)).decode() + "=="


@dataclass
class Mailbox:
    """Somebody with a mailbox. `licensed`: whether the mailbox is there for Graph."""

    email: str
    timezone: str = "W. Europe Standard Time"
    aliases: tuple[str, ...] = ()
    licensed: bool = True
    id: str = field(default_factory=lambda: str(uuid4()))

    @property
    def name(self) -> str:
        return self.email.partition("@")[0].title()


@dataclass
class Grant:
    """What a token may do. `mailbox` is None for an application, which reaches every mailbox."""

    token: str
    mailbox: Mailbox | None
    scopes: frozenset[str] = SCOPES
    revoked: bool = False


@dataclass
class Override:
    """An exception: what was written to one instance. Everything else it has from its master."""

    start: Moment
    end: Moment
    fields: dict[str, Any]
    properties: dict[str, str]
    change_key: str
    forced: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Event:
    """An event as it is kept: a single one, or a series with its exceptions by the day of their original start.

    `fields` holds what was written, by Graph's names, without times and recurrence; `forced` what the model was
    told to answer whatever was written, such as isOrganizer.
    """

    calendar: Calendar
    start: Moment
    end: Moment
    fields: dict[str, Any]
    created: datetime
    recurrence: dict[str, Any] | None = None
    exceptions: dict[date, Override] = field(default_factory=dict)
    cancelled: set[date] = field(default_factory=set)
    properties: dict[str, str] = field(default_factory=dict)
    forced: dict[str, Any] = field(default_factory=dict)
    original_zones: tuple[str, str] | None = None
    key: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    random: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    change_key: str = field(default_factory=change_key)
    modified: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    change: int = 0
    churn: int = 0

    @property
    def all_day(self) -> bool:
        return bool(self.fields.get("isAllDay"))

    @property
    def transaction(self) -> str | None:
        found: str | None = self.fields.get("transactionId")
        return found


@dataclass(eq=False)
class Calendar:
    id: str
    owner: Mailbox
    name: str
    default: bool = False
    shared: dict[str, bool] = field(default_factory=dict)  # e-mail to whether that person may edit
    read_only: bool = False
    events: dict[str, Event] = field(default_factory=dict)
    deleted: list[Event] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    change_key: str = field(default_factory=change_key)


@dataclass(frozen=True)
class Mail:
    """An e-mail that Exchange would have sent. `kind`: invitation, update or cancellation."""

    to: str
    event_id: str
    kind: str


@dataclass(frozen=True)
class Seen:
    """A request that was answered: a part of a batch counts by itself, as it does against the limits."""

    method: str
    path: str
    query: dict[str, str]
    email: str | None
    status: int
    part: bool = False


class World:
    """All of it, behind one lock: the server's thread and the tests' both work on it."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.lock = RLock()
        self.mailboxes: list[Mailbox] = []
        self.grants: list[Grant] = []
        self.calendars: dict[str, Calendar] = {}
        self.mails: list[Mail] = []
        self.seen: list[Seen] = []
        self.violations: list[str] = []
        self.faults = Faults()
        self.habits = Habits()
        self.ahead = timedelta(0)
        self.watchers: list[Callable[[Event, str], None]] = []
        self.changes = itertools.count(1)
        self.newest = 0
        self._clock = clock

    def now(self) -> datetime:
        return self._clock() + self.ahead

    def grant(self, token: str) -> Grant:
        """Raises 401."""
        for grant in self.grants:
            if secrets.compare_digest(grant.token.encode(), token.encode()) and not grant.revoked:
                return grant
        raise errors.invalid_token()

    def mailbox(self, name: str) -> Mailbox:
        """By id or user principal name. Raises 404."""
        for mailbox in self.mailboxes:
            if name in (mailbox.id, mailbox.id + "@" + TENANT) or name.casefold() == mailbox.email.casefold():
                return mailbox
        raise errors.no_user(name)

    def add_mailbox(self, mailbox: Mailbox) -> Calendar:
        """The mailbox, and its default calendar."""
        self.mailboxes.append(mailbox)
        return self.add_calendar(mailbox, "Calendar", default=True)

    def add_calendar(self, owner: Mailbox, name: str, *, default: bool = False) -> Calendar:
        calendar_id = "AAMkA" + base64.urlsafe_b64encode(secrets.token_bytes(82)).decode()
        calendar = Calendar(calendar_id, owner, name, default)
        self.calendars[calendar_id] = calendar
        return calendar

    def visible(self, mailbox: Mailbox) -> list[Calendar]:
        """The calendars that somebody's list shows: one's own, then those that others share."""
        own = [calendar for calendar in self.calendars.values() if calendar.owner is mailbox]
        return own + [calendar for calendar in self.calendars.values() if mailbox.email in calendar.shared]

    def owned_events(self, mailbox: Mailbox) -> list[Event]:
        return [
            event
            for calendar in self.calendars.values()
            if calendar.owner is mailbox
            for event in calendar.events.values()
        ]

    def touch(self, event: Event, kind: str) -> None:
        """Notes a change of an event. `kind`: created, updated or deleted, as subscriptions say it."""
        event.change = self.newest = next(self.changes)
        event.change_key = change_key()
        event.modified = self.now()
        for watcher in self.watchers:
            watcher(event, kind)

    def add(self, event: Event) -> None:
        event.calendar.events[event.key] = event
        event.churn = self.habits.churn
        self.touch(event, "created")

    def remove(self, event: Event) -> None:
        del event.calendar.events[event.key]
        event.calendar.deleted.append(event)
        self.touch(event, "deleted")

    def settle(self, event: Event) -> None:
        """Exchange at work on a new event: its changeKey moves on, nothing else."""
        while event.churn:
            event.churn -= 1
            self.touch(event, "updated")
