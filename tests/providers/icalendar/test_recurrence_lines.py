"""Recurrence lines beside a start: what is taken, what is refused and why, and that written ones read the same."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendarsync.domain.event import Duration, EventTime, Recurrence, RecurrenceDate
from calendarsync.providers.icalendar import RecurrenceLineError, read_recurrence, write_recurrence

BERLIN = EventTime(datetime(2026, 3, 2, 9), "Europe/Berlin")
DAY = EventTime(date(2026, 3, 2))


def utc(day: int, hour: int) -> EventTime:
    return EventTime(datetime(2026, 3, day, hour), "UTC")


@pytest.mark.parametrize(
    ("line", "start", "expected"),
    [
        ("RRULE:freq=weekly;count=4", BERLIN, Recurrence(rrules=("FREQ=WEEKLY;COUNT=4",))),
        ("RRULE:FREQ=DAILY;COUNT=10000", BERLIN, Recurrence(rrules=("FREQ=DAILY;COUNT=10000",))),
        (
            "RRULE:FREQ=HOURLY;BYHOUR=9;BYDAY=MO",
            BERLIN,
            Recurrence(rrules=("FREQ=HOURLY;BYHOUR=9;BYDAY=MO",)),
        ),
        ("RDATE:20260309T080000Z", BERLIN, Recurrence(rdates=(RecurrenceDate(utc(9, 8)),))),
        (
            "RDATE;VALUE=PERIOD:20260309T080000Z/PT1H,20260310T080000Z/20260310T090000Z",
            BERLIN,
            Recurrence(
                rdates=(
                    RecurrenceDate(utc(9, 8), duration=Duration(seconds=3600)),
                    RecurrenceDate(utc(10, 8), end=utc(10, 9)),
                )
            ),
        ),
        (
            "EXDATE;TZID=Asia/Tokyo:20260309T170000",
            BERLIN,
            Recurrence(exdates=(EventTime(datetime(2026, 3, 9, 17), "Asia/Tokyo"),)),
        ),
        (
            "EXDATE;TZID=W. Europe Standard Time:20260309T090000",
            BERLIN,
            Recurrence(exdates=(EventTime(datetime(2026, 3, 9, 9), "Europe/Berlin"),)),
        ),
        (
            "EXDATE;VALUE=DATE:20260309,20260310",
            DAY,
            Recurrence(exdates=(EventTime(date(2026, 3, 9)), EventTime(date(2026, 3, 10)))),
        ),
    ],
)
def test_what_is_read(line: str, start: EventTime, expected: Recurrence) -> None:
    assert read_recurrence([line], start) == expected


def test_no_lines_are_no_recurrence() -> None:
    assert read_recurrence([], BERLIN) is None


@pytest.mark.parametrize(
    ("line", "start", "words"),
    [
        ("", BERLIN, "must be an RRULE"),
        ("rrule:FREQ=WEEKLY", BERLIN, "must be an RRULE"),
        ("EXRULE:FREQ=WEEKLY", BERLIN, "must be an RRULE"),
        ("RRULE:FREQ=WEEKLY;COUNT=4\n", BERLIN, "must be an RRULE"),
        ("RRULE:FREQ=WEEKLY; COUNT=4", BERLIN, "must be an RRULE"),
        ('RDATE;TZID="Europe/Berlin":20260309T090000', BERLIN, "must be an RRULE"),
        ("RRULE;X-A=1:FREQ=WEEKLY", BERLIN, "VALUE and TZID"),
        ("RDATE;TZID=UTC;TZID=UTC:20260309T090000", BERLIN, "each once"),
        ("RRULE;VALUE=DATE:FREQ=WEEKLY", BERLIN, "no parameters"),
        ("RRULE:FREQ=WEEKLY;BYDAY=XX", BERLIN, "no recurrence rule"),
        ("RRULE:COUNT=4", BERLIN, "no recurrence rule"),
        ("RRULE:FREQ=DAILY;COUNT=10001", BERLIN, "at most 10,000"),
        ("RRULE:FREQ=MINUTELY;BYHOUR=3;BYDAY=MO", BERLIN, "finer than DAILY"),
        ("EXDATE:20260309T090000", BERLIN, "must say the zone"),
        ("EXDATE;TZID=europe/berlin:20260309T090000", BERLIN, "no IANA name"),
        ("EXDATE;TZID=Europe/Berlin:20260309T090000Z", BERLIN, "no TZID"),
        ("EXDATE;VALUE=DATE;TZID=Europe/Berlin:20260309", DAY, "no TZID"),
        ("EXDATE;VALUE=DATE:20260309", BERLIN, "must hold times"),
        ("EXDATE:20260309T090000Z", DAY, "must hold dates"),
        ("EXDATE;VALUE=PERIOD:20260309T090000Z/PT1H", BERLIN, "not periods"),
        ("EXDATE;VALUE=TEXT:20260309T090000Z", BERLIN, "values such as"),
        ("RDATE:20260309T090000Z,", BERLIN, "values such as"),
        ("RDATE:20260309T250000Z", BERLIN, "not possible"),
        ("RDATE;VALUE=PERIOD:20260309T090000Z", BERLIN, "values such as"),
        ("RDATE;VALUE=PERIOD:20260309T090000Z/20260309T080000Z", BERLIN, "ends before"),
        ("RDATE;VALUE=PERIOD:20260309T090000Z/PT", BERLIN, "not possible"),
    ],
)
def test_what_is_refused_is_named_with_its_reason(line: str, start: EventTime, words: str) -> None:
    with pytest.raises(RecurrenceLineError, match=words) as refused:
        read_recurrence(
            ["RDATE:20260301T000000Z" if start is BERLIN else "RDATE;VALUE=DATE:20260301", line], start
        )
    assert refused.value.position == 1


def test_what_all_lines_together_make_impossible_has_no_position() -> None:
    with pytest.raises(RecurrenceLineError, match="more instances") as refused:
        read_recurrence(["RRULE:FREQ=SECONDLY"], BERLIN)
    assert refused.value.position is None


NAMES = st.sampled_from(
    ["RRULE", "RDATE", "EXDATE", "RDATE;VALUE=PERIOD", "EXDATE;TZID=Asia/Tokyo", "RDATE;VALUE=DATE"]
)
VALUES = st.sampled_from(
    [
        *("FREQ=DAILY", "FREQ=DAILY;COUNT=3", "FREQ=WEEKLY;UNTIL=20260401", "FREQ=MONTHLY;BYDAY=-1FR"),
        *("20260309", "20260309T090000", "20260309T090000Z", "20260309T090000Z,20261025T003000Z"),
        *("20260309T090000Z/PT1H", "20260309T090000Z/P1DT1H", "20260309T090000Z/20260310T090000Z", ""),
    ]
)
LINES = st.builds("{}:{}".format, NAMES, VALUES) | st.text(max_size=30)


@given(st.lists(LINES, max_size=3))
def test_any_lines_are_read_or_refused_and_what_is_written_reads_the_same(lines: list[str]) -> None:
    try:
        recurrence = read_recurrence(lines, BERLIN)
    except RecurrenceLineError:
        return
    if recurrence is not None:
        written = list(write_recurrence(recurrence, BERLIN))
        again = read_recurrence(written, BERLIN)
        assert again is not None
        assert list(write_recurrence(again, BERLIN)) == written
