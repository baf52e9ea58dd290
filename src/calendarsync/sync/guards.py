"""What a run does not do on its own: the guards of rules 4, 17 and 21. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calendarsync.sync.plan import FlowPlan

MANY = 10
"""More than this many, and more than half of all, is more than a run does on the word of one reading."""

EMPTIED = 5
"""A calendar that held this many events, and now reads empty, is not believed without a person's word."""


@dataclass(frozen=True, slots=True)
class Proceed:
    pass


@dataclass(frozen=True, slots=True)
class ReadAgain:
    """Read the source in full and plan again: so many deletions are not done on the word of one reading."""


@dataclass(frozen=True, slots=True)
class Attention:
    """Stop the pair until a person has confirmed."""

    code: str
    message: str


Verdict = Proceed | ReadAgain | Attention


def judge(plan: FlowPlan, *, source_emptied: bool, read_in_full: bool, confirmed: bool) -> Verdict:
    """Judge one flow. `source_emptied`: the source read empty without its deletions being named."""
    if confirmed:
        return Proceed()
    if plan.foreign_copies and plan.live_copies == 0:
        return Attention(
            "copies_of_lost_key",
            f"{plan.foreign_copies} copies stand in the calendar that this installation cannot verify; "
            "confirm to adopt those that stand at the expected times",
        )
    if _too_many(len(plan.vanished), plan.live_copies):
        return Attention(
            "copies_vanished",
            f"{len(plan.vanished)} of {plan.live_copies} copies have vanished from the calendar; "
            "confirm that they were deleted on purpose",
        )
    deletes = [delete for delete in plan.deletes if not delete.exempt]
    if source_emptied and deletes:
        return Attention(
            "source_emptied",
            f"the source calendar reads empty; {len(deletes)} of {plan.live_copies} copies would be deleted",
        )
    if _too_many(len(deletes), plan.live_copies) and not read_in_full:
        return ReadAgain()
    return Proceed()


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict that decides for a pair with two flows."""
    for kind in (Attention, ReadAgain):
        for verdict in verdicts:
            if isinstance(verdict, kind):
                return verdict
    return Proceed()


def _too_many(count: int, of: int) -> bool:
    return count > MANY and count * 2 > of
