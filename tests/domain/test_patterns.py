"""Outlook's six patterns: which RRULEs they hold, and that they hold them exactly."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from calendarsync.domain.event import EventTime
from calendarsync.domain.patterns import EVERY_DAY, LAST, Pattern, PatternKind, holds_rule, pattern_of

MONDAY = EventTime(datetime(2026, 3, 2, 9), "Europe/Berlin")
WORKDAYS = (0, 1, 2, 3, 4)
LEAP_DAY = EventTime(date(2028, 2, 29))
DAILY, WEEKLY = PatternKind.DAILY, PatternKind.WEEKLY
MONTH_DAY, MONTH_WEEK = PatternKind.ABSOLUTE_MONTHLY, PatternKind.RELATIVE_MONTHLY
YEAR_DAY, YEAR_WEEK = PatternKind.ABSOLUTE_YEARLY, PatternKind.RELATIVE_YEARLY


def on(month: int, day: int) -> EventTime:
    return EventTime(date(2026, month, day))


@pytest.mark.parametrize(
    ("rule", "start", "pattern"),
    [
        ("FREQ=DAILY;INTERVAL=3", MONDAY, Pattern(DAILY, 3)),
        ("FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR", MONDAY, Pattern(WEEKLY, days=WORKDAYS)),
        ("FREQ=WEEKLY", MONDAY, Pattern(WEEKLY, days=(0,))),
        ("FREQ=WEEKLY;WKST=SU;INTERVAL=2;BYDAY=MO,SU", MONDAY, Pattern(WEEKLY, 2, days=(0, 6), first_day=6)),
        ("FREQ=WEEKLY;COUNT=5;BYHOUR=9;BYMINUTE=0", MONDAY, Pattern(WEEKLY, days=(0,), count=5)),
        ("FREQ=MONTHLY", MONDAY, Pattern(MONTH_DAY, month_day=2)),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", on(3, 31), Pattern(MONTH_WEEK, days=EVERY_DAY, index=LAST)),
        ("FREQ=MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1", on(3, 30), Pattern(MONTH_DAY, month_day=30)),
        ("FREQ=MONTHLY;BYDAY=1MO", MONDAY, Pattern(MONTH_WEEK, days=(0,), index=1)),
        ("FREQ=MONTHLY;BYDAY=FR,MO,TU,WE,TH;BYSETPOS=-1", on(3, 31), Pattern(MONTH_WEEK, days=WORKDAYS, index=-1)),
        ("FREQ=YEARLY", MONDAY, Pattern(YEAR_DAY, month_day=2, month=3)),
        ("FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=31", on(3, 31), Pattern(YEAR_DAY, month_day=31, month=3)),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=28,29;BYSETPOS=-1", LEAP_DAY, Pattern(YEAR_DAY, month_day=29, month=2)),
        ("FREQ=YEARLY;BYMONTH=3;BYDAY=-1TU", on(3, 31), Pattern(YEAR_WEEK, days=(1,), index=LAST, month=3)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_rule_that_is_held(rule: str, start: EventTime, pattern: Pattern) -> None:
    assert pattern_of(rule, start) == pattern
    assert holds_rule(rule, start)


@pytest.mark.parametrize(
    ("rule", "start"),
    [
        ("FREQ=HOURLY", MONDAY),
        ("FREQ=DAILY;BYHOUR=9,15", MONDAY),
        ("FREQ=DAILY;INTERVAL=2;BYDAY=MO", MONDAY),
        ("FREQ=DAILY;BYMONTH=3", MONDAY),
        ("FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=1", MONDAY),
        ("FREQ=WEEKLY;BYDAY=TU", MONDAY),
        ("FREQ=WEEKLY;INTERVAL=100", MONDAY),
        ("FREQ=WEEKLY;COUNT=1000", MONDAY),
        ("FREQ=WEEKLY;UNTIL=20260301", MONDAY),
        ("FREQ=MONTHLY;BYMONTHDAY=31", on(3, 31)),
        ("FREQ=MONTHLY;BYMONTHDAY=2,16", MONDAY),
        ("FREQ=MONTHLY;BYMONTHDAY=-2", on(3, 30)),
        ("FREQ=MONTHLY;BYDAY=1MO,3MO", MONDAY),
        ("FREQ=MONTHLY;BYDAY=5MO", on(3, 30)),
        ("FREQ=MONTHLY;BYDAY=MO", MONDAY),
        ("FREQ=MONTHLY;BYMONTH=3", MONDAY),
        ("FREQ=YEARLY;BYMONTH=3,4;BYMONTHDAY=2", MONDAY),
        ("FREQ=YEARLY;BYMONTHDAY=2", MONDAY),
        ("FREQ=YEARLY;BYDAY=9MO", MONDAY),
        ("FREQ=YEARLY;BYWEEKNO=10", MONDAY),
        ("FREQ=YEARLY;BYYEARDAY=61", MONDAY),
        ("FREQ=YEARLY", LEAP_DAY),
        ("FREQ=NEVER", MONDAY),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_rule_that_is_not_held(rule: str, start: EventTime) -> None:
    assert pattern_of(rule, start) is None
    assert not holds_rule(rule, start)


@pytest.mark.parametrize(
    ("until", "last"),
    [
        ("20260330T070000Z", date(2026, 3, 30)),  # 09:00 in summer time
        ("20260330T065959Z", date(2026, 3, 29)),
        ("20260329T230000Z", date(2026, 3, 29)),
        ("20260330", date(2026, 3, 30)),
        ("20260330T090000", date(2026, 3, 30)),
        ("20260330T085959", date(2026, 3, 29)),
    ],
)
def test_until_becomes_the_last_day_on_which_an_instance_may_start(until: str, last: date) -> None:
    pattern = pattern_of(f"FREQ=DAILY;UNTIL={until}", MONDAY)
    assert pattern is not None
    assert pattern.until == last


def test_a_series_needs_a_zone_that_windows_knows() -> None:
    assert not holds_rule("FREQ=DAILY", EventTime(datetime(2026, 3, 2, 9)))
    assert not holds_rule("FREQ=DAILY", EventTime(datetime(2026, 3, 2, 9), "Antarctica/Troll"))
    assert holds_rule("FREQ=DAILY", EventTime(datetime(2026, 3, 2, 9), "UTC"))
    assert holds_rule("FREQ=DAILY", EventTime(date(2026, 3, 2)))


@pytest.mark.parametrize("until", ["99991231", "99991231T235959Z", "45000101T000000"])
def test_a_series_that_ends_after_all_days_has_no_end(until: str) -> None:
    for start in (MONDAY, EventTime(date(2026, 3, 2))):
        assert pattern_of(f"FREQ=DAILY;UNTIL={until}", start) == pattern_of("FREQ=DAILY", start)
