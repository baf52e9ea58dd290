"""What came of one flow of a pair in one run: what was done, what failed, and who is to blame."""

from __future__ import annotations

from dataclasses import dataclass, field

from calendarsync.providers.base import ProviderError
from calendarsync.store.schedule import ConnectionRecord
from calendarsync.sync.actions import FlowPlan
from calendarsync.sync.report import Operation


@dataclass(slots=True)
class Outcome:
    """`failed` holds (code, tried hash) by source resource and original start.

    `again`: something had changed under our hands, so that reading and planning once more will do the rest.
    `error`: a provider as a whole refused, and `blamed` is its connection; what was answered stays done.
    """

    operations: list[Operation] = field(default_factory=list)
    failed: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    again: bool = False
    error: ProviderError | None = None
    blamed: ConnectionRecord | None = None

    def blame(self, error: ProviderError, connection: ConnectionRecord) -> None:
        """Note that the provider of this connection refused; the first error stands."""
        if self.error is None:
            self.error, self.blamed = error, connection


def noted(plan: FlowPlan) -> list[Operation]:
    """What is told of copies that stay as they are: of those for which there is a reason."""
    return [
        Operation(
            plan.direction,
            keep.link.source_resource,
            keep.link.source_original,
            keep.action,
            keep.reason,
            keep.link.copy_id,
        )
        for keep in plan.keeps
        if keep.reason
    ]
