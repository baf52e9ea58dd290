"""Which event of a feed is which."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from calendarsync.domain.event import Resource
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.providers.icalendar import read_feed
from calendarsync.providers.ics.matching import Matched, match
from tests.testbed.events import vcalendar, vevent

FINGERPRINTER = Fingerprinter(b"k" * 32)


def feed(*vevents: str) -> list[Resource]:
    return list(read_feed(vcalendar(*vevents).encode()).resources)


def matched(resources: list[Resource], before: Matched | None = None) -> Matched:
    known = {event.id: event.version for event in before.resources} if before else {}
    return match(resources, known, before.aliases if before else {}, FINGERPRINTER)


def says(version: str | None) -> str:
    """The part of a version that its content makes; the rest is its UID's."""
    return (version or "").rpartition(".")[0]


def by_title(found: Matched) -> dict[str, str]:
    return {event.contents[""].title: event.id for event in found.resources}


def test_ids_are_uids() -> None:
    found = matched(feed(vevent("a", title="A"), vevent("b", title="B")))
    assert by_title(found) == {"A": "a", "B": "b"}
    assert found.aliases == {}


def test_what_is_made_anew_at_every_reading_is_no_change() -> None:
    first = matched(feed(vevent("a", extra="SEQUENCE:1\nLAST-MODIFIED:20260101T000000Z")))
    text = vevent("a", extra="SEQUENCE:7\nCREATED:20260102T000000Z").replace("20260101", "20261123")
    again = matched(feed(text), first)
    assert again.resources[0].version == first.resources[0].version


def test_every_text_and_time_is_a_change() -> None:
    first = matched(feed(vevent("a")))
    changes = [
        vevent("a", title="Other"),
        vevent("a", "20260304T091500", None),
        vevent("a", extra="DESCRIPTION:New"),
        vevent("a", extra="LOCATION:Here"),
        vevent("a", extra="TRANSP:TRANSPARENT"),
        vevent("a", extra="STATUS:TENTATIVE"),
        vevent("a", extra="RRULE:FREQ=DAILY;COUNT=2"),
        vevent("a", "20260304T090000", "20260304T113000"),
        vevent("a", extra="RRULE:FREQ=NEVER"),
        vevent("a", extra="X-CALENDARSYNC-MARK:x"),
        vevent("a", extra="CATEGORIES:Trip"),
        vevent("a", extra="ATTENDEE;CN=Bo:mailto:bo@example.com"),
        vevent("a", extra="CLASS:PRIVATE"),
    ]
    versions = [matched(feed(text), first).resources[0].version for text in changes]
    assert len({first.resources[0].version, *versions}) == len(changes) + 1


def test_events_keep_their_ids_when_all_uids_change() -> None:
    first = matched(feed(vevent("a1", title="A"), vevent("b1", "20260305T090000", None, title="B")))
    second = matched(feed(vevent("b2", "20260305T090000", None, title="B"), vevent("a2", title="A")), first)
    assert by_title(second) == by_title(first)
    third = matched(
        feed(vevent("a2", title="A, moved"), vevent("b3", "20260305T090000", None, title="B")), second
    )
    assert by_title(third) == {"A, moved": "a1", "B": "b1"}, "a2 was a1 in the reading before"


def test_a_feed_that_numbers_its_events_through_may_lose_one() -> None:
    days = range(3, 9)
    first = matched(feed(*(vevent(str(n), f"2026030{day}T090000", None) for n, day in enumerate(days))))
    second = matched(
        feed(*(vevent(str(n), f"2026030{day}T090000", None) for n, day in enumerate(days[1:]))), first
    )
    versions = {event.id: says(event.version) for event in first.resources}
    assert {event.id: says(event.version) for event in second.resources} == {
        event_id: version for event_id, version in versions.items() if event_id != "0"
    }


def test_a_changed_description_under_a_new_uid_is_the_same_event() -> None:
    first = matched(feed(vevent("a1", extra="DESCRIPTION:Fetched at 9")))
    second = matched(feed(vevent("a2", extra="DESCRIPTION:Fetched at 10")), first)
    assert second.resources[0].id == "a1"
    assert second.resources[0].version != first.resources[0].version


def test_equal_events_stay_two() -> None:
    first = matched(feed(vevent("x1"), vevent("y1")))
    second = matched(feed(vevent("x2"), vevent("y2")), first)
    assert {event.id for event in second.resources} == {"x1", "y1"}
    third = matched(feed(vevent("z")), second)
    assert [event.id for event in third.resources] == ["x1"]


def test_a_uid_that_another_event_has_taken_over_gives_a_new_id() -> None:
    first = matched(feed(vevent("a", title="A")))
    second = matched(feed(vevent("b", title="A")), first)
    assert by_title(second) == {"A": "a"}
    third = matched(feed(vevent("b", title="A"), vevent("a", "20260309T090000", None, title="New")), second)
    assert by_title(third)["A"] == "a"
    assert by_title(third)["New"] != "a"
    assert by_title(matched(feed(vevent("a", "20260309T090000", None, title="New")), third)) == {
        "New": by_title(third)["New"]
    }


def test_events_without_a_uid_have_ids_of_their_own() -> None:
    nameless = [vevent("?", f"2026030{day}T090000", None).replace("UID:?\n", "") for day in (3, 4, 4)]
    first = matched(feed(*nameless))
    assert len({event.id for event in first.resources}) == 3
    assert all(event.uid == event.id for event in first.resources)
    second = matched(feed(*reversed(nameless)), first)
    assert {event.id for event in second.resources} == {event.id for event in first.resources}


def test_a_uid_that_cannot_be_shown_or_is_long_becomes_a_digest() -> None:
    found = matched(feed(vevent("u" * 5000), vevent("bell\x07")))
    assert all(len(event.id) == 64 for event in found.resources)
    assert [event.id for event in matched(feed(vevent("u" * 5000)), found).resources] == [
        found.resources[0].id
    ]


def test_a_nameless_event_that_cannot_be_read_any_more_keeps_its_id() -> None:
    nameless = [vevent("?", f"2026030{day}T090000", None).replace("UID:?\n", "") for day in (3, 4)]
    first = matched(feed(*nameless))
    broken = nameless[1].replace("SUMMARY", "RRULE:FREQ=NEVER\nSUMMARY")
    second = matched(feed(nameless[0], broken), first)
    assert {event.id for event in second.resources} == {event.id for event in first.resources}


def test_a_new_uid_alone_is_a_new_version_of_the_same_event() -> None:
    """The same meeting in two calendars is known by its UID (rule 5)."""
    first = matched(feed(vevent("a")))
    second = matched(feed(vevent("b")), first)
    (event,) = second.resources
    assert (event.id, event.uid) == ("a", "b")
    assert event.version != first.resources[0].version


def test_many_equal_events_without_a_uid_take_no_time() -> None:
    text = vevent("?").replace("UID:?\n", "")
    found = matched(feed(*[text] * 20_000))
    assert len({event.id for event in found.resources}) == 20_000


_DAYS = st.lists(st.integers(1, 9), max_size=8)


@given(_DAYS, st.data())
def test_a_feed_that_says_the_same_keeps_its_ids(days: list[int], data: st.DataObject) -> None:
    """Whatever becomes of its UIDs and its order: nothing is new, nothing is gone, nothing changed."""
    first = matched(feed(*(vevent(f"u{n}", f"2026030{day}T090000", None) for n, day in enumerate(days))))
    shuffled = data.draw(st.permutations(days))
    kinds = [data.draw(st.sampled_from(("same", "new", "none"))) for _ in shuffled]
    uids = {"same": "u", "new": "v", "none": "gone"}
    texts = [
        vevent(f"{uids[kind]}{n}", f"2026030{day}T090000", None).replace(f"UID:gone{n}\n", "")
        for n, (day, kind) in enumerate(zip(shuffled, kinds, strict=True))
        if kind != "same" or days[n] == day
    ]
    left = Counter(
        day
        for n, (day, kind) in enumerate(zip(shuffled, kinds, strict=True))
        if kind != "same" or days[n] == day
    )
    second = matched(feed(*texts), first)
    ids = [event.id for event in second.resources]
    assert len(ids) == len(set(ids)) == sum(left.values())
    before = {event.id: says(event.version) for event in first.resources}
    assert all(before[event.id] == says(event.version) for event in second.resources)


@given(st.lists(_DAYS, min_size=2, max_size=5), st.data())
def test_no_id_is_given_twice(readings: list[list[int]], data: st.DataObject) -> None:
    before: Matched | None = None
    for days in readings:
        texts = [
            vevent(f"u{data.draw(st.integers(0, 5))}", f"2026030{day}T090000", None).replace("UID:u0\n", "")
            for day in days
        ]
        before = matched(feed(*texts), before)
        ids = [event.id for event in before.resources]
        assert len(ids) == len(set(ids))
        assert all(ids)
