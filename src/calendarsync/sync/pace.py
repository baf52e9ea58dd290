"""How often a pair is polled, and planned anew (rules 7 and 27, docs/decisions/polling-pace.md). All in seconds."""

from __future__ import annotations

from zlib import crc32

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


_SOONEST = 0.1

SHORTEST_QUIET, LONGEST_QUIET = 900.0, 86_400.0
"""How long an unchanged pair is not planned anew, at least and at most; for whoever asks, the first."""

_DAY = 86_400.0


def share_of_first(connection_id: str) -> float:
    """Which share of the interval passes between a pair's first sync and its first poll: over 0, at most 1.

    So pairs that were made together do not stay together, but for those on one connection, which are read together
    (rule 28).
    """
    return _SOONEST + (1 - _SOONEST) * crc32(connection_id.encode()) / 0xFFFF_FFFF


def quiet_period(future_days: int, *, leans: bool = False) -> float:
    """How long time alone may bring what no plan has seen: a hundredth of the window ahead, within bounds.

    `leans`: on what stands in the records of other pairs, and may change there without a change in a calendar.
    """
    if leans:
        return SHORTEST_QUIET
    return max(SHORTEST_QUIET, min(future_days * _DAY / SHARE_OF_UNCHANGED, LONGEST_QUIET))
