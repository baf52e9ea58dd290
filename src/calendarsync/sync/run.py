"""One run of a pair: refresh → plan → guard → apply → report. The only place where planning meets I/O."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import structlog

from calendarsync.store.schedule import ConnectionRecord, PairRecord, calendar_keys, load_pair
from calendarsync.sync import guards
from calendarsync.sync.actions import FlowInput, FlowPlan
from calendarsync.sync.apply import Applier, Outcome, Side
from calendarsync.sync.finish import Ending, Finisher
from calendarsync.sync.inputs import Looked, Tools, load_flows
from calendarsync.sync.plan import DEFECT, plan
from calendarsync.sync.removal import Remover
from calendarsync.sync.report import RunError, RunReport, RunStatus
from calendarsync.sync.round import ConnectionFailed, Reader, Round

RUNS_AT_ONCE = 32
"""How many pairs are worked on at once; those that wait for a calendar take no place."""

MAX_ATTEMPTS = 4
"""How often one run reads and plans again because something changed under its hands."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for. `trigger` is one of `schedule`, `push`, `api`, `web`."""

    sync_id: str
    trigger: str
    full: bool = False
    confirm: bool = False
    dry_run: bool = False

    @property
    def routine(self) -> bool:
        """Whether a run that finds nothing changed may end there."""
        return not (self.full or self.confirm or self.dry_run)


@dataclass(slots=True)
class Locks:
    """One run at a time on each calendar, whichever pair or account it is for."""

    _locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    @asynccontextmanager
    async def hold(self, calendar_keys: Sequence[str]) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for calendar_key in sorted(set(calendar_keys)):
                await stack.enter_async_context(self._locks[calendar_key])
            yield


class Engine:
    """Runs pairs. One per process: its locks hold between the runs of this process."""

    def __init__(self, reader: Reader, tools: Tools) -> None:
        self._reader = reader
        self._tools = tools
        self._locks = Locks()
        self._places = asyncio.Semaphore(RUNS_AT_ONCE)
        self._finisher = Finisher(reader, tools)

    def new_round(self) -> Round:
        return Round(self._reader)

    async def run(self, pair_id: str, order: Order, round_: Round) -> RunReport:
        """Run one pair, write its log, and tell the outcome. A pair that is gone or paused fails, unlogged."""
        started = time.monotonic()
        async with self._reader.db.read() as db:
            keys = await calendar_keys(db, pair_id)
        async with self._locks.hold(keys), self._places:
            async with self._reader.db.read() as db:
                pair = await load_pair(db, pair_id)
            if pair is None:
                return _refused(order, RunError("not_found", "the pair does not exist any more"))
            ids = (pair.connection_a_id, pair.connection_b_id)
            if pair.status == "paused" and pair.removal is None:
                return _refused(order, RunError("paused", "the pair is paused"))
            before = sum(map(round_.requests, ids))
            ending = await self._run(pair, order, round_)
            ending.requests = sum(map(round_.requests, ids)) - before
            ending.duration_ms = round((time.monotonic() - started) * 1000)
            if order.dry_run:
                return ending.report(order.sync_id)
            return await self._finisher.finish(pair, order.sync_id, order.trigger, ending)

    async def _run(self, pair: PairRecord, order: Order, round_: Round) -> Ending:
        ending = Ending()
        try:
            if pair.removal is not None:
                await Remover(self._reader, round_, self._tools.mark_keys).remove(pair, ending)
            else:
                await self._bring_in_step(pair, order, round_, ending)
        except ConnectionFailed as failed:
            ending.error = RunError(failed.error.code, f"{failed.connection.id}: {failed.error.message}")
            ending.transient = failed.transient
        except Exception as defect:  # noqa: BLE001 - a defect fails this run, and no other
            # The message of an exception may quote what was read; its type and place may not.
            _log.error("run_failed", sync_id=order.sync_id, pair_id=pair.id, defect=_place(defect))
            ending.error = RunError("server_error", "an internal error; the server's log has this sync_id")
        return ending

    async def _bring_in_step(self, pair: PairRecord, order: Order, round_: Round, ending: Ending) -> None:
        full, reread = order.full, False
        for attempt in range(MAX_ATTEMPTS):
            sides = await self._read(pair, round_, again=attempt > 0, full=full)
            if attempt == 0 and order.routine and self._is_quiet(pair, sides):
                return
            confirmed = guards.confirmation(pair.attention_code) if order.confirm else frozenset()
            flows = await self._load_flows(pair, sides, adopt_foreign=guards.LOST_KEY in confirmed)
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
                return
            if order.dry_run:
                ending.add_intentions(plans)
                return
            outcomes = await self._apply(pair, flows, plans, sides)
            ending.add_outcomes(flows, outcomes)
            await self._finisher.note_failures(pair, flows, plans, outcomes)
            await self._raise_for(outcomes)
            ending.again = ending.again or any(flow_plan.again for flow_plan in plans)
            if not ending.again:
                return

    async def _read(self, pair: PairRecord, round_: Round, *, again: bool, full: bool) -> tuple[Side, Side]:
        admitted = await round_.admit(pair.connection_a_id, pair.connection_b_id)
        a, b = await asyncio.gather(
            *(round_.read(connection, again=again, full=full) for connection in admitted),
            return_exceptions=True,
        )
        if isinstance(a, BaseException):
            raise a
        if isinstance(b, BaseException):
            raise b
        return a, b

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
        self, pair: PairRecord, sides: tuple[Side, Side], *, adopt_foreign: bool
    ) -> list[FlowInput]:
        records = (sides[0].connection, sides[1].connection)
        async with self._reader.db.read() as db:
            return await load_flows(
                db, pair, records, self._tools, now=self._reader.now(), adopt_foreign=adopt_foreign
            )

    async def _apply(
        self,
        pair: PairRecord,
        flows: Sequence[FlowInput],
        plans: Sequence[FlowPlan],
        sides: tuple[Side, Side],
    ) -> list[Outcome]:
        appliers = [
            Applier(
                self._reader.refresher,
                pair.id,
                flow,
                source=_source(flow, sides),
                target=_target(flow, sides),
                mark_keys=self._tools.mark_keys,
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

    async def _raise_for(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.error is not None and outcome.blamed is not None:
                failed = ConnectionFailed(outcome.blamed, outcome.error)
                await self._reader.note_error(failed)
                raise failed


def _readings(pair: PairRecord, flow: FlowInput, sides: tuple[Side, Side], *, twice: bool) -> guards.Readings:
    def emptied(connection: ConnectionRecord) -> bool:
        since = pair.last_synced_at
        return connection.emptied_at is not None and since is not None and connection.emptied_at >= since

    return guards.Readings(
        source_emptied=emptied(_source(flow, sides).connection),
        target_emptied=emptied(_target(flow, sides).connection),
        twice=twice,
    )


def _tell_defects(pair: PairRecord, order: Order, plans: Sequence[FlowPlan]) -> None:
    for skip in (skip for flow_plan in plans for skip in flow_plan.skipped if skip.reason == DEFECT):
        _log.error("event_not_planned", sync_id=order.sync_id, pair_id=pair.id, event_id=skip.event_id)


def _source(flow: FlowInput, sides: tuple[Side, Side]) -> Side:
    return sides[0] if flow.direction == "a_to_b" else sides[1]


def _target(flow: FlowInput, sides: tuple[Side, Side]) -> Side:
    return sides[1] if flow.direction == "a_to_b" else sides[0]


def _refused(order: Order, error: RunError) -> RunReport:
    return RunReport(order.sync_id, RunStatus.FAILED, error=error)


def _place(defect: BaseException) -> str:
    """Where a defect shows: the exception's type, and the innermost frames without their values."""
    frames = []
    trace = defect.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_qualname}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{type(defect).__name__} at {' > '.join(frames[-6:])}"
