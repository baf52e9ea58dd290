"""Sync pairs as they come in and go out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy import RowMapping

from calendarsync.api.paging import Paged
from calendarsync.api.v1.fields import Body, Problem, Text, Timestamp, omitted, problem
from calendarsync.api.v1.pair_options import Options, Weekday, options_out

SyncMode = Literal["blocker", "full"]
Direction = Literal["bidirectional", "a_to_b", "b_to_a"]
PairStatus = Literal["active", "paused", "error", "needs_attention"]


class NewPair(Body):
    """`blocker` copies when its people are busy, `full` also title, description and location."""

    connection_a_id: Annotated[Text, Field(max_length=100)]
    connection_b_id: Annotated[Text, Field(max_length=100)]
    sync_mode: SyncMode
    direction: Direction
    options: Options = Field(default_factory=Options)


class PairChanges(Body):
    """Only what is given changes; `options` are merged into those of the pair, one by one.

    `active` also tries again a pair that an error or a guard stopped, and takes `resume_at` away.
    """

    status: Literal["active", "paused"] = Field(default_factory=omitted)
    resume_at: Timestamp | None = Field(
        default_factory=omitted, description="When a paused pair becomes active by itself; null: never."
    )
    sync_mode: SyncMode = Field(default_factory=omitted)
    direction: Direction = Field(default_factory=omitted)
    options: Options = Field(default_factory=omitted)


class TriggerRequest(Body):
    full: bool = Field(default=False, description="Read everything again.")
    confirm: bool = Field(default=False, description="Pass, once, the guard that stopped the pair.")
    dry_run: bool = Field(
        default=False,
        description="Write nothing, no log either; tell what would be done. Not with `Prefer: respond-async`.",
    )


class UndoRequest(Body):
    sync_id: Annotated[Text, Field(min_length=1, max_length=40)] | None = Field(
        default=None,
        description="Undo this run only: 409 where another one wrote since. Default: the last run that wrote.",
    )
    dry_run: bool = Field(
        default=False,
        description="Write nothing, pause nothing; tell what would be done. Not with `Prefer: respond-async`.",
    )


class OnlyBetweenOut(BaseModel):
    weekdays: list[Weekday]
    from_: str | None = Field(alias="from")
    to: str | None
    timezone: str | None


class OptionsOut(BaseModel):
    """The options in effect, defaults included."""

    past_days: int
    future_days: int
    include_free: bool
    include_tentative: bool
    include_unanswered: bool
    include_all_day: bool
    title: str
    private_events: Literal["blocker", "full", "skip"]
    attendees_in_description: bool
    color: str | None
    reminders: list[int]
    timezone: str | None
    on_copy_edited: Literal["restore", "keep", "propagate"]
    on_copy_deleted: Literal["respect", "restore"]
    relay: bool
    only_between: OnlyBetweenOut | None
    title_contains: list[str]
    title_excludes: list[str]
    categories: list[str]
    min_minutes: int


class AffectedCopy(BaseModel):
    """One of the copies that a guard asks about."""

    event_id: str
    original_start: str = Field(description="Of an instance of a series; empty for all others.")
    copy_id: str
    start: str | None = Field(description="When it begins: a date, or a time in UTC.")


class AttentionDetails(BaseModel):
    """What a confirmation would do: to how many copies, of how many in this direction, and to which of them."""

    direction: Literal["a_to_b", "b_to_a"]
    copies: int
    out_of: int
    examples: list[AffectedCopy]


class Attention(Problem):
    """Why a pair does not run, and what a confirmation would do where one is asked for."""

    details: AttentionDetails | None


class PairOut(BaseModel):
    id: str
    connection_a_id: str
    connection_b_id: str
    sync_mode: SyncMode
    direction: Direction
    status: PairStatus
    last_synced_at: datetime | None
    options: OptionsOut
    mode: Literal["live", "test"]
    created_at: datetime
    resume_at: datetime | None
    attention: Attention | None = Field(description="Why the status is `error` or `needs_attention`.")
    removal: Literal["pending"] | None = Field(
        description="`pending` while the pair is being deleted and its copies are dealt with."
    )


class PairList(Paged):
    pairs: list[PairOut]


class OperationOut(BaseModel):
    """What was done, or not done, about one event, or would be."""

    direction: Literal["a_to_b", "b_to_a"]
    event_id: str
    original_start: str = Field(description="Of an instance of a series; empty for all others.")
    action: str = Field(
        description="`create`, `update`, `delete` or `adopt` a copy, `propagate` an edit of it into its source, "
        "or `skip`."
    )
    reason: str
    copy_id: str | None
    latency_ms: int | None = Field(
        description="From the stamp of the change in its own calendar to the answer to this write; null where it "
        "was not measured."
    )


class SyncStarted(BaseModel):
    sync_id: str


class SyncResult(BaseModel):
    success: bool
    sync_id: str
    events_processed: int
    events_created: int
    events_updated: int
    events_deleted: int
    error: Problem = Field(default_factory=omitted, description="Where `success` is false.")
    operations: list[OperationOut] = Field(
        default_factory=omitted, description="Of a dry run: what it would have done."
    )


class UndoResult(BaseModel):
    success: bool
    sync_id: str
    undid: str | None = Field(description="The `sync_id` of the run that was undone.")
    events_created: int = Field(description="Copies that it had deleted, and that are there again.")
    events_deleted: int = Field(description="Copies that it had created, and that are gone.")
    operations: list[OperationOut] = Field(
        description="What was done; of a dry run, what it would have done."
    )
    not_undone: list[OperationOut] = Field(
        description="What could not be brought back, such as what copies showed before they were updated."
    )
    error: Problem = Field(default_factory=omitted, description="Where `success` is false.")


def pair_out(row: RowMapping, clock: timedelta) -> PairOut:
    """`clock` is how far the account's time is ahead of the one that is kept."""
    shown = {
        **row,
        "options": options_out(row["sync_mode"], row["options"]),
        "resume_at": row["resume_at"] and row["resume_at"] + clock,
        "removal": "pending" if row["removal"] else None,
        "attention": _attention(row),
    }
    return PairOut.model_validate(shown)


def _attention(row: RowMapping) -> dict[str, Any] | None:
    told = problem(row["attention_code"], row["attention_message"])
    return None if told is None else {**told.model_dump(), "details": row["attention_details"]}
