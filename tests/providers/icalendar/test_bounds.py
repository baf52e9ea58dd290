"""Hostile input is bounded in time and never raises; custom zones keep to their own calendars."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from time import thread_time

import icalendar
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calendarsync.domain.event import Problem
from calendarsync.providers.icalendar import read_resource, without_mark


def zone(offset_from: str, offset_to: str, spring: str, autumn: str) -> str:
    return (
        "BEGIN:VTIMEZONE\r\nTZID:Office\r\n"
        f"BEGIN:DAYLIGHT\r\nDTSTART:19700329T020000\r\nTZOFFSETFROM:{offset_from}\r\nTZOFFSETTO:{offset_to}\r\n"
        f"RRULE:FREQ=YEARLY;{spring}\r\nEND:DAYLIGHT\r\n"
        f"BEGIN:STANDARD\r\nDTSTART:19701025T030000\r\nTZOFFSETFROM:{offset_to}\r\nTZOFFSETTO:{offset_from}\r\n"
        f"RRULE:FREQ=YEARLY;{autumn}\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
    )


EVENT = "BEGIN:VEVENT\r\nUID:1\r\nDTSTART;TZID=Office:20260701T090000\r\nRRULE:FREQ=WEEKLY\r\nEND:VEVENT\r\n"


def resource(definition: str) -> bytes:
    return f"BEGIN:VCALENDAR\r\n{EVENT}{definition}END:VCALENDAR\r\n".encode()


CALENDARS = {
    "Europe/Berlin": resource(zone("+0100", "+0200", "BYMONTH=3;BYDAY=-1SU", "BYMONTH=10;BYDAY=-1SU")),
    "America/New_York": resource(
        zone("-0500", "-0400", "BYMONTH=3;BYDAY=2SU", "BYMONTH=11;BYDAY=1SU")
        .replace("19701025T03", "19701101T02")
        .replace("19700329T02", "19700308T02")
    ),
    None: resource(""),
}


def zone_of(data: bytes) -> str | None:
    found = read_resource("id", None, data)
    return found.components[0].start.zone if found.problem is None else None


def test_one_tzid_with_several_meanings_in_any_order() -> None:
    for order in permutations(CALENDARS.items()):
        for expected, data in order:
            assert zone_of(data) == expected


def test_one_tzid_with_several_meanings_at_once() -> None:
    wanted = list(CALENDARS.items()) * 100
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(zone_of, [data for _, data in wanted]))
    assert found == [expected for expected, _ in wanted]


def test_the_cache_of_icalendar_is_neither_used_nor_filled() -> None:
    """icalendar keeps VTIMEZONEs by TZID for the whole process."""
    icalendar.Calendar.from_ical(CALENDARS["Europe/Berlin"])
    assert zone_of(CALENDARS["America/New_York"]) == "America/New_York"
    assert zone_of(CALENDARS[None]) is None
    assert read_resource("id", None, CALENDARS[None]).problem is Problem.UNKNOWN_ZONE


def test_only_so_many_custom_zones_are_looked_up() -> None:
    for count, problem in ((10, None), (40, Problem.UNKNOWN_ZONE)):
        names = [f"Office {number}" for number in range(count)]
        berlin = zone("+0100", "+0200", "BYMONTH=3;BYDAY=-1SU", "BYMONTH=10;BYDAY=-1SU")
        zones = "".join(berlin.replace("Office", name) for name in names)
        event = EVENT.replace(
            "END:", "".join(f"EXDATE;TZID={name}:20260708T090000\r\n" for name in names) + "END:"
        )
        data = f"BEGIN:VCALENDAR\r\n{zones}{event.replace(';TZID=Office:', ':')}END:VCALENDAR\r\n".encode()
        assert read_resource("id", None, data).problem is problem


def calendar(*lines: str) -> bytes:
    return "\r\n".join(
        [
            "BEGIN:VCALENDAR",
            "BEGIN:VEVENT",
            "UID:1",
            "DTSTART:20260105T090000Z",
            *lines,
            "END:VEVENT",
            "END:VCALENDAR",
        ]
    ).encode()


SIXTY = ",".join(map(str, range(60)))
EVERY_SECOND = f"BYHOUR=1,2,3;BYMINUTE={SIXTY};BYSECOND={SIXTY}"
OVERRIDE = "END:VEVENT\r\nBEGIN:VEVENT\r\nUID:1\r\nRECURRENCE-ID:20260105T090000Z\r\nDTSTART:20260105T090000Z"
YEARLY = zone("+0100", "+0200", "BYMONTH=3", "BYMONTH=10")
ANCIENT = zone("+0100", "+0200", "BYMONTH=3;BYDAY=-1SU;COUNT=9000", "BYMONTH=10;BYDAY=-1SU;COUNT=9000")
ANCIENT_PARTS = ANCIENT.replace("1970", "1000").split("TZID:Office\r\n")[1].removesuffix("END:VTIMEZONE\r\n")
REPEATED = "BEGIN:VTIMEZONE\r\nTZID:Office\r\n{}END:VTIMEZONE\r\n"
PARTS = "BEGIN:STANDARD\r\nEND:STANDARD\r\n" * 20_000
BOMBS = {
    "nesting": b"BEGIN:VCALENDAR\r\n" + b"BEGIN:VEVENT\r\n" * 100_000,
    "properties": calendar(*["X-A:1"] * 1_000_000),
    "one long line": calendar("SUMMARY:" + "x" * 7_000_000),
    "folds": calendar("SUMMARY:" + "x\r\n " * 1_500_000),
    "blank lines": calendar("\r\n" * 2_000_000),
    "blank lines without a fold": calendar("\n" * 6_000_000 + "x"),
    "quotes": calendar('ATTENDEE;CN="' * 200_000 + ":x"),
    "quote and semicolons": calendar('DTSTART;A="' + ";=" * 1_000_000 + ":x"),
    "parameters": calendar("DTEND" + ";X=1" * 500_000 + ":20260105T100000Z"),
    "spaces": calendar("DTEND;" + " " * 3_000_000 + "=:20260105T100000Z"),
    "spaces in a parameter": calendar("DTEND;A" + " " * 2_000 + ":20260105T100000Z"),
    "spaces before a quote": calendar("DTEND;a=" + " " * 20_000 + '"x:20260105T100000Z'),
    "one parameter": calendar("ATTENDEE;" + "a" * 3_000_000 + ":mailto:a@example.com"),
    "rules in a custom zone": calendar(
        *(f"RDATE;TZID=Zone {number}:20260105T090000" for number in range(16)),
        *["RRULE:FREQ=DAILY;COUNT=10000"] * 200,
    ),
    "backslashes": calendar("CATEGORIES:" + "\\" * 3_000_000),
    "categories": calendar("CATEGORIES:" + "," * 3_000_000),
    "exdates": calendar("RRULE:FREQ=DAILY", "EXDATE:" + "20260105T090000Z," * 300_000),
    "rdates": calendar(*["RDATE:20260105T090000Z"] * 90_000),
    "rules": calendar(*["RRULE:FREQ=DAILY"] * 90_000),
    "long rule": calendar("RRULE:FREQ=DAILY;BYHOUR=" + "1," * 1_000_000),
    "dense rule": calendar(f"RRULE:FREQ=YEARLY;{EVERY_SECOND}"),
    "durations": calendar("DURATION:P" + "9" * 1_000_000 + "D"),
    "numbers": calendar("SEQUENCE:" + "9" * 1_000_000),
    "large": b"BEGIN:VCALENDAR\r\n" + b"x" * 50_000_000,
    "overrides": calendar(*[OVERRIDE] * 15_000),
    "zones": calendar(*[f"EXDATE;TZID=Own {number}:20260105T090000" for number in range(5000)]),
    "zone rules": resource(zone("+0100", "+0200", EVERY_SECOND, "BYMONTH=10")),
    "zone offsets": resource(zone("+9900", "-9900", "BYMONTH=3", "BYMONTH=10")),
    "many zone parts": resource(YEARLY.replace("BEGIN:STANDARD", PARTS + "BEGIN:STANDARD")),
    "zone from the year 1000": resource(REPEATED.format(ANCIENT_PARTS * 20)),
    "zone that never changes": resource(
        REPEATED.format(ANCIENT_PARTS.replace("COUNT=9000", "BYMONTHDAY=30") * 40)
    ),
    "rules that hardly ever match": calendar(
        *["RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO,TU;COUNT=9000"] * 3,
        "RDATE;TZID=QQ:20260105T090000",
    ).replace(b"DTSTART:2026", b"DTSTART;TZID=QQ:1000"),
    "many values under many parameters": calendar(
        "EXDATE" + ";X=1" * 20_000 + ":" + "20260105T090000Z," * 2_000,
        "RDATE;X=" + '""' * 20_000 + ":" + "20260105T090000Z," * 2_000,
    ),
    "count": calendar("RRULE:FREQ=DAILY;COUNT=999999999"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str) -> None:
    began = thread_time()
    found = read_resource("id", None, BOMBS[name])
    assert thread_time() - began < 5
    assert found.id == "id"
    began = thread_time()
    without_mark(BOMBS[name])
    assert thread_time() - began < 5


PIECES = [
    "BEGIN:VCALENDAR",
    "END:VCALENDAR",
    "BEGIN:VEVENT",
    "END:VEVENT",
    "BEGIN:VTIMEZONE",
    "END:VTIMEZONE",
    "BEGIN:STANDARD",
    "END:STANDARD",
    "UID:1",
    "TZID:Office",
    "DTSTART",
    "DTEND",
    "DURATION",
    "RRULE",
    "RDATE",
    "EXDATE",
    "RECURRENCE-ID",
    "TZOFFSETFROM",
    "TZOFFSETTO",
    ":20260105T090000Z",
    ":20260105",
    ";TZID=Office",
    ";VALUE=DATE",
    ";VALUE=PERIOD",
    ":PT1H",
    ":-P1D",
    ":FREQ=YEARLY",
    ";COUNT=3",
    "/PT1H",
    ",",
    ";RANGE=THISANDFUTURE",
    ":+0100",
    ":-9959",
    "\r\n",
    "\r\n ",
    '"',
    "\\",
    ":",
    ";",
    "99991231T235959",
    "00010101T000000",
    "ATTENDEE;PARTSTAT=",
]


@given(st.lists(st.sampled_from(PIECES), max_size=40))
@settings(max_examples=400, deadline=None)
def test_no_text_raises(pieces: list[str]) -> None:
    body = "".join(pieces)
    for data in (body.encode(), calendar().replace(b":20260105T090000Z", body.encode())):
        read_resource("id", None, data)
        without_mark(data)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise(data: bytes) -> None:
    read_resource("id", None, data)
    read_resource("id", None, calendar().replace(b"UID:1", data))
    without_mark(data)
