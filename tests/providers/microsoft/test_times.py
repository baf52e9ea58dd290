"""Times as Graph writes them."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from calendarsync.domain.copy import CopyComponent
from calendarsync.domain.event import Duration, EventTime, Problem
from calendarsync.providers.icalendar.values import UnusableError
from calendarsync.providers.microsoft.times import (
    as_read,
    end_of,
    read_original,
    read_time,
    read_zone,
    write_time,
)

ZONES = [
    "Europe/Berlin",
    "Europe/Vienna",
    "America/New_York",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "UTC",
]


@settings(deadline=None)
@given(st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)), st.sampled_from(ZONES))
@example(datetime(2026, 3, 29, 2, 30), "Europe/Berlin")  # in the gap
@example(datetime(2026, 10, 25, 2, 30, fold=1), "Europe/Berlin")
@example(datetime(1994, 7, 1, 9), "Europe/Lisbon")  # which is London's time by now, and was not then
def test_a_time_that_was_written_is_read_as_the_same_moment(local: datetime, zone: str) -> None:
    time = EventTime(local.replace(microsecond=0), zone)
    assert as_read(time).instant("UTC") == time.instant("UTC")
    assert as_read(as_read(time)) == as_read(time)


@pytest.mark.parametrize(
    ("time", "written", "read"),
    [
        (
            EventTime(datetime(2026, 3, 2, 9), "Europe/Berlin"),
            ("2026-03-02T09:00:00", "W. Europe Standard Time"),
            EventTime(datetime(2026, 3, 2, 9), "Europe/Berlin"),
        ),
        (
            EventTime(datetime(2026, 3, 2, 9), "Europe/Vienna"),
            ("2026-03-02T09:00:00", "W. Europe Standard Time"),
            EventTime(datetime(2026, 3, 2, 9), "Europe/Berlin"),
        ),
        (
            EventTime(datetime(2026, 10, 25, 2, 30, fold=1), "Europe/Berlin"),
            ("2026-10-25T01:30:00", "UTC"),
            EventTime(datetime(2026, 10, 25, 1, 30), "UTC"),
        ),
        (
            EventTime(datetime(2026, 7, 1, 12), "Antarctica/Troll"),
            ("2026-07-01T10:00:00", "UTC"),
            EventTime(datetime(2026, 7, 1, 10), "UTC"),
        ),
        (EventTime(date(2026, 3, 2)), ("2026-03-02T00:00:00", "UTC"), EventTime(date(2026, 3, 2))),
    ],
    ids=["named", "its namesake", "the second of two", "no name", "all day"],
)
def test_how_a_time_is_written(time: EventTime, written: tuple[str, str], read: EventTime) -> None:
    assert write_time(time) == {"dateTime": written[0], "timeZone": written[1]}
    assert as_read(time) == read


def test_times_come_in_utc_and_go_on_the_clock_of_their_zone() -> None:
    value = {"dateTime": "2026-07-01T07:00:00.0000000", "timeZone": "UTC"}
    assert read_time(value, "Europe/Berlin", all_day=False) == EventTime(
        datetime(2026, 7, 1, 9), "Europe/Berlin"
    )
    elsewhere = {"dateTime": "2026-07-01T09:00:00.0000000", "timeZone": "W. Europe Standard Time"}
    assert read_time(elsewhere, "Europe/Berlin", all_day=False) == EventTime(
        datetime(2026, 7, 1, 9), "Europe/Berlin"
    )
    assert read_time(value, "Asia/Tokyo", all_day=True) == EventTime(date(2026, 7, 1))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, Problem.NO_START),
        ({}, Problem.UNREADABLE),
        ({"dateTime": "yesterday", "timeZone": "UTC"}, Problem.UNREADABLE),
        ({"dateTime": 7, "timeZone": "UTC"}, Problem.UNREADABLE),
        ({"dateTime": "0001-01-01T00:00:00", "timeZone": "UTC"}, Problem.UNREADABLE),
        ({"dateTime": "2026-03-02T09:00:00", "timeZone": "tzone://Microsoft/Custom"}, Problem.UNKNOWN_ZONE),
    ],
)
def test_what_is_no_time_is_said_to_be_none(value: object, problem: Problem) -> None:
    with pytest.raises(UnusableError) as error:
        read_time(value, "UTC", all_day=False)
    assert error.value.problem is problem


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("Europe/Paris", "Europe/Paris"),
        ("UTC", "UTC"),
        ("tzone://Microsoft/Utc", "UTC"),
        ("tzone://Microsoft/Custom", None),
        ("", None),
        (None, None),
    ],
)
def test_names_of_zones(name: str | None, key: str | None) -> None:
    assert read_zone(name) == key


@pytest.mark.parametrize(
    ("text", "zone", "day"),
    [
        ("2026-03-09T00:00:00Z", "Europe/Berlin", date(2026, 3, 9)),
        ("2026-03-08T23:00:00Z", "Europe/Berlin", date(2026, 3, 9)),
        ("2026-03-09T08:00:00Z", "America/Los_Angeles", date(2026, 3, 9)),
        ("2026-03-08T23:00:00Z", "UTC", date(2026, 3, 9)),
    ],
)
def test_the_original_day_of_an_all_day_instance_is_found_whichever_midnight_it_is(
    text: str, zone: str, day: date
) -> None:
    assert read_original(text, zone, all_day=True) == EventTime(day)


def test_an_end_may_be_given_as_a_duration() -> None:
    start = EventTime(datetime(2026, 3, 28, 9), "Europe/Berlin")
    over_the_change = CopyComponent(start=start, duration=Duration(days=1, seconds=3600))
    assert end_of(over_the_change) == EventTime(datetime(2026, 3, 29, 10), "Europe/Berlin")
    hours = CopyComponent(start=start, duration=Duration(seconds=24 * 3600))
    assert end_of(hours) == EventTime(datetime(2026, 3, 29, 10), "Europe/Berlin")
    day = CopyComponent(start=EventTime(date(2026, 3, 28)), duration=Duration(days=2))
    assert end_of(day) == EventTime(date(2026, 3, 28) + timedelta(days=2))
