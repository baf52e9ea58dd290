"""Logs of runs."""

from __future__ import annotations

from datetime import datetime

from calendarsync.client.models.base import Model, Problem
from calendarsync.client.models.pairs import Operation, SyncResult


class Log(Model, frozen=True):
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
    undid: str | None
    error: Problem | None


class LogWithOperations(Log, frozen=True):
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
