"""What is written is read back with the same meaning (rules 9 to 14), by us and by others."""

from __future__ import annotations

import unicodedata
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import icalendar
import recurring_ical_events
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calendarsync.domain.copy import Copy, CopyComponent
from calendarsync.domain.event import (
    Component,
    Duration,
    EventTime,
    Recurrence,
    RecurrenceDate,
    Resource,
    Status,
    Visibility,
)
from calendarsync.domain.recurrence import expand, holdable, validate
from calendarsync.providers.icalendar import read_resource, without_mark, write_copy

NOW = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
WINDOW = (datetime(2019, 6, 1, tzinfo=UTC), datetime(2023, 6, 1, tzinfo=UTC))
ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kolkata",
    "UTC",
    None,
]
BEGIN = datetime(2020, 1, 1)

moments = st.integers(0, 3 * 366 * 24 * 4).map(lambda number: BEGIN + timedelta(minutes=15 * number))
clock_changes = st.sampled_from(
    [datetime(2021, 10, 31), datetime(2021, 3, 28), datetime(2021, 11, 7), datetime(2021, 3, 14)]
)
near_changes = st.builds(
    lambda day, quarter: day + timedelta(minutes=15 * quarter), clock_changes, st.integers(0, 20)
)


@st.composite
def times(draw: st.DrawFn, zone: str | None, all_day: bool) -> EventTime:
    value = draw(st.one_of(moments, near_changes))
    return EventTime(value.date()) if all_day else EventTime(value, zone)


@st.composite
def rules(draw: st.DrawFn) -> str:
    freq = draw(st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY"]))
    parts = [f"FREQ={freq}"]
    if draw(st.booleans()):
        parts.append(f"INTERVAL={draw(st.integers(1, 3))}")
    if draw(st.booleans()):
        parts.append(
            "BYDAY=" + ",".join(draw(st.lists(st.sampled_from(["MO", "WE", "SU"]), min_size=1, max_size=2)))
        )
    ends = ["", "COUNT=9", "UNTIL=20211031T003000Z", "UNTIL=20211031", "UNTIL=20211031T023000"]
    parts.append(draw(st.sampled_from(ends)))
    return ";".join(part for part in parts if part)


@st.composite
def components(draw: st.DrawFn, zone: str | None, all_day: bool, **given_parts: object) -> CopyComponent:
    start = draw(times(zone, all_day))
    parts: dict[str, object] = {}
    if draw(st.booleans()):
        days = draw(st.integers(1, 3))
        parts["duration"] = Duration(days, 0 if all_day else draw(st.sampled_from([0, 1800, 90_000])))
    elif all_day:
        assert not isinstance(start.value, datetime)
        parts["end"] = EventTime(start.value + timedelta(days=draw(st.integers(1, 3))))
    else:
        end_zone = zone if zone is None else draw(st.sampled_from([zone, "UTC", "Asia/Tokyo"]))
        length = timedelta(minutes=draw(st.sampled_from([0, 15, 60, 600])))
        instant = start.instant("Europe/Berlin") + length
        parts["end"] = EventTime(start.local + length) if end_zone is None else expand_end(instant, end_zone)
    return CopyComponent(
        start=start,
        transparent=draw(st.booleans()),
        tentative=draw(st.booleans()),
        visibility=draw(st.sampled_from(list(Visibility))),
        title=draw(st.text(max_size=40)),
        description=draw(st.text(max_size=200)),
        location=draw(st.text(max_size=20)),
        **parts,  # type: ignore[arg-type]
        **given_parts,  # type: ignore[arg-type]
    )


def expand_end(instant: datetime, zone: str) -> EventTime:
    from zoneinfo import ZoneInfo

    return EventTime(instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None), zone)


@st.composite
def copies(draw: st.DrawFn) -> Copy:
    zone = draw(st.sampled_from(ZONES))
    all_day = draw(st.booleans())
    recurrence = None
    overrides: list[CopyComponent] = []
    if draw(st.booleans()):
        recurrence = Recurrence(
            rrules=tuple(draw(st.lists(rules(), max_size=1))),
            rdates=tuple(RecurrenceDate(draw(times(zone, all_day))) for _ in range(draw(st.integers(0, 2)))),
            exdates=tuple(draw(times(zone, all_day)) for _ in range(draw(st.integers(0, 2)))),
        )
        if recurrence == Recurrence():
            recurrence = None
    master = draw(components(zone, all_day, recurrence=recurrence))
    if recurrence is not None:
        other = draw(st.sampled_from([zone, "UTC"])) if zone else zone
        ids = draw(st.lists(times(other, all_day), max_size=2, unique_by=lambda value: value.instant("UTC")))
        overrides = [draw(components(zone, all_day, recurrence_id=one)) for one in ids]
    return Copy(
        id=draw(st.text("abcdef0123456789-", min_size=1, max_size=80)),
        mark=draw(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=150)),
        master=master,
        overrides=tuple(overrides),
        reminders=tuple(draw(st.lists(st.integers(0, 20_000), max_size=2))),
        color=draw(st.sampled_from([None, "red", "darkslategray"])),
    )


def as_components(copy: Copy) -> list[Component]:
    return [
        Component(
            copy.id,
            one.start,
            one.end,
            one.duration,
            one.recurrence_id,
            recurrence=one.recurrence,
            transparent=one.transparent,
            status=Status.TENTATIVE if one.tentative else Status.CONFIRMED,
            visibility=one.visibility,
        )
        for one in (copy.master, *copy.overrides)
    ]


def meaning(parts: list[Component]) -> list[tuple[object, ...]]:
    return [
        (
            one.start.instant("Europe/Berlin"),
            one.end.instant("Europe/Berlin"),
            one.start.all_day,
            one.component.transparent,
            one.component.status,
            one.component.visibility,
        )
        for one in expand(parts, *WINDOW, "Europe/Berlin")
    ]


def cleaned(text: str) -> str:
    for line_break in ("\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"):
        text = text.replace(line_break, "\n")
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"}).translate(
        {0xFFFE: None, 0xFFFF: None}
    )


@given(copies())
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_copy_is_read_as_it_was_meant(copy: Copy) -> None:
    data = write_copy(copy, now=NOW)
    resource = read_resource("id", "v", data)
    assert resource.problem is None
    assert (resource.uid, resource.mark) == (copy.id, copy.mark)
    assert meaning(list(resource.components)) == meaning(as_components(copy))
    content = resource.contents[""]
    assert content.title == cleaned(copy.master.title)
    assert content.description == cleaned(copy.master.description)
    assert content.location == cleaned(copy.master.location)
    assert all(len(line) <= 75 for line in data.split(b"\r\n"))
    assert data.count(b"\n") == data.count(b"\r\n")
    unmarked = read_resource("id", "v", without_mark(data))
    assert unmarked.mark is None
    assert (unmarked.components, unmarked.contents) == (resource.components, resource.contents)


@given(copies())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_another_library_reads_the_same(copy: Copy) -> None:
    """icalendar and recurring-ical-events as a second opinion on what can be held as one series.

    Left out: floating times, which they read in no zone; times near a change of the clocks, where they
    measure on the clock what RFC 5545 measures exactly.
    """
    parts = as_components(copy)
    zone = copy.master.start.zone
    if (
        not holdable(parts)
        or validate(parts)
        or copy.overrides
        or (zone is None and not copy.master.start.all_day)
    ):
        return
    calendar = icalendar.Calendar.from_ical(write_copy(copy, now=NOW))
    found = recurring_ical_events.of(calendar).between(*WINDOW)
    theirs = Counter(as_instant(one["DTSTART"].dt) for one in found)
    ours = Counter(one.start.instant("UTC") for one in expand(parts, *WINDOW, "UTC"))
    ignored = {instant for instant in (ours | theirs) if is_edge(instant)}
    assert {i: n for i, n in ours.items() if i not in ignored} == {
        i: n for i, n in theirs.items() if i not in ignored
    }


def as_instant(value: date | datetime) -> datetime:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC)


def is_edge(instant: datetime) -> bool:
    changes = [datetime(2021, month, day, tzinfo=UTC) for month, day in ((3, 14), (3, 28), (10, 31), (11, 7))]
    near = any(abs(instant - change) < timedelta(days=2) for change in changes)
    return near or any(abs(instant - edge) < timedelta(days=6) for edge in WINDOW)


def test_a_resource_is_written_the_same_way_twice() -> None:
    copy = Copy("id", "mark", CopyComponent(EventTime(BEGIN, "Europe/Berlin"), duration=Duration(seconds=60)))
    assert write_copy(copy, now=NOW) == write_copy(copy, now=NOW)
    assert isinstance(read_resource("id", None, write_copy(copy, now=NOW)), Resource)
