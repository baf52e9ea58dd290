"""What runs when, in one process: the schedule, triggers, and each pair at most once at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from calendarsync.store import schedule
from calendarsync.store.database import Database
from calendarsync.store.ids import new_id
from calendarsync.sync.report import RunError, RunReport, RunStatus, Ticket
from calendarsync.sync.round import Round
from calendarsync.sync.run import Engine, Order

LONGEST_SLEEP_SECONDS = 30.0
"""How long the schedule sleeps at most; what is due earlier wakes it."""

DRAIN_SECONDS = 20.0

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Job:
    """A run that is asked for. Until it starts, further requests join it."""

    order: Order
    round_: Round
    done: asyncio.Future[RunReport]

    @property
    def ticket(self) -> Ticket:
        return Ticket(self.order.sync_id, self.done)

    def join(self, order: Order, round_: Round) -> None:
        """Share this run; it reads in the newcomer's round, which has read nothing yet."""
        self.round_ = round_
        self.order = replace(
            self.order, full=self.order.full or order.full, confirm=self.order.confirm or order.confirm
        )


@dataclass(slots=True)
class _Slot:
    """The jobs of one pair: one at work at most, and one of each kind behind it."""

    task: asyncio.Task[None] | None = None
    waiting: list[_Job] = field(default_factory=list)

    def joinable(self, order: Order) -> _Job | None:
        return next((job for job in self.waiting if job.order.dry_run == order.dry_run), None)


class Runner:
    """Runs pairs when they are due or asked for, each at most once at a time."""

    def __init__(self, db: Database, engine: Engine, *, now: Callable[[], datetime]) -> None:
        self._db = db
        self._now = now
        self._engine = engine
        self._slots: dict[str, _Slot] = {}
        self._woken = asyncio.Event()
        self._schedule: asyncio.Task[None] | None = None
        self._stopping = False
        self._late: float | None = None

    async def start(self) -> None:
        """Begin with the schedule."""
        self._schedule = asyncio.create_task(self._keep_schedule(), name="schedule")

    async def stop(self) -> None:
        """Take on nothing new, and let what runs come to its end, for 20 seconds at most."""
        self._stopping = True
        if self._schedule is not None:
            self._schedule.cancel()
            await asyncio.gather(self._schedule, return_exceptions=True)
        running = [slot.task for slot in self._slots.values() if slot.task is not None]
        if running:
            _, late = await asyncio.wait(running, timeout=DRAIN_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def trigger(
        self,
        pair_id: str,
        *,
        trigger: str = "api",
        full: bool = False,
        confirm: bool = False,
        dry_run: bool = False,
    ) -> Ticket:
        """Ask for a run that starts after this call; while one waits to start, it is shared."""
        order = Order(new_id("sync_run"), trigger, full=full, confirm=confirm, dry_run=dry_run)
        return self._ask(pair_id, order, self._engine.new_round())

    def remove(self, pair_id: str) -> Ticket:
        """Carry out the removal that the pair's row asks for."""
        return self._ask(pair_id, Order(new_id("sync_run"), "api"), self._engine.new_round())

    def wake(self) -> None:
        """Something became due: look at once."""
        self._woken.set()

    def lateness(self) -> float | None:
        """Seconds that the schedule is behind; None where it does not run in this process."""
        return self._late

    def _ask(self, pair_id: str, order: Order, round_: Round) -> Ticket:
        slot = self._slots.setdefault(pair_id, _Slot())
        job = slot.joinable(order)
        if job is not None:
            job.join(order, round_)
            return job.ticket
        future: asyncio.Future[RunReport] = asyncio.get_running_loop().create_future()
        job = _Job(order, round_, future)
        if self._stopping:
            job.done.set_result(_unfinished(order))
            return job.ticket
        slot.waiting.append(job)
        if slot.task is None:
            slot.task = asyncio.create_task(self._work_off(pair_id, slot), name=f"pair {pair_id}")
        return job.ticket

    async def _work_off(self, pair_id: str, slot: _Slot) -> None:
        try:
            while slot.waiting and not self._stopping:
                await self._run(pair_id, slot.waiting.pop(0))
        finally:
            slot.task = None
            for job in slot.waiting:
                job.done.set_result(_unfinished(job.order))
            del self._slots[pair_id]

    async def _run(self, pair_id: str, job: _Job) -> None:
        report = _unfinished(job.order)
        try:
            report = await self._engine.run(pair_id, job.order, job.round_)
        except Exception as defect:  # noqa: BLE001 - the other pairs go on
            _log.error("run_lost", pair_id=pair_id, defect=type(defect).__name__)
        finally:
            if not job.done.done():
                job.done.set_result(report)

    async def _keep_schedule(self) -> None:
        while True:
            self._woken.clear()
            try:
                pause = await self._tick()
            except Exception as defect:  # noqa: BLE001 - a database that is away for a moment ends no schedule
                _log.error("schedule_failed", defect=type(defect).__name__)
                pause = 1.0
            try:
                await asyncio.wait_for(self._woken.wait(), pause)
            except TimeoutError:
                continue

    async def _tick(self) -> float:
        """Start what is due, as one round; the seconds until there may be more to do."""
        now = self._now()
        async with self._db.read() as db:
            resume_at = await schedule.earliest_resume(db)
        if resume_at is not None and resume_at <= now:
            async with self._db.write() as db:
                await schedule.resume_pairs(db, now)
        async with self._db.read() as db:
            resume_at = await schedule.earliest_resume(db)
            all_due = await schedule.due_pairs(db, now)
            next_due = await schedule.earliest_due(db, now)
        due = {pair_id: since for pair_id, since in all_due.items() if pair_id not in self._slots}
        self._late = (now - min(due.values())).total_seconds() if due else 0.0
        round_ = self._engine.new_round()
        for pair_id in due:
            self._ask(pair_id, Order(new_id("sync_run"), "schedule"), round_)
        if due:
            return 1.0
        coming = [(moment - now).total_seconds() for moment in (next_due, resume_at) if moment is not None]
        return min(max(min(coming, default=LONGEST_SLEEP_SECONDS), 1.0), LONGEST_SLEEP_SECONDS)


def _unfinished(order: Order) -> RunReport:
    error = RunError("interrupted", "the process stopped before the run was done")
    return RunReport(order.sync_id, RunStatus.FAILED, error=error)
