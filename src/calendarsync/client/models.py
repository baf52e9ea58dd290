"""What the API answers. Every object is frozen; fields that a later server adds are passed over.

Words such as a status are plain strings, since a later server may know more of them. Times are in UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypedDict

from pydantic import BaseModel

SyncMode = Literal["blocker", "full"]
Direction = Literal["bidirectional", "a_to_b", "b_to_a"]


class Model(BaseModel, frozen=True, extra="ignore"):
    """What all answers have in common."""


class Problem(Model):
    """Why something does not work: a code, and words for people."""

    code: str
    message: str


class CalendarFound(Model):
    """A calendar that may be connected. `id` is the `calendar_id` of its connection."""

    id: str
    name: str
    read_only: bool
    timezone: str | None


class CalendarsFound(Model):
    calendars: tuple[CalendarFound, ...]


class Connection(Model):
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


class PairOptions(TypedDict, total=False):
    """What a pair may be told; what is left out has its default. See `Options`."""

    past_days: int
    future_days: int
    include_free: bool
    include_tentative: bool
    include_unanswered: bool
    include_all_day: bool
    title: str | None
    private_events: Literal["blocker", "full", "skip"]
    attendees_in_description: bool
    color: str | None
    reminders: list[int]
    timezone: str | None


class Options(Model):
    """The options of a pair that are in effect, defaults included. `reminders` are minutes before the start."""

    past_days: int
    future_days: int
    include_free: bool
    include_tentative: bool
    include_unanswered: bool
    include_all_day: bool
    title: str
    private_events: str
    attendees_in_description: bool
    color: str | None
    reminders: tuple[int, ...]
    timezone: str | None


class SyncPair(Model):
    """Two connections that are kept in step. `status`: `active`, `paused`, `error` or `needs_attention`.

    `attention` tells why it is one of the last two; `removal` is `pending` while the pair is being deleted.
    """

    id: str
    connection_a_id: str
    connection_b_id: str
    sync_mode: str
    direction: str
    status: str
    last_synced_at: datetime | None
    options: Options
    mode: str
    created_at: datetime
    resume_at: datetime | None
    attention: Problem | None
    removal: str | None


class NewPair(TypedDict, total=False):
    """One of the pairs of `bulk_create`; all but `options` are needed."""

    connection_a_id: str
    connection_b_id: str
    sync_mode: SyncMode
    direction: Direction
    options: PairOptions


class BulkError(Model):
    """Why one of many was refused: as APIError tells it."""

    code: str
    message: str


class BulkResult(Model):
    """What became of one of many. `status` is what it would have been answered by itself, such as 201 or 409."""

    index: int
    status: int
    pair: SyncPair | None = None
    error: BulkError | None = None


class BulkResults(Model):
    results: tuple[BulkResult, ...]


class Operation(Model):
    """What was done, or not done, about one event. `original_start` is of an instance of a series, else empty."""

    direction: str
    event_id: str
    original_start: str
    action: str
    reason: str
    copy_id: str | None


class SyncStarted(Model):
    """A run that goes on. `sync_pairs.wait(sync_id)` waits for its end."""

    sync_id: str


class SyncResult(Model):
    """A run that is done. `error` stands where `success` is false; `operations` are those of a dry run."""

    success: bool
    sync_id: str
    events_processed: int
    events_created: int
    events_updated: int
    events_deleted: int
    error: Problem | None = None
    operations: tuple[Operation, ...] | None = None


class Log(Model):
    """One run. `status`: `success`, `partial` or `failed`; `trigger`: `schedule`, `push`, `api` or `web`."""

    id: str
    pair_id: str
    status: str
    events_synced: int
    duration_ms: int
    created_at: datetime
    sync_id: str
    trigger: str
    events_created: int
    events_updated: int
    events_deleted: int
    events_skipped: int
    provider_requests: int
    error: Problem | None


class LogWithOperations(Log):
    operations: tuple[Operation, ...]


def result_of_log(log: Log) -> SyncResult:
    """What the trigger would have answered, had it waited for the run."""
    failed = log.status == "failed"
    return SyncResult(
        success=not failed,
        sync_id=log.sync_id,
        events_processed=log.events_synced,
        events_created=log.events_created,
        events_updated=log.events_updated,
        events_deleted=log.events_deleted,
        error=log.error if failed else None,
    )
