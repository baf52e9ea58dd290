"""RRULEs as Outlook's patterns and back: the instances stay the same, by our own reading and by the model's."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, takewhile

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from calendarsync.domain.event import Component, Duration, EventTime, Problem, Recurrence
from calendarsync.domain.patterns import EVERY_DAY, LAST, Pattern, PatternKind, pattern_of
from calendarsync.domain.recurrence import expand
from calendarsync.providers.icalendar.values import UnusableError
from calendarsync.providers.microsoft.recurrence import first_start, read_pattern, rule_of, write_pattern
from tests.testbed.microsoft import recurrence as model

FIRST, LAST_DAY = date(2026, 1, 1), date(2029, 1, 1)
ZONES = ("Europe/Berlin", "America/New_York", "UTC", None)


def days_of(rule: str, start: EventTime) -> list[date]:
    """By our own recurrence, over three years."""
    component = Component(
        "uid", start, duration=Duration(days=1 if start.all_day else 0), recurrence=Recurrence((rule,))
    )
    begin, end = (datetime.combine(day, time(), UTC) for day in (FIRST, LAST_DAY + timedelta(days=2)))
    days = (each.start.local.date() for each in expand([component], begin, end, "UTC"))
    return [day for day in days if day < LAST_DAY]


def days_in_outlook(written: dict[str, object]) -> list[date]:
    """By the model's recurrence, which is another program."""
    return list(islice(takewhile(lambda day: day < LAST_DAY, model.days(written)), 3000))


def starts(days: st.SearchStrategy[date] | None = None) -> st.SearchStrategy[EventTime]:
    def start_on(day: date, clock: time, zone: str | None) -> EventTime:
        return EventTime(day) if zone is None else EventTime(datetime.combine(day, clock), zone)

    dates = days or st.dates(FIRST + timedelta(days=2), FIRST + timedelta(days=400))
    clocks = st.times(time(0), time(23)).map(lambda clock: clock.replace(second=0, microsecond=0))
    return st.builds(start_on, dates, clocks, st.sampled_from(ZONES))


@st.composite
def patterns(draw: st.DrawFn) -> Pattern:
    kind = draw(st.sampled_from(PatternKind))
    relative = kind in (PatternKind.RELATIVE_MONTHLY, PatternKind.RELATIVE_YEARLY)
    absolute = kind in (PatternKind.ABSOLUTE_MONTHLY, PatternKind.ABSOLUTE_YEARLY)
    some_days = st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days)))
    ends = draw(st.sampled_from(["never", "count", "until"]))
    return Pattern(
        kind,
        interval=draw(st.integers(1, 4)),
        days=draw(st.one_of(some_days, st.just(EVERY_DAY))) if relative or kind is PatternKind.WEEKLY else (),
        first_day=draw(st.integers(0, 6)) if kind is PatternKind.WEEKLY else 0,
        index=draw(st.sampled_from([1, 2, 3, 4, LAST])) if relative else 1,
        month_day=draw(st.integers(1, 31)) if absolute else 0,
        month=draw(st.integers(1, 12)) if kind.value.endswith("Yearly") else 0,
        count=draw(st.integers(1, 60)) if ends == "count" else None,
        until=draw(st.dates(FIRST + timedelta(days=401), LAST_DAY)) if ends == "until" else None,
    )


@settings(deadline=None)
@given(patterns(), starts())
@example(Pattern(PatternKind.ABSOLUTE_MONTHLY, month_day=31), EventTime(date(2026, 1, 31)))
@example(Pattern(PatternKind.ABSOLUTE_MONTHLY, month_day=30), EventTime(date(2026, 1, 30)))
@example(Pattern(PatternKind.ABSOLUTE_YEARLY, month_day=29, month=2), EventTime(date(2026, 2, 28)))
def test_a_pattern_is_read_as_the_rule_that_gives_the_same_days(pattern: Pattern, begin: EventTime) -> None:
    """From its first day on, which need not be the one that the series says that it starts on."""
    try:
        start = first_start(rule_of(pattern, begin), begin)
    except UnusableError:
        assume(False)
    zone = "UTC" if start.zone is None else start.zone
    written = write_pattern(pattern, start, zone)
    assert read_pattern(written) == pattern
    assume(pattern.until is None or pattern.until >= start.local.date())
    rule = rule_of(pattern, start)
    days = days_in_outlook(written)
    assert days_of(rule, start) == days

    again = pattern_of(rule, start)
    assert again is not None
    assert days_in_outlook(write_pattern(again, start, zone)) == days


@st.composite
def rules(draw: st.DrawFn) -> str:
    """RRULEs that look as if Outlook could hold them; many cannot."""
    freq = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    days = st.lists(
        st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), min_size=1, max_size=7, unique=True
    )
    ordinal = draw(st.sampled_from(["", "", "1", "2", "-1", "5"])) if freq in ("MONTHLY", "YEARLY") else ""
    offered = {
        "INTERVAL": st.integers(1, 4).map(str),
        "COUNT": st.integers(1, 50).map(str),
        "BYDAY": days.map(lambda names: ",".join(ordinal + name for name in names)),
        "BYMONTHDAY": st.sampled_from(["1", "2", "15", "28", "29", "31", "-1", "-2", "28,29,30", "1,15"]),
        "BYMONTH": st.sampled_from(["1", "2", "3", "6,7"]),
        "BYSETPOS": st.sampled_from(["1", "2", "-1", "5", "1,2"]),
        "WKST": st.sampled_from(["MO", "SU", "WE"]),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(offered)), max_size=4))
    return ";".join([f"FREQ={freq}", *(f"{name}={draw(offered[name])}" for name in sorted(chosen))])


@settings(deadline=None)
@given(rules(), starts())
def test_a_rule_that_is_held_keeps_its_days(rule: str, start: EventTime) -> None:
    pattern = pattern_of(rule, start)
    assume(pattern is not None)
    assert pattern is not None
    written = write_pattern(pattern, start, "UTC")
    days = days_of(rule, start)
    assert days_in_outlook(written) == days
    assert days_of(rule_of(read_pattern(written), start), start) == days


@pytest.mark.parametrize(
    ("rule", "start", "spelled"),
    [
        ("FREQ=WEEKLY;COUNT=5", EventTime(datetime(2026, 3, 2, 9), "Europe/Berlin"), "FREQ=WEEKLY;COUNT=5"),
        ("FREQ=WEEKLY;BYDAY=MO", EventTime(date(2026, 3, 2)), "FREQ=WEEKLY"),
        (
            "FREQ=DAILY;UNTIL=20260401T120000Z",
            EventTime(datetime(2026, 3, 2, 9), "Europe/Berlin"),
            "FREQ=DAILY;UNTIL=20260401T070000Z",
        ),
        ("FREQ=DAILY;UNTIL=20260401", EventTime(date(2026, 3, 2)), "FREQ=DAILY;UNTIL=20260401"),
        ("FREQ=MONTHLY;BYDAY=1MO", EventTime(date(2026, 3, 2)), "FREQ=MONTHLY;BYDAY=1MO"),
        ("FREQ=YEARLY", EventTime(date(2026, 3, 2)), "FREQ=YEARLY"),
        (
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU;WKST=SU",
            EventTime(date(2026, 3, 2)),
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU;WKST=SU",
        ),
    ],
)
def test_rules_come_back_in_their_shortest_form(rule: str, start: EventTime, spelled: str) -> None:
    pattern = pattern_of(rule, start)
    assert pattern is not None
    assert rule_of(pattern, start) == spelled


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"pattern": None, "range": None},
        {"pattern": {"type": "hourly", "interval": 1}, "range": {"type": "noEnd"}},
        {"pattern": {"type": "weekly", "interval": 1}, "range": {"type": "noEnd"}},
        {"pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["someday"]}, "range": {"type": "noEnd"}},
        {"pattern": {"type": "daily", "interval": 1}, "range": {"type": "endDate", "endDate": "soon"}},
        {"pattern": {"type": "daily", "interval": 1}, "range": {"type": "later"}},
        {"pattern": {"type": "absoluteMonthly", "interval": 1}, "range": {"type": "noEnd"}},
    ],
)
def test_what_is_no_recurrence_is_said_to_be_none(broken: dict[str, object]) -> None:
    with pytest.raises(UnusableError) as error:
        read_pattern(broken)
    assert error.value.problem is Problem.BAD_RECURRENCE
