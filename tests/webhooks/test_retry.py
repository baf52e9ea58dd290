"""When what failed is tried again, and whose turn it is: pure functions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendarsync.webhooks.retry import (
    DELAYS,
    JITTER,
    LONGEST_WAIT,
    PATIENCE,
    Answer,
    reason_to_disable,
    wait_for_next,
)
from calendarsync.webhooks.turns import IN_FLIGHT, Queue, share_out

NOW = datetime(2026, 3, 28, 10, tzinfo=UTC)
FAILED = Answer(500, "status")


def test_the_schedule_is_that_of_the_reference() -> None:
    hours = [5 / 3600, 5 / 60, 0.5, 2, 5, 10, 14, 20, 24]
    assert [wait_for_next(FAILED, made, 0.0) for made in range(1, 10)] == [
        timedelta(hours=each) for each in hours
    ]
    assert wait_for_next(FAILED, 10, 0.0) is None
    # Each event is given up well before its endpoint is.
    assert sum(DELAYS, timedelta()) * (1 + JITTER) < PATIENCE


@given(st.integers(1, 9), st.floats(0, 1), st.none() | st.floats(0, 1e9))
def test_a_wait_is_never_shorter_than_it_should_be_and_not_much_longer(
    made: int, chance: float, asked: float | None
) -> None:
    wait = wait_for_next(Answer(503, "status", asked), made, chance)
    least = max(DELAYS[made - 1], min(timedelta(seconds=asked or 0), LONGEST_WAIT))
    assert wait is not None
    assert least <= wait <= least * (1 + JITTER)


def test_what_is_gone_is_not_tried_again() -> None:
    assert wait_for_next(Answer(410, "status", 5.0), 1, 0.0) is None
    assert reason_to_disable(Answer(410, "status"), NOW, NOW) == "gone"


@pytest.mark.parametrize(("since", "reason"), [(PATIENCE, "failing"), (timedelta(days=4.99), None)])
def test_patience_ends(since: timedelta, reason: str | None) -> None:
    assert reason_to_disable(FAILED, NOW - since, NOW) == reason


_queues = st.lists(
    st.builds(Queue, st.uuids().map(str), st.integers(0, IN_FLIGHT + 1), st.booleans(), st.booleans()),
    max_size=30,
)


@given(_queues, st.integers(0, 70), st.integers(-5, 70))
def test_places_are_shared_out_fairly(queues: list[Queue], room: int, failing_room: int) -> None:
    shares = share_out(queues, room, failing_room=failing_room)
    assert all(share > 0 for share in shares.values())
    assert sum(shares.values()) <= room
    failing = [queue for queue in queues if queue.failing]
    healthy = [queue for queue in queues if not queue.failing]
    assert sum(shares.get(queue.webhook_id, 0) for queue in failing) <= max(failing_room, 0)
    for queue in queues:
        share = shares.get(queue.webhook_id, 0)
        assert share <= max((1 if queue.failing else IN_FLIGHT) - queue.in_flight, 0)
        assert not (share and queue.slow)
    # Nobody who fails has a place that somebody else could use, and nobody gets one who has two more than another.
    free = [queue for queue in healthy if shares.get(queue.webhook_id, 0) < queue.room]
    if free:
        assert not any(queue.webhook_id in shares for queue in failing)
        assert sum(shares.values()) == room
        fewest = min(queue.in_flight + shares.get(queue.webhook_id, 0) for queue in free)
        given_more = [queue for queue in healthy if queue.webhook_id in shares]
        assert all(queue.in_flight + shares[queue.webhook_id] <= fewest + 1 for queue in given_more)
    elif failing_room > 0 and sum(shares.values()) < room:
        unserved = [queue for queue in failing if queue.room and queue.webhook_id not in shares]
        assert not unserved or sum(queue.webhook_id in shares for queue in failing) == failing_room
