"""Forms of one moment, and what is stored of an event."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendarsync.domain.event import (
    Component,
    Duration,
    EventTime,
    EventType,
    Recurrence,
    RecurrenceDate,
    Response,
    Status,
    Visibility,
)
from calendarsync.domain.times import in_form_of, moment_key, zoned, zoned_rule
from calendarsync.store.shapes import component_of, shape_of

ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", None])
LOCAL = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)).map(lambda time: time.replace(microsecond=0))
TIMES = st.builds(EventTime, LOCAL, ZONES) | st.builds(
    EventTime, st.dates(date(1970, 1, 2), date(2100, 1, 1))
)
DURATIONS = st.builds(Duration, st.integers(0, 400), st.integers(0, 86_400))
RECURRENCES = st.builds(
    Recurrence,
    rrules=st.lists(st.just("FREQ=DAILY"), max_size=2).map(tuple),
    rdates=st.lists(
        st.builds(RecurrenceDate, TIMES, st.none() | TIMES, st.none() | DURATIONS), max_size=2
    ).map(tuple),
    exdates=st.lists(TIMES, max_size=2).map(tuple),
    exrules=st.lists(st.just("FREQ=YEARLY"), max_size=1).map(tuple),
)
COMPONENTS = st.builds(
    Component,
    uid=st.just("uid"),
    start=TIMES,
    end=st.none() | TIMES,
    duration=st.none() | DURATIONS,
    recurrence_id=st.none() | TIMES,
    this_and_future=st.booleans(),
    recurrence=st.none() | RECURRENCES,
    transparent=st.booleans(),
    status=st.sampled_from(Status),
    response=st.none() | st.sampled_from(Response),
    event_type=st.sampled_from(EventType),
    visibility=st.sampled_from(Visibility),
    has_attendees=st.booleans(),
    organized_by_owner=st.none() | st.booleans(),
)


@given(TIMES)
def test_a_time_reads_back_as_it_was_written(time: EventTime) -> None:
    assert EventTime.parse(str(time)) == time


@given(COMPONENTS)
def test_a_component_comes_out_of_the_index_as_it_went_in(component: Component) -> None:
    assert component_of("uid", json.loads(json.dumps(shape_of(component)))) == component


@given(TIMES, ZONES)
def test_a_key_is_the_same_for_every_spelling_of_a_moment(time: EventTime, zone: str | None) -> None:
    if time.all_day:
        assert moment_key(time, "Asia/Tokyo") == str(time)
        return
    model = EventTime(datetime(2026, 1, 1), zone)
    written = in_form_of(time, model, "Asia/Tokyo")
    assert written.zone == zone
    if time.zone is None or (zone is None and time.zone == "UTC" and time.local.time() == model.local.time()):
        assert written.value == time.value, "a floating time keeps its reading of the clock"
        return
    drift = abs(written.instant("Asia/Tokyo") - time.instant("Asia/Tokyo"))
    assert drift in {timedelta(0), timedelta(hours=1)}, "an hour where the clocks are turned, else none"


@pytest.mark.parametrize(
    ("time", "model", "expected"),
    [
        ("2026-03-04", "2026-03-01T09:00:00[Europe/Berlin]", "2026-03-04T09:00:00[Europe/Berlin]"),
        ("2026-03-04T00:00:00Z", "2026-03-01", "2026-03-04"),
        ("2026-03-03T23:00:00Z", "2026-03-01", "2026-03-04"),
        ("2026-03-04T23:30:00[America/New_York]", "2026-03-01", "2026-03-04"),
        ("2026-03-04T09:00:00", "2026-03-01T09:00:00[Asia/Tokyo]", "2026-03-04T09:00:00[Asia/Tokyo]"),
        ("2026-03-04T08:00:00Z", "2026-03-01T09:00:00[Europe/Berlin]", "2026-03-04T09:00:00[Europe/Berlin]"),
        ("2026-03-04T09:00:00", "2026-03-01T09:00:00", "2026-03-04T09:00:00"),
        ("2026-03-04T09:00:00Z", "2026-03-01T09:00:00", "2026-03-04T09:00:00"),
        ("2026-03-04T08:00:00Z", "2026-03-01T09:00:00", "2026-03-04T09:00:00"),
    ],
)
def test_a_time_in_the_form_of_another(time: str, model: str, expected: str) -> None:
    assert str(in_form_of(EventTime.parse(time), EventTime.parse(model), "Europe/Berlin")) == expected


@pytest.mark.parametrize(
    ("rule", "start", "expected"),
    [
        ("FREQ=DAILY;UNTIL=20260701T090000", "2026-06-01T09:00:00", "FREQ=DAILY;UNTIL=20260701T070000Z"),
        ("FREQ=DAILY;UNTIL=20260701T090000Z", "2026-06-01T09:00:00", "FREQ=DAILY;UNTIL=20260701T090000Z"),
        ("FREQ=DAILY;UNTIL=20260701", "2026-06-01", "FREQ=DAILY;UNTIL=20260701"),
        ("FREQ=DAILY;COUNT=3", "2026-06-01T09:00:00", "FREQ=DAILY;COUNT=3"),
    ],
)
def test_a_local_until_fits_a_start_that_has_got_a_zone(rule: str, start: str, expected: str) -> None:
    assert zoned_rule(rule, EventTime.parse(start), "Europe/Berlin") == expected


def test_rule_11_only_floating_times_take_a_zone() -> None:
    assert str(zoned(EventTime.parse("2026-03-04T09:00:00"), "Asia/Tokyo")).endswith("[Asia/Tokyo]")
    for text in ("2026-03-04", "2026-03-04T09:00:00Z", "2026-03-04T09:00:00[Europe/Berlin]"):
        assert zoned(EventTime.parse(text), "Asia/Tokyo") == EventTime.parse(text)
