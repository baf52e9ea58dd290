"""The runs that a worker has at work: begun under a claim, kept alive, and brought to an end one way or another."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.jobs.quotas import Quotas
from calendarsync.jobs.results import Results
from calendarsync.metrics import Metrics
from calendarsync.store import orders
from calendarsync.store.claims import Claim, ClaimLost, give_back, renew, settle
from calendarsync.store.database import Database, DatabaseUnavailable
from calendarsync.store.given import retire
from calendarsync.store.ids import new_id
from calendarsync.store.schedule import ConnectionRecord, PairRecord, load_claimed
from calendarsync.sync.admission import Wait, held_back
from calendarsync.sync.hold import Hold
from calendarsync.sync.report import INTERNAL_ERROR, Order, RunReport, refused
from calendarsync.sync.round import Round
from calendarsync.sync.run import Engine, Work
from calendarsync.sync.run_log import write_log

LEASE = timedelta(seconds=15)
"""How long a claim counts without being renewed: a killed worker's pairs are taken up after that."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Claimed:
    """Claims that count until then, and what their runs begin with."""

    until: datetime
    pairs: Mapping[Claim, PairRecord]
    connections: Mapping[str, ConnectionRecord]
    orders: Sequence[Row[Any]]


async def load(db: AsyncConnection, claims: Sequence[Claim], until: datetime) -> Claimed:
    """What stands in the tables of those claims that count."""
    found, connections = await load_claimed(db, claims)
    placed = await orders.open_orders(db, [claim.pair_id for claim in found])
    return Claimed(until, found, connections, placed)


@dataclass(slots=True)
class _Run:
    """Until when the claim counts as far as this process knows, and whether somebody waits for the run."""

    until: datetime
    ordered: bool
    account_id: str
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Runs:
    """`on_end` is told of each run's end, and whether somebody had ordered it. Polls ask `quotas` for turns."""

    db: Database
    engine: Engine
    results: Results
    poll: timedelta
    on_end: Callable[[bool], None]
    metrics: Metrics
    quotas: Quotas | None = None
    stopping: bool = False
    _runs: dict[Claim, _Run] = field(default_factory=dict)

    @property
    def ordered(self) -> int:
        """How many are at work that somebody waits for."""
        return sum(run.ordered for run in self._runs.values())

    def at_work(self, *, ordered: bool) -> Counter[str]:
        """How many of either kind each account has."""
        return Counter(run.account_id for run in self._runs.values() if run.ordered is ordered)

    @property
    def scheduled(self) -> int:
        """How many others are at work."""
        return len(self._runs) - self.ordered

    async def take_up(self, claimed: Claimed, *, scheduling: bool) -> None:
        """Begin the runs of these claims, as one round. With `scheduling`, of those that are due as well."""
        if self.stopping:
            await self.give_back(claimed.pairs)
            return
        round_ = self.engine.new_round()
        round_.bring(claimed.connections.values())
        polls: dict[Claim, Work] = {}
        for claim, pair in claimed.pairs.items():
            if claim in self._runs:
                continue
            mine = (claim.pair_id, claim.generation)
            wanted = [_placed(row) for row in claimed.orders if (row.pair_id, row.generation) == mine]
            work, wait = Work(Hold(self.db, claim), pair, wanted), None
            if scheduling and claim.due and all(order.dry_run for order in wanted):
                wait = held_back(pair, claimed.connections, self.db.now())
                if wait is None and not wanted:
                    polls[claim] = work
                if wait is None:
                    wanted.append(Order(new_id("sync_run"), "schedule"))
            if claim not in polls:
                self._begin(work, round_, claimed.until, wait)
        for claim in await self._in_turn(polls, claimed):
            if claim not in self._runs:
                self._begin(polls[claim], round_, claimed.until, None)

    async def _in_turn(self, polls: Mapping[Claim, Work], claimed: Claimed) -> Collection[Claim]:
        """Those polls that may start now. What somebody waits for has begun before this asks."""
        if self.quotas is None:
            return polls
        asking = {claim: work.pair for claim, work in polls.items()}
        try:
            put_off = await self.quotas.turns(asking, claimed.connections)
        except DatabaseUnavailable:
            await self.give_back(polls)
            return ()
        return [claim for claim in polls if claim not in put_off]

    def _begin(self, work: Work, round_: Round, until: datetime, wait: Wait | None) -> None:
        run = _Run(until, work.ordered, work.pair.account_id)
        self._runs[work.hold.claim] = run
        run.task = asyncio.create_task(self._run(work, round_, wait), name=f"pair {work.pair.id}")

    async def _run(self, work: Work, round_: Round, wait: Wait | None) -> None:
        claim, ended = work.hold.claim, False
        try:
            if work.orders:
                await self.engine.work_off(work, round_)
            else:
                await self._let_go(work, wait)
            ended = True
        except ClaimLost:
            _log.warning("claim_lost", pair_id=claim.pair_id, generation=claim.generation)
        except DatabaseUnavailable as error:
            _log.warning("run_waits_for_database", pair_id=claim.pair_id, reason=str(error))
        except Exception as defect:  # noqa: BLE001 - the other pairs go on
            ids = [order.sync_id for order in work.left]
            _log.error("run_lost", pair_id=claim.pair_id, sync_ids=ids, defect=type(defect).__name__)
            await self._write_off(work)
        finally:
            for order, report in zip(work.orders, work.reports, strict=False):
                self.results.tell(report)
                if not order.dry_run:
                    self._count(order, report)
            # Unless it is given back when the worker stops, a claim that is left lapses.
            if ended or not self.stopping:
                self._runs.pop(claim, None)
            self.on_end(work.ordered)

    def _count(self, order: Order, report: RunReport) -> None:
        self.metrics.count_run(
            status=report.status.value,
            trigger=order.trigger,
            seconds=report.duration_ms / 1000,
            created=report.events_created,
            updated=report.events_updated,
            deleted=report.events_deleted,
            provider_requests=report.provider_requests,
        )

    async def _let_go(self, work: Work, wait: Wait | None) -> None:
        """End a claim on a pair that is not to run now."""
        next_due_at = wait.until if wait is not None else work.hold.claim.due_at
        async with self.db.write() as db:
            await settle(db, work.hold.claim, {}, release=True, next_due_at=next_due_at)

    async def _write_off(self, work: Work) -> None:
        """A run that our own defect ended is logged, and not repeated before its time.

        Where that cannot be done either, the claim lapses.
        """
        failed = [(order, refused(order, INTERNAL_ERROR)) for order in work.left]
        try:
            emitted = await self._write_reports(work, failed)
        except (ClaimLost, DatabaseUnavailable):
            return
        except Exception as defect:  # noqa: BLE001 - asyncio would log it with its message
            _log.error("run_not_written_off", pair_id=work.pair.id, defect=type(defect).__name__)
            return
        work.reports.extend(report for _, report in failed)
        if emitted:
            self.engine.on_events()

    async def _write_reports(self, work: Work, reports: Sequence[tuple[Order, RunReport]]) -> bool:
        """Whether there are events to be sent."""
        emitted = False
        async with work.hold.write() as db:
            now = self.db.now()
            for order, report in reports:
                if not order.dry_run:
                    emitted |= await write_log(db, work.pair, order, report, now)
                if order.placed:
                    await orders.finish(db, report.sync_id, report.to_json(), now)
            await settle(db, work.hold.claim, {}, release=True, next_due_at=now + self.poll)
        return emitted

    async def renew(self) -> None:
        """Prolong all leases; a run whose claim counts no longer is broken off."""
        try:
            await self._renew()
        except DatabaseUnavailable:
            _log.warning("claims_wait_for_database", claims=len(self._runs))
        now = self.db.now()
        for claim, run in list(self._runs.items()):
            if run.until <= now and run.task is not None:
                _log.warning("claim_lapsed", pair_id=claim.pair_id, generation=claim.generation)
                run.task.cancel()

    async def _renew(self) -> None:
        held = list(self._runs)
        if not held:
            return
        async with self.db.write() as db:
            until = self.db.now() + LEASE
            renewed = await renew(db, held, until)
        for claim in held:
            run = self._runs.get(claim)
            if run is None:
                continue
            if claim in renewed:
                run.until = until
            elif run.task is not None:
                run.task.cancel()

    async def drain(self, patience: float) -> None:
        """Let what runs come to its end for so many seconds, and break off the rest."""
        await end_tasks([run.task for run in self._runs.values() if run.task is not None], patience)

    async def retire(self, worker: str) -> None:
        """Be given no more claims, and end those that are not at work; where that fails they lapse."""
        try:
            async with self.db.write() as db:
                await retire(db, worker, list(self._runs))
        except DatabaseUnavailable:
            _log.warning("claims_left_to_lapse", worker=worker)

    async def give_back_all(self) -> None:
        await self.give_back(self._runs)

    async def give_back(self, claims: Collection[Claim]) -> None:
        """End claims whose runs did not come to an end; where that fails they lapse."""
        if not claims:
            return
        try:
            async with self.db.write() as db:
                await give_back(db, list(claims))
        except DatabaseUnavailable:
            _log.warning("claims_left_to_lapse", claims=len(claims))


async def end_tasks(tasks: Collection[asyncio.Task[Any]], patience: float) -> None:
    """Let tasks end, and cancel those that do not in time; what they raise is of no use any more."""
    if tasks:
        await asyncio.wait(tasks, timeout=patience)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _placed(row: Row[Any]) -> Order:
    return Order(
        row.sync_id,
        row.trigger,
        full=row.full,
        confirm=row.confirm,
        dry_run=row.dry_run,
        undo=row.undo,
        placed=True,
    )
