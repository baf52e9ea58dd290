"""Reading resources, case by case: RFC 5545 and what calendar programs make of it."""

from __future__ import annotations

import pytest

from calendarsync.domain.event import (
    Component,
    Content,
    Duration,
    EventTime,
    EventType,
    Problem,
    RecurrenceDate,
    Resource,
    Response,
    Status,
    Visibility,
)
from calendarsync.domain.recurrence import holdable
from calendarsync.providers.icalendar import read_feed, read_resource

OWNER = frozenset({"ann@example.com", "ann.b@example.org"})
START = "DTSTART:20260105T090000Z"


def calendar(*lines: str, uid: str = "one") -> bytes:
    body = "\r\n".join(lines)
    return (
        f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n{body}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    ).encode()


def read(*lines: str) -> Resource:
    return read_resource("id", "v1", calendar(*lines), owner=OWNER)


def one(*lines: str) -> Component:
    resource = read(*lines)
    assert resource.problem is None, resource.problem
    return resource.components[0]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("DTSTART:20260105T090000Z", "2026-01-05T09:00:00Z"),
        ("DTSTART:20260105T090000", "2026-01-05T09:00:00"),
        ("DTSTART;TZID=Europe/Berlin:20260105T090000", "2026-01-05T09:00:00[Europe/Berlin]"),
        ('DTSTART;TZID="Europe/Berlin":20260105T090000', "2026-01-05T09:00:00[Europe/Berlin]"),
        ("DTSTART;VALUE=DATE-TIME;TZID=Europe/Berlin:20260105T090000", "2026-01-05T09:00:00[Europe/Berlin]"),
        ("DTSTART; TZID = Europe/Berlin :20260105T090000", "2026-01-05T09:00:00[Europe/Berlin]"),
        ('DTSTART;X-NOTE="a;b:c";TZID=Europe/Berlin:20260105T090000', "2026-01-05T09:00:00[Europe/Berlin]"),
        ("dtstart;tzid=W. Europe Standard Time:20260105T090000", "2026-01-05T09:00:00[Europe/Berlin]"),
        ("DTSTART;TZID=tzone://Microsoft/Utc:20260105T090000", "2026-01-05T09:00:00Z"),
        ("DTSTART;TZID=tzone://Microsoft/Utc;X-NOTE=a:20260105T090000", "2026-01-05T09:00:00Z"),
        ("DTSTART;TZID=Europe/Berlin:20260105T090000Z", "2026-01-05T09:00:00Z"),
        ("DTSTART;VALUE=DATE:20260105", "2026-01-05"),
        ("DTSTART:20260105", "2026-01-05"),
        ("DTSTART;TZID=Europe/Berlin;VALUE=DATE:20260105", "2026-01-05"),
        ("DTSTART;VALUE=DATE:20260105T000000", "2026-01-05"),
        ("DTSTART:20260105T0900Z", "2026-01-05T09:00:00Z"),
        ("DTSTART:2026-01-05T09:00:00Z", "2026-01-05T09:00:00Z"),
        ("DTSTART:20260105T235960Z", "2026-01-05T23:59:59Z"),
        ("DTSTART:20260105T240000Z", "2026-01-06T00:00:00Z"),
        ("DTST\r\n ART:2026\r\n\t0105T090000Z", "2026-01-05T09:00:00Z"),
    ],
)
def test_starts(line: str, expected: str) -> None:
    assert str(one(line).start) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([START, "DTEND:20260105T100000Z"], "2026-01-05T10:00:00Z"),
        ([START, "DTEND;TZID=Asia/Tokyo:20260105T190000"], "2026-01-05T19:00:00[Asia/Tokyo]"),
        ([START, "DURATION:PT1H30M"], "0d5400s"),
        ([START, "DURATION:P1DT2H"], "1d7200s"),
        ([START, "DURATION:P2W"], "14d0s"),
        ([START, "DURATION:PT24H"], "0d86400s"),
        ([START, "DTEND:20260105T100000Z", "DURATION:PT5M"], "2026-01-05T10:00:00Z"),
        ([START], "0d0s"),
        ([START, "DTEND:"], "0d0s"),
        ([START, "DTEND:20260105T090000Z"], "2026-01-05T09:00:00Z"),
        ([START, "DTEND;VALUE=DATE:20260106"], "2026-01-06T00:00:00Z"),
        ([START, "DTEND;VALUE=DATE:20260105"], "2026-01-05T09:00:00Z"),
        (["DTSTART:20260105", "DTEND:20260107"], "2026-01-07"),
        (["DTSTART:20260105", "DTEND:20260105"], "2026-01-06"),
        (["DTSTART:20260105"], "1d0s"),
        (["DTSTART:20260105", "DURATION:P3D"], "3d0s"),
        (["DTSTART:20260105", "DURATION:PT0S"], "1d0s"),
        (["DTSTART:20260105", "DURATION:PT25H"], "2d0s"),
        (["DTSTART:20260105", "DTEND:20260106T000000"], "2026-01-06"),
        (["DTSTART:20260105", "DTEND:20260106T120000Z"], "2026-01-07"),
    ],
)
def test_ends(lines: list[str], expected: str) -> None:
    component = one(*lines)
    assert str(component.end or component.duration) == expected
    assert (component.end is None) is not (component.duration is None)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["SUMMARY:no start"], Problem.NO_START),
        (["DTSTART:soon"], Problem.NO_START),
        (["DTSTART:20261332T090000Z"], Problem.NO_START),
        (["DTSTART:00010101T000000Z"], Problem.NO_START),
        (["DTSTART;TZID=Nowhere:20260105T090000"], Problem.UNKNOWN_ZONE),
        ([START, "DTEND:20260105T085959Z"], Problem.END_BEFORE_START),
        ([START, "DTEND;TZID=Asia/Tokyo:20260105T100000"], Problem.END_BEFORE_START),
        ([START, "DURATION:-PT5M"], Problem.END_BEFORE_START),
        ([START, "DTEND:later"], Problem.END_BEFORE_START),
        (["DTSTART:20260105", "DTEND:20260104"], Problem.END_BEFORE_START),
        ([START, "RRULE:FREQ=SOMETIMES"], Problem.BAD_RECURRENCE),
        ([START, "RRULE:FREQ=SECONDLY"], Problem.TOO_MANY_INSTANCES),
        ([START, "EXDATE:whenever"], Problem.BAD_RECURRENCE),
        ([START, "EXDATE:" + ",".join(["20260105T090000Z"] * 20_000)], Problem.TOO_MANY_INSTANCES),
        ([START, "RECURRENCE-ID:once"], Problem.BAD_RECURRENCE),
        ([START, "RRULE FREQ=DAILY"], Problem.UNREADABLE),
        ([START, "RRULE"], Problem.UNREADABLE),
        ([START, "BEGIN:VALARM"], Problem.UNREADABLE),
    ],
)
def test_problems(lines: list[str], problem: Problem) -> None:
    resource = read(*lines)
    assert resource.problem is problem
    assert resource.id == "id"
    assert resource.version == "v1"


def test_a_problem_does_not_hide_that_a_copy_is_ours() -> None:
    resource = read("DTSTART:soon", "X-CALENDARSYNC-MARK:abc", "SUMMARY:x")
    assert (resource.uid, resource.mark, resource.problem) == ("one", "abc", Problem.NO_START)


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\0", b"hello", b"<html></html>", b"SUMMARY:x\r\n", b"\xff\xfe", b"END:VEVENT\r\n"]
)
def test_no_calendar_at_all(data: bytes) -> None:
    assert read_resource("id", None, data).problem is Problem.UNREADABLE


def test_half_an_event_is_no_event() -> None:
    whole = calendar(START, "DTEND:20260105T100000Z", "RRULE:FREQ=DAILY;UNTIL=20260110T000000Z", "SUMMARY:x")
    for length in range(len(whole) - 2):
        assert read_resource("id", None, whole[:length]).problem is Problem.UNREADABLE, length


@pytest.mark.parametrize(
    "line", ["END:VTODO", "End: 17:00", "END of the month: report", "Begin: nine o'clock"]
)
def test_a_line_that_only_looks_like_structure_is_passed_over(line: str) -> None:
    """The rest of a description whose line break was not escaped."""
    resource = read(START, "DESCRIPTION:Agenda", line, "SUMMARY:Kept")
    assert (resource.problem, resource.contents[""].title) == (None, "Kept")


def test_other_components_are_no_events() -> None:
    data = b"BEGIN:VCALENDAR\r\nBEGIN:VTODO\r\nUID:1\r\nDTSTART:20260105\r\nEND:VTODO\r\nEND:VCALENDAR\r\n"
    assert read_resource("id", None, data).problem is Problem.NO_EVENT


def test_several_uids_are_refused() -> None:
    data = calendar(START, "END:VEVENT", "BEGIN:VEVENT", "UID:two", START)
    assert read_resource("id", None, data).problem is Problem.UNREADABLE
    assert [resource.uid for resource in read_feed(data).resources] == ["one", "two"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], (Status.CONFIRMED, False, EventType.DEFAULT)),
        (["STATUS:TENTATIVE"], (Status.TENTATIVE, False, EventType.DEFAULT)),
        (["STATUS:cancelled"], (Status.CANCELLED, False, EventType.DEFAULT)),
        (["TRANSP:TRANSPARENT"], (Status.CONFIRMED, True, EventType.DEFAULT)),
        (["X-MICROSOFT-CDO-BUSYSTATUS:FREE", "TRANSP:OPAQUE"], (Status.CONFIRMED, True, EventType.DEFAULT)),
        (["X-MICROSOFT-CDO-BUSYSTATUS:WORKINGELSEWHERE"], (Status.CONFIRMED, True, EventType.DEFAULT)),
        (["X-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE"], (Status.TENTATIVE, False, EventType.DEFAULT)),
        (
            ["X-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE", "STATUS:CANCELLED"],
            (Status.CANCELLED, False, EventType.DEFAULT),
        ),
        (["X-MICROSOFT-CDO-BUSYSTATUS:OOF"], (Status.CONFIRMED, False, EventType.OUT_OF_OFFICE)),
        (["X-MICROSOFT-CDO-INTENDEDSTATUS:TENTATIVE"], (Status.TENTATIVE, False, EventType.DEFAULT)),
        (
            ["X-MICROSOFT-CDO-BUSYSTATUS:BUSY", "X-MICROSOFT-CDO-INTENDEDSTATUS:FREE"],
            (Status.CONFIRMED, False, EventType.DEFAULT),
        ),
    ],
)
def test_busy(lines: list[str], expected: tuple[Status, bool, EventType]) -> None:
    component = one(START, *lines)
    assert (component.status, component.transparent, component.event_type) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PUBLIC", Visibility.PUBLIC),
        ("private", Visibility.PRIVATE),
        ("CONFIDENTIAL", Visibility.CONFIDENTIAL),
        ("X-SECRET", Visibility.PRIVATE),
        ("", Visibility.PUBLIC),
    ],
)
def test_visibility(text: str, expected: Visibility) -> None:
    assert one(START, f"CLASS:{text}").visibility is expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], (None, False, True)),
        (["ORGANIZER:mailto:ann@example.com", "ATTENDEE:mailto:bob@example.com"], (None, True, True)),
        (
            ["ORGANIZER:mailto:bob@example.com", "ATTENDEE;PARTSTAT=ACCEPTED:MAILTO:Ann@Example.com"],
            (Response.ACCEPTED, True, False),
        ),
        (["ATTENDEE;PARTSTAT=DECLINED:mailto:ann.b@example.org"], (Response.DECLINED, True, None)),
        (["ATTENDEE;PARTSTAT=TENTATIVE:mailto:ann@example.com"], (Response.TENTATIVE, True, None)),
        (["ATTENDEE;PARTSTAT=DELEGATED:mailto:ann@example.com"], (Response.DECLINED, True, None)),
        (["ATTENDEE:mailto:ann@example.com"], (Response.NEEDS_ACTION, True, None)),
        (
            ['ATTENDEE;CN="B, Ann: x";PARTSTAT=ACCEPTED;EMAIL=ann@example.com:/aMTAz/principal/'],
            (Response.ACCEPTED, True, None),
        ),
        (["ATTENDEE;PARTSTAT=ACCEPTED:mailto:joann@example.com"], (None, True, None)),
        (["ORGANIZER;EMAIL=ann@example.com:/aMTAz/principal/"], (None, False, True)),
    ],
)
def test_people(lines: list[str], expected: tuple[Response | None, bool, bool | None]) -> None:
    component = one(START, *lines)
    assert (component.response, component.has_attendees, component.organized_by_owner) == expected


def test_an_unknown_owner() -> None:
    data = calendar(
        START, "ORGANIZER:mailto:ann@example.com", "ATTENDEE;PARTSTAT=DECLINED:mailto:ann@example.com"
    )
    component = read_resource("id", None, data).components[0]
    assert (component.response, component.organized_by_owner) == (None, None)


OWN_ZONE = """BEGIN:VTIMEZONE\r
TZID:Own\r
BEGIN:STANDARD\r
DTSTART:20200101T000000\r
TZOFFSETFROM:+1200\r
TZOFFSETTO:+1200\r
END:STANDARD\r
BEGIN:DAYLIGHT\r
DTSTART:20260505T080000\r
TZOFFSETFROM:+1200\r
TZOFFSETTO:+1000\r
END:DAYLIGHT\r
END:VTIMEZONE\r
"""


def test_an_event_that_does_not_recur_needs_no_zone_that_equals_its_own() -> None:
    lines = ("DTSTART;TZID=Own:20260505T055959", "DTEND;TZID=Own:20260505T083000")
    once, weekly = (
        read_resource(
            "id", None, calendar(*event).replace(b"BEGIN:VEVENT", OWN_ZONE.encode() + b"BEGIN:VEVENT")
        )
        for event in (lines, (*lines, "RRULE:FREQ=WEEKLY"))
    )
    (component,) = once.components
    assert (str(component.start), str(component.end)) == ("2026-05-04T17:59:59Z", "2026-05-04T22:30:00Z")
    assert weekly.problem is Problem.UNKNOWN_ZONE


def test_texts() -> None:
    resource = read(
        START,
        'SUMMARY;LANGUAGE=en:Lunch\\, at "Joe\'s"\\; back\\\\slash\\nnew: line',
        "DESCRIPTION:long\r\n er and\r\n\t long\r\n er",
        "LOCATION:Café",
        "CATEGORIES:one,two\\, three",
        "CATEGORIES:four",
        'ATTENDEE;CN="Bob, B.":mailto:bob@example.com',
        "ATTENDEE:mailto:Eve@example.com",
    )
    assert resource.contents == {
        "": Content(
            title='Lunch, at "Joe\'s"; back\\slash\nnew: line',
            description="longer and longer",
            location="Café",
            categories=("one", "two, three", "four"),
            attendees=("Bob, B.", "eve@example.com"),
        )
    }
    assert "Lunch" not in repr(resource)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_encodings(encoding: str) -> None:
    data = calendar(START, "SUMMARY:Käse").decode().encode(encoding)
    resource = read_resource("id", None, data)
    assert resource.problem is None
    assert resource.contents[""].title == "Käse"


def test_a_character_divided_by_a_fold() -> None:
    data = calendar(START, "SUMMARY:K\r\n äse").replace("ä".encode(), b"\xc3\r\n \xa4")
    assert read_resource("id", None, data).contents[""].title == "Käse"


@pytest.mark.parametrize("line_break", [b"\n", b"\r", b"\r\n\r\n"])
def test_line_breaks(line_break: bytes) -> None:
    data = calendar(START, "SUMMARY:x").replace(b"\r\n", line_break)
    assert read_resource("id", None, data).problem is None


def test_recurrence() -> None:
    component = one(
        "DTSTART;TZID=Europe/Berlin:20260105T090000",
        "RRULE:freq=weekly;byday=MO, TU;count=-1;",
        "RDATE;TZID=Asia/Tokyo:20260201T090000,20260202T090000",
        "RDATE;VALUE=PERIOD:20260203T090000Z/PT1H,20260204T090000Z/20260204T100000Z",
        "EXDATE;TZID=Europe/Berlin:20260112T090000,20260113T090000",
        "EXDATE;VALUE=DATE:20260119",
        "EXDATE:",
        "EXRULE:FREQ=MONTHLY",
    )
    assert component.recurrence is not None
    assert component.recurrence.rrules == ("FREQ=WEEKLY;BYDAY=MO,TU",)
    assert component.recurrence.exrules == ("FREQ=MONTHLY",)
    assert component.recurrence.rdates == (
        RecurrenceDate(EventTime.parse("2026-02-01T09:00:00[Asia/Tokyo]")),
        RecurrenceDate(EventTime.parse("2026-02-02T09:00:00[Asia/Tokyo]")),
        RecurrenceDate(EventTime.parse("2026-02-03T09:00:00Z"), duration=Duration(seconds=3600)),
        RecurrenceDate(EventTime.parse("2026-02-04T09:00:00Z"), end=EventTime.parse("2026-02-04T10:00:00Z")),
    )
    assert [str(time) for time in component.recurrence.exdates] == [
        "2026-01-12T09:00:00[Europe/Berlin]",
        "2026-01-13T09:00:00[Europe/Berlin]",
        "2026-01-19",
    ]


def overrides(*events: list[str]) -> Resource:
    lines: list[str] = []
    for event in events:
        lines += ["END:VEVENT", "BEGIN:VEVENT", "UID:one", START, *event]
    return read_resource("id", None, calendar(*lines[3:]))


def test_overrides() -> None:
    resource = overrides(
        ["RECURRENCE-ID;RANGE=THISANDFUTURE:20260107T090000Z", "SUMMARY:b"],
        ["RRULE:FREQ=DAILY", "SUMMARY:a"],
        ["RECURRENCE-ID:20260106T090000Z", "RRULE:FREQ=DAILY", "SUMMARY:c"],
    )
    assert [component.original for component in resource.components] == [
        "",
        "2026-01-07T09:00:00Z",
        "2026-01-06T09:00:00Z",
    ]
    assert [component.this_and_future for component in resource.components] == [False, True, False]
    assert [component.recurrence is None for component in resource.components] == [False, True, True]
    assert {key: content.title for key, content in resource.contents.items()} == {
        "": "a",
        "2026-01-07T09:00:00Z": "b",
        "2026-01-06T09:00:00Z": "c",
    }


def test_of_two_components_for_one_instance_the_newer_counts() -> None:
    resource = overrides(
        ["RRULE:FREQ=DAILY", "SEQUENCE:3", "SUMMARY:new"],
        ["RRULE:FREQ=WEEKLY", "SEQUENCE:2", "SUMMARY:old"],
        ["RECURRENCE-ID:20260106T090000Z", "SEQUENCE:10", "SUMMARY:new"],
        ["RECURRENCE-ID;TZID=Europe/Berlin:20260106T100000", "SEQUENCE:9", "SUMMARY:old"],
    )
    assert {content.title for content in resource.contents.values()} == {"new"}
    assert len(resource.components) == 2


@pytest.mark.parametrize(
    "name", ["RECURRENCE-ID:20260106T000000Z", "RECURRENCE-ID;TZID=Asia/Tokyo:20260106T000000"]
)
def test_midnight_names_a_day_of_an_all_day_series(name: str) -> None:
    newest = [name, "SEQUENCE:2", "SUMMARY:new"]
    older = ["RECURRENCE-ID;VALUE=DATE:20260106", "SEQUENCE:1", "SUMMARY:old"]
    moved = "DTSTART;VALUE=DATE:20260107"
    resource = all_day_overrides([*newest, moved], [*older, moved])
    assert [str(component.recurrence_id) for component in resource.components] == ["None", "2026-01-06"]
    assert resource.contents["2026-01-06"].title == "new"
    assert holdable(resource.components)


def all_day_overrides(*events: list[str]) -> Resource:
    master = ["UID:one", "DTSTART;VALUE=DATE:20260105", "RRULE:FREQ=DAILY;COUNT=5"]
    blocks = [
        "\r\n".join(["BEGIN:VEVENT", *lines, "END:VEVENT"])
        for lines in (master, *(["UID:one", *e] for e in events))
    ]
    return read_resource("id", "v1", "\r\n".join(["BEGIN:VCALENDAR", *blocks, "END:VCALENDAR", ""]).encode())


def test_an_override_that_a_newer_master_leaves_out_is_deleted() -> None:
    exdate = "EXDATE:20260106T090000Z"
    old = ["RECURRENCE-ID:20260106T090000Z", "SEQUENCE:1"]
    assert len(overrides(["RRULE:FREQ=DAILY", exdate, "SEQUENCE:2"], old).components) == 1
    assert len(overrides(["RRULE:FREQ=DAILY", exdate, "SEQUENCE:1"], old).components) == 2
