"""Turns of polls under a quota that all workers share (docs/decisions/provider-quotas.md).

A virtual clock as in the generic cell rate algorithm (ITU-T I.371, annex A): a request moves it on by one spacing,
and whoever finds it ahead of the time has to wait. There are three. `used_at` is moved by what was sent, and by
what has a place that is kept; it says whether a poll may start, so that no span of time sees more than its share.
`next_at` is the end of the queue, and moves with every poll that is put off: so polls that have to wait are spread
over the time to come, each comes once, and in the order in which they asked. `sent_at` is moved by what was sent
alone; it says whether a poll may start that does not come at its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

SHARE_OF_POLLS = 0.8
"""Of a project's quota. What somebody waits for, triggers and pushes, never waits, and so needs what is left."""

TOLERANCE = timedelta(seconds=2.5)
"""So much before its turn a poll may start, and so late it still has the place that was kept: the schedule looks
once a second.
"""

OUT_OF_PLACE = timedelta(seconds=1.0)
"""So far ahead of what was sent those may start that come too late for their place, or with others before it. In a
span of time at most its share, and that of this and of twice the tolerance, is started.
"""

LONGEST_DEBT = timedelta(minutes=5)
"""So long polls wait at most for what was sent without asking, however much that was: providers count by the
minute, and what was sent long ago counts for nothing.
"""

FURTHEST = timedelta(hours=1)
"""A moment that is further ahead than that is not believed when a worker starts. Where a clock was set back just
now it is one that is further ahead than the longest debt.
"""


@dataclass(slots=True)
class Quota:
    """One project's."""

    spacing: timedelta
    used_at: datetime
    next_at: datetime
    sent_at: datetime

    @classmethod
    def of(cls, per_minute: int, used_at: datetime, next_at: datetime, sent_at: datetime) -> Quota:
        return cls(timedelta(minutes=1) / (per_minute * SHARE_OF_POLLS), used_at, next_at, sent_at)

    def free_at(self, now: datetime) -> datetime:
        """When what was sent leaves room for another request."""
        return max(self.used_at, now)

    def end_at(self, now: datetime) -> datetime:
        """When the queue of polls has come to its end."""
        return max(self.next_at, self.used_at, now)

    def has_room(self, now: datetime) -> bool:
        """Whether so little was sent that more may be, whatever places are kept."""
        return self.sent_at <= now + OUT_OF_PLACE

    def send(self, requests: int, now: datetime) -> None:
        self.sent_at = max(self.sent_at, now) + requests * self.spacing

    def use(self, requests: int, now: datetime) -> None:
        self.used_at = self.free_at(now) + requests * self.spacing

    def queue(self, requests: int, now: datetime) -> None:
        self.next_at = self.end_at(now) + requests * self.spacing

    def spend(self, requests: int, now: datetime) -> None:
        """Requests that were sent without asking: polls wait for them."""
        furthest, more = now + LONGEST_DEBT, requests * self.spacing
        self.next_at = max(self.next_at, min(self.end_at(now) + more, furthest))
        self.used_at = max(self.used_at, min(self.free_at(now) + more, furthest))
        self.sent_at = max(self.sent_at, min(max(self.sent_at, now) + more, furthest))

    def hold(self, until: datetime) -> None:
        """The provider said that the project as a whole is to wait."""
        self.used_at, self.next_at = max(self.used_at, until), max(self.next_at, until)
        self.sent_at = max(self.sent_at, until)

    def pull_in(self, latest: datetime) -> None:
        self.used_at, self.next_at = min(self.used_at, latest), min(self.next_at, latest)
        self.sent_at = min(self.sent_at, latest)


@dataclass(frozen=True, slots=True)
class Poll:
    """`ends`: those of its connections that count for a project, and which one that is.

    `due_at` and `turn_at` stand at the pair: a poll that was put off is due at its turn; one whose place is kept is
    due later than its turn was. `wanted`: there is something to do, and not only something to look for.
    """

    ends: Mapping[str, str]
    due_at: datetime
    turn_at: datetime | None = None
    wanted: bool = False

    @property
    def has_place(self) -> bool:
        return self.turn_at is not None and self.turn_at < self.due_at

    def is_in_time(self, now: datetime) -> bool:
        """Whether it comes when it is due, or nearly so."""
        return abs(now - self.due_at) <= TOLERANCE

    @property
    def goes_first(self) -> bool:
        return self.wanted or self.turn_at is not None


@dataclass(frozen=True, slots=True)
class Turn:
    """A poll is put off: `due_at` and `turn_at` as they are to stand at the pair."""

    due_at: datetime
    turn_at: datetime


@dataclass(slots=True)
class Allotted:
    """Of each poll its turn, None where it may start now; and how many requests to each project these stand for."""

    turns: list[Turn | None] = field(default_factory=list)
    covered: Counter[str] = field(default_factory=Counter)


def allot(polls: Sequence[Poll], quotas: Mapping[str, Quota], now: datetime) -> Allotted:
    """Give turns to polls that start together, in their order, and move the clocks on by what that takes.

    A connection is read once for all of them (rule 28), and asks once. One request is reckoned for it: that is what
    it takes where nothing has changed, and what more is sent is counted as it is sent.
    """
    allotted, read_at = Allotted(), dict[str, datetime]()
    for poll in polls:
        allotted.turns.append(_turn(poll, quotas, now, read_at, allotted.covered))
    return allotted


def _turn(
    poll: Poll,
    quotas: Mapping[str, Quota],
    now: datetime,
    read_at: dict[str, datetime],
    covered: Counter[str],
) -> Turn | None:
    needed = Counter(project for end, project in poll.ends.items() if end not in read_at)
    if poll.has_place and (poll.is_in_time(now) or all(quotas[project].has_room(now) for project in needed)):
        _read(poll, now, read_at)
        # Of two projects only the one that had to be waited for kept a place: what is sent to either is counted.
        if len(set(poll.ends.values())) == 1:
            _cover(needed, quotas, covered, now)
        elif not poll.is_in_time(now):
            _send(needed, quotas, now)
        return None
    if poll.has_place and now < poll.due_at:
        _read(poll, poll.due_at, read_at)
        return Turn(poll.due_at, now)
    free = {
        project: quotas[project].free_at(now) if poll.goes_first else quotas[project].end_at(now)
        for project in needed
    }
    at = max([now, *free.values(), *(read_at[end] for end in poll.ends if end in read_at)])
    may_start = at <= now + TOLERANCE
    for project, requests in needed.items():
        quota = quotas[project]
        if _lengthens_queue(poll, now, may_start=may_start):
            quota.queue(requests, now)
        if may_start or (poll.goes_first and free[project] > now + TOLERANCE):
            quota.use(requests, now)
    _read(poll, now if may_start else at, read_at)
    if may_start:
        _cover(needed, quotas, covered, now)
        return None
    return Turn(at, now if poll.goes_first else at)


def _cover(
    needed: Mapping[str, int], quotas: Mapping[str, Quota], covered: Counter[str], now: datetime
) -> None:
    """So much is sent, and is not to be counted once more when it has been."""
    covered.update(needed)
    _send(needed, quotas, now)


def _send(needed: Mapping[str, int], quotas: Mapping[str, Quota], now: datetime) -> None:
    for project, requests in needed.items():
        quotas[project].send(requests, now)


def _lengthens_queue(poll: Poll, now: datetime, *, may_start: bool) -> bool:
    """Whether those who ask later have to wait for it too: its own turn is in the queue already.

    A turn that came too late has been lost to all, unless there is room for it now.
    """
    if poll.turn_at is None:
        return True
    return not may_start and now > poll.due_at + TOLERANCE


def _read(poll: Poll, at: datetime, read_at: dict[str, datetime]) -> None:
    for end in poll.ends:
        read_at.setdefault(end, at)
