"""What a run tells: its log, its operations, and the answer to a trigger."""

from __future__ import annotations

from asyncio import Future
from dataclasses import dataclass
from enum import StrEnum


class RunStatus(StrEnum):
    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing done, or not done, about one event. Ids and reasons only.

    `direction` is `a_to_b` or `b_to_a`; `action` one of `create`, `update`, `delete`, `adopt`, `skip`.
    """

    direction: str
    event_id: str
    original_start: str
    action: str
    reason: str
    copy_id: str | None = None


@dataclass(frozen=True, slots=True)
class RunError:
    """`code` is one of ours; `message` our own words, fit to be shown."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class RunReport:
    sync_id: str
    status: RunStatus
    events_processed: int = 0
    events_created: int = 0
    events_updated: int = 0
    events_deleted: int = 0
    events_skipped: int = 0
    provider_requests: int = 0
    duration_ms: int = 0
    error: RunError | None = None
    operations: tuple[Operation, ...] = ()


@dataclass(frozen=True, slots=True)
class Ticket:
    """A run that was asked for: its id is known at once, its report when it is done."""

    sync_id: str
    done: Future[RunReport]
