"""Waiting for orders: whoever placed one learns what came of it, in whichever process it was carried out."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from weakref import WeakValueDictionary

import structlog

from calendarsync.jobs.listening import Listener
from calendarsync.store import orders
from calendarsync.store.database import Database, DatabaseUnavailable
from calendarsync.store.dialects import ORDERS_CHANNEL
from calendarsync.sync.report import RunReport, Ticket

_LOOK_SECONDS = 1.0
"""How often the table is looked at for what no notice came for."""

_log = structlog.get_logger(__name__)


class Results:
    def __init__(self, db: Database) -> None:
        self._db = db
        # By their order's sync id, for as long as somebody has the ticket.
        self._expected: WeakValueDictionary[str, asyncio.Future[RunReport]] = WeakValueDictionary()
        self._task: asyncio.Task[None] | None = None
        self.listener = Listener(db)
        self._noticed = asyncio.Event()

    def expect(self, sync_id: str) -> Ticket:
        """A ticket for an order, to be asked for before the order's transaction ends."""
        done = self._expected.get(sync_id)
        if done is None:
            done = self._expected[sync_id] = asyncio.get_running_loop().create_future()
        if self._task is None:
            self._task = asyncio.create_task(self._look(), name="results")
            self.listener.hear(ORDERS_CHANNEL, self._notice)
        return Ticket(sync_id, done)

    def tell(self, report: RunReport) -> None:
        """An order was carried out in this process."""
        done = self._expected.pop(report.sync_id, None)
        if done is not None and not done.done():
            done.set_result(report)

    async def stop(self) -> None:
        await self.listener.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._noticed.wait(), _LOOK_SECONDS)
            self._noticed.clear()
            if not self._expected:
                continue
            try:
                async with self._db.read() as db:
                    found = await orders.reports(db, list(self._expected))
            except DatabaseUnavailable:
                continue
            for sync_id, report in found.items():
                try:
                    self.tell(RunReport.from_json(report))
                except Exception as defect:  # noqa: BLE001 - who waits for another order is told
                    _log.error("result_not_read", sync_id=sync_id, defect=type(defect).__name__)

    def _notice(self, sync_id: str | None) -> None:
        if sync_id is None or sync_id in self._expected:
            self._noticed.set()
