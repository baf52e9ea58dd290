"""recurring-ical-events as a second opinion on the times of all events, from 1995 to 2027."""

from __future__ import annotations

from pathlib import Path

import pytest

from calendarsync.providers.icalendar import FeedError, read_feed
from tests.corpus.files import corpus_files
from tests.corpus.judge import Busy, ours, theirs

PAGE = Path(__file__).resolve().parents[2] / "docs" / "decisions" / "recurrence-differences.md"

# By heading of the page that says who is right. Files go by the end of their names.
DIFFERENT = {
    "An all-day event that ends on its first day": {
        "calendar_labs_same_day_dtend.ics",
        "rrule-exdate-mismatch.ics",
        "src__icalendar__tests__calendars__example.ics",
        "Germany_Holidays.ics",
    },
    "A DTEND of another kind than DTSTART": {
        "issue_201_mixed_datetime_and_date.ics",
        "issue_201_test_matrix.ics",
    },
    "Several events with one UID": {"docs__tutorials__example.ics"},
    "A date in RDATE where the event has times": {
        "issue_1633_rdate_with_dates.ics",
        "issue_1633_rdate_with_dates_and_tzid.ics",
    },
    "UNTIL before DTSTART": {"issue_117_until_before_dtstart.ics"},
    "UNTIL as a date where the event has times": {"issue_75_range_parameter.ics"},
    "An override that matches no instance": {"issue_253_additional_recurrence_id.ics"},
    "A series in UTC in a calendar that names its zone": {"moved-event-RECURRENCE-ID.in.ics"},
    "A time in UTC beside a TZID": {
        "exdate-hackerpublicradio-modified.out.ics",
        "rdate-hackerpublicradio.out.ics",
        "single-event-x-wr-timezone-not-used.in.ics",
    },
    "A TZID that nothing defines": {
        "office_365_invalid_timezone.ics",
        "issue_526_calendar_with_different_events.ics",
        "issue_526_calendar_with_event_subset.ics",
        "issue_526_calendar_with_events.ics",
        "issue_526_calendar_with_shuffeled_events.ics",
        "issue_722_missing_VTIMEZONE_custom.ics",
    },
    "An end before the start": {"end_before_start_event.ics", "issue_132_swapped_start_and_end.ics"},
    "A damaged calendar": {
        "timezone_same_start_and_offset.ics",
        "issue_178_custom_component_contains_other.ics",
    },
    "Lines that can be read all the same": {"issue_165_missing_event.ics", "parsing_error.ics"},
    "Files that they refuse for one event or line": {
        "fuzzing__corpus__america_new_york.ics",
        "fuzzing__corpus__pacific_fiji.ics",
        "america_new_york_forward_reference.ics",
        "broken_ical.ics",
        "created_calendar_with_unicode_fields.ics",
        "issue_104_broken_calendar.ics",
        "issue_722_missing_timezones.ics",
    },
}


def test_a_second_opinion() -> None:
    """Every file on which the two differ is known, with its cause; and those that are known do differ."""
    files = corpus_files()
    differing = {path.name for path in files if differs(path.read_bytes())}
    known = {name for names in DIFFERENT.values() for name in names}
    assert {name for name in differing if not name.endswith(tuple(known))} == set()
    assert {name for name in known if not any(each.endswith(name) for each in differing)} == set()


def differs(data: bytes) -> bool:
    mine, zone = Busy(), "UTC"
    try:
        feed = read_feed(data)
        zone = feed.timezone or zone
        for resource in feed.resources:
            mine += ours(resource, zone, free=True) if resource.problem is None else Busy()
    except FeedError:
        mine = Busy()  # a calendar that is refused has no events
    try:
        return mine != theirs(data, zone, free=True)
    except Exception:  # noqa: BLE001 - they refuse a calendar in many ways; then ours should find nothing in it
        return mine.total() > 0


def test_the_page_counts_the_files() -> None:
    assert f"On {sum(map(len, DIFFERENT.values()))} files the two differ." in PAGE.read_text()


@pytest.mark.parametrize("heading", DIFFERENT)
def test_the_verdict_is_written_down(heading: str) -> None:
    _, found, section = PAGE.read_text().partition(f"\n## {heading}\n")
    assert found
    named = section.partition("\n## ")[0]
    assert {name for name in DIFFERENT[heading] if f"`{name}`" not in named} == set()
