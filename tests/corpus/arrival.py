"""What became of a calendar's events in a sync: arrived, skipped or refused, each with its reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from calendarsync.domain.event import Resource
from calendarsync.domain.recurrence import RecurrenceError
from calendarsync.sync.report import RunReport
from tests.corpus.judge import Busy, ours, theirs

ARRIVED = "arrived with equal busy times"
OUTSIDE = "lies outside the window"
NOT_BUSY = {"cancelled", "declined", "free"}
"""Why an event that blocks no time, or not its owner's, is left out (rule 6)."""


@dataclass
class Outcomes:
    """Events and files by outcome, and in `wrong` what must not be."""

    events: Counter[str] = field(default_factory=Counter)
    files: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    wrong: list[str] = field(default_factory=list)

    def note(self, file: str, outcome: str, events: int = 1) -> None:
        self.events[outcome] += events
        self.files[outcome].add(file)

    def rows(self) -> list[str]:
        """A Markdown table: what arrived, then the rest in the order of the alphabet."""
        outcomes = sorted(self.files, key=lambda outcome: (outcome != ARRIVED, outcome))
        return [
            "| outcome | files | events |",
            "|---|---|---|",
            *(f"| {each} | {len(self.files[each])} | {self.events[each] or '—'} |" for each in outcomes),
        ]


class Arrivals:
    """What one run did, by source event, and the copies that stand in the target since, by their names."""

    def __init__(self, report: RunReport, copies: Mapping[str, bytes], floating: str) -> None:
        self._copies = {name.removesuffix(".ics"): data for name, data in copies.items()}
        self._floating = floating
        self._written: defaultdict[str, list[str]] = defaultdict(list)
        self._skipped: defaultdict[str, list[str]] = defaultdict(list)
        for operation in report.operations:
            if operation.action == "skip":
                self._skipped[operation.event_id].append(operation.reason)
            elif operation.copy_id is not None:
                self._written[operation.event_id].append(operation.copy_id)

    def judge(self, file: str, resource: Resource, outcomes: Outcomes) -> None:
        """Equal busy times by an independent reader of the copies' bytes, or skipped with the very reason."""
        copies, skipped = self._written[resource.id], self._skipped[resource.id]
        expected, problem = self._expected(resource)
        if problem is not None:
            if copies or set(skipped) != {problem}:
                outcomes.wrong.append(f"{file}: {problem}, but {len(copies)} copies and {skipped}")
            outcomes.note(file, f"skipped: `{problem}`")
            return
        got = sum((theirs(self._copies[copy], self._floating) for copy in copies), Busy())
        if got != expected:
            outcomes.wrong.append(f"{file}: {_difference(expected, got)}, {skipped}")
        if not copies and not set(skipped) <= NOT_BUSY:
            outcomes.wrong.append(f"{file}: skipped for {skipped}")
        outcomes.note(file, ARRIVED if copies else f"skipped: `{skipped[0]}`" if skipped else OUTSIDE)

    def _expected(self, resource: Resource) -> tuple[Busy, str | None]:
        if resource.problem is not None:
            return Busy(), resource.problem.value
        try:
            return ours(resource, self._floating), None
        except RecurrenceError as error:
            return Busy(), error.problem.value


def _difference(expected: Busy, got: Busy) -> str:
    missing, surplus = expected - got, got - expected
    return (
        f"{missing.total()} missing {sorted(missing)[:3]}, {surplus.total()} too many {sorted(surplus)[:3]}"
    )
