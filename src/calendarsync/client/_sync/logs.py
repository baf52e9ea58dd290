# Made from ../_async/logs.py by `make client`: change that file, not this one.
"""`client.logs`"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from calendarsync.client._sync.transport import Paged, Transport
from calendarsync.client.models import Log, LogWithOperations
from calendarsync.client.protocol import Listing, get, part


class Logs:
    """What the runs did. Every method may raise CalendarSyncError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        pair_id: str | None = None,
        sync_id: str | None = None,
        status: Literal["success", "partial", "failed"] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        per_page: int = 100,
    ) -> Paged[Log]:
        """The newest first. `since` is included, `until` is not; `per_page`: how many are fetched at once."""
        query = {"pair_id": pair_id, "sync_id": sync_id, "status": status, "since": since, "until": until}
        listing = Listing(Log, "/logs", "logs", {**query, "per_page": per_page}, cursor=True)
        return Paged(self._transport, listing)

    def get(self, log_id: str) -> LogWithOperations:
        """One log with its operations: which events, what was done, and why."""
        return self._transport.one(LogWithOperations, get(f"/logs/{part(log_id)}"))
