"""Real calendars, and recurring-ical-events as a second opinion on them."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import perf_counter

import icalendar
import pytest
import recurring_ical_events

from calendarsync.domain.event import Resource
from calendarsync.domain.recurrence import expand, holdable, occurs_in, span
from calendarsync.providers.icalendar import read_feed, read_resource, without_mark

BESIDE = Path(__file__).resolve().parents[4] / "shared" / "corpus"
CORPUS = Path(os.environ.get("CALENDARSYNC_CORPUS", BESIDE))
YEARS = timedelta(days=3 * 365)

# Where the two differ, we follow RFC 5545 or what calendar programs do; the reasons stand here.
DIFFERENT = {
    # DTEND on DTSTART's day: we read one day, they none.
    "calendar_labs_same_day_dtend.ics": "one day",
    "rrule-exdate-mismatch.ics": "one day",
    "src__icalendar__tests__calendars__example.ics": "one day",
    "Germany_Holidays.ics": "one day",
    # Two VEVENTs with one UID and no RECURRENCE-ID are two revisions of one event.
    "docs__tutorials__example.ics": "revisions",
    # A plain date in RDATE beside a time is that day at DTSTART's time; what it lacks in form it has in meaning.
    "issue_1633_rdate_with_dates.ics": "date among times",
    "issue_1633_rdate_with_dates_and_tzid.ics": "date among times",
    # Their parser gives the whole event up over spaces in BYDAY, or an END with a blank.
    "issue_165_missing_event.ics": "lenient",
    "parsing_error.ics": "lenient",
    # DTSTART is an instance also where UNTIL lies before it.
    "issue_117_until_before_dtstart.ics": "DTSTART counts",
    # An override that matches nothing stands alone: a block too many is a nuisance, a lost event is a defect.
    "issue_253_additional_recurrence_id.ics": "orphan",
    # UNTIL as a date beside a time includes that day.
    "issue_75_range_parameter.ics": "UNTIL",
    # They apply X-WR-TIMEZONE, which no RFC knows, to UTC and floating times.
    "issue_86_x_wr_timezone_without_time_zone_in_dt.ics": "X-WR-TIMEZONE",
    "moved-event-RECURRENCE-ID.in.ics": "X-WR-TIMEZONE",
    "single-event-no-tz.in.ics": "X-WR-TIMEZONE",
    "single-event-x-wr-timezone-not-used.in.ics": "X-WR-TIMEZONE",
    # A time with Z is in UTC, whatever TZID stands beside it (RFC 5545 section 3.2.19).
    "exdate-hackerpublicradio-modified.out.ics": "Z",
    "rdate-hackerpublicradio.out.ics": "Z",
}


def corpus_files() -> list[Path]:
    if not CORPUS.is_dir():
        pytest.skip("no corpus of calendars in ../shared/corpus, nor where CALENDARSYNC_CORPUS says")
    return sorted(CORPUS.rglob("*.ics"))


def test_every_calendar_is_read_quickly() -> None:
    """As one resource, and as a feed where it can be read at all."""
    files = corpus_files()
    assert len(files) > 300
    unreadable = []
    for path in files:
        data = path.read_bytes()
        began = perf_counter()
        read_resource("id", None, data)
        assert without_mark(data) == data
        try:
            resources = read_feed(data).resources
        except ValueError:
            unreadable.append(path.name)
            continue
        for resource in resources:
            if resource.problem is None:
                use(resource)
        assert perf_counter() - began < 10, path.name
    assert len(unreadable) < 30, unreadable  # most are fragments without a VCALENDAR


def use(resource: Resource) -> None:
    first, last = span(resource.components, "UTC")
    holdable(resource.components)
    found = expand(resource.components, first, first + YEARS, "UTC")
    assert occurs_in(resource.components, first, first + YEARS, "UTC") is bool(found)
    assert last is None or all(one.end.instant("UTC") <= last for one in found)


def test_a_second_opinion() -> None:
    """Starts and ends of all instances over three years, calendar by calendar."""
    differing, compared = set(), 0
    for path in corpus_files():
        if "benchmark" in path.name:
            continue  # one of ten thousand events, which takes them minutes
        ours, theirs = opinions(path.read_bytes())
        if theirs is None:
            continue
        compared += 1
        if ours != theirs:
            differing.add(path.name)
    assert compared > 180
    unexplained = {name for name in differing if not name.endswith(tuple(DIFFERENT))}
    assert unexplained == set()
    assert {known for known in DIFFERENT if not any(name.endswith(known) for name in differing)} == set()


Opinion = Counter[tuple[str, datetime, datetime]]


def opinions(data: bytes) -> tuple[Opinion, Opinion | None]:
    """Theirs is None where they cannot read the calendar, or there is nothing to compare."""
    try:
        resources = read_feed(data).resources
    except ValueError:
        return Counter(), None
    good = [resource for resource in resources if resource.problem is None]
    if not good:
        return Counter(), None
    first = min(span(resource.components, "UTC")[0] for resource in good) - timedelta(days=40)
    bad = {resource.uid for resource in resources if resource.problem is not None}
    ours: Opinion = Counter(
        (resource.uid, one.start.instant("UTC"), one.end.instant("UTC"))
        for resource in good
        for one in expand(resource.components, first, first + YEARS, "UTC")
    )
    theirs: Opinion = Counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for calendar in icalendar.Calendar.from_ical(data, multiple=True):
                for event in recurring_ical_events.of(calendar, skip_bad_series=True).between(
                    first, first + YEARS
                ):
                    uid = str(event.get("UID", "")).strip()
                    if event.name == "VEVENT" and uid not in bad:
                        theirs[uid, instant(event.start), instant(event.end)] += 1
    except Exception:  # noqa: BLE001 - any of theirs means that they have no opinion
        return ours, None
    return ours, theirs


def instant(value: date | datetime) -> datetime:
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
