"""Turns of polls: never more than their share of a quota, in turn, and each gets one in the end (rule 27)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from calendarsync.sync.turns import (
    FURTHEST,
    LONGEST_DEBT,
    OUT_OF_PLACE,
    SHARE_OF_POLLS,
    TOLERANCE,
    Poll,
    Quota,
    Turn,
    allot,
)

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
PER_MINUTE = 75
SPACING = MINUTE / (PER_MINUTE * SHARE_OF_POLLS)
"""One second: four fifths of 75 are 60 a minute."""


def quota(per_minute: int = PER_MINUTE, *, used: timedelta = -MINUTE, queue: timedelta = -MINUTE) -> Quota:
    return Quota.of(per_minute, NOW + used, NOW + queue, NOW - MINUTE)


def poll(
    *ends: str, due: timedelta = timedelta(), turn: timedelta | None = None, wanted: bool = False
) -> Poll:
    """`ends`: connection and project, with a slash between."""
    counted = dict(end.split("/") for end in ends or ("a/p",))
    return Poll(counted, NOW + due, None if turn is None else NOW + turn, wanted)


def polls(count: int) -> list[Poll]:
    return [poll(f"{number}/p") for number in range(count)]


def seconds(turns: Sequence[Turn | None]) -> list[float | None]:
    return [None if turn is None else (turn.due_at - NOW).total_seconds() for turn in turns]


def test_as_many_start_at_once_as_the_tolerance_lets_through_and_the_others_queue_up() -> None:
    allotted = allot(polls(6), {"p": quota()}, NOW)
    assert seconds(allotted.turns) == [None, None, None, 3, 4, 5]
    assert allotted.covered == {"p": 3}


def test_those_that_ask_later_come_after_those_that_wait() -> None:
    quotas = {"p": quota()}
    allot(polls(6), quotas, NOW)
    assert seconds(allot(polls(2), quotas, NOW).turns) == [6, 7]


def test_a_turn_that_has_come_asks_no_more_than_whether_there_is_room() -> None:
    there = {"p": quota(used=timedelta(), queue=MINUTE)}
    assert seconds(allot([poll(turn=timedelta())], there, NOW).turns) == [None]
    # The queue is no longer than before: it stood in it.
    assert there["p"].next_at == NOW + MINUTE


def test_what_was_sent_meanwhile_puts_a_turn_off_once_more_and_keeps_its_place() -> None:
    there = {"p": quota(used=10 * SECOND)}
    (first, second) = allot([poll("a/p", turn=timedelta()), poll("b/p", turn=timedelta())], there, NOW).turns
    assert first is not None
    assert second is not None
    assert (first.due_at, second.due_at) == (NOW + 10 * SECOND, NOW + 11 * SECOND)
    kept = poll(due=10 * SECOND, turn=first.turn_at - NOW)
    assert there["p"].used_at == NOW + 12 * SECOND
    later = NOW + 10 * SECOND
    assert allot([kept], there, later).turns == [None]
    assert there["p"].used_at == NOW + 12 * SECOND  # it is not reckoned twice


def test_a_place_that_nobody_came_for_counts_as_far_as_others_did_not_come_either() -> None:
    """A worker that was away does not start all that became due meanwhile in one moment."""
    quotas = {"p": quota(used=MINUTE)}
    kept = [poll(f"{number}/p", due=-MINUTE, turn=-2 * MINUTE) for number in range(4)]
    assert seconds(allot(kept, quotas, NOW).turns) == [None, None, 60, 61]
    in_time = poll("5/p", due=-TOLERANCE, turn=-MINUTE)
    assert allot([in_time], quotas, NOW).turns == [None]  # whatever others have sent


def test_those_that_come_too_late_for_places_at_two_projects_do_not_start_all_at_once() -> None:
    quotas = {"p": quota(used=MINUTE), "q": quota(used=MINUTE)}
    kept = [poll(f"a{number}/p", f"b{number}/q", due=-MINUTE, turn=-2 * MINUTE) for number in range(4)]
    allotted = allot(kept, quotas, NOW)
    assert seconds(allotted.turns) == [None, None, 60, 61]
    assert not allotted.covered  # it is not known at which of them a place was kept


def test_a_place_that_has_not_come_yet_stays_as_it_is() -> None:
    """Pairs on one connection are claimed together, some of them before their time."""
    quotas = {"p": quota(used=MINUTE)}
    early = [poll(f"{number}/p", due=20 * SECOND, turn=-MINUTE) for number in range(3)]
    assert seconds(allot(early, quotas, NOW).turns) == [None, None, 20]
    assert quotas["p"].used_at == NOW + MINUTE


def test_a_turn_that_was_missed_is_made_up_for_at_the_cost_of_those_who_ask_later() -> None:
    late, there = poll(due=-MINUTE, turn=-MINUTE), quota(queue=10 * SECOND)
    assert allot([late], {"p": there}, NOW).turns == [None]
    assert there.next_at == NOW + 10 * SECOND  # there was room: nobody waits for longer
    there = quota(used=5 * SECOND, queue=10 * SECOND)
    assert seconds(allot([late], {"p": there}, NOW).turns) == [5]
    assert there.next_at == NOW + 11 * SECOND


@pytest.mark.rule(28)
def test_a_connection_that_is_read_for_several_pairs_asks_once() -> None:
    quotas = {"p": quota()}
    hub = [poll("hub/p") for _ in range(100)]
    allotted = allot(hub, quotas, NOW)
    assert allotted.turns == [None] * 100
    assert allotted.covered == {"p": 1}
    assert quotas["p"].used_at == NOW + SPACING


@pytest.mark.rule(28)
def test_pairs_on_one_connection_wait_for_the_same_turn() -> None:
    quotas = {"p": quota(used=20 * SECOND, queue=30 * SECOND)}
    allotted = allot([poll("hub/p"), poll("hub/p"), poll("hub/p", "other/p")], quotas, NOW)
    assert seconds(allotted.turns) == [30, 30, 31]
    assert quotas["p"].next_at == NOW + 32 * SECOND


def test_two_ends_on_one_project_take_two() -> None:
    quotas = {"p": quota()}
    assert allot([poll("a/p", "b/p")], quotas, NOW).covered == {"p": 2}
    assert quotas["p"].used_at == NOW + 2 * SPACING


def test_two_ends_on_two_projects_wait_for_the_later_turn() -> None:
    quotas = {"p": quota(), "q": quota(queue=MINUTE)}
    assert seconds(allot([poll("a/p", "b/q")], quotas, NOW).turns) == [60]
    # What had to be waited for keeps a place, what had not is counted when it is sent.
    quotas = {"p": quota(), "q": quota(used=MINUTE)}
    allotted = allot([poll("a/p", "b/q", turn=timedelta())], quotas, NOW)
    assert seconds(allotted.turns) == [60]
    assert quotas["p"].used_at < NOW
    assert quotas["q"].used_at == NOW + MINUTE + SPACING
    kept = Poll({"a": "p", "b": "q"}, NOW + MINUTE, NOW)
    returned = allot([kept], quotas, NOW + MINUTE)
    assert returned.turns == [None]
    assert not returned.covered


def test_what_has_something_to_do_passes_the_queue() -> None:
    quotas = {"p": quota(queue=MINUTE)}
    allotted = allot([poll("a/p"), poll("b/p", wanted=True)], quotas, NOW)
    assert seconds(allotted.turns) == [60, None]


def test_what_was_sent_without_asking_moves_both() -> None:
    there = quota()
    there.spend(30, NOW)
    assert there.used_at == there.next_at == NOW + 30 * SPACING


def test_polls_do_not_wait_for_longer_than_a_provider_remembers() -> None:
    there = quota()
    there.spend(1_000_000, NOW)
    assert there.used_at == there.next_at == NOW + LONGEST_DEBT
    there = quota(used=LONGEST_DEBT + MINUTE, queue=LONGEST_DEBT + MINUTE)
    there.spend(1_000_000, NOW)
    assert there.used_at == NOW + LONGEST_DEBT + MINUTE  # and gives nothing back


@pytest.mark.rule(24)
def test_a_project_that_is_told_to_wait_waits() -> None:
    there = quota()
    there.hold(NOW + MINUTE)
    assert seconds(allot([poll("a/p", turn=timedelta()), poll("b/p")], {"p": there}, NOW).turns) == [60, 61]
    there.hold(NOW)
    assert there.used_at > NOW + MINUTE


def test_a_clock_that_was_set_back_does_not_stop_the_polls() -> None:
    there = quota(used=timedelta(days=1), queue=timedelta(days=1))
    there.pull_in(NOW + FURTHEST)
    assert there.used_at == there.next_at == NOW + FURTHEST


@dataclass
class World:
    """Pairs of one project that are polled every `interval`, by a worker that looks once a second, at most `room`.

    `away`: seconds in which nobody looks. `urgent`: what is sent in a second without asking. `late`: so much later
    than it is due a pair is looked at.
    """

    pairs: int
    room: int
    away: frozenset[int] = frozenset()
    urgent: dict[int, int] = field(default_factory=dict)
    quotas: dict[str, Quota] = field(default_factory=lambda: {"p": quota()})
    started: list[tuple[datetime, int]] = field(default_factory=list)
    put_off: int = 0
    interval: timedelta = MINUTE
    late: timedelta = timedelta()

    def run(self, length: int) -> None:
        waiting = [(NOW, None, number) for number in range(self.pairs)]
        due: list[tuple[datetime, datetime | None, int]] = list(waiting)
        for second in range(length):
            now = NOW + second * SECOND
            self.quotas["p"].spend(self.urgent.get(second, 0), now)
            if second in self.away:
                continue
            left = self.room
            claimed = deque(
                sorted((each for each in due if each[0] <= now - self.late), key=lambda each: each[0])
            )
            while claimed and left:
                batch = [claimed.popleft() for _ in range(min(8, len(claimed), left))]
                asked = [Poll({str(number): "p"}, at, turn) for at, turn, number in batch]
                for each, turn in zip(batch, allot(asked, self.quotas, now).turns, strict=True):
                    due.remove(each)
                    number = each[2]
                    if turn is None:
                        left -= 1
                        self.started.append((now, number))
                        due.append((now + self.interval, None, number))
                    else:
                        self.put_off += 1
                        due.append((turn.due_at, turn.turn_at, number))

    def most_in(self, span: timedelta) -> int:
        times = [at for at, _ in self.started]
        return max((sum(1 for at in times if first <= at < first + span) for first in times), default=0)


worlds = st.builds(
    World,
    pairs=st.integers(1, 120),
    room=st.integers(1, 40),
    away=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 90)), max_size=3).map(
        lambda spans: frozenset(second for start, length in spans for second in range(start, start + length))
    ),
    urgent=st.dictionaries(st.integers(0, 300), st.integers(1, 200), max_size=4),
    late=st.integers(0, 20).map(lambda seconds: seconds * SECOND),
)


def _away_while_places_were_kept() -> World:
    """Two minutes' worth is sent without asking, turns are put off behind that, and nobody comes to take them."""
    return World(120, 40, frozenset(range(125, 240)), {70: 60, 80: 60})


@settings(deadline=None, max_examples=60)
@given(worlds)
@example(_away_while_places_were_kept())
def test_no_minute_sees_more_polls_than_the_quota(world: World) -> None:
    world.run(420)
    within = MINUTE + 2 * TOLERANCE + OUT_OF_PLACE
    assert world.most_in(MINUTE) <= within / SPACING + 1 <= PER_MINUTE


@settings(deadline=None, max_examples=60)
@given(worlds)
@example(World(120, 40, urgent={70: 60}, late=4 * SECOND))
def test_every_pair_is_polled_in_the_end_and_none_much_more_often_than_others(world: World) -> None:
    """Whatever was away or urgent is over after 400 s; what follows is long enough for everybody twice."""
    world.run(1_200)
    counts = dict.fromkeys(range(world.pairs), 0)
    for at, number in world.started:
        counts[number] += at >= NOW + 700 * SECOND
    # Whoever is put off twice comes late three times.
    fair = 500 / (max(world.pairs, 60) + 3 * world.late / SECOND)
    assert min(counts.values()) >= int(fair) - 1
    assert max(counts.values()) <= 500 / 60 + 2


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 120), st.integers(4, 40))
def test_undisturbed_polls_are_put_off_once_at_most_and_start_in_the_order_in_which_they_asked(
    pairs: int, room: int
) -> None:
    world = World(pairs, room)
    world.run(400)
    assert world.put_off <= len(world.started) + pairs
    in_order = list(dict.fromkeys(number for _, number in world.started))
    assert in_order == list(range(pairs))


@pytest.mark.parametrize("per_minute", [PER_MINUTE, 10_000, 600_000])
def test_a_quota_is_used_as_far_as_polls_may(per_minute: int) -> None:
    """What is left unused of their share is next to nothing: after a minute the clock stands where it should."""
    there = quota(per_minute)
    there.use(round(per_minute * SHARE_OF_POLLS), NOW)
    assert abs(there.used_at - NOW - MINUTE) < SECOND / 2
