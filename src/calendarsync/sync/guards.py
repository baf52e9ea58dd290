"""What a run does not do on its own: the guards of rules 4, 17 and 21. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from calendarsync.domain.link import Direction
from calendarsync.domain.times import moment_key
from calendarsync.sync.actions import Affected, Delete, FlowPlan, Propagate

MANY = 10
"""More than this many, and more than half of all, is more than a run does on the word of one reading."""

LOST_KEY = "copies_of_lost_key"
VANISHED = "copies_vanished"
EMPTIED_SOURCE = "source_emptied"
EDITED = "copies_edited"
_CODES = frozenset({LOST_KEY, VANISHED, EMPTIED_SOURCE, EDITED})

EXAMPLES = 5
"""So many copies are named to the person who is asked."""

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
    """Stop the pair until a person has confirmed.

    `copies` would be adopted, left away, deleted or followed after a confirmation, `out_of` is how many the pair
    keeps in this direction, and `examples` are some of them.
    """

    code: str
    message: str
    direction: Direction
    copies: int
    out_of: int
    examples: tuple[Affected, ...]

    def details(self) -> dict[str, Any]:
        """As JSON, ids and times alone."""
        return {
            "direction": self.direction.value,
            "copies": self.copies,
            "out_of": self.out_of,
            "examples": [
                {
                    "event_id": each.event_id,
                    "original_start": each.original,
                    "copy_id": each.copy_id,
                    "start": each.start,
                }
                for each in self.examples
            ],
        }


Verdict = Proceed | ReadAgain | Attention


@dataclass(frozen=True, slots=True)
class Readings:
    """How far what was read can be relied on.

    `source_emptied` and `target_emptied`: the calendar read empty without its deletions being named, and the
    pair has had no complete run since. `twice`: the source was read once more, in full, for this plan.
    """

    source_emptied: bool = False
    target_emptied: bool = False
    twice: bool = False


def judge(plan: FlowPlan, readings: Readings, confirmed: frozenset[str] = frozenset()) -> Verdict:
    """Judge one flow. `confirmed` holds the codes that a person has said yes to."""
    attention = _attention(plan, readings)
    if attention is not None and attention.code not in confirmed:
        return attention
    deletes = [delete for delete in plan.deletes if not delete.exempt]
    if _too_many(len(deletes), plan.live_copies) and not readings.twice:
        return ReadAgain()
    return Proceed()


def _attention(plan: FlowPlan, readings: Readings) -> Attention | None:
    if plan.foreign and plan.live_copies == 0:
        return _ask(
            LOST_KEY,
            f"{len(plan.foreign)} copies stand in the calendar that this installation cannot verify; "
            "confirm to adopt those that stand at the expected times",
            plan,
            plan.foreign,
        )
    emptied = bool(plan.vanished) and readings.target_emptied
    if emptied or _too_many(len(plan.vanished), plan.live_copies):
        return _ask(
            VANISHED,
            f"{len(plan.vanished)} of {plan.live_copies} copies have vanished from the calendar; "
            "confirm that they were deleted on purpose",
            plan,
            plan.vanished,
        )
    deletes = [delete for delete in plan.deletes if not delete.exempt]
    if readings.source_emptied and deletes:
        return _ask(
            EMPTIED_SOURCE,
            f"the source calendar read empty; {len(deletes)} of {plan.live_copies} copies would be deleted",
            plan,
            [_of_copy(delete) for delete in deletes],
        )
    edits = [write for write in plan.writes if isinstance(write, Propagate)]
    if _too_many(len(edits), plan.live_copies):
        # A server that rewrites all that it holds is not to change what people wrote elsewhere.
        return _ask(
            EDITED,
            f"{len(edits)} of {plan.live_copies} copies were edited at once; "
            "confirm that their events are to be changed alike",
            plan,
            [_of_copy(edit) for edit in edits],
        )
    return None


def _ask(code: str, message: str, plan: FlowPlan, affected: Sequence[Affected]) -> Attention:
    examples = tuple(affected[:EXAMPLES])
    return Attention(code, message, plan.direction, len(affected), plan.live_copies, examples)


def _of_copy(write: Delete | Propagate) -> Affected:
    first = next(iter(write.copy.components), None)
    # A copy's times have a zone of their own, or are dates: the zone that is given here is not used.
    start = None if first is None else moment_key(first.start, "UTC")
    return Affected(write.event_id, write.original, write.copy_id, start)


def confirmation(asked: str | None) -> frozenset[str]:
    """What a confirmation says yes to: what was asked, else whatever comes up but the adoption of copies.

    To adopt copies that we cannot verify, a person must have been asked for just that.
    """
    return frozenset({asked}) if asked in _CODES else _CODES - {LOST_KEY}


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict that decides for a pair with two flows."""
    for kind in (Attention, ReadAgain):
        for verdict in verdicts:
            if isinstance(verdict, kind):
                return verdict
    return Proceed()


def _too_many(count: int, of: int) -> bool:
    return count > MANY and count * 2 > of
