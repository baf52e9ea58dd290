"""Sync pairs and their runs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypedDict

from pydantic import Field

from calendarsync.client.errors import Detail
from calendarsync.client.models.base import Model, Problem

SyncMode = Literal["blocker", "full"]
Direction = Literal["bidirectional", "a_to_b", "b_to_a"]


Weekday = Literal["MO", "TU", "WE", "TH", "FR", "SA", "SU"]

HoursOfWeek = TypedDict(
    "HoursOfWeek",
    {"weekdays": list[Weekday] | None, "from": str | None, "to": str | None, "timezone": str | None},
    total=False,
)
"""Hours of some weekdays, such as `{"weekdays": ["MO", "TU"], "from": "09:00", "to": "17:00"}`."""


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
    on_copy_edited: Literal["restore", "keep", "propagate"]
    on_copy_deleted: Literal["respect", "restore"]
    relay: bool
    only_between: HoursOfWeek | None
    title_contains: list[str] | None
    title_excludes: list[str] | None
    categories: list[str] | None
    min_minutes: int


class OnlyBetween(Model, frozen=True):
    """Hours of some weekdays: whole days where `from_` and `to` are None."""

    weekdays: tuple[str, ...]
    from_: str | None = Field(alias="from")
    to: str | None
    timezone: str | None


class Options(Model, frozen=True):
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
    on_copy_edited: str
    on_copy_deleted: str
    relay: bool
    only_between: OnlyBetween | None
    title_contains: tuple[str, ...]
    title_excludes: tuple[str, ...]
    categories: tuple[str, ...]
    min_minutes: int


class AffectedCopy(Model, frozen=True):
    """One of the copies that a guard asks about. `start`: a date, or a time in UTC."""

    event_id: str
    original_start: str
    copy_id: str
    start: str | None


class AttentionDetails(Model, frozen=True):
    """What a confirmation would do: to how many copies, of how many in this direction, and to which of them."""

    direction: str
    copies: int
    out_of: int
    examples: tuple[AffectedCopy, ...]


class Attention(Problem, frozen=True):
    """Why a pair does not run, and what a confirmation would do where one is asked for."""

    details: AttentionDetails | None


class SyncPair(Model, frozen=True):
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
    attention: Attention | None
    removal: str | None


class Latency(Model, frozen=True):
    """How soon changes were copied of late: half of them within `p50_ms`, 95 of 100 within `p95_ms`."""

    p50_ms: int
    p95_ms: int
    changes: int
    since: datetime


class SyncPairWithLatency(SyncPair, frozen=True):
    latency: Latency | None


class _PairOfMany(TypedDict):
    connection_a_id: str
    connection_b_id: str
    sync_mode: SyncMode
    direction: Direction


class NewPair(_PairOfMany, total=False):
    """One of the pairs of `create_many`."""

    options: PairOptions


class BulkError(Model, frozen=True):
    """Why one of many was refused; see APIError."""

    code: str
    message: str
    details: tuple[Detail, ...] = ()


class BulkResult(Model, frozen=True):
    """What became of one of many. `status` is what it alone would have been answered: 201, 409 or 422.

    `pair` is the new one; with 409 the one that exists already, if there is an equal one.
    """

    index: int
    status: int
    pair: SyncPair | None = None
    error: BulkError | None = None


class BulkResults(Model, frozen=True):
    results: tuple[BulkResult, ...]


class Switched(Model, frozen=True):
    """What a pause or its end did to one pair. `result`: `changed`, `unchanged`, `being_removed` or `not_found`."""

    pair_id: str
    result: str


class SwitchResults(Model, frozen=True):
    """`changed`: how many were."""

    results: tuple[Switched, ...]
    changed: int


class Operation(Model, frozen=True):
    """What was done, or not done, about one event. `original_start` is of an instance of a series, else empty.

    `latency_ms`: from the stamp of the change in its own calendar to the answer to this write, where measured.
    """

    direction: str
    event_id: str
    original_start: str
    action: str
    reason: str
    copy_id: str | None
    latency_ms: int | None


class UndoResult(Model, frozen=True):
    """What came of taking back a run. `undid` is its sync id; `error` stands where `success` is false.

    `not_undone`: what could not be brought back, such as what copies showed before they were updated.
    """

    success: bool
    sync_id: str
    undid: str | None
    events_created: int
    events_deleted: int
    operations: tuple[Operation, ...]
    not_undone: tuple[Operation, ...]
    error: Problem | None = None


class SyncStarted(Model, frozen=True):
    """A run that goes on. `sync_pairs.wait(sync_id)` waits for its end."""

    sync_id: str


class SyncResult(Model, frozen=True):
    """A run that is done. `error` stands where `success` is false; `operations` are those of a dry run."""

    success: bool
    sync_id: str
    events_processed: int
    events_created: int
    events_updated: int
    events_deleted: int
    error: Problem | None = None
    operations: tuple[Operation, ...] | None = None
