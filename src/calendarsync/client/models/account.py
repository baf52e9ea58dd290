"""The account, its API keys, and when its people are busy."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from calendarsync.client.models.base import Model


class Limits(Model, frozen=True):
    """What the plan in effect allows; `log_days`: for how long logs are kept."""

    requests_per_hour: int
    log_days: int


class Usage(Model, frozen=True):
    """Requests of the present hour, in both modes."""

    used: int
    remaining: int
    resets_at: datetime


class Counts(Model, frozen=True):
    """How much there is in the mode of the key."""

    connections: int
    pairs: int
    webhooks: int


class Member(Model, frozen=True):
    email: str
    role: str


class Notice(Model, frozen=True):
    """Something that needs somebody's attention. `subject` is the id of a connection, pair or webhook."""

    code: str
    message: str
    at: datetime | None
    subject: str


class Account(Model, frozen=True):
    """`plan` is in effect, `base_plan` will be once the trial has ended. Notices: the newest first.

    `return_urls`: where people may go after they granted access to their calendars.
    """

    id: str
    email: str
    mode: str
    plan: str
    base_plan: str
    trial_ends_at: datetime | None
    limits: Limits
    usage: Usage
    counts: Counts
    members: tuple[Member, ...]
    notices: tuple[Notice, ...]
    return_urls: tuple[str, ...]
    created_at: datetime


class ApiKey(Model, frozen=True):
    """A key by what may be shown of it. `status`: `active`, `expired` or `revoked`."""

    id: str
    name: str | None
    display: str
    mode: str
    scopes: tuple[str, ...]
    status: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    replaced_by: str | None


class ApiKeyWithSecret(ApiKey, frozen=True):
    """`key` is shown this once."""

    key: str = Field(repr=False)


class BusyInterval(Model, frozen=True):
    start: datetime
    end: datetime


class ConnectionFreshness(Model, frozen=True):
    """How far what is told of a calendar can be relied on.

    `known` is false where it has never been read as a whole; `unreadable_events` have times that are not known.
    """

    id: str
    status: str
    last_synced_at: datetime | None
    known: bool
    unreadable_events: int


class Availability(Model, frozen=True):
    """`busy` is sorted; its intervals neither overlap nor touch, and lie within what was asked for."""

    busy: tuple[BusyInterval, ...]
    connections: tuple[ConnectionFreshness, ...]
