"""What a run tells: its log, its operations, and the answer to a trigger."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

_UNASKED = frozenset({"schedule", "push"})


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for. `trigger` is one of `schedule`, `push`, `api`, `web`.

    `undo`: the run that is to be undone, by its sync id, or `LATEST`; None of an order to sync. `placed`: it stands
    in the table of orders, and somebody may wait for its report.
    """

    sync_id: str
    trigger: str
    full: bool = False
    confirm: bool = False
    dry_run: bool = False
    undo: str | None = None
    placed: bool = False

    @property
    def routine(self) -> bool:
        """Whether nobody asked for it."""
        return self.trigger in _UNASKED

    @property
    def plans_always(self) -> bool:
        """Whether it goes on where it finds nothing changed."""
        return self.full or self.confirm or self.dry_run

    @property
    def tells_operations(self) -> bool:
        """Whether who waits for it is told each operation."""
        return self.dry_run or self.undo is not None


class RunStatus(StrEnum):
    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing done, or not done, about one event. Ids and reasons only.

    `direction` is `a_to_b` or `b_to_a`; `action` one of `create`, `update`, `delete`, `adopt`, `skip`, all of a
    copy, and `propagate`, an edit of it into its source. `latency_ms` is the time from a change of the source, as
    its provider stamped it, to the answer to the write.
    """

    direction: str
    event_id: str
    original_start: str
    action: str
    reason: str
    copy_id: str | None = None
    latency_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RunError:
    """`code` is one of ours; `message` our own words, fit to be shown."""

    code: str
    message: str


LATEST = ""
"""What an order to undo names that leaves open which run; it is no run's sync id, and no caller can give it."""


class NothingToUndo(Exception):  # noqa: N818 - it tells what happened
    """Its text is ours, and may be shown."""


def not_the_last(undo: str, last: str | None) -> str | None:
    """Why the run that an order to undo names cannot be undone; `last` is the pair's last run that wrote."""
    if last is None:
        return "the pair's log names no run that wrote anything"
    if undo not in {LATEST, last}:
        return f"{last} wrote since: only the last run can be undone"
    return None


PAIR_GONE = RunError("not_found", "the pair does not exist any more")
INTERNAL_ERROR = RunError("server_error", "an internal error; the server's log has this sync_id")


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
    undid: str | None = None

    def to_json(self, *, with_operations: bool = False) -> dict[str, Any]:
        """For the one who waits for it. The operations are in the log, but those of a dry run are only here."""
        return asdict(self) | ({} if with_operations else {"operations": ()})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunReport:
        """What `to_json` gave, here or in another version of the program: what it says beyond this is left out."""
        error, operations = data["error"], data["operations"]
        values = _known(cls, data) | {
            "status": RunStatus(data["status"]),
            "error": RunError(**_known(RunError, error)) if error else None,
            "operations": tuple(Operation(**_known(Operation, operation)) for operation in operations),
        }
        return cls(**values)


def _known(kind: type[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in data.items() if name in names}


def refused(order: Order, error: RunError) -> RunReport:
    """The report of a run that did not begin."""
    return RunReport(order.sync_id, RunStatus.FAILED, error=error)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A run that was asked for: its id is known at once, its report when it is done."""

    sync_id: str
    done: Future[RunReport]
