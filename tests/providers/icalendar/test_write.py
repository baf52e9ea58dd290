"""The form of what is written: RFC 5545, and what servers insist on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from dateutil.rrule import rrulestr

from calendarsync.domain.copy import Copy, CopyComponent
from calendarsync.domain.event import Duration, EventTime, Recurrence, RecurrenceDate, Visibility
from calendarsync.domain.timezones import zone_info
from calendarsync.providers.icalendar import MARK_PROPERTY, read_resource, without_mark, write_copy
from calendarsync.providers.icalendar.write_zone import write_zone

NOW = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
START = EventTime.parse("2026-01-05T09:00:00[Europe/Berlin]")
BLOCK = CopyComponent(START, end=EventTime.parse("2026-01-05T10:00:00[Europe/Berlin]"), title="Busy")
WEEKLY = Recurrence(rrules=("FREQ=WEEKLY",))


def write(component: CopyComponent, *overrides: CopyComponent, **parts: object) -> str:
    copy = Copy("id-1", "the-mark", component, overrides, **parts)  # type: ignore[arg-type]
    return write_copy(copy, now=NOW).decode()


def lines(component: CopyComponent, *overrides: CopyComponent, **parts: object) -> list[str]:
    """Without the time zone."""
    text = write(component, *overrides, **parts).replace("\r\n ", "")
    return text[text.index("BEGIN:VEVENT") :].split("\r\n")


def test_a_block() -> None:
    assert lines(BLOCK) == [
        "BEGIN:VEVENT",
        "UID:id-1",
        "DTSTAMP:20260101T123000Z",
        "DTSTART;TZID=Europe/Berlin:20260105T090000",
        "DTEND;TZID=Europe/Berlin:20260105T100000",
        "SUMMARY:Busy",
        "STATUS:CONFIRMED",
        "TRANSP:OPAQUE",
        "CLASS:PRIVATE",
        "X-CALENDARSYNC-MARK:the-mark",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ]
    head = write(BLOCK).split("\r\n")
    assert head[:4] == [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//CalendarSync//CalendarSync//EN",
        "BEGIN:VTIMEZONE",
    ]


def test_options() -> None:
    component = replace(
        BLOCK,
        transparent=True,
        tentative=True,
        visibility=Visibility.CONFIDENTIAL,
        description="d",
        location="l",
    )
    found = lines(component, color="red", reminders=(10, 0))
    for line in (
        "TRANSP:TRANSPARENT",
        "STATUS:TENTATIVE",
        "CLASS:CONFIDENTIAL",
        "DESCRIPTION:d",
        "LOCATION:l",
        "COLOR:red",
    ):
        assert line in found
    assert [line for line in found if "TRIGGER" in line] == ["TRIGGER:-PT10M", "TRIGGER:-PT0M"]
    assert "BEGIN:VALARM" not in lines(BLOCK)
    assert not any(
        line.startswith("COLOR") for line in lines(BLOCK, color="red\r\nATTENDEE:mailto:x@example.com")
    )


def test_nothing_that_is_written_can_break_out_of_its_line() -> None:
    evil = "a\r\nATTENDEE:mailto:x@example.com\nb\x00\x1b\x85c\u2028d;e,f\\n\ud800"
    component = replace(BLOCK, title=evil, description=evil, location=evil)
    data = write_copy(Copy("id\r\nX:1", "mark\r\nX:1", component), now=NOW)
    assert not any(line.startswith((b"ATTENDEE", b"X:1")) for line in data.split(b"\r\n"))
    resource = read_resource("id", None, data)
    assert resource.contents[""].title == "a\nATTENDEE:mailto:x@example.com\nb\nc\nd;e,f\\n"
    assert not resource.components[0].has_attendees


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (START, Duration(seconds=5400), "DTEND;TZID=Europe/Berlin:20260105T103000"),
        (START, Duration(days=1), "DTEND;TZID=Europe/Berlin:20260106T090000"),
        (START, Duration(), "DTEND;TZID=Europe/Berlin:20260105T090000"),
        (EventTime.parse("2026-01-05T09:00:00Z"), Duration(days=1), "DTEND:20260106T090000Z"),
        (EventTime.parse("2026-01-05T09:00:00"), None, "DTEND:20260105T090000"),
        (EventTime.parse("2026-01-05"), Duration(days=2), "DTEND;VALUE=DATE:20260107"),
        (EventTime.parse("2026-01-05"), None, "DTEND;VALUE=DATE:20260106"),
        (
            EventTime.parse("2026-03-28T12:00:00[Europe/Berlin]"),
            Duration(days=1),
            "DTEND;TZID=Europe/Berlin:20260329T120000",
        ),
        (
            EventTime.parse("2026-03-28T12:00:00[Europe/Berlin]"),
            Duration(seconds=86400),
            "DTEND;TZID=Europe/Berlin:20260329T130000",
        ),
        # The second 02:30 of that night can be said in UTC only.
        (
            EventTime.parse("2026-10-25T01:30:00[Europe/Berlin]"),
            Duration(seconds=7200),
            "DTEND:20261025T013000Z",
        ),
    ],
)
def test_there_is_always_an_end(start: EventTime, length: Duration | None, expected: str) -> None:
    component = CopyComponent(start, duration=length)
    assert expected in lines(component)
    assert not any(line.startswith("DURATION") for line in lines(component))


def test_a_length_that_no_end_can_say_is_kept() -> None:
    """A series of nominal days; a floating time, whose zone is the reader's."""
    assert "DURATION:P1DT60S" in lines(
        CopyComponent(EventTime.parse("2026-01-05T09:00:00"), duration=Duration(1, 60))
    )
    component = CopyComponent(START, duration=Duration(1, 60), recurrence=WEEKLY)
    assert "DURATION:P1DT60S" in lines(component)
    assert "DTEND;TZID=Europe/Berlin:20260105T090100" in lines(
        replace(component, duration=Duration(seconds=60))
    )


@pytest.mark.parametrize(
    ("start", "until", "expected"),
    [
        ("2026-01-05T09:00:00[Europe/Berlin]", "20260601T070000Z", "20260601T070000Z"),
        ("2026-01-05T09:00:00[Europe/Berlin]", "20260601T090000", "20260601T070000Z"),
        ("2026-01-05T09:00:00[Europe/Berlin]", "20260601", "20260601T215959Z"),
        ("2026-01-05T09:00:00Z", "20260601T090000", "20260601T090000Z"),
        ("2026-01-05T09:00:00[America/New_York]", "99991231", "99991231T235959Z"),
        ("2026-01-05T09:00:00[Asia/Tokyo]", "00010101T000000", "00010101T000000Z"),
        ("2026-01-05T09:00:00", "20260601", "20260601T235959"),
        ("2026-01-05", "20260601T090000Z", "20260601"),
        ("2026-01-05", "20260601", "20260601"),
    ],
)
def test_until_is_of_the_kind_of_dtstart(start: str, until: str, expected: str) -> None:
    rule = Recurrence(rrules=(f"FREQ=WEEKLY;UNTIL={until};BYDAY=MO",))
    component = CopyComponent(EventTime.parse(start), duration=Duration(days=1), recurrence=rule)
    assert f"RRULE:FREQ=WEEKLY;BYDAY=MO;UNTIL={expected}" in lines(component)


def test_a_date_at_the_calendars_end_keeps_its_form_where_its_zone_is_beyond() -> None:
    last = EventTime(datetime(9999, 12, 31, 23, 30), "UTC")
    component = CopyComponent(
        EventTime.parse("2026-01-05T09:00:00[Asia/Tokyo]"),
        duration=Duration(seconds=3600),
        recurrence=Recurrence(rrules=("FREQ=DAILY",), exdates=(last,)),
    )
    assert "EXDATE:99991231T233000Z" in lines(component)


def test_a_series() -> None:
    series = replace(
        BLOCK,
        recurrence=Recurrence(
            rrules=("FREQ=WEEKLY",),
            rdates=(RecurrenceDate(EventTime.parse("2026-01-06T08:00:00Z")),),
            exdates=(
                EventTime.parse("2026-01-12T08:00:00Z"),
                EventTime.parse("2026-01-19T09:00:00[Europe/Berlin]"),
            ),
        ),
    )
    moved = replace(BLOCK, recurrence_id=EventTime.parse("2026-01-26T08:00:00Z"))
    found = lines(series, moved)
    # In DTSTART's own form, for many readers compare texts; one EXDATE a line.
    assert "RDATE;TZID=Europe/Berlin:20260106T090000" in found
    assert "EXDATE;TZID=Europe/Berlin:20260112T090000" in found
    assert "EXDATE;TZID=Europe/Berlin:20260119T090000" in found
    assert "RECURRENCE-ID;TZID=Europe/Berlin:20260126T090000" in found
    assert found.count("X-CALENDARSYNC-MARK:the-mark") == 2


def test_folding_keeps_characters_whole() -> None:
    data = write_copy(Copy("id", "m", replace(BLOCK, title="😀ä" * 200)), now=NOW)
    for line in data.split(b"\r\n"):
        assert len(line) <= 75
        line.decode()


# Rules by weekday, by date window, irregular ones, none, half hours, negative summer time, many pasts.
ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kolkata",
    "Europe/Dublin",
    "America/Santiago",
    "Asia/Jerusalem",
    "Africa/Cairo",
    "Asia/Gaza",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Asia/Tehran",
    "Europe/Istanbul",
    "America/Nuuk",
    "Antarctica/Troll",
    "Asia/Pyongyang",
    "America/Caracas",
    "Europe/Moscow",
    "Africa/Juba",
]


@pytest.mark.parametrize("key", ZONES)
@pytest.mark.parametrize(("first", "last"), [(2026, 2026), (2010, 2026), (1965, 1975), (2040, 2070)])
def test_zones_are_exact_for_readers_that_trust_them(key: str, first: int, last: int) -> None:
    onsets = evaluated(write_zone(key, first, last), last + 25)
    moment = datetime(first - 1, 6, 1)
    while moment.year <= last + 20:
        expected = moment.replace(tzinfo=UTC).astimezone(zone_info(key)).utcoffset()
        assert max(onset for onset in onsets if onset[0] <= moment)[1] == expected, moment
        moment += timedelta(hours=61)


def evaluated(text: tuple[str, ...], last_year: int) -> list[tuple[datetime, timedelta]]:
    """The onsets in UTC with the offsets that they lead to, laid out by dateutil alone."""
    onsets = []
    for part in "\n".join(text).split("BEGIN:")[2:]:
        values = dict(line.split(":", 1) for line in part.split("\n")[1:] if ":" in line)
        offset_from, offset_to = (offset(values[name]) for name in ("TZOFFSETFROM", "TZOFFSETTO"))
        start = datetime.fromisoformat(values["DTSTART"])
        starts = [start]
        if "RDATE" in values:
            starts.append(datetime.fromisoformat(values["RDATE"]))
        if "RRULE" in values:
            rule, _, until = values["RRULE"].partition(";UNTIL=")
            end = (
                datetime.fromisoformat(until.rstrip("Z")) + offset_from
                if until
                else datetime(last_year, 12, 31)
            )
            starts += rrulestr(rule, dtstart=start).between(start, end, inc=True)  # type: ignore[union-attr]
        onsets += [(local - offset_from, offset_to) for local in starts]
    return sorted(onsets)


def offset(text: str) -> timedelta:
    seconds = int(text[5:7] or 0)
    size = timedelta(hours=int(text[1:3]), minutes=int(text[3:5]), seconds=seconds)
    return -size if text[0] == "-" else size


def test_a_settled_zone_is_short() -> None:
    zone = write_zone("Europe/Berlin", 2026, 2027)
    assert [line for line in zone if line.startswith("RRULE")] == [
        "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU",
        "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU",
    ]
    assert not any("UNTIL" in line for line in zone)


@pytest.mark.parametrize(
    "mark_line",
    [
        b"X-CALENDARSYNC-MARK:abc\r\n",
        b"x-calendarsync-mark;X-A=1:abc\r\n",
        b"X-CALENDARSYNC-MARK:abc\r\n def\r\n\tghi\r\n",
        b"X-CALENDAR\r\n SYNC-MARK:abc\r\n",
        b"X-CALENDARSYNC-MARK:abc\n",
    ],
)
def test_without_mark(mark_line: bytes) -> None:
    head = b'BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nX-OTHER;A="b:c":x\r\n y\r\n'
    tail = b"X-CALENDARSYNC-MARKER:stays\r\nDESCRIPTION:a\r\n X-CALENDARSYNC-MARK:stays\r\nEND:VEVENT"
    assert without_mark(head + mark_line + tail) == head + tail
    assert without_mark(head + mark_line + mark_line + tail) == head + tail
    assert without_mark(head + tail) == head + tail


def test_without_mark_in_utf_16() -> None:
    data = "BEGIN:VEVENT\r\nX-CALENDARSYNC-MARK:a\r\nSUMMARY:ä\r\nEND:VEVENT\r\n"
    for encoding, bom in (("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")):
        expected = bom + data.replace("X-CALENDARSYNC-MARK:a\r\n", "").encode(encoding)
        assert without_mark(bom + data.encode(encoding)) == expected
    assert without_mark(b"") == b""
    assert MARK_PROPERTY == "X-CALENDARSYNC-MARK"


@pytest.mark.parametrize("key", ["Europe/Berlin", "America/New_York", "Africa/Casablanca", "Europe/Dublin"])
def test_a_zone_is_laid_out_until_its_rules_are_settled_and_no_further(key: str) -> None:
    """A series until 9999 would take seconds otherwise."""
    assert write_zone(key, 2026, 9999) == write_zone(key, 2026, 2150)
    assert write_zone(key, 9000, 9999)


@pytest.mark.parametrize("key", ["Europe/Berlin", "America/New_York", "Africa/Cairo", "America/Mexico_City"])
def test_the_zone_of_an_old_series_is_that_of_today(key: str) -> None:
    start = EventTime(datetime(1970, 1, 5, 9), key)
    weekly = Recurrence(rrules=("FREQ=WEEKLY",))
    copy = Copy("old", "mark", CopyComponent(start, duration=Duration(seconds=60), recurrence=weekly))
    lines = write_copy(copy, now=datetime(2026, 1, 1, tzinfo=UTC)).decode().split("\r\n")
    zone = tuple(lines[lines.index("BEGIN:VTIMEZONE") : lines.index("END:VTIMEZONE") + 1])
    onsets = evaluated(zone, 2036)
    for day in range(0, 3650, 5):
        moment = datetime(2026, 1, 1) + timedelta(days=day)
        expected = moment.replace(tzinfo=UTC).astimezone(zone_info(key)).utcoffset()
        assert max(onset for onset in onsets if onset[0] <= moment)[1] == expected, moment
