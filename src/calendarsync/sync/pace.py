"""How long it is from one poll of a pair to the next (rule 27, docs/decisions/polling-pace.md). All in seconds."""

from __future__ import annotations

SLOWEST = 3600.0
"""No pace makes an interval longer than that, if the installation says nothing else."""

WATCHED_PACE = 6
"""So many times as long is the interval of a pair whose calendars' providers both tell of changes."""

UNCHANGED_PACE = 4
"""So many times as long is at most that of another pair."""

SHARE_OF_UNCHANGED = 100
"""That is reached little by little: a change waits no longer than this part of the time that there was none."""


def interval(
    poll: float, slowest: float = SLOWEST, *, unchanged: float, watched: float | None = None
) -> float:
    """From a poll to the next one of a pair in which nothing has changed for so long.

    `watched`: for how long both calendars' providers will tell of changes; None where one does not.
    """
    seconds = max(poll, min(unchanged / SHARE_OF_UNCHANGED, poll * UNCHANGED_PACE, slowest))
    if watched is None:
        return seconds
    return max(seconds, min(slowest_interval(poll, slowest), watched))


def slowest_interval(poll: float, slowest: float = SLOWEST) -> float:
    """The longest that there is. Where `slowest` is no longer than `poll`, every interval is `poll`."""
    return max(poll, min(poll * WATCHED_PACE, slowest))
