"""The ends of runs that found nothing to do: most runs of an installation, so they share transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from calendarsync.store.claims import ClaimLost
from calendarsync.store.database import Database
from calendarsync.store.outbox import emit
from calendarsync.store.quiet import QuietEnd, settle_quiet
from calendarsync.sync.telling import of_run

_AT_ONCE = 100


@dataclass(slots=True)
class QuietEnds:
    """Writes what ends while a transaction is under way in the next one; nothing waits for company.

    `on_events` is told when that left events to be sent.
    """

    db: Database
    on_events: Callable[[], None]
    _waiting: list[tuple[QuietEnd, asyncio.Future[bool]]] = field(default_factory=list)
    _writer: asyncio.Task[None] | None = None

    async def write(self, end: QuietEnd) -> None:
        """Log the run, settle its pair and end its claim. Raises ClaimLost, and what the database raises."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((end, done))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())
        if not await done:
            raise ClaimLost

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
                await self._write(batch)
        finally:
            self._writer = None

    async def _write(self, batch: list[tuple[QuietEnd, asyncio.Future[bool]]]) -> None:
        try:
            async with self.db.write() as db:
                now = self.db.now()
                logs = await settle_quiet(db, [end for end, _ in batch], now)
                emitted = await emit(db, [of_run(log) for log in logs.values()], now)
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait
            for _, done in batch:
                if not done.done():
                    done.set_exception(error)
            return
        for end, done in batch:
            if not done.done():
                done.set_result(end.claim in logs)
        if emitted:
            self.on_events()
