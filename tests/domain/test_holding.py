"""In which form a target can hold a series (rule 12)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendarsync.domain.event import (
    Component,
    Duration,
    EventTime,
    Recurrence,
    RecurrenceDate,
    Visibility,
)
from calendarsync.domain.holding import Holder, Holding, hold
from calendarsync.domain.recurrence import expand

BERLIN = "Europe/Berlin"
WHOLE = Holding(True)
NOT = Holding(False)
MONDAYS = "FREQ=WEEKLY;COUNT=10"
"""From Monday, 2 March 2026, 09:00 to 10:00 in Berlin, in these tests."""


def at(day: int, hour: int = 9, *, month: int = 3) -> EventTime:
    return EventTime(datetime(2026, month, day, hour), BERLIN)


def on(day: int, *, month: int = 3) -> EventTime:
    return EventTime(date(2026, month, day))


FIRST = at(2)


def series(
    *rules: str,
    start: EventTime = FIRST,
    hours: int = 1,
    rdates: tuple[EventTime, ...] = (),
    exdates: tuple[EventTime, ...] = (),
) -> Component:
    length = Duration(days=1) if start.all_day else Duration(seconds=3600 * hours)
    recurrence = Recurrence(tuple(rules), tuple(map(RecurrenceDate, rdates)), exdates)
    return Component("uid", start, duration=length, recurrence=recurrence)


def moved(
    original: EventTime,
    start: EventTime,
    *,
    hours: int = 1,
    visibility: Visibility = Visibility.PUBLIC,
) -> Component:
    length = Duration(days=1) if start.all_day else Duration(seconds=3600 * hours)
    return Component("uid", start, duration=length, recurrence_id=original, visibility=visibility)


def key(day: int) -> str:
    return f"2026-03-{day:02}T08:00:00Z"


def holding(holder: Holder, *components: Component, **given: frozenset[str]) -> Holding:
    return hold(components, holder, BERLIN, **given)


@pytest.mark.parametrize(
    ("provider", "holder"),
    [
        ("google", Holder.GOOGLE),
        ("microsoft", Holder.MICROSOFT),
        ("caldav", Holder.ICALENDAR),
        ("sandbox", Holder.ICALENDAR),
    ],
)
def test_whose_calendar_it_is(provider: str, holder: Holder) -> None:
    assert Holder.of(provider) is holder


ALONE = {
    "weekly": (series(MONDAYS), WHOLE, WHOLE),
    "all-day": (series("FREQ=MONTHLY", start=on(2)), WHOLE, WHOLE),
    "every day of a whole day": (series("FREQ=DAILY", start=on(2)), WHOLE, WHOLE),
    "with holes": (series(MONDAYS, exdates=(at(9),)), WHOLE, WHOLE),
    "with dates added": (series(MONDAYS, rdates=(at(4),)), WHOLE, NOT),
    "dates alone": (series(rdates=(at(4),)), WHOLE, NOT),
    "not among the patterns of Outlook": (series("FREQ=MONTHLY;BYMONTHDAY=2,16"), WHOLE, NOT),
    "a zone that Windows does not know": (
        series(MONDAYS, start=EventTime(datetime(2026, 3, 2, 9), "Factory")),
        WHOLE,
        NOT,
    ),
    "an instance that lasts into the next": (series("FREQ=DAILY;COUNT=5", hours=25), WHOLE, NOT),
    "long, but not too long": (series(MONDAYS, hours=7 * 24), WHOLE, WHOLE),
    "too long in some weeks": (series("FREQ=WEEKLY;BYDAY=MO,TH", hours=4 * 24), WHOLE, NOT),
    "several rules": (series(MONDAYS, "FREQ=DAILY;COUNT=2"), NOT, NOT),
    "by the hour": (series("FREQ=HOURLY;INTERVAL=6;COUNT=12"), NOT, NOT),
}


@pytest.mark.parametrize("kind", ALONE)
def test_a_series_without_overrides(kind: str) -> None:
    master, google, microsoft = ALONE[kind]
    assert holding(Holder.GOOGLE, master) == google
    assert holding(Holder.MICROSOFT, master) == microsoft
    if google == WHOLE:
        assert holding(Holder.ICALENDAR, master) == WHOLE


@pytest.mark.parametrize(
    ("start", "held"),
    [(at(2), False), (EventTime(datetime(2026, 3, 2, 9), "Asia/Kolkata"), True), (on(2), True)],
)
def test_a_length_in_days_is_one_of_the_clock(start: EventTime, held: bool) -> None:
    master = replace(series(MONDAYS, start=start), duration=Duration(days=2))
    for holder in (Holder.GOOGLE, Holder.MICROSOFT):
        assert holding(holder, master).series is held
    assert holding(Holder.ICALENDAR, master) == WHOLE


OVERRIDES = {
    "moved on its day": (moved(at(9), at(9, 15)), "", ""),
    "moved towards the next": (moved(at(9), at(15)), "", ""),
    "moved onto the day of the next": (moved(at(9), at(16, 7)), "", "apart"),
    "moved past the next": (moved(at(9), at(18)), "", "apart"),
    "moved onto the day of the one before": (moved(at(9), at(2, 18)), "", "apart"),
    "moved before the one before": (moved(at(9), at(1)), "", "apart"),
    "the first, moved before all": (moved(at(2), at(1)), "", ""),
    "the last, moved far": (moved(at(4, month=5), at(30, month=6)), "", ""),
    "lasting up to the next": (moved(at(9), at(15), hours=24), "", ""),
    "lasting into the next": (moved(at(9), at(15), hours=25), "", "apart"),
    "onto the day of one that is left out": (moved(at(23), at(30, 18)), "", "apart"),
    "near midnight in another zone": (
        moved(at(9), EventTime(datetime(2026, 3, 15, 19), "America/New_York")),
        "",
        "apart",
    ),
    "all-day": (moved(at(9), on(9)), "", "apart"),
    "more private": (moved(at(9), at(9), visibility=Visibility.PRIVATE), "apart", "apart"),
    "of no instance": (moved(at(10), at(10, 15)), "apart", "apart"),
    "of an instance that is left out": (moved(at(30), at(30, 15)), "apart", "apart"),
}


@pytest.mark.parametrize("kind", OVERRIDES)
def test_an_override(kind: str) -> None:
    override, google, microsoft = OVERRIDES[kind]
    assert override.recurrence_id is not None
    name = f"{override.recurrence_id.instant(BERLIN):%Y-%m-%dT%H:%M:%S}Z"
    apart = {"": WHOLE, "apart": Holding(True, frozenset({name}))}
    components = (series(MONDAYS, exdates=(at(30),)), override)
    assert holding(Holder.GOOGLE, *components) == apart[google]
    assert holding(Holder.MICROSOFT, *components) == apart[microsoft]
    assert holding(Holder.ICALENDAR, *components) == WHOLE


@pytest.mark.parametrize(("day", "apart"), [(4, {key(9)}), (5, set())])
def test_one_moved_into_the_hours_of_the_one_before(day: int, apart: set[str]) -> None:
    assert holding(Holder.MICROSOFT, series(MONDAYS, hours=72), moved(at(9), at(day))).apart == apart


def test_two_that_pass_each_other_between_their_days() -> None:
    both = moved(at(9), at(13)), moved(at(16), at(12))
    assert holding(Holder.MICROSOFT, series(MONDAYS), *both).apart == {key(16)}
    for one in both:
        assert holding(Holder.MICROSOFT, series(MONDAYS), one) == WHOLE


def test_one_that_follows_where_its_neighbour_has_left_is_apart_nevertheless() -> None:
    """Whether Outlook takes it would hang on which of the two is written first."""
    both = moved(at(9), at(17)), moved(at(16), at(18))
    assert holding(Holder.MICROSOFT, series(MONDAYS), *both).apart == {key(9)}


def test_what_is_left_out_needs_no_place() -> None:
    crossing, cancelled = moved(at(9), at(18)), moved(at(16), at(13))
    components = series(MONDAYS), crossing, cancelled
    assert holding(Holder.MICROSOFT, *components, left_out=frozenset({key(9)})) == WHOLE
    assert holding(Holder.MICROSOFT, *components, left_out=frozenset({key(9), key(16)})) == WHOLE


def test_an_added_date_is_an_instance_at_google() -> None:
    assert holding(Holder.GOOGLE, series(MONDAYS, rdates=(at(4),)), moved(at(4), at(4, 15))) == WHOLE


def test_a_yearly_series_has_neighbours_too() -> None:
    master = series("FREQ=YEARLY;BYMONTH=2;BYDAY=-1WE", start=EventTime(date(2096, 2, 29)))
    far = Component("uid", EventTime(date(2097, 2, 27)), duration=Duration(1), recurrence_id=master.start)
    assert hold([master, far], Holder.MICROSOFT, BERLIN).apart == {"2096-02-29"}


moments = st.integers(-600, 60 * 24).map(lambda quarters: timedelta(minutes=15 * quarters))


@st.composite
def overridden(draw: st.DrawFn) -> list[Component]:
    rule = draw(
        st.sampled_from(["FREQ=DAILY;COUNT=20", "FREQ=WEEKLY;BYDAY=MO,WE,FR;COUNT=9", MONDAYS, "FREQ=WEEKLY"])
    )
    master = series(rule, hours=draw(st.integers(0, 30)))
    overrides = [
        moved(
            at(2 + day),
            EventTime(at(2 + day).local + draw(moments), draw(st.sampled_from([BERLIN, "Asia/Kolkata"]))),
            hours=draw(st.integers(0, 80)),
        )
        for day in sorted(draw(st.sets(st.integers(0, 20), max_size=5)))
    ]
    return [master, *overrides]


@given(overridden())
def test_what_outlook_is_given_keeps_its_order_and_one_instance_a_day(components: list[Component]) -> None:
    """As Microsoft words it, told from the instances as they come out, whatever order they are written in."""
    master, *overrides = components
    held = hold(components, Holder.MICROSOFT, BERLIN)
    if not held.series:
        return
    first, last = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    inside = [
        override
        for override in overrides
        if f"{override.recurrence_id.instant(BERLIN):%Y-%m-%dT%H:%M:%S}Z" not in held.apart  # type: ignore[union-attr]
    ]
    plain = {instance.original: instance for instance in expand([master], first, last, BERLIN)}
    for steps in range(len(inside) + 1):
        for written in (inside[:steps], inside[len(inside) - steps :]):
            instances = expand([master, *written], first, last, BERLIN)
            assert {instance.original for instance in instances} == plain.keys()
            in_order = sorted(instances, key=lambda instance: str(instance.original))
            days = [
                instance.start.instant(BERLIN).astimezone(ZoneInfo(BERLIN)).date() for instance in in_order
            ]
            assert days == sorted(set(days))
            for one, following in pairwise(in_order):
                assert one.end.instant(BERLIN) <= following.start.instant(BERLIN)
