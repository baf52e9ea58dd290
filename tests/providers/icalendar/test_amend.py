"""Rule 17: what changes in somebody's own resource is what was asked for, and every other byte stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendarsync.domain.amendment import Change, Times
from calendarsync.domain.event import EventTime
from calendarsync.providers.icalendar import NotAmendable, amend, read_resource
from tests.testbed.events import event, vcalendar, vevent

pytestmark = pytest.mark.rule(17)

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
ZONE = "Europe/Berlin"
STAMP = b"DTSTAMP:20260302T060000Z\r\n"


def at(day: int, hour: int = 9, minute: int = 0, zone: str | None = ZONE) -> EventTime:
    return EventTime(datetime(2026, 3, day, hour, minute), zone)


def times(day: int, hour: int, **given: str | None) -> Times:
    return Times(at(day, hour, **given), at(day, hour + 1, **given))  # type: ignore[arg-type]


def changed(text: str, *changes: Change) -> str:
    return amend(text.encode(), changes, now=NOW).decode()


def body(text: str) -> list[str]:
    """The lines of the last event."""
    return text.rsplit("BEGIN:VEVENT\r\n", maxsplit=1)[-1].split("END:VEVENT", maxsplit=1)[0].split("\r\n")


def test_the_texts_of_an_alarm_are_its_own() -> None:
    alarm = "BEGIN:VALARM\nACTION:DISPLAY\nDESCRIPTION:Ring\nSUMMARY:Ring\nTRIGGER:-PT5M\nEND:VALARM"
    text = changed(event("one", extra=alarm), Change(title="New", description="Text", location="Room"))
    assert alarm.replace("\n", "\r\n") in text
    assert text.index("DESCRIPTION:Text\r\nLOCATION:Room\r\nBEGIN:VALARM") > 0
    assert "SUMMARY:New\r\n" in text


def test_parameters_stay_but_for_those_that_speak_of_the_old_text() -> None:
    extra = 'DESCRIPTION;LANGUAGE=de;ALTREP="https://x.example/a;b:c";X-P="1,2":Old\nX-ALT-DESC;FMTTYPE=text/html:<b>Old</b>'
    lines = body(changed(event("one", extra=extra), Change(description="Neu")))
    assert 'DESCRIPTION;LANGUAGE=de;X-P="1,2":Neu' in lines
    assert not [line for line in lines if "Old" in line]


def test_the_place_takes_its_coordinates_along() -> None:
    extra = "LOCATION:Old\nGEO:52.5;13.4\nX-APPLE-STRUCTURED-LOCATION;X-TITLE=Old:geo:1,2\nX-APPLE-OTHER:kept"
    lines = body(changed(event("one", extra=extra), Change(location="New")))
    assert "LOCATION:New" in lines
    assert "X-APPLE-OTHER:kept" in lines
    assert not [line for line in lines if "GEO" in line or "STRUCTURED" in line]
    assert "GEO:52.5;13.4" in body(changed(event("one", extra=extra), Change(title="New")))


def test_folds_and_line_ends_of_other_lines_stay() -> None:
    extra = "X-LONG:one\n  two\n\tthree\nCOMMENT:a\n  b"
    text = event("one", extra=extra).replace("\r\n", "\n")
    amended = changed(text, Change(title="New " + "ü" * 60))
    assert "\r" not in amended
    assert f"\n{extra}\n" in amended
    assert all(len(line.encode()) <= 75 for line in amended.split("\n"))
    old = text.replace("20260101T000000Z", "20260302T060000Z").split("SUMMARY:Planning\n")
    assert amended.startswith(old[0])
    assert amended.endswith(old[1])


@pytest.mark.parametrize(
    ("extra", "sequence"), [("", "SEQUENCE:1"), ("SEQUENCE:7", "SEQUENCE:8"), ("SEQUENCE:x", "SEQUENCE:1")]
)
def test_a_new_time_is_a_new_revision_and_a_new_text_is_none(extra: str, sequence: str) -> None:
    """RFC 5546 section 2.1.4; LAST-MODIFIED and DTSTAMP say when (RFC 5545 sections 3.8.7.2 and 3.8.7.3)."""
    there = event("one", extra=f"{extra}\nLAST-MODIFIED:20250101T000000Z".strip())
    renamed = body(changed(there, Change(title="New")))
    assert [line for line in renamed if line.startswith("SEQUENCE")] == ([extra] if extra else [])
    assert {"LAST-MODIFIED:20260302T060000Z", "DTSTAMP:20260302T060000Z"} <= set(renamed)
    assert sequence in body(changed(there, Change(times=times(5, 9))))
    assert "LAST-MODIFIED" not in changed(event("two"), Change(title="New"))


@pytest.mark.parametrize(
    ("extra", "to", "expected"),
    [
        ("DURATION:PT1H", times(5, 11), ["DURATION:PT1H"]),
        ("DURATION:PT1H", Times(at(5), at(5, 12)), [f"DTEND;TZID={ZONE}:20260305T120000"]),
        ("", Times(at(5), at(5)), []),
        ("", times(5, 9), [f"DTEND;TZID={ZONE}:20260305T100000"]),
    ],
    ids=["same length", "longer", "no length", "now with one"],
)
def test_a_length_stays_one_where_it_can(extra: str, to: Times, expected: list[str]) -> None:
    lines = body(changed(event("one", end=None, extra=extra), Change(times=to)))
    assert [line for line in lines if line.startswith(("DURATION", "DTEND"))] == expected
    assert f"DTSTART;TZID={ZONE}:{to.start.local:%Y%m%dT%H%M%S}" in lines


def test_a_zone_keeps_the_name_that_the_resource_has_for_it() -> None:
    """Here Exchange's, quoted, with a VTIMEZONE of its own."""
    name = "(UTC+01:00) Amsterdam, Berlin"
    there = (
        event("one").replace("TZID:Europe/Berlin", f"TZID:{name}").replace(f"TZID={ZONE}", f'TZID="{name}"')
    )
    assert read_resource("", None, there.encode()).components[0].start == at(4)
    assert f'DTSTART;TZID="{name}":20260305T110000' in body(changed(there, Change(times=times(5, 11))))


def test_a_zone_that_is_not_there_is_put_beside_the_others() -> None:
    text = changed(event("one"), Change(times=times(5, 9, zone="America/New_York")))
    assert text.count("BEGIN:VTIMEZONE") == 2
    assert text.index("TZID:America/New_York") < text.index("BEGIN:VEVENT")
    assert "DTSTART;TZID=America/New_York:20260305T090000" in body(text)
    again = changed(text, Change(times=times(6, 9, zone="America/New_York")))
    assert again.count("BEGIN:VTIMEZONE") == 2


def test_dates_utc_and_floating_times_are_written_as_such() -> None:
    days = Times(EventTime(date(2026, 3, 5)), EventTime(date(2026, 3, 7)))
    lines = body(changed(event("one"), Change(times=days)))
    assert {"DTSTART;VALUE=DATE:20260305", "DTEND;VALUE=DATE:20260307"} <= set(lines)
    assert "DTSTART:20260305T090000Z" in body(changed(event("one"), Change(times=times(5, 9, zone="UTC"))))
    there = event("one", zone=None)
    assert "DTSTART:20260305T090000" in body(changed(there, Change(times=times(5, 9, zone=None))))


def test_an_instance_of_whole_days_is_found_though_it_is_named_by_midnight() -> None:
    series = vevent("one", "20260304", "20260305", extra="RRULE:FREQ=WEEKLY;COUNT=3")
    own = vevent("one", "20260312", "20260313", extra="RECURRENCE-ID:20260311T000000")
    name = EventTime(date(2026, 3, 11))
    text = changed(vcalendar(series, own), Change(original=name, title="New"))
    assert text.count("BEGIN:VEVENT") == 2
    assert "SUMMARY:New" in body(text)


LATER = "RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20260311T090000"
WEEKLY = "RRULE:FREQ=WEEKLY;COUNT=3"


@pytest.mark.parametrize(
    ("text", "change"),
    [
        (event("one"), Change(original=at(11), usual=times(11, 9), title="x")),
        (vcalendar(vevent("one", extra=WEEKLY), vevent("one", extra=LATER)), Change(title="x")),
        (vcalendar(vevent("one"), vevent("one")), Change(title="x")),
        (vcalendar(vevent("one"), vevent("two")), Change(title="x")),
        (event("one").replace("END:VEVENT", "END:VTODO"), Change(title="x")),
        (event("one", extra="BEGIN:VALARM"), Change(title="x")),
        (event("one", start="20260304T250000"), Change(title="x")),
        ("", Change(title="x")),
        ("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", Change(title="x")),
        (event("one", extra=WEEKLY), Change(original=at(11), title="x")),
    ],
    ids=[
        *(
            "no series",
            "this and future",
            "twice",
            "two events",
            "wrong end",
            "cut alarm",
            "no time",
            "nothing",
        ),
        *("no event", "no usual time"),
    ],
)
def test_what_cannot_be_changed_for_sure_is_refused(text: str, change: Change) -> None:
    with pytest.raises(NotAmendable):
        amend(text.encode(), [change], now=NOW)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_another_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(NotAmendable):
        amend(event("one").encode(encoding), [Change(title="x")], now=NOW)


LINES = st.lists(
    st.sampled_from(
        [
            "X-A:1",
            "X-LONG;X-P=\"a;b:c\":one\n two\n\tthree",
            "LOCATION;LANGUAGE=de:Raum",
            "DESCRIPTION:first\\nsecond\n  third",
            "SEQUENCE:3",
            "LAST-MODIFIED:20250101T000000Z",
            "CLASS:PUBLIC",
            "ATTACH;VALUE=BINARY;ENCODING=BASE64:AAAA",
            "COMMENT:BEGIN:VEVENT",
            "BEGIN:VALARM\nSUMMARY:in\nDTSTART:20260304T090000\nEND:VALARM",
            "X-EMPTY:",
            "x-lower:kept",
        ]
    ),
    max_size=8,
)  # fmt: skip
TEXT = st.none() | st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.just("\n"), max_size=90)


@given(lines=LINES, title=TEXT, description=TEXT, location=TEXT, moves=st.booleans(), crlf=st.booleans())
def test_whatever_stands_in_an_event_only_what_is_named_changes(
    lines: list[str],
    title: str | None,
    description: str | None,
    location: str | None,
    moves: bool,
    crlf: bool,
) -> None:
    there = event("one", extra="\n".join(sorted(lines, key=lambda line: line.startswith("BEGIN"))))
    data = (there if crlf else there.replace("\r\n", "\n")).encode()
    moved = Times(at(6, 15), at(6, 15) if not moves else at(6, 17))
    change = Change(times=moved if moves else None, title=title, description=description, location=location)
    before = read_resource("", None, data)
    after_data = amend(data, [change], now=NOW)
    after = read_resource("", None, after_data)
    expected = replace(before.contents[""], **{name: _stored(text) for name, text in change.texts.items()})
    assert after.contents == {"": expected}
    start = moved.start if moves else before.components[0].start
    end = moved.end if moves else before.components[0].end
    assert after.components == (replace(before.components[0], start=start, end=end),)
    own = {"DTSTAMP", "SEQUENCE", "LAST-MODIFIED", "DTSTART", "DTEND", "SUMMARY", "DESCRIPTION", "LOCATION"}
    left = [_other_lines(each, own) for each in (data, after_data)]
    assert left[0] == left[1]


def _stored(text: str) -> str:
    """Without the line ends and controls that TEXT cannot hold."""
    for odd in "\x85\u2028\u2029":
        text = text.replace(odd, "\n")
    return "".join(char for char in text if char not in "\ufffe\uffff" and not "\x7f" <= char <= "\x9f")


def _other_lines(data: bytes, own: set[str]) -> list[str]:
    """The content lines beside those of the event itself that may change, folds and all."""
    lines: list[str] = []
    depth = 0
    for part in data.decode().split("\n"):
        if part[:1] in (" ", "\t"):
            if lines and lines[-1] != "":
                lines[-1] += f"\n{part}"
            continue
        depth += part.startswith("BEGIN:") - part.startswith("END:")
        name = part.replace(":", ";").split(";")[0].upper()
        lines.append("" if depth == 2 and name in own else part)
    return [line for line in lines if line]


def test_a_series_moves_by_hours_and_keeps_all_else() -> None:
    there = event("one", extra=f"{WEEKLY}\nX-KEPT:1")
    text = changed(there, Change(times=times(4, 11)))
    before, after = (read_resource("", None, each.encode()).components[0] for each in (there, text))
    assert after == replace(before, start=at(4, 11), end=at(4, 12))
    assert after.start.local - before.start.local == timedelta(hours=2)
