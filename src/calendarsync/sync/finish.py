"""The end of a run: its log is written, its pair settled, and what follows from it made due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.domain.link import Direction
from calendarsync.domain.rules import Rules
from calendarsync.providers.base import IdTaken, Refused
from calendarsync.store import links, orders
from calendarsync.store.claims import settle
from calendarsync.store.neighbours import are, beside, delete_pair, make_due, relaying
from calendarsync.store.quiet import Planned, QuietEnd
from calendarsync.store.schedule import PairRecord, ahead_of, load_connection
from calendarsync.sync.actions import FlowInput, FlowPlan
from calendarsync.sync.ending import Ending
from calendarsync.sync.hold import Hold
from calendarsync.sync.inputs import Looked, Tools
from calendarsync.sync.outcome import Outcome
from calendarsync.sync.pace import quiet_period
from calendarsync.sync.quiet import QuietEnds
from calendarsync.sync.report import PAIR_GONE, Order, RunReport, RunStatus, refused
from calendarsync.sync.round import JITTER, Reader
from calendarsync.sync.run_log import log_of, may_be_brief, write_log

RETRY_AFTER = timedelta(days=1)
_TEST_MODE = "test"
_WRITTEN = frozenset({"create", "update", "delete"})
_HELD_BACK = frozenset({Refused.code, IdTaken.code})
_NO_ATTENTION: dict[str, Any] = {
    "attention_code": None,
    "attention_message": None,
    "attention_details": None,
}
_IN_ORDER: dict[str, Any] = {"status": "active", **_NO_ATTENTION}
_TO_BE_PLANNED: dict[str, Any] = {"quiet_state": None, "quiet_until": None}


@dataclass(frozen=True, slots=True)
class Finisher:
    reader: Reader
    tools: Tools
    quiet_ends: QuietEnds

    async def note_failures(
        self,
        hold: Hold,
        flows: Sequence[FlowInput],
        plans: Sequence[FlowPlan],
        outcomes: Sequence[Outcome],
    ) -> None:
        """Remember what the provider refused, so that it is not tried again before its time (rule 22)."""
        stand = {
            flow.direction: _failures(flow, flow_plan, outcome)
            for flow, flow_plan, outcome in zip(flows, plans, outcomes, strict=True)
        }
        news = {flow.direction for flow in flows if flow.failures or stand[flow.direction]}
        if not news:
            return
        async with hold.write() as db:
            for direction in news:
                await links.replace_failures(db, hold.claim.pair_id, direction, stand[direction])

    async def finish(
        self, pair: PairRecord, order: Order, ending: Ending, hold: Hold, *, release: bool
    ) -> RunReport:
        """Write the log and what follows from the run; with `release` the claim ends. Raises ClaimLost."""
        report = ending.report(order.sync_id)
        if release and pair.in_order and (ending.quiet or self._was_idle(pair, ending, report)):
            await self.quiet_ends.write(self._quiet_end(pair, order, ending, hold, report))
            return report
        onward = await self._onward(pair, ending)
        touched = beside(pair) if ending.removed else are(onward) if onward else None
        async with hold.write(beside=touched) as db:
            now = self.reader.now()
            emitted = await write_log(db, pair, order, report, now)
            if order.placed:
                told = report.to_json(with_operations=order.tells_operations)
                await orders.finish(db, order.sync_id, told, now)
            if ending.removed:
                await orders.finish_all(db, pair.id, refused(order, PAIR_GONE).to_json(), now)
                await delete_pair(db, pair, now + timedelta(seconds=self.reader.poll_seconds))
            else:
                await self._settle(db, pair, ending, hold, now, release=release, undo=order.undo is not None)
            if onward:
                await make_due(db, onward, now)
        if emitted:
            self.reader.on_events()
        return report

    @staticmethod
    def _was_idle(pair: PairRecord, ending: Ending, report: RunReport) -> bool:
        """Whether a plan has led to nothing but its log. The clock of test mode may have been moved meanwhile."""
        in_step = ending.looked is not None and report.status is RunStatus.SUCCESS and not report.operations
        return in_step and pair.mode != _TEST_MODE

    def _quiet_end(
        self, pair: PairRecord, order: Order, ending: Ending, hold: Hold, report: RunReport
    ) -> QuietEnd:
        planned, changed_at = None, pair.changed_at
        if ending.looked is not None:
            news = self._changed_at(pair, ending.looked)
            until = None if ending.waiting else self._quiet_until(pair, ending)
            planned = Planned(str(ending.looked), until, self.reader.now(), news)
            changed_at = news or changed_at
        return QuietEnd(
            hold.claim,
            self.reader.next_due(pair, _unchanged_since(pair, changed_at), ending.watched_until),
            log_of(pair, order, report),
            report.to_json() if order.placed else None,
            planned,
            pair.last_synced_at if may_be_brief(pair, order, report) else None,
        )

    async def _onward(self, pair: PairRecord, ending: Ending) -> list[str]:
        """The pairs in which what was written travels on: they need not wait for their next poll (rule 2)."""
        written = {
            pair.calendar_b if operation.direction == Direction.A_TO_B else pair.calendar_a
            for operation in ending.operations
            if operation.action in _WRITTEN
        }
        if not written:
            return []
        async with self.reader.db.read() as db:
            return await relaying(db, pair.id, written)

    async def _settle(
        self,
        db: AsyncConnection,
        pair: PairRecord,
        ending: Ending,
        hold: Hold,
        now: datetime,
        *,
        release: bool,
        undo: bool,
    ) -> None:
        values: dict[str, Any] = {}
        status: dict[str, Any] = {}
        if undo:
            # It judged nothing by the pair's rules or guards: that is still to be done when the pair is resumed.
            values |= _TO_BE_PLANNED if ending.planned else {}
        elif ending.status is RunStatus.FAILED:
            status = self._stopped(ending)
            values["quiet_until"] = None
        else:
            status = {} if pair.in_order else _IN_ORDER
            values |= await self._looked_at(db, pair, ending) if ending.planned else {}
            values["last_synced_at"] = now
        if release:
            values["next_due_at"] = self._next_due(pair, ending, values.get("changed_at"))
        await settle(db, hold.claim, status, release=release, **values)

    def _next_due(self, pair: PairRecord, ending: Ending, changed_at: datetime | None) -> datetime | None:
        if pair.status == "paused":
            return pair.resume_at
        # What did not come to its end is not left to a slower pace, or to a notice: there may be none.
        if ending.status is not RunStatus.SUCCESS:
            return self.reader.next_due(pair)
        since = _unchanged_since(pair, changed_at or pair.changed_at)
        return self.reader.next_due(pair, since, ending.watched_until)

    async def tell(
        self, order: Order, report: RunReport, hold: Hold, *, next_due_at: datetime | None, release: bool
    ) -> RunReport:
        """End an order that leaves no trace but its report: a dry run, or one that could not begin."""
        if order.placed or release:
            async with hold.write() as db:
                if order.placed:
                    told = report.to_json(with_operations=True)
                    await orders.finish(db, order.sync_id, told, self.reader.now())
                if release:
                    await settle(db, hold.claim, {}, release=True, next_due_at=next_due_at)
        return report

    @staticmethod
    def _stopped(ending: Ending) -> dict[str, Any]:
        """What a run that failed does to its pair. What may pass by itself leaves the status as it is."""
        if ending.attention is not None:
            return {
                "status": "needs_attention",
                "attention_code": ending.attention.code,
                "attention_message": ending.attention.message,
                "attention_details": ending.attention.details(),
            }
        assert ending.error is not None
        told = _NO_ATTENTION | {
            "attention_code": ending.error.code,
            "attention_message": ending.error.message,
        }
        return told if ending.transient else told | {"status": "error"}

    async def _looked_at(self, db: AsyncConnection, pair: PairRecord, ending: Ending) -> dict[str, Any]:
        await links.settle_rules_version(db, pair.id, self.tools.rules_version(pair))
        a = await load_connection(db, pair.connection_a_id)
        b = await load_connection(db, pair.connection_b_id)
        looked = Looked(a.index_version, b.index_version, self.tools.setting(pair), self.tools.program)
        # Who moved the clock meanwhile wants to see what that brings into the window.
        still = ending.status is RunStatus.SUCCESS and not ending.waiting
        still = still and ending.ahead == await ahead_of(db, pair)
        # Whether a copy whose edit travelled has stayed as it was written is seen by the next plan alone.
        still = still and all(each.action != "propagate" for each in ending.operations)
        values: dict[str, Any] = {
            "quiet_state": str(looked),
            "quiet_until": self._quiet_until(pair, ending) if still else None,
            "planned_at": self.reader.now(),
        }
        changed_at = self._changed_at(pair, looked)
        return values if changed_at is None else values | {"changed_at": changed_at}

    def _changed_at(self, pair: PairRecord, looked: Looked) -> datetime | None:
        """Now, if a calendar has changed since the pair was last planned."""
        before = Looked.parse(pair.quiet_state)
        return self.reader.now() if (looked.a, looked.b) != (before.a, before.b) else None

    def _quiet_until(self, pair: PairRecord, ending: Ending) -> datetime:
        """Until when an unchanged pair is not planned anew: what time brings into the window may be as late."""
        rules = Rules.from_options(pair.sync_mode, pair.options)
        # Whoever moves the clock of test mode does not wait for that.
        leans = ending.leans or rules.relay or pair.mode == _TEST_MODE
        seconds = quiet_period(rules.future_days, leans=leans) * (1 - self.reader.jitter() * JITTER)
        return self.reader.now() + timedelta(seconds=seconds)


def _failures(
    flow: FlowInput, flow_plan: FlowPlan, outcome: Outcome
) -> dict[tuple[str, str], tuple[str, str, datetime]]:
    """What stands of a flow's failures after its run."""
    held = {(skip.event_id, skip.original) for skip in flow_plan.skipped if skip.failed}
    failed = {
        key: (failure.code, failure.tried_hash, failure.retry_at)
        for key, failure in flow.failures.items()
        if key in held
    }
    return failed | {
        key: (code, tried, flow.now + RETRY_AFTER)
        for key, (code, tried) in outcome.failed.items()
        if code in _HELD_BACK
    }


def _unchanged_since(pair: PairRecord, changed_at: datetime | None) -> datetime | None:
    """None in test mode, where whoever moves the clock reckons with the poll interval."""
    return None if pair.mode == _TEST_MODE else changed_at or pair.created_at
