"""The log of a run, and the event that tells of it, in the transaction that ends the run."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.ids import new_id
from calendarsync.store.outbox import emit
from calendarsync.store.runs import is_brief, save_run
from calendarsync.store.schedule import PairRecord
from calendarsync.sync.report import Operation, Order, RunReport, RunStatus
from calendarsync.sync.telling import of_run

_LOGGED = [field.name for field in fields(RunReport) if field.name not in {"operations", "error"}]
_NOTED = [field.name for field in fields(Operation)]


async def write_log(
    db: AsyncConnection, pair: PairRecord, order: Order, report: RunReport, now: datetime
) -> bool:
    """Log a run, and tell whoever subscribed; whether that left events to be sent."""
    synced_at = pair.last_synced_at if may_be_brief(pair, order, report) else None
    log = log_of(pair, order, report) | {"created_at": now, "brief": is_brief(synced_at, now)}
    await save_run(db, log, _rows(report))
    return await emit(db, [of_run(log)], now)


def log_of(pair: PairRecord, order: Order, report: RunReport) -> dict[str, Any]:
    """The row of `runs`, but for its time and what depends on that."""
    return {name: getattr(report, name) for name in _LOGGED} | {
        "id": new_id("log"),
        "account_id": pair.account_id,
        "mode": pair.mode,
        "pair_id": pair.id,
        "trigger": order.trigger,
        "status": report.status.value,
        "error_code": report.error.code if report.error else None,
        "error_message": report.error.message[:500] if report.error else None,
    }


def _rows(report: RunReport) -> list[dict[str, Any]]:
    return [{name: getattr(operation, name) for name in _NOTED} for operation in report.operations]


def may_be_brief(pair: PairRecord, order: Order, report: RunReport) -> bool:
    """Whether nobody asked for a run, and nothing came of it."""
    nothing = report.status is RunStatus.SUCCESS and not (report.operations or report.events_processed)
    return nothing and order.routine and pair.removal is None
