"""One run of a pair: refresh → plan → guard → apply → report. Here planning meets I/O."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from calendarsync.store.claims import ClaimLost
from calendarsync.store.database import DatabaseUnavailable
from calendarsync.store.schedule import ConnectionRecord, PairRecord, load_pair
from calendarsync.sync import guards
from calendarsync.sync.actions import FlowInput, FlowPlan
from calendarsync.sync.board import DEFECT
from calendarsync.sync.ending import Ending
from calendarsync.sync.finish import Finisher
from calendarsync.sync.flows import MAX_ATTEMPTS, Flows, Sides, source_of, target_of
from calendarsync.sync.hold import Hold
from calendarsync.sync.inputs import Looked, Tools
from calendarsync.sync.locks import Locks
from calendarsync.sync.pace import LONGEST_QUIET, SHORTEST_QUIET
from calendarsync.sync.plan import plan
from calendarsync.sync.quiet import QuietEnds
from calendarsync.sync.removal import Remover
from calendarsync.sync.report import INTERNAL_ERROR, Order, RunError, RunReport, refused
from calendarsync.sync.round import ConnectionFailed, Reader, Round
from calendarsync.sync.undoing import take_back

_log = structlog.get_logger(__name__)


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
        both = Flows(self._reader, self._tools, pair, hold, round_, ending)
        try:
            if order.undo is not None:
                await take_back(both, order)
            elif pair.removal is not None:
                await Remover(self._reader, round_, self._tools.mark_keys, hold).remove(pair, ending)
            else:
                await self._bring_in_step(both, order)
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

    async def _bring_in_step(self, both: Flows, order: Order) -> None:
        ending, full, reread = both.ending, order.full, False
        confirmed = guards.confirmation(both.pair.attention_code) if order.confirm else frozenset()
        adopts = guards.LOST_KEY in confirmed
        for attempt in range(MAX_ATTEMPTS):
            sides = await both.read(again=attempt > 0, full=full)
            ending.watched_until = _watched_until(sides)
            if attempt == 0 and not order.plans_always and self._is_quiet(both.pair, sides, order):
                ending.quiet = True
                return
            flows = await both.load(sides, adopt_foreign=adopts)
            judged_now = await both.read_texts(flows, sides)
            if judged_now is not sides:
                sides = judged_now
                flows = await both.load(sides, adopt_foreign=adopts)
            plans = await _plan(flows, ending)
            _tell_defects(both.pair, order, plans)
            verdict = _judge(both.pair, flows, plans, sides, confirmed, twice=reread)
            if isinstance(verdict, guards.ReadAgain):
                full = reread = True
                continue
            full = False
            if isinstance(verdict, guards.Attention):
                ending.attention = verdict
                if order.dry_run and verdict.code == guards.LOST_KEY:
                    plans = await _plan(await both.load(sides, adopt_foreign=True), ending)
            if order.dry_run:
                ending.add_intentions(plans)
            if order.dry_run or ending.attention is not None:
                return
            if both.is_idle(flows, plans):
                ending.again, ending.looked = False, self._looked(both.pair, sides)
                return
            outcomes = await both.apply(flows, plans, sides)
            await self._finisher.note_failures(both.hold, flows, plans, outcomes)
            await both.raise_for(outcomes)
            ending.again = ending.again or any(flow_plan.again for flow_plan in plans)
            if not ending.again:
                return

    def _is_quiet(self, pair: PairRecord, sides: Sides, order: Order) -> bool:
        """Nothing changed since the last plan, and what time alone has brought since may wait."""
        if pair.quiet_until is None or not (order.routine or self._was_just_planned(pair)):
            return False
        left = (pair.quiet_until - self._reader.now()).total_seconds()
        # Longer than it is ever put off: the clock was set back.
        return 0 < left <= LONGEST_QUIET and Looked.parse(pair.quiet_state) == self._looked(pair, sides)

    def _was_just_planned(self, pair: PairRecord) -> bool:
        if pair.planned_at is None:
            return False
        age = (self._reader.now() - pair.planned_at).total_seconds()
        # In the future: the clock was set back.
        return 0 <= age < SHORTEST_QUIET

    def _looked(self, pair: PairRecord, sides: Sides) -> Looked:
        a, b = (side.connection.index_version for side in sides)
        return Looked(a, b, self._tools.setting(pair), self._tools.program)


async def _plan(flows: Sequence[FlowInput], ending: Ending) -> list[FlowPlan]:
    """Planning is pure and takes its time with thousands of events: other pairs go on meanwhile."""
    if any(flow.source or flow.target or flow.links for flow in flows):
        plans = await asyncio.to_thread(lambda: [plan(flow) for flow in flows])
    else:
        plans = [plan(flow) for flow in flows]
    ending.add_plans(plans)
    return plans


def _judge(
    pair: PairRecord,
    flows: Sequence[FlowInput],
    plans: Sequence[FlowPlan],
    sides: Sides,
    confirmed: frozenset[str],
    *,
    twice: bool,
) -> guards.Verdict:
    def emptied(connection: ConnectionRecord) -> bool:
        since = pair.last_synced_at
        return connection.emptied_at is not None and since is not None and connection.emptied_at >= since

    def readings(flow: FlowInput) -> guards.Readings:
        source, target = source_of(flow, sides), target_of(flow, sides)
        return guards.Readings(emptied(source.connection), emptied(target.connection), twice)

    judged = [
        guards.judge(flow_plan, readings(flow), confirmed)
        for flow, flow_plan in zip(flows, plans, strict=True)
    ]
    return guards.worst(judged)


def _watched_until(sides: Sides) -> datetime | None:
    ends = [side.connection.watched_until for side in sides]
    return min((end for end in ends if end is not None), default=None) if None not in ends else None


def _tell_defects(pair: PairRecord, order: Order, plans: Sequence[FlowPlan]) -> None:
    for skip in (skip for flow_plan in plans for skip in flow_plan.skipped if skip.reason == DEFECT):
        _log.error("event_not_planned", sync_id=order.sync_id, pair_id=pair.id, event_id=skip.event_id)


def _place(defect: BaseException) -> str:
    """Where a defect shows: the exception's type, and the innermost frames without their values."""
    frames = []
    trace = defect.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_qualname}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{type(defect).__name__} at {' > '.join(frames[-6:])}"
