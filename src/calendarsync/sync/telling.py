"""What is told to whoever subscribed: the end of a run, and a connection that needs new credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calendarsync.store.outbox import Event
from calendarsync.sync.report import RunStatus
from calendarsync.webhooks.catalogue import EventType, connection_data, log_data

_WRITTEN = ("events_created", "events_updated", "events_deleted")


def of_run(log: Mapping[str, Any]) -> Event:
    """`log`: a row of `runs`."""
    failed = log["status"] == RunStatus.FAILED
    return Event(
        log["account_id"],
        log["mode"],
        EventType.SYNC_FAILED if failed else EventType.SYNC_COMPLETED,
        log_data(log),
        changed=failed or any(log[name] for name in _WRITTEN),
    )


def of_expired(connection: Mapping[str, Any]) -> Event:
    """`connection`: as store/connections.py shows it to its owner."""
    return Event(
        connection["account_id"],
        connection["mode"],
        EventType.CONNECTION_EXPIRED,
        connection_data(connection),
    )
