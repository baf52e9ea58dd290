"""Why an event is, or is not, where it was expected, as it goes out: ids, times and reasons."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from calendarsync.api.v1.fields import parse_timestamp
from calendarsync.api.v1.pair_models import OperationOut

_TO_THE_MINUTE = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d)([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_YEARS = range(1900, 2500)


def _moment(value: object) -> datetime:
    """As `parse_timestamp`; the seconds may be left out."""
    minute = _TO_THE_MINUTE.fullmatch(value) if isinstance(value, str) else None
    found = parse_timestamp(f"{minute[1]}:00{minute[2]}" if minute else value)
    if found.year not in _YEARS:
        raise ValueError("must lie between the years 1900 and 2500")
    return found


Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-03-02T09:00:00Z"]}),
]


class ExplanationOut(BaseModel):
    """What was decided of one entry of a calendar, or one instance of it, and why."""

    event_id: str
    role: Literal["source", "copy", "stray", "foreign"] = Field(
        description="`source`: somebody's event. `copy`: written by this installation. `stray`: an event that a "
        "person made out of a copy, by pasting it; it counts as a source. `foreign`: another installation's copy."
    )
    decision: str = Field(
        description="What the next run does: `create`, `update`, `delete` or `adopt` a copy, `forget` one that is "
        "gone, `skip` the event, or `none`."
    )
    rule: int = Field(description="The number of the rule that decided.")
    reason: str
    explanation: str = Field(description="What the reason means.")
    remedy: str = Field(description="What would change it.")
    connection_id: str | None = Field(
        description="Whose calendar the entry is in; null of one that is in neither."
    )
    direction: Literal["a_to_b", "b_to_a"] | None = Field(description="What the decision is about.")
    original_start: str = Field(description="Of an instance of a series; empty for all others.")
    starts_at: datetime | None = Field(
        description="When it begins, of a series its first instance; null where that is not known."
    )
    copy_id: str | None
    source_id: str | None = Field(
        description="Of a copy: the event that it stands for, where this pair keeps it."
    )
    since: datetime | None = Field(description="Since when it is known to stand in its calendar.")
    retry_at: datetime | None = Field(description="When a write that failed is tried again.")


class PairProblem(BaseModel):
    """What keeps the pair as a whole from being in step."""

    reason: str
    rule: int
    explanation: str
    remedy: str
    message: str | None = Field(description="What was told when it happened.")
    connection_id: str | None = Field(description="Null where it is the pair's own.")
    until: datetime | None = Field(description="When it ends by itself.")


class CalendarRead(BaseModel):
    connection_id: str
    status: Literal["pending", "active", "expired", "error"]
    last_synced_at: datetime | None
    known: bool = Field(description="False where the calendar has never been read as a whole.")


class Span(BaseModel):
    """The days that are kept in step."""

    first: date
    last: date


class PastOperation(OperationOut):
    sync_id: str
    created_at: datetime


class PairExplained(BaseModel):
    explanations: list[ExplanationOut]
    has_more: bool = Field(description="Whether there are more than are told.")
    problems: list[PairProblem]
    calendars: list[CalendarRead]
    window: Span
    operations: list[PastOperation] = Field(
        description="What runs of the last 30 days did about the event that was asked about, the newest first."
    )
