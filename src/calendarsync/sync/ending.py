"""What has come of a run so far, gathered while it goes on; its report is made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from calendarsync.sync.actions import Create, FlowInput, FlowPlan
from calendarsync.sync.guards import Attention
from calendarsync.sync.inputs import Looked
from calendarsync.sync.outcome import Outcome, noted
from calendarsync.sync.report import Operation, RunError, RunReport, RunStatus


@dataclass(slots=True)
class Ending:
    """`planned` and `quiet`: whether there was anything to plan, or nothing.

    `looked`: what was planned by, where there was nothing to be done about it, nor to be noted. `leans`: on what
    stands in the records of other pairs. `ahead` is how far the clock that it was planned by was ahead.
    `watched_until`: until when both calendars' providers tell of changes; None where one does not.
    """

    planned: bool = False
    quiet: bool = False
    looked: Looked | None = None
    leans: bool = False
    ahead: timedelta = timedelta()
    watched_until: datetime | None = None
    removed: bool = False
    processed: set[tuple[str, str]] = field(default_factory=set)
    operations: list[Operation] = field(default_factory=list)
    skipped: list[Operation] = field(default_factory=list)
    failures: int = 0
    again: bool = False
    waiting: bool = False
    attention: Attention | None = None
    error: RunError | None = None
    transient: bool = False
    requests: int = 0
    duration_ms: int = 0
    undid: str | None = None

    def add_plans(self, plans: Sequence[FlowPlan]) -> None:
        """Take over what was planned; a later plan of the same run replaces what an earlier one skipped."""
        self.planned = True
        self.waiting = any(plan.waiting for plan in plans)
        self.leans = any(case.reason == "copied_already" for plan in plans for case in plan.cases)
        self.failures = sum(skip.failed for plan in plans for skip in plan.skipped)
        self.processed |= {(plan.direction, event_id) for plan in plans for event_id in plan.processed}
        self.skipped = [
            Operation(plan.direction, skip.event_id, skip.original, "skip", skip.reason)
            for plan in plans
            for skip in plan.skipped
        ]

    def add_outcomes(self, flows: Sequence[FlowInput], outcomes: Sequence[Outcome]) -> None:
        """Take over what came of the flows, each beside its own."""
        self.again = any(outcome.again for outcome in outcomes)
        for flow, outcome in zip(flows, outcomes, strict=True):
            self.operations += outcome.operations
            self.failures += len(outcome.failed)
            self.skipped += [
                Operation(flow.direction, event_id, original, "skip", code)
                for (event_id, original), (code, _) in outcome.failed.items()
            ]

    def add_intentions(self, plans: Sequence[FlowPlan]) -> None:
        """What a dry run would do, after a confirmation where a guard asks for one."""
        for plan in plans:
            self.operations += noted(plan)
            for write in plan.writes:
                # A new copy gets the next id where its first turns out dead.
                copy_id = None if type(write) is Create else write.copy_id
                self.operations.append(
                    Operation(
                        plan.direction, write.event_id, write.original, write.action, write.reason, copy_id
                    )
                )

    @property
    def status(self) -> RunStatus:
        if self.error is not None or self.attention is not None:
            return RunStatus.FAILED
        return RunStatus.PARTIAL if self.failures or self.again else RunStatus.SUCCESS

    def report(self, sync_id: str) -> RunReport:
        counts = Counter(operation.action for operation in self.operations)
        silent = [operation for operation in self.operations if operation.action == "skip"]
        error = self.error
        if error is None and self.attention is not None:
            error = RunError("needs_attention", self.attention.message)
        return RunReport(
            sync_id=sync_id,
            status=self.status,
            events_processed=len(self.processed),
            events_created=counts["create"],
            events_updated=counts["update"],
            events_deleted=counts["delete"],
            events_skipped=len(self.skipped) + len(silent),
            provider_requests=self.requests,
            duration_ms=self.duration_ms,
            error=error,
            operations=(*self.operations, *self.skipped),
            undid=self.undid,
        )
