"""How soon a change was copied. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from calendarsync.sync.actions import Delete, FlowInput, Write

_OF_SOURCE = frozenset({"new", "source_changed", "source_moved", "wanted_again", "unanswered_write"})
"""The reasons of writes that the source's own change may have led to."""

_LONGEST_MS = 2**31 - 1  # of the column
_MS = timedelta(milliseconds=1)


def latency_ms(write: Write, flow: FlowInput, now: datetime) -> int | None:
    """From the source's last change, as its provider stamped it, to `now`, when its copy was written.

    None where it was not that change that led to the write, or nobody knows when it was.
    """
    if isinstance(write, Delete) or write.reason not in _OF_SOURCE:
        return None
    entry = write.wanted.entry
    if entry.modified is None or not entry.changed_in > flow.looked_at_version >= 0:
        return None
    return min(max((now - entry.modified) // _MS, 0), _LONGEST_MS)
