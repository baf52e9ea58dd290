"""A worker: claims pairs that are due or ordered, runs them, and keeps its claims alive meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.jobs.handover import from_json, to_json
from calendarsync.jobs.results import Results
from calendarsync.jobs.wakeups import Wakeup, Wakeups
from calendarsync.store import orders
from calendarsync.store.claims import (
    Claim,
    ClaimLost,
    claim_due,
    claim_ordered,
    claim_pair,
    due_no_later_than,
    give_back,
    renew,
    settle,
)
from calendarsync.store.database import Database, DatabaseUnavailable
from calendarsync.store.ids import new_id
from calendarsync.store.schedule import ConnectionRecord, PairRecord, load_claimed
from calendarsync.sync.admission import Wait, held_back
from calendarsync.sync.hold import Hold
from calendarsync.sync.report import Order, RunError, RunReport, RunStatus
from calendarsync.sync.round import JITTER, Round
from calendarsync.sync.run import Engine, Work

PAIRS_CLAIMED = "pairs_claimed"
PAIR_ORDERED = "pair_ordered"

RUNS_AT_ONCE = 128
"""How many pairs the schedule has at work in one process."""

_CLAIMED_AT_ONCE = 64
"""So that pairs are spread over the workers that are there, and the next are fetched while these are at work."""

_MOST_RUNS = 2 * RUNS_AT_ONCE
"""The same with those that wait for a calendar, and with what was ordered, which the schedule leaves room for."""

LEASE = timedelta(seconds=15)
"""How long a claim counts without being renewed: a killed worker's pairs are taken up after that."""

BEAT_SECONDS = 4.0
TICK_SECONDS = 1.0
DRAIN_SECONDS = 12.0
CLOCK_JUMP_SECONDS = 5.0
_KEEP_ORDERS = timedelta(hours=1)
_TIDY_EVERY = timedelta(minutes=1)

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Run:
    """A claim that this process holds, and until when as far as it knows."""

    until: datetime
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class _Claimed:
    """Claims that count until then, and what their runs begin with."""

    until: datetime
    pairs: Mapping[Claim, PairRecord]
    connections: Mapping[str, ConnectionRecord]
    orders: Sequence[Row[Any]]


async def _load(db: AsyncConnection, claims: Sequence[Claim], until: datetime) -> _Claimed:
    found, connections = await load_claimed(db, claims)
    placed = await orders.open_orders(db, [claim.pair_id for claim in found])
    return _Claimed(until, found, connections, placed)


class Worker:
    """Runs pairs, each under a claim. Any number of workers share a PostgreSQL database; SQLite has one."""

    def __init__(
        self, db: Database, engine: Engine, wakeups: Wakeups, results: Results, *, poll_seconds: float
    ) -> None:
        self._db = db
        self._engine = engine
        self._wakeups = wakeups
        self._results = results
        self._poll = timedelta(seconds=poll_seconds)
        self._runs: dict[Claim, _Run] = {}
        self._woken = asyncio.Event()
        self._scheduling = False
        self._more = False
        self._tidy_at = datetime.min.replace(tzinfo=UTC)
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, *, schedule: bool = True) -> None:
        """Begin. Without `schedule` only what is ordered is run."""
        self._scheduling = schedule
        handlers = {PAIRS_CLAIMED: self._on_claimed, PAIR_ORDERED: self._on_ordered}
        loops = (self._wakeups.listen(handlers), self._keep_claims(), self._keep_schedule())
        self._tasks = [asyncio.create_task(loop) for loop in loops]

    async def stop(self) -> None:
        """Take on nothing new; let what runs come to its end for a while, and give the rest back."""
        self._stopping = True
        self._wakeups.stop()
        running = [run.task for run in self._runs.values() if run.task is not None]
        if running:
            _, late = await asyncio.wait(running, timeout=DRAIN_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._give_back(list(self._runs))

    def wake(self) -> None:
        """Something became due: look at once."""
        self._woken.set()

    async def _keep_schedule(self) -> None:
        while not self._stopping:
            self._woken.clear()
            try:
                await self._tick()
            except DatabaseUnavailable:
                _log.warning("schedule_waits_for_database")
            except Exception as defect:  # noqa: BLE001 - the next tick tries again
                _log.error("schedule_failed", defect=type(defect).__name__)
            try:
                # By chance a little apart, so that many workers do not ask at the same moment.
                await asyncio.wait_for(self._woken.wait(), TICK_SECONDS * random.uniform(0.8, 1.2))
            except TimeoutError:
                continue

    async def _tick(self) -> None:
        """Claim what is due, as much as there is room for, and hand it to whichever worker is quickest."""
        await self._mind_the_clock()
        # Runs that wait for a calendar take no place, or a slow hub would hold up everybody else.
        room = min(RUNS_AT_ONCE + self._engine.waiting, _MOST_RUNS) - len(self._runs)
        room = min(room, _CLAIMED_AT_ONCE)
        if room <= 0 or self._stopping:
            return
        async with self._wakeups.transaction() as (db, sending):
            now = self._db.now()
            claims = await claim_ordered(db, now, now + LEASE, room)
            if self._scheduling and len(claims) < room:
                left = room - len(claims)
                claims += await claim_due(db, now, now + LEASE, left, ahead=self._poll * JITTER)
            if claims:
                sending.append(Wakeup(PAIRS_CLAIMED, to_json(claims, now + LEASE)))
            if now >= self._tidy_at:
                await orders.prune(db, now - _KEEP_ORDERS)
        if now >= self._tidy_at:
            self._tidy_at = now + _TIDY_EVERY
        self._more = len(claims) >= room

    async def _mind_the_clock(self) -> None:
        """A clock that was set back has put off everything that is due by as much."""
        jump = await self._db.read_clock()
        if abs(jump) >= CLOCK_JUMP_SECONDS:
            _log.warning("clock_jumped", seconds=round(jump))
        if jump <= -CLOCK_JUMP_SECONDS:
            async with self._db.write() as db:
                await due_no_later_than(db, self._db.now() + self._poll)

    async def _on_claimed(self, payload: bytes) -> None:
        claims, until = from_json(payload)
        # A wake-up that comes late, or once more, finds claims that have lapsed.
        if self._db.now() < until:
            async with self._db.read() as db:
                claimed = await _load(db, claims, until)
            await self._take_up(claimed)

    async def _on_ordered(self, payload: bytes) -> None:
        claimed: _Claimed | None = None
        if len(self._runs) < _MOST_RUNS:
            async with self._db.write() as db:
                now = self._db.now()
                claims = await claim_pair(db, payload.decode(), now, now + LEASE)
                claimed = await _load(db, claims, now + LEASE) if claims else None
        if claimed is None:
            # No room, or one of its calendars is in use: the tick after that finds the order.
            self._more = True
        else:
            await self._take_up(claimed)

    async def _take_up(self, claimed: _Claimed) -> None:
        """Begin the runs of these claims, as one round."""
        if self._stopping:
            await self._give_back(list(claimed.pairs))
            return
        round_ = self._engine.new_round()
        round_.bring(claimed.connections.values())
        for claim, pair in claimed.pairs.items():
            if claim in self._runs:
                continue
            mine = (claim.pair_id, claim.generation)
            wanted = [_placed(row) for row in claimed.orders if (row.pair_id, row.generation) == mine]
            wait = held_back(pair, claimed.connections, self._db.now()) if not wanted else None
            if self._scheduling and claim.due and all(order.dry_run for order in wanted):
                wanted.append(Order(new_id("sync_run"), "schedule"))
            work = Work(Hold(self._db, claim), pair, [] if wait else wanted)
            self._begin(work, round_, claimed.until, wait)
        if self._more:
            self._woken.set()

    def _begin(self, work: Work, round_: Round, until: datetime, wait: Wait | None) -> None:
        run = self._runs[work.hold.claim] = _Run(until)
        run.task = asyncio.create_task(self._run(work, round_, wait), name=f"pair {work.pair.id}")

    async def _run(self, work: Work, round_: Round, wait: Wait | None) -> None:
        claim = work.hold.claim
        try:
            if not work.orders:
                until = wait.until if wait is not None else claim.due_at
                async with self._db.write() as db:
                    await settle(db, claim, {}, release=True, next_due_at=until)
            else:
                for report in await self._engine.work_off(work, round_):
                    self._results.tell(report)
        except ClaimLost:
            _log.warning("claim_lost", pair_id=claim.pair_id, generation=claim.generation)
        except DatabaseUnavailable:
            _log.warning("run_waits_for_database", pair_id=claim.pair_id)
        except Exception as defect:  # noqa: BLE001 - the other pairs go on
            _log.error("run_lost", pair_id=claim.pair_id, defect=type(defect).__name__)
            await self._write_off(work)
        else:
            self._runs.pop(claim, None)
        finally:
            if not self._stopping:
                # A claim that is still there lapses, and then the pair is due as before.
                self._runs.pop(claim, None)
            if self._more:
                self._woken.set()

    async def _write_off(self, work: Work) -> None:
        """A run that our own defect ended is not repeated before its time."""
        error = RunError("server_error", "an internal error; the server's log has this sync_id")
        reports = [RunReport(order.sync_id, RunStatus.FAILED, error=error) for order in work.orders]
        with suppress(ClaimLost, DatabaseUnavailable):
            async with work.hold.write() as db:
                for report in reports:
                    await orders.finish(db, report.sync_id, report.to_json(), self._db.now())
                await settle(db, work.hold.claim, {}, release=True, next_due_at=self._db.now() + self._poll)
            for report in reports:
                self._results.tell(report)

    async def _keep_claims(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                await self._renew()
            except DatabaseUnavailable:
                _log.warning("claims_wait_for_database", claims=len(self._runs))
            now = self._db.now()
            for claim, run in list(self._runs.items()):
                if run.until <= now and run.task is not None:
                    _log.warning("claim_lapsed", pair_id=claim.pair_id, generation=claim.generation)
                    run.task.cancel()

    async def _renew(self) -> None:
        held = list(self._runs)
        if not held:
            return
        async with self._db.write() as db:
            until = self._db.now() + LEASE
            renewed = await renew(db, held, until)
        for claim in held:
            run = self._runs.get(claim)
            if run is None:
                continue
            if claim in renewed:
                run.until = until
            elif run.task is not None:
                run.task.cancel()

    async def _give_back(self, claims: Sequence[Claim]) -> None:
        if not claims:
            return
        try:
            async with self._db.write() as db:
                await give_back(db, claims)
        except DatabaseUnavailable:
            _log.warning("claims_left_to_lapse", claims=len(claims))


def _placed(row: Row[Any]) -> Order:
    return Order(
        row.sync_id, row.trigger, full=row.full, confirm=row.confirm, dry_run=row.dry_run, placed=True
    )
