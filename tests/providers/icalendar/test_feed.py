"""Whole calendars in one file."""

from __future__ import annotations

import pytest

from calendarsync.domain.event import Problem
from calendarsync.providers.icalendar import FeedError, NoCalendarError, read_feed
from tests.testbed.events import vcalendar, vevent


def ids(text: str) -> list[str]:
    return [resource.id for resource in read_feed(text.encode()).resources]


def test_a_resource_for_each_uid() -> None:
    moved = vevent(
        "b", "20260311T110000", "20260311T120000", extra="RECURRENCE-ID;TZID=Europe/Berlin:20260311T090000"
    )
    text = vcalendar(vevent("a"), vevent("b", extra="RRULE:FREQ=WEEKLY;COUNT=3"), moved)
    a, b = read_feed(text.encode()).resources
    assert (a.id, b.id) == ("a", "b")
    assert len(b.components) == 2


def test_events_that_share_a_uid_are_told_apart_by_their_start() -> None:
    """A series written out as single events: taken for revisions of one, all but one would be lost."""
    days = ["20260304", "20260311", "20260318"]
    text = vcalendar(*(vevent("same", f"{day}T090000Z", f"{day}T100000Z") for day in days))
    found = read_feed(text.encode()).resources
    assert [len(resource.components) for resource in found] == [1, 1, 1]
    assert len({resource.id for resource in found}) == 3
    assert {resource.uid for resource in found} == {"same"}


def test_an_older_revision_of_an_event_is_left_out() -> None:
    text = vcalendar(
        vevent("one", "20260304T090000", "20260304T100000", title="Old", extra="SEQUENCE:1"),
        vevent("one", "20260305T090000", "20260305T100000", title="New", extra="SEQUENCE:2"),
    )
    (only,) = read_feed(text.encode()).resources
    assert (only.id, only.contents[""].title) == ("one", "New")


def test_the_same_event_twice_is_one() -> None:
    assert ids(vcalendar(vevent("one"), vevent("one"))) == ["one"]


def test_overrides_belong_to_the_event_that_recurs() -> None:
    text = vcalendar(
        vevent("same", "20260301T090000", "20260301T100000"),
        vevent("same", "20260304T090000", "20260304T100000", extra="RRULE:FREQ=WEEKLY;COUNT=3"),
        vevent(
            "same",
            "20260311T110000",
            "20260311T120000",
            extra="RECURRENCE-ID;TZID=Europe/Berlin:20260311T090000",
        ),
    )
    single, series = read_feed(text.encode()).resources
    assert (len(single.components), len(series.components)) == (1, 2)


def test_events_without_a_uid_stand_for_themselves() -> None:
    text = vcalendar(vevent("a"), vevent("b")).replace("UID:a\r\n", "").replace("UID:b\r\n", "")
    assert ids(text) == ["", ""]


def test_the_calendar_names_itself_and_the_zone_of_its_floating_times() -> None:
    head = "PRODID:-//x//EN\nX-WR-CALNAME:Trips\\, mine\nX-WR-TIMEZONE:W. Europe Standard Time"
    feed = read_feed(vcalendar(vevent("a")).replace("PRODID:", f"{head}\nX-OLD:", 1).encode())
    assert (feed.name, feed.timezone) == ("Trips, mine", "Europe/Berlin")


def test_one_event_that_cannot_be_read_leaves_the_others() -> None:
    text = vcalendar(vevent("a"), vevent("b"), vevent("c")).replace(
        "UID:b\r\n", "UID:b\r\nDTSTART nonsense\r\n"
    )
    problems = {resource.uid: resource.problem for resource in read_feed(text.encode()).resources}
    assert problems == {"a": None, "b": Problem.UNREADABLE, "c": None}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "nothing at all"),
        (b" \r\n", "nothing at all"),
        (b"\xef\xbb\xbf<!DOCTYPE html><html>", "web page"),
        (b"\n <?xml version='1.0'?><error/>", "web page"),
        (b"404 page not found", "not a calendar"),
        (b'{"error": "gone"}', "not a calendar"),
        (b"BEGIN:VTODO\nUID:1\nEND:VTODO\n", "not a calendar"),
    ],
)
def test_what_is_no_calendar_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(NoCalendarError, match=words):
        read_feed(data)


def test_a_feed_that_breaks_off_is_refused_wherever_it_does() -> None:
    whole = vcalendar(vevent("a"), vevent("b")).encode()
    end = whole.rindex(b"END:VCALENDAR")
    for length in range(1, end + len("END:VCALENDA")):
        with pytest.raises(FeedError):
            read_feed(whole[:length])
    assert len(read_feed(whole[: end + len("END:VCALENDAR")]).resources) == 2


def test_a_feed_past_the_bounds_is_refused() -> None:
    with pytest.raises(FeedError, match="too large"):
        read_feed(b"BEGIN:VCALENDAR\n" + b"X-A:b\n" * 500_001 + b"END:VCALENDAR\n")
