"""A link: our record that a copy stands for a source in a pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Direction(StrEnum):
    """One flow of a pair: from its first connection to its second, or back."""

    A_TO_B = "a_to_b"
    B_TO_A = "b_to_a"


class LinkState(StrEnum):
    PENDING = "pending"
    """Stored before the copy's first write; no write has been answered yet."""
    LIVE = "live"
    RESPECTED = "respected"
    """A person deleted the copy; it stays away until the source's time changes (rule 17)."""


@dataclass(frozen=True, slots=True)
class Link:
    """`source_original` is empty where the copy stands for the whole resource.

    `written_hash` is what the copy was written from, `copy_hash` our fields in it as first read back, `times_hash`
    the source's times at that moment, `holes` the keys (`moment_key`) of the instances that it leaves out.
    `respected` names instances that a person deleted in the copied series, as `original>start` in keys: one that
    the source moves elsewhere has another start, and comes back. `copy_fields` are keyed fingerprints of single
    fields of the copy, by component, as they were written and first read back (`sync.fields`). `propagating` is the
    copy whose edits are being carried into the source, as `copy_hash` would note it. `hops` is over how many pairs
    the event came, this one included. `accepted` is the reason for which a copy stays that differs from what was
    written. `pending_since` is when the first write of a pending one was last begun: until it is answered, or a
    while has passed, the copy may stand there though no reading shows it yet.
    """

    direction: Direction
    source_resource: str
    source_original: str
    source_uid: str
    origin: str
    target_calendar: str
    copy_id: str
    generation: int
    state: LinkState
    written_hash: str | None = None
    copy_hash: str | None = None
    times_hash: str | None = None
    rules_version: str | None = None
    restores: int = 0
    holes: tuple[str, ...] = ()
    respected: tuple[str, ...] = ()
    copy_fields: Mapping[str, str] | None = None
    propagating: str | None = None
    hops: int = 1
    accepted: str | None = None
    pending_since: datetime | None = None
    id: int | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.source_resource, self.source_original
