"""What a reason says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """`rule` is the number of the rule of a sync that decides. Both texts are whole sentences."""

    code: str
    rule: int
    explanation: str
    remedy: str
