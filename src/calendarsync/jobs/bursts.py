"""Runs that changes ask for: what comes in a burst is one order for each pair (rule 27)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog

from calendarsync.jobs.runs import end_tasks
from calendarsync.jobs.wakeups import Wakeups
from calendarsync.jobs.worker import PAIR_ORDERED
from calendarsync.store import channels, orders
from calendarsync.store.database import Database, DatabaseUnavailable

QUIET_SECONDS = 0.05
"""A burst is over when for so long nothing came."""

PATIENCE_SECONDS = 0.25
"""How long after it began a burst that does not end is acted on."""

_RETRY_SECONDS = 1.0
PUSH = "push"

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Burst:
    """`ends_at`: by the loop's clock, whatever comes until then.

    `counts_for`: how long the connection's channels count at most; None where nothing was said of them.
    """

    ends_at: float
    changed: bool = False
    counts_for: timedelta | None = None
    timer: asyncio.TimerHandle | None = None


class Bursts:
    """Waits in memory until a calendar is quiet for a moment, then orders its pairs' runs.

    What is lost with the process is made good by polling.
    """

    def __init__(self, db: Database, wakeups: Wakeups) -> None:
        self._db = db
        self._wakeups = wakeups
        self._bursts: dict[str, _Burst] = {}
        self._over: dict[str, _Burst] = {}
        self._writer: asyncio.Task[None] | None = None

    def add(self, connection_id: str, *, changed: bool = True, counts_for: timedelta | None = None) -> None:
        """Something came about a connection: its calendar has changed, or its channels count so long at most."""
        loop = asyncio.get_running_loop()
        burst = self._bursts.get(connection_id)
        if burst is None:
            burst = self._bursts[connection_id] = _Burst(loop.time() + PATIENCE_SECONDS)
        burst.changed |= changed
        burst.counts_for = _shorter(burst.counts_for, counts_for)
        if burst.timer is not None:
            burst.timer.cancel()
        at = min(loop.time() + QUIET_SECONDS, burst.ends_at)
        burst.timer = loop.call_at(at, self._end, connection_id)

    def _end(self, connection_id: str) -> None:
        burst = self._bursts.pop(connection_id)
        earlier = self._over.get(connection_id)
        if earlier is not None:
            burst.changed |= earlier.changed
            burst.counts_for = _shorter(burst.counts_for, earlier.counts_for)
        self._over[connection_id] = burst
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all(), name="orders of pushes")

    async def _write_all(self) -> None:
        """What ends while a transaction is under way is in the next one."""
        try:
            while self._over:
                these, self._over = self._over, {}
                try:
                    await self._write(these)
                except DatabaseUnavailable:
                    _log.warning("pushes_wait_for_database", connections=len(these))
                    self._over = {**these, **self._over}
                    await asyncio.sleep(_RETRY_SECONDS)
        except Exception as defect:  # noqa: BLE001 - polling makes good
            _log.error("pushes_lost", defect=type(defect).__name__)
        finally:
            self._writer = None

    async def _write(self, bursts: Mapping[str, _Burst]) -> None:
        changed = [connection_id for connection_id, burst in bursts.items() if burst.changed]
        async with self._wakeups.transaction() as (db, sending):
            now = self._db.now()
            # Pairs before connections: every transaction locks them in this order.
            if changed and await orders.place_on(db, changed, PUSH, now):
                sending.append(PAIR_ORDERED)
            for connection_id in sorted(bursts):
                counts_for = bursts[connection_id].counts_for
                if counts_for is not None:
                    await channels.cut_short(db, connection_id, now + counts_for)

    def end_all(self) -> None:
        """Wait for no quiet: order now what has come."""
        for connection_id, burst in list(self._bursts.items()):
            if burst.timer is not None:
                burst.timer.cancel()
            self._end(connection_id)

    async def stop(self, patience: float) -> None:
        """Order what has come, in so many seconds."""
        self.end_all()
        if self._writer is not None:
            await end_tasks([self._writer], patience)


def _shorter(one: timedelta | None, other: timedelta | None) -> timedelta | None:
    return min((each for each in (one, other) if each is not None), default=None)
