"""What the model remembers: users, calendars and their events, all in memory.

Every write of an event takes the calendar's next change number. Sync tokens name a change number, ETags too.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Any, Literal

from . import errors
from .faults import Faults

ROLES = ("freeBusyReader", "reader", "writer", "owner")
SCOPE = "https://www.googleapis.com/auth/"
_ALPHABET = "0123456789abcdefghijklmnopqrstuv"


def new_id(length: int = 26) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


@dataclass
class User:
    """Somebody with a Google account; `email` is also the id of the primary calendar."""

    email: str
    token: str  # the newest one; those in `tokens` are good as well
    refresh_token: str = field(default_factory=lambda: f"1//{new_id(40)}")
    scopes: frozenset[str] = frozenset({f"{SCOPE}calendar"})
    tokens: set[str] = field(default_factory=set)
    revoked: bool = False
    calls: deque[datetime] = field(default_factory=deque)  # of the last minute
    listed: dict[str, int] = field(default_factory=dict)  # calendar id to change number of its list entry
    list_changes: int = 0
    unlisted: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tokens.add(self.token)

    def new_token(self) -> str:
        self.token = f"ya29.{new_id(40)}"
        self.tokens.add(self.token)
        return self.token


@dataclass
class Entry:
    """An event as it is kept: `event` holds what Google stores, times in the form of `times.normal`."""

    id: str
    event: dict[str, Any]
    change: int
    version: int

    @property
    def cancelled(self) -> bool:
        return str(self.event["status"]) == "cancelled"

    @property
    def master_id(self) -> str | None:
        found: str | None = self.event.get("recurringEventId")
        return found

    @property
    def recurring(self) -> bool:
        return bool(self.event.get("recurrence"))


@dataclass
class Calendar:
    id: str
    owner: User
    summary: str
    timezone: str
    primary: bool = False
    readers: dict[str, str] = field(default_factory=dict)  # email to role
    entries: dict[str, Entry] = field(default_factory=dict)
    change: int = 0
    epoch: str = field(default_factory=lambda: new_id(8))
    updated: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def role(self, user: User) -> str | None:
        return "owner" if user is self.owner else self.readers.get(user.email)

    def exceptions(self, master_id: str) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.master_id == master_id]

    def master(self, entry: Entry) -> Entry | None:
        """The living master of an exception."""
        found = self.entries.get(entry.master_id or "")
        return None if found is None or found.cancelled else found


@dataclass(frozen=True)
class Mail:
    """An e-mail that Google would have sent. `kind`: invitation, update, cancellation or reply."""

    to: str
    event_id: str
    kind: str


@dataclass(frozen=True)
class Seen:
    """A call that was answered: a part of a batch counts by itself, as it does against Google's quotas."""

    method: (
        str  # as in the discovery document, such as `calendar.events.insert`; `batch` for the outer request
    )
    path: str
    query: dict[str, list[str]]
    email: str | None
    status: int
    part: bool = False


@dataclass
class Habits:
    """Where Google's behaviour is not documented, or varies: how this model behaves.

    `retimed`: what becomes of the exceptions of a series when its times change: "keep" them all as they are, "drop"
    those whose original start no longer exists, or "reset" them all.
    `revival`: whether an update may bring a deleted event back ("allow"), or is answered 403 ("refuse").
    `follow`: whether a change of a series reaches what its exceptions have in common with it; else they stay whole.
    `rewrite`: what becomes of an event that a client writes; services tidy up what they are given.
    `page_limit`: the most items that a page holds, whatever was asked for; Google may send short pages.
    `calls_per_minute`: of one user, in any minute (guide "Manage quotas"); beyond that 403 `userRateLimitExceeded`.
    `consent`: "grant", or the error that the consent page sends back (`access_denied`, `admin_policy_enforced`).
    `unticked`: the permissions that the person leaves out, such as `calendar.events`.
    `delegation`: whether the organisation lets the service account speak for its people.
    """

    retimed: Literal["drop", "reset", "keep"] = "keep"
    follow: bool = False
    revival: Literal["allow", "refuse"] = "allow"
    rewrite: Callable[[dict[str, Any]], dict[str, Any]] = dict
    page_limit: int = 2500
    calls_per_minute: int | None = None
    consent: str = "grant"
    unticked: tuple[str, ...] = ()
    delegation: Literal["allow", "refuse"] = "allow"


class World:
    """All of it, behind one lock: the server's thread and the tests' both work on it."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.lock = RLock()
        self.users: list[User] = []
        self.calendars: dict[str, Calendar] = {}
        self.mails: list[Mail] = []
        self.seen: list[Seen] = []
        self.violations: list[str] = []
        self.faults = Faults()
        self.habits = Habits()
        self.ahead = timedelta(0)
        self.watchers: list[Callable[[Calendar], None]] = []
        self._clock = clock
        self._last = datetime.min.replace(tzinfo=UTC)

    def forget(self) -> None:
        """What was seen, sent and ordered, and all changed habits; people and their calendars stay."""
        self.mails.clear()
        self.seen.clear()
        self.violations.clear()
        self.faults.clear()
        self.habits = Habits()
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return self._clock() + self.ahead

    def tick(self) -> datetime:
        """Now in whole milliseconds, and later than any tick before: `updated` changes with each write."""
        now = self.now()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self._last = max(now, self._last + timedelta(milliseconds=1))
        return self._last

    def user(self, token: str) -> User:
        """Whose access token it is. Raises 401."""
        for user in self.users:
            if token in user.tokens and not user.revoked:
                return user
        raise errors.invalid_credentials()

    def spend(self, user: User) -> None:
        """Count a call. Raises 403 where the user made too many in the last minute."""
        now = self.now()
        while user.calls and user.calls[0] <= now - timedelta(minutes=1):
            user.calls.popleft()
        limit = self.habits.calls_per_minute
        if limit is not None and len(user.calls) >= limit:
            raise errors.limit("userRateLimitExceeded")
        user.calls.append(now)

    def add_user(self, email: str, token: str) -> User:
        user = User(email, token)
        self.users.append(user)
        self.add_calendar(user, email, "Europe/Berlin", email)
        return user

    def add_calendar(self, owner: User, summary: str, timezone: str, calendar_id: str = "") -> Calendar:
        primary = bool(calendar_id)
        calendar_id = calendar_id or f"c_{new_id()}@group.calendar.google.com"
        calendar = Calendar(calendar_id, owner, summary, timezone, primary)
        self.calendars[calendar_id] = calendar
        self.list_for(owner, calendar)
        return calendar

    def list_for(self, user: User, calendar: Calendar) -> None:
        """Put a calendar, or its changed entry, into somebody's list."""
        user.list_changes += 1
        user.listed[calendar.id] = user.list_changes
        user.unlisted.pop(calendar.id, None)

    def unlist(self, user: User, calendar_id: str) -> None:
        if user.listed.pop(calendar_id, None) is not None:
            user.list_changes += 1
            user.unlisted[calendar_id] = user.list_changes

    def calendar(self, user: User, calendar_id: str, needed: str = "reader") -> Calendar:
        """The calendar, if the user may do with it what takes a role. Raises 404 where they see none, or 403."""
        found = self.calendars.get(user.email if calendar_id == "primary" else calendar_id)
        role = found.role(user) if found else None
        if found is None or role is None:
            raise errors.not_found()
        if ROLES.index(role) < ROLES.index(needed):
            raise errors.access_level(needed)
        return found

    def primary_of(self, email: str) -> Calendar | None:
        found = self.calendars.get(email.lower())
        return found if found is not None and found.primary else None

    def remove_calendar(self, calendar: Calendar) -> None:
        del self.calendars[calendar.id]
        for user in self.users:
            self.unlist(user, calendar.id)

    def put(self, calendar: Calendar, event_id: str, event: dict[str, Any]) -> Entry:
        """Keep an event, new or changed; `updated`, ETag and change number move on, and channels are told."""
        calendar.change += 1
        now = self.tick()
        calendar.updated = now
        known = calendar.entries.get(event_id)
        if known is None or not _only_reminders(known.event, event):
            event["updated"] = stamp(now)
        event.setdefault("created", f"{now:%Y-%m-%dT%H:%M:%S}.000Z")
        entry = Entry(event_id, event, calendar.change, int(now.timestamp() * 1000))
        calendar.entries.pop(event_id, None)  # the order of entries is the order of changes
        calendar.entries[event_id] = entry
        for tell in self.watchers:
            tell(calendar)
        return entry


def _only_reminders(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """ "Updating event reminders will not cause `updated` to change." """
    names = (before.keys() | after.keys()) - {"updated"}
    return {name for name in names if before.get(name) != after.get(name)} == {"reminders"}


def stamp(moment: datetime) -> str:
    """As Google writes `updated`: RFC 3339 in UTC with milliseconds."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def etag(version: int) -> str:
    return f'"{version * 2}"'
