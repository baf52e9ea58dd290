"""Busy times: what blocks, and that merging keeps every minute."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendarsync.domain.availability import (
    BusyTimes,
    Interval,
    OutOfTime,
    TooManyInstances,
    busy_times,
    merge,
)
from calendarsync.domain.entry import Entry
from calendarsync.domain.event import (
    Component,
    Duration,
    EventTime,
    EventType,
    Problem,
    Recurrence,
    Response,
    Status,
)
from calendarsync.domain.rules import Window

MINUTE = timedelta(minutes=1)
BERLIN = "Europe/Berlin"
# The clocks go forward on 29 March and back on 25 October.
SPRING = Window(datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 31, 12, tzinfo=UTC))
AUTUMN = Window(datetime(2026, 10, 24, 12, tzinfo=UTC), datetime(2026, 10, 27, 12, tzinfo=UTC))
DAY = Window(datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC))


def entry(*components: Component, problem: Problem | None = None) -> Entry:
    return Entry("event", "1", "uid", components, {}, {}, problem=problem)


def timed(start: str, end: str, zone: str | None = "UTC", **values: object) -> Component:
    first, last = (EventTime(datetime.fromisoformat(text), zone) for text in (start, end))
    return Component("uid", first, end=last, **values)  # type: ignore[arg-type]


def found(window: Window, *entries: Entry, floating: str = "UTC", most: int = 10_000) -> BusyTimes:
    return busy_times(entries, window, floating, most=most, has_time=lambda: True)


def laid(window: Window, *entries: Entry, floating: str = "UTC") -> list[Interval]:
    return found(window, *entries, floating=floating).intervals


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


MEETING = timed("2026-03-02T10:00", "2026-03-02T11:00")
ALL = [(utc("2026-03-02T10:00"), utc("2026-03-02T11:00"))]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"status": Status.TENTATIVE},
        *({"response": each} for each in (Response.ACCEPTED, Response.TENTATIVE, Response.NEEDS_ACTION)),
        *({"event_type": each} for each in (EventType.OUT_OF_OFFICE, EventType.FOCUS_TIME)),
    ],
)
def test_rule_6_what_blocks(changes: dict[str, object]) -> None:
    assert laid(DAY, entry(replace(MEETING, **changes))) == ALL  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"transparent": True},
        {"status": Status.CANCELLED},
        {"response": Response.DECLINED},
        *({"event_type": each} for each in (EventType.WORKING_LOCATION, EventType.BIRTHDAY)),
    ],
)
def test_rule_6_what_does_not_block(changes: dict[str, object]) -> None:
    assert laid(DAY, entry(replace(MEETING, **changes))) == []  # type: ignore[arg-type]


def test_each_instance_of_a_series_is_judged_by_itself() -> None:
    series = replace(
        timed("2026-03-02T09:00", "2026-03-02T10:00", BERLIN),
        recurrence=Recurrence(
            rrules=("FREQ=HOURLY;INTERVAL=2;COUNT=5",),
            exdates=(EventTime(datetime(2026, 3, 2, 11), BERLIN),),
        ),
    )
    declined = replace(
        timed("2026-03-02T13:00", "2026-03-02T14:00", BERLIN),
        recurrence_id=EventTime(datetime(2026, 3, 2, 13), BERLIN),
        response=Response.DECLINED,
    )
    moved = replace(
        timed("2026-03-02T20:00", "2026-03-02T20:30", BERLIN),
        recurrence_id=EventTime(datetime(2026, 3, 2, 15), BERLIN),
    )
    assert laid(DAY, entry(series, declined, moved)) == [
        (utc("2026-03-02T08:00"), utc("2026-03-02T09:00")),
        (utc("2026-03-02T16:00"), utc("2026-03-02T17:00")),
        (utc("2026-03-02T19:00"), utc("2026-03-02T19:30")),
    ]


def test_dates_and_floating_times_are_read_in_the_given_zone() -> None:
    all_day = entry(Component("uid", EventTime(date(2026, 3, 29)), end=EventTime(date(2026, 3, 30))))
    floating = entry(timed("2026-03-30T09:00", "2026-03-30T10:00", None))
    assert laid(SPRING, all_day, floating, floating=BERLIN) == [
        (utc("2026-03-28T23:00"), utc("2026-03-29T22:00")),
        (utc("2026-03-30T07:00"), utc("2026-03-30T08:00")),
    ], "a day of 23 hours"
    assert laid(SPRING, all_day, floating, floating="America/New_York") == [
        (utc("2026-03-29T04:00"), utc("2026-03-30T04:00")),
        (utc("2026-03-30T13:00"), utc("2026-03-30T14:00")),
    ]


def test_what_touches_is_one_and_what_has_no_length_is_nothing() -> None:
    assert laid(
        DAY,
        entry(timed("2026-03-02T10:00", "2026-03-02T11:00")),
        entry(timed("2026-03-02T11:00", "2026-03-02T12:00")),
        entry(timed("2026-03-02T15:00", "2026-03-02T15:00")),
        entry(timed("2026-03-01T12:00", "2026-03-02T01:00")),
        entry(timed("2026-03-02T23:00", "2026-03-09T01:00")),
    ) == [
        (utc("2026-03-02T00:00"), utc("2026-03-02T01:00")),
        (utc("2026-03-02T10:00"), utc("2026-03-02T12:00")),
        (utc("2026-03-02T23:00"), utc("2026-03-03T00:00")),
    ]


def test_events_that_tell_no_times_are_counted() -> None:
    too_many = replace(MEETING, recurrence=Recurrence(rrules=("FREQ=SECONDLY",)))
    told = found(
        DAY,
        entry(MEETING),
        entry(too_many),
        entry(problem=Problem.UNREADABLE),
        entry(problem=Problem.NO_EVENT),
    )
    assert (told.intervals, told.unreadable) == (ALL, 2)


def test_more_instances_than_may_be_laid_out() -> None:
    daily = entry(replace(MEETING, recurrence=Recurrence(rrules=("FREQ=HOURLY",))))
    assert found(DAY, daily, daily, most=28).laid_out == 28
    with pytest.raises(TooManyInstances):
        found(DAY, daily, daily, most=27)


def test_the_time_is_looked_at_before_each_event() -> None:
    for seen in range(3):
        asked = iter([True] * seen + [False])
        with pytest.raises(OutOfTime):
            busy_times([entry(MEETING)] * 3, DAY, "UTC", most=10, has_time=partial(next, asked))
        assert next(asked, None) is None


minutes = st.integers(-600, 3 * 24 * 60 + 600)


@given(st.lists(st.tuples(minutes, st.integers(0, 900)), max_size=30), st.sampled_from([SPRING, AUTUMN]))
def test_merging_keeps_every_minute(spans: list[tuple[int, int]], window: Window) -> None:
    intervals = [
        (window.first + start * MINUTE, window.first + (start + length) * MINUTE) for start, length in spans
    ]
    merged = merge(intervals, window)
    assert all(start < end for start, end in merged)
    assert all(before[1] < after[0] for before, after in pairwise(merged))
    for minute in range(int((window.last - window.first) / MINUTE)):
        at = window.first + minute * MINUTE
        busy = any(start <= at < end for start, end in intervals)
        assert any(start <= at < end for start, end in merged) == busy, at


clocks = st.tuples(st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))
zones = st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"])


@st.composite
def daily_series(draw: st.DrawFn) -> tuple[Component, int]:
    """A daily series in a zone, with one day left out; its length in minutes is exact."""
    hour, minute = draw(clocks)
    zone, length, left_out = draw(zones), draw(st.integers(1, 1_500)), draw(st.integers(0, 9))
    return Component(
        "uid",
        EventTime(datetime(2026, 3, 20, hour, minute), zone),
        duration=Duration(seconds=length * 60),
        recurrence=Recurrence(
            rrules=("FREQ=DAILY",),
            exdates=(EventTime(datetime(2026, 3, 26, hour, minute) + timedelta(days=left_out), zone),),
        ),
    ), length


def by_hand(component: Component, length: int, window: Window) -> list[Interval]:
    """The same by going from day to day."""
    assert component.start.zone is not None
    assert component.recurrence is not None
    found, local = [], component.start.local
    while local.replace(tzinfo=UTC) < window.last + timedelta(days=2):
        if local != component.recurrence.exdates[0].local:
            start = local.replace(tzinfo=ZoneInfo(component.start.zone)).astimezone(UTC)
            found.append((start, start + length * MINUTE))
        local += timedelta(days=1)
    return found


@given(st.lists(daily_series(), min_size=1, max_size=4), st.sampled_from([SPRING, AUTUMN]))
def test_series_block_the_minutes_that_a_walk_from_day_to_day_finds(
    series: list[tuple[Component, int]], window: Window
) -> None:
    merged = laid(window, *(entry(component) for component, _ in series))
    expected = [each for component, length in series for each in by_hand(component, length, window)]
    for quarter in range(3 * 24 * 4):
        for shift in (0, 7):
            at = window.first + (15 * quarter + shift) * MINUTE
            busy = any(start <= at < end for start, end in expected)
            assert any(start <= at < end for start, end in merged) == busy, at
