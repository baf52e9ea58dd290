"""Every reason that a decision has: by which rule, in our words, and what would change it. Pure.

The tables in docs/guide/skipped-events.md and docs/guide/explain.md are made of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from calendarsync.sync.reasons.reason import Reason
from calendarsync.sync.reasons.skipped import BY_RULE, NOT_UNDONE, NOT_WRITTEN, UNREADABLE
from calendarsync.sync.reasons.told import CONNECTION, EDITED, IN_STEP, NOBODYS, PAIR

__all__ = ["REASONS", "SKIPPED", "TOLD", "Reason"]

SKIPPED = (UNREADABLE, BY_RULE, NOT_WRITTEN, NOT_UNDONE)
TOLD = (IN_STEP, EDITED, NOBODYS, PAIR, CONNECTION)
REASONS: Mapping[str, Reason] = {reason.code: reason for section in (*SKIPPED, *TOLD) for reason in section}
