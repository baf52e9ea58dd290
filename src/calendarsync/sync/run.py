"""One run of a pair: refresh → plan → guard → apply → report. The only place where planning meets I/O."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakValueDictionary

import structlog
from sqlalchemy import Row

from calendarsync.domain.link import Direction
from calendarsync.providers.opening import BY_ACCOUNTS_CLOCK
from calendarsync.store.claims import ClaimLost
from calendarsync.store.database import DatabaseUnavailable
from calendarsync.store.runs import last_that_wrote, operations_of
from calendarsync.store.schedule import ConnectionRecord, PairRecord, ahead_of, load_pair
from calendarsync.store.tenancy import Tenant
from calendarsync.sync import guards
from calendarsync.sync.actions import FlowInput, FlowPlan
from calendarsync.sync.apply import Applier, Outcome, Side
from calendarsync.sync.board import DEFECT
from calendarsync.sync.finish import Ending, Finisher, refused
from calendarsync.sync.hold import Hold
from calendarsync.sync.inputs import Looked, Tools, load_flows
from calendarsync.sync.plan import plan
from calendarsync.sync.quiet import QuietEnds
from calendarsync.sync.removal import Remover
from calendarsync.sync.report import (
    INTERNAL_ERROR,
    LATEST,
    PAIR_GONE,
    Order,
    RunError,
    RunReport,
    not_the_last,
)
from calendarsync.sync.round import ConnectionFailed, Reader, Round
from calendarsync.sync.undo import Done, plan_undo
from calendarsync.sync.unjudged import unjudged

MAX_ATTEMPTS = 4
"""How often one run reads and plans again because something changed under its hands."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Locks:
    """One run at a time on each calendar, whichever pair or account it is for.

    `waiting` is how many runs wait for their calendars.
    """

    waiting: int = 0
    # A lock is there as long as somebody holds it or waits for it.
    _locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    @asynccontextmanager
    async def hold(self, first: str, second: str) -> AsyncIterator[bool]:
        """Whether another run had to end first."""
        earlier, later = (
            self._locks.setdefault(calendar_key, asyncio.Lock()) for calendar_key in sorted((first, second))
        )
        waited = earlier.locked() or later.locked()
        self.waiting += 1
        try:
            await earlier.acquire()
            try:
                await later.acquire()
            except BaseException:
                earlier.release()
                raise
        finally:
            self.waiting -= 1
        try:
            yield waited
        finally:
            later.release()
            earlier.release()


@dataclass(frozen=True, slots=True)
class Work:
    """A pair that was claimed, and the orders to be carried out, in their order.

    `reports` tells what came of those that are done, whatever becomes of the others.
    """

    hold: Hold
    pair: PairRecord
    orders: Sequence[Order]
    reports: list[RunReport] = field(default_factory=list)

    @property
    def ordered(self) -> bool:
        """Whether somebody waits for it."""
        return any(order.placed for order in self.orders)

    @property
    def left(self) -> Sequence[Order]:
        return self.orders[len(self.reports) :]


class Engine:
    """Runs pairs that have been claimed. One per process: its locks hold between pairs claimed together."""

    def __init__(self, reader: Reader, tools: Tools) -> None:
        self._reader = reader
        self._tools = tools
        self._locks = Locks()
        self._finisher = Finisher(reader, tools, QuietEnds(reader.db, reader.on_events))

    def on_events(self) -> None:
        """A run has left events to be sent."""
        self._reader.on_events()

    @property
    def waiting(self) -> int:
        """How many runs wait for others to be done with their calendars."""
        return self._locks.waiting

    def new_round(self) -> Round:
        return Round(self._reader)

    async def work_off(self, work: Work, round_: Round) -> None:
        """Carry out the orders, write their logs, and end the claim. Raises ClaimLost, DatabaseUnavailable.

        A pair that is paused fails, unlogged.
        """
        async with self._locks.hold(work.pair.calendar_a, work.pair.calendar_b) as waited:
            pair: PairRecord | None = work.pair
            for order in work.orders:
                if waited or work.reports:
                    # Somebody may have paused, changed or removed it meanwhile.
                    async with self._reader.db.read() as db:
                        pair = await load_pair(db, work.pair.id)
                if pair is None:
                    return
                release = order is work.orders[-1]
                report = await self._carry_out(pair, order, work.hold, round_, release=release)
                work.reports.append(report)

    async def _carry_out(
        self, pair: PairRecord, order: Order, hold: Hold, round_: Round, *, release: bool
    ) -> RunReport:
        started = time.monotonic()
        finisher = self._finisher
        if pair.status == "paused" and pair.removal is None and order.undo is None:
            report = refused(order, RunError("paused", "the pair is paused"))
            return await finisher.tell(order, report, hold, next_due_at=pair.resume_at, release=release)
        ids = (pair.connection_a_id, pair.connection_b_id)
        before = sum(map(round_.requests, ids))
        ending = await self._run(pair, order, hold, round_)
        ending.requests = sum(map(round_.requests, ids)) - before
        ending.duration_ms = round((time.monotonic() - started) * 1000)
        if order.dry_run:
            report = ending.report(order.sync_id)
            return await finisher.tell(order, report, hold, next_due_at=hold.claim.due_at, release=release)
        return await finisher.finish(pair, order, ending, hold, release=release)

    async def _run(self, pair: PairRecord, order: Order, hold: Hold, round_: Round) -> Ending:
        ending = Ending()
        try:
            if order.undo is not None:
                await self._undo(pair, order, hold, round_, ending)
            elif pair.removal is not None:
                await Remover(self._reader, round_, self._tools.mark_keys, hold).remove(pair, ending)
            else:
                await self._bring_in_step(pair, order, hold, round_, ending)
        except (ClaimLost, DatabaseUnavailable):
            raise
        except ConnectionFailed as failed:
            ending.error = RunError(failed.error.code, f"{failed.connection.id}: {failed.error.message}")
            ending.transient = failed.transient
        except Exception as defect:  # noqa: BLE001 - a defect fails this run, and no other
            # The message of an exception may quote what was read; its type and place may not.
            _log.error("run_failed", sync_id=order.sync_id, pair_id=pair.id, defect=_place(defect))
            ending.error = INTERNAL_ERROR
        return ending

    async def _bring_in_step(
        self, pair: PairRecord, order: Order, hold: Hold, round_: Round, ending: Ending
    ) -> None:
        full, reread = order.full, False
        for attempt in range(MAX_ATTEMPTS):
            sides = await self._read(pair, hold, round_, again=attempt > 0, full=full)
            ending.watched_until = _watched_until(sides)
            if attempt == 0 and order.routine and self._is_quiet(pair, sides):
                ending.quiet = True
                return
            confirmed = guards.confirmation(pair.attention_code) if order.confirm else frozenset()
            adopts = guards.LOST_KEY in confirmed
            flows = await self._load_flows(pair, sides, ending, adopt_foreign=adopts)
            judged_now = await self._read_texts(flows, sides, hold, round_)
            if judged_now is not sides:
                sides = judged_now
                flows = await self._load_flows(pair, sides, ending, adopt_foreign=adopts)
            # Planning is pure and takes its time with thousands of events: other pairs go on meanwhile.
            plans = [await asyncio.to_thread(plan, flow) for flow in flows]
            ending.add_plans(plans)
            _tell_defects(pair, order, plans)
            judged = [
                guards.judge(flow_plan, _readings(pair, flow, sides, twice=reread), confirmed)
                for flow, flow_plan in zip(flows, plans, strict=True)
            ]
            verdict = guards.worst(judged)
            if isinstance(verdict, guards.ReadAgain):
                full = reread = True
                continue
            full = False
            if isinstance(verdict, guards.Attention):
                ending.attention = verdict
                if order.dry_run and verdict.code == guards.LOST_KEY:
                    flows = await self._load_flows(pair, sides, ending, adopt_foreign=True)
                    plans = [await asyncio.to_thread(plan, flow) for flow in flows]
                    ending.add_plans(plans)
            if order.dry_run:
                ending.add_intentions(plans)
            if order.dry_run or ending.attention is not None:
                return
            outcomes = await self._apply(hold, flows, plans, sides, ending.ahead)
            ending.add_outcomes(flows, outcomes)
            await self._finisher.note_failures(hold, flows, plans, outcomes)
            await self._raise_for(outcomes, hold)
            ending.again = ending.again or any(flow_plan.again for flow_plan in plans)
            if not ending.again:
                return

    async def _undo(self, pair: PairRecord, order: Order, hold: Hold, round_: Round, ending: Ending) -> None:
        """Take back what the pair's last run did. The pair is paused: else the next run would do it all again."""
        async with self._reader.db.read() as db:
            last = await last_that_wrote(db, Tenant(pair.account_id, pair.mode), pair.id)
            steps = [] if last is None else await operations_of(db, last.id)
        ending.error = _not_to_be_undone(pair, order, last.sync_id if last else None)
        if last is None or ending.error is not None:
            return
        ending.undid = last.sync_id
        went = {Direction(step.direction) for step in steps}
        for attempt in range(MAX_ATTEMPTS):
            sides = await self._read(pair, hold, round_, again=attempt > 0, full=False)
            flows = await self._load_flows(pair, sides, ending, beside=went)
            plans = [await asyncio.to_thread(plan_undo, flow, _done(steps, flow)) for flow in flows]
            ending.add_plans(plans)
            if order.dry_run:
                ending.add_intentions(plans)
                return
            outcomes = await self._apply(hold, flows, plans, sides, ending.ahead)
            ending.add_outcomes(flows, outcomes)
            await self._raise_for(outcomes, hold)
            if not ending.again:
                return

    async def _read(
        self, pair: PairRecord, hold: Hold, round_: Round, *, again: bool, full: bool
    ) -> tuple[Side, Side]:
        admitted = await round_.admit(pair.connection_a_id, pair.connection_b_id)
        a, b = await asyncio.gather(
            *(round_.read(connection, hold, again=again, full=full) for connection in admitted),
            return_exceptions=True,
        )
        if isinstance(a, BaseException):
            raise a
        if isinstance(b, BaseException):
            raise b
        return a, b

    async def _read_texts(
        self, flows: Sequence[FlowInput], sides: tuple[Side, Side], hold: Hold, round_: Round
    ) -> tuple[Side, Side]:
        """Read what a text filter has not been told of yet, before anything is planned by it (rule 8)."""
        for flow in flows:
            missing = await asyncio.to_thread(unjudged, flow)
            if missing:
                read = await round_.read_texts(_source(flow, sides), missing, hold)
                sides = (read, sides[1]) if flow.direction == "a_to_b" else (sides[0], read)
        return sides

    def _is_quiet(self, pair: PairRecord, sides: tuple[Side, Side]) -> bool:
        """Nothing changed since the last complete run, and time alone has brought nothing into the window."""
        a, b = (side.connection.index_version for side in sides)
        now_looked = Looked(a, b, self._tools.setting(pair), self._tools.program)
        return (
            pair.quiet_until is not None
            and self._reader.now() < pair.quiet_until
            and Looked.parse(pair.quiet_state) == now_looked
        )

    async def _load_flows(
        self,
        pair: PairRecord,
        sides: tuple[Side, Side],
        ending: Ending,
        *,
        adopt_foreign: bool = False,
        beside: Collection[Direction] = (),
    ) -> list[FlowInput]:
        records = (sides[0].connection, sides[1].connection)
        async with self._reader.db.read() as db:
            ending.ahead = await ahead_of(db, pair)
            now = self._reader.now() + ending.ahead
            return await load_flows(
                db, pair, records, self._tools, now=now, adopt_foreign=adopt_foreign, beside=beside
            )

    async def _apply(
        self,
        hold: Hold,
        flows: Sequence[FlowInput],
        plans: Sequence[FlowPlan],
        sides: tuple[Side, Side],
        ahead: timedelta,
    ) -> list[Outcome]:
        appliers = [
            Applier(
                self._tools.fingerprinter,
                hold,
                flow,
                source=_source(flow, sides),
                target=_target(flow, sides),
                mark_keys=self._tools.mark_keys,
                now=self._clock_of(_source(flow, sides), ahead),
            )
            for flow in flows
        ]
        applying = (applier.apply(plan_) for applier, plan_ in zip(appliers, plans, strict=True))
        outcomes: list[Outcome] = []
        # Each flow comes to its end, whatever happens to the other: the locks are given back after that.
        for outcome in await asyncio.gather(*applying, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
            outcomes.append(outcome)
        return outcomes

    def _clock_of(self, side: Side, ahead: timedelta) -> Callable[[], datetime]:
        """By which the side's calendar stamps its events."""
        of_account = ahead if side.connection.provider in BY_ACCOUNTS_CLOCK else timedelta()
        return lambda: self._reader.now() + of_account

    async def _raise_for(self, outcomes: Sequence[Outcome], hold: Hold) -> None:
        for outcome in outcomes:
            if outcome.error is not None and outcome.blamed is not None:
                failed = ConnectionFailed(outcome.blamed, outcome.error)
                await self._reader.note_error(failed, hold)
                raise failed


def _not_to_be_undone(pair: PairRecord, order: Order, last: str | None) -> RunError | None:
    if pair.removal is not None:
        return PAIR_GONE
    if pair.status != "paused" and not order.dry_run:
        return RunError("conflict", "the pair was resumed before its run could be undone")
    why_not = not_the_last(order.undo or LATEST, last)
    return None if why_not is None else RunError("conflict", why_not)


def _done(rows: Sequence[Row[Any]], flow: FlowInput) -> list[Done]:
    return [
        Done(row.event_id, row.original_start, row.action, row.reason, row.copy_id)
        for row in rows
        if row.direction == flow.direction.value
    ]


def _readings(pair: PairRecord, flow: FlowInput, sides: tuple[Side, Side], *, twice: bool) -> guards.Readings:
    def emptied(connection: ConnectionRecord) -> bool:
        since = pair.last_synced_at
        return connection.emptied_at is not None and since is not None and connection.emptied_at >= since

    return guards.Readings(
        source_emptied=emptied(_source(flow, sides).connection),
        target_emptied=emptied(_target(flow, sides).connection),
        twice=twice,
    )


def _watched_until(sides: tuple[Side, Side]) -> datetime | None:
    ends = [side.connection.watched_until for side in sides]
    return min((end for end in ends if end is not None), default=None) if None not in ends else None


def _tell_defects(pair: PairRecord, order: Order, plans: Sequence[FlowPlan]) -> None:
    for skip in (skip for flow_plan in plans for skip in flow_plan.skipped if skip.reason == DEFECT):
        _log.error("event_not_planned", sync_id=order.sync_id, pair_id=pair.id, event_id=skip.event_id)


def _source(flow: FlowInput, sides: tuple[Side, Side]) -> Side:
    return sides[0] if flow.direction == "a_to_b" else sides[1]


def _target(flow: FlowInput, sides: tuple[Side, Side]) -> Side:
    return sides[1] if flow.direction == "a_to_b" else sides[0]


def _place(defect: BaseException) -> str:
    """Where a defect shows: the exception's type, and the innermost frames without their values."""
    frames = []
    trace = defect.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_qualname}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{type(defect).__name__} at {' > '.join(frames[-6:])}"
