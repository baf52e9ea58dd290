"""Why an event is, or is not, where it was expected."""

from __future__ import annotations

from datetime import date, datetime

from calendarsync.client.models.base import Model
from calendarsync.client.models.pairs import Operation


class Explanation(Model, frozen=True):
    """What was decided of one entry of a calendar, or one instance of it, and why.

    `role`: `source`, `copy`, `stray` (made of a copy by pasting it) or `foreign` (another installation's copy).
    `rule` is the number of the rule that decided, `explanation` what the reason means, and `remedy` what
    would change it.
    """

    event_id: str
    role: str
    decision: str
    rule: int
    reason: str
    explanation: str
    remedy: str
    connection_id: str | None
    direction: str | None
    original_start: str
    starts_at: datetime | None
    copy_id: str | None
    source_id: str | None
    since: datetime | None
    retry_at: datetime | None


class PairProblem(Model, frozen=True):
    """What keeps the pair as a whole from being in step; `connection_id` is None where it is the pair's own."""

    reason: str
    rule: int
    explanation: str
    remedy: str
    message: str | None
    connection_id: str | None
    until: datetime | None


class CalendarRead(Model, frozen=True):
    """`known` is false where the calendar has never been read as a whole."""

    connection_id: str
    status: str
    last_synced_at: datetime | None
    known: bool


class Span(Model, frozen=True):
    """The days that are kept in step."""

    first: date
    last: date


class PastOperation(Operation, frozen=True):
    """What a run did about the event, and when."""

    sync_id: str
    created_at: datetime


class PairExplained(Model, frozen=True):
    """At most 100 `explanations`; `has_more` says whether there are more."""

    explanations: tuple[Explanation, ...]
    has_more: bool
    problems: tuple[PairProblem, ...]
    calendars: tuple[CalendarRead, ...]
    window: Span
    operations: tuple[PastOperation, ...]
