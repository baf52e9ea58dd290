"""Whole calendars in one file."""

from __future__ import annotations

import pytest

from calendarsync.domain.event import Problem
from calendarsync.providers.icalendar import FeedError, NoCalendarError, read_feed
from calendarsync.providers.icalendar.feed import FeedTooLargeError
from tests.testbed.events import BERLIN, vcalendar, vevent


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


def test_a_higher_sequence_replaces_only_an_event_at_the_same_times() -> None:
    text = vcalendar(
        vevent("one", title="Old", extra="SEQUENCE:1"),
        vevent("one", title="New", extra="SEQUENCE:2"),
        vevent("one", "20260305T090000", "20260305T100000", title="Other", extra="SEQUENCE:7"),
    )
    found = read_feed(text.encode()).resources
    assert [resource.contents[""].title for resource in found] == ["New", "Other"]


def test_single_dates_of_a_series_change_with_its_revisions() -> None:
    weekly = "RRULE:FREQ=WEEKLY;COUNT=4\r\n"
    text = vcalendar(
        vevent("one", title="Old", extra=f"{weekly}RDATE;TZID=Europe/Berlin:20260305T090000\r\nSEQUENCE:1"),
        vevent("one", title="New", extra=f"{weekly}RDATE;TZID=Europe/Berlin:20260306T090000\r\nSEQUENCE:2"),
    )
    (resource,) = read_feed(text.encode()).resources
    assert [content.title for content in resource.contents.values()] == ["New"]


def test_names_do_not_depend_on_the_order() -> None:
    events = [
        vevent("one", "20260304T090000", end, title=end) for end in ("20260304T100000", "20260304T170000")
    ]
    names = [
        {
            resource.contents[""].title: resource.id
            for resource in read_feed(vcalendar(*order).encode()).resources
        }
        for order in (events, events[::-1])
    ]
    assert names[0] == names[1]
    assert len(set(names[0].values())) == 2


def test_the_same_reading_of_the_clock_in_two_zones_is_two_events() -> None:
    text = vcalendar(vevent("one", zone="Europe/Berlin"), vevent("one", zone="America/New_York"))
    assert len(set(ids(text))) == 2


def test_the_same_event_twice_is_one() -> None:
    assert ids(vcalendar(vevent("one"), vevent("one"))) == ["one"]


def test_overrides_belong_to_the_event_that_recurs() -> None:
    """And of several that do, to the last that began before."""

    def moved(day: str) -> str:
        times = f"202603{day}T110000", f"202603{day}T120000"
        return vevent("same", *times, extra=f"RECURRENCE-ID;TZID=Europe/Berlin:202603{day}T090000")

    def weekly(day: str) -> str:
        times = f"202603{day}T090000", f"202603{day}T100000"
        return vevent("same", *times, extra="RRULE:FREQ=WEEKLY;COUNT=2")

    single = vevent("same", "20260327T090000", "20260327T100000")
    text = vcalendar(moved("25"), weekly("04"), single, weekly("18"), moved("11"), moved("18"))
    parts = {resource.id: len(resource.components) for resource in read_feed(text.encode()).resources}
    assert parts == {"same 20260304T090000": 2, "same 20260318T090000": 3, "same 20260327T090000": 1}


def test_a_name_holds_nothing_but_digits_of_what_stands_at_a_start() -> None:
    text = vcalendar(vevent("one"), vevent("one", "20260305T090000", None))
    text = text.replace("DTSTART;TZID=", "DTSTART;X-LABEL=canary;TZID=").replace("T090000", "T090000canary")
    assert "canary" not in "".join(ids(text))


def test_events_without_a_uid_stand_for_themselves() -> None:
    text = vcalendar(vevent("a"), vevent("b")).replace("UID:a\r\n", "").replace("UID:b\r\n", "")
    assert ids(text) == ["", ""]


def test_the_calendar_names_itself_and_the_zone_of_its_floating_times() -> None:
    head = "PRODID:-//x//EN\nX-WR-CALNAME:Trips\\, mine\nX-WR-TIMEZONE:W. Europe Standard Time"
    feed = read_feed(vcalendar(vevent("a")).replace("PRODID:", f"{head}\nX-OLD:", 1).encode())
    assert (feed.name, feed.timezone) == ("Trips, mine", "Europe/Berlin")


@pytest.mark.parametrize(
    "damage",
    ["BEGIN:VALARM", "BEGIN:9am", "BEGIN:VEVENT", "BEGIN:A\r\n" * 20, "DTSTART nonsense"],
)
def test_a_component_that_is_wrongly_nested_breaks_the_event_around_it(damage: str) -> None:
    text = vcalendar(vevent("a"), vevent("b"), vevent("c"))
    text = text.replace("UID:b\r\n", f"UID:b\r\n{damage}\r\n", 1)
    found = read_feed(text.encode()).resources
    assert {"a", "c"} <= {resource.uid for resource in found if resource.problem is None}
    assert [resource.uid for resource in found if resource.problem is Problem.UNREADABLE] == ["b"]


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


@pytest.mark.parametrize("line", [b"X-A:b\n" * 500_001, b"X-A:" + b"b" * 17_000_000 + b"\n"])
def test_a_feed_past_the_bounds_is_refused(line: bytes) -> None:
    with pytest.raises(FeedTooLargeError):
        read_feed(b"BEGIN:VCALENDAR\n" + line + b"END:VCALENDAR\n")


def test_the_owners_answers_count() -> None:
    attendee = "ATTENDEE;PARTSTAT=DECLINED:mailto:alice@example.com"
    text = vcalendar(vevent("a", extra=attendee), vevent("b", extra=attendee).replace("UID:b\n", ""))
    found = read_feed(text.encode(), owner=frozenset({"alice@example.com"})).resources
    assert [resource.components[0].response for resource in found] == ["declined", "declined"]


def test_zones_that_no_zone_equals_are_looked_at_a_hundred_times() -> None:
    """For all events together: what is bounded for an event alone would still add up."""
    own = "BEGIN:VTIMEZONE\nTZID:Zone {n}\n" + BERLIN.split("TZID:Europe/Berlin\n")[1]
    zones = "".join(own.replace("{n}", str(n)) for n in range(150))
    events = [vevent(str(n), zone=f"Zone {n}") for n in range(150)]
    found = read_feed(vcalendar(*events).replace(BERLIN.replace("\n", "\r\n"), zones).encode()).resources
    assert [resource.problem for resource in found] == [None] * 100 + [Problem.UNKNOWN_ZONE] * 50
