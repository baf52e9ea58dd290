"""How often the pairs of an installation are polled, by the program's own rule of paces. Pure."""

from __future__ import annotations

from calendarsync.sync.pace import interval

POLL_SECONDS = 300.0
_DAY = 86_400.0

UNCHANGED = ((0.2, 3_600.0), (0.3, _DAY), (0.5, 7 * _DAY))
"""The stated mix: shares of pairs, and for how many seconds nothing has changed in them."""

PUSHED = 4 / 9
"""The share of pairs of whose two calendars the providers tell: two of three providers do."""


def polls_a_day(pushed: float = PUSHED) -> float:
    """Of one pair, on the average over the mix."""
    return sum(
        share * told * _DAY / interval(POLL_SECONDS, unchanged=unchanged, watched=watched)
        for share, unchanged in UNCHANGED
        for told, watched in ((1 - pushed, None), (pushed, _DAY))
    )


def polls_a_day_at_most() -> float:
    """Of one pair, where none is ever polled less often than the poll interval says."""
    return _DAY / POLL_SECONDS
