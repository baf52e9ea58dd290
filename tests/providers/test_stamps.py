"""When an event was last changed, as each provider says it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from calendarsync.providers.google.event import Event as GoogleEvent
from calendarsync.providers.google.fields import EVENT as GOOGLE_FIELDS
from calendarsync.providers.google.reading import read_event
from calendarsync.providers.icalendar import read_resource
from calendarsync.providers.icalendar.feed import read_feed
from calendarsync.providers.microsoft.places import FIELDS as GRAPH_FIELDS
from calendarsync.providers.microsoft.reading import resource_of
from calendarsync.providers.microsoft.stored import Stored
from calendarsync.providers.stamps import newest
from tests.testbed.events import event, vcalendar, vevent
from tests.testbed.sandbox import meeting

DTSTAMP = datetime(2026, 1, 1, tzinfo=UTC)  # of tests/testbed/events.py
CHANGED = datetime(2026, 3, 2, 9, 0, 7, tzinfo=UTC)
LAST_MODIFIED = "LAST-MODIFIED:20260302T090007Z"


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        (["20260302T090007Z"], CHANGED),
        (["2026-03-02T09:00:07Z", "2026-03-02T09:00:06.999Z"], CHANGED),
        (["2026-03-02T10:00:07+01:00"], CHANGED),
        (["2026-03-02T09:00:07.1234567Z"], CHANGED.replace(microsecond=123456)),
        (["20260302T090007", "", "yesterday", None, 7, "0001-01-01T00:00:00+23:00"], None),
        ([], None),
    ],
    ids=["iCalendar", "the latest", "an offset", "seven digits", "none", "nothing"],
)
def test_the_latest_that_can_be_read(stamps: list[object], expected: datetime | None) -> None:
    assert newest(stamps) == expected


def test_icalendar() -> None:
    assert read_resource("r", None, event("one").encode()).modified == DTSTAMP
    changed = event("one", extra=LAST_MODIFIED)
    assert read_resource("r", None, changed.encode()).modified == CHANGED
    override = vevent("one", extra=f"RECURRENCE-ID;TZID=Europe/Berlin:20260304T090000\n{LAST_MODIFIED}")
    series = vcalendar(vevent("one", extra="RRULE:FREQ=DAILY"), override)
    assert read_resource("r", None, series.encode()).modified == CHANGED


def test_with_a_method_dtstamp_says_when_the_text_was_made() -> None:
    """RFC 5545 section 3.8.7.2: feeds are published anew whenever somebody asks."""
    published = event("one").replace("VERSION:2.0", "VERSION:2.0\r\nMETHOD:PUBLISH")
    changed = event("two", extra=LAST_MODIFIED).replace("VERSION:2.0", "VERSION:2.0\r\nMETHOD:PUBLISH")
    assert read_resource("r", None, published.encode()).modified is None
    assert [each.modified for each in read_feed(changed.encode()).resources] == [CHANGED]


def test_google() -> None:
    row = {
        "id": "one",
        "start": {"dateTime": "2026-03-04T09:00:00Z"},
        "end": {"dateTime": "2026-03-04T10:00:00Z"},
        "updated": "2026-03-02T09:00:07.000Z",
    }
    assert read_event(GoogleEvent("one", row), frozenset()).modified == CHANGED
    exception = {
        "id": "one_x",
        "status": "cancelled",
        "originalStartTime": row["start"],
        "updated": "2026-03-02T09:00:08.000Z",
    }
    series = GoogleEvent("one", row | {"recurrence": ["RRULE:FREQ=DAILY"]}, [exception])
    assert read_event(series, frozenset()).modified == CHANGED.replace(second=8)
    assert "updated" in GOOGLE_FIELDS.split(",")


def test_graph() -> None:
    row = {
        "id": "one",
        "type": "singleInstance",
        "start": {"dateTime": "2026-03-04T09:00:00.0000000", "timeZone": "UTC"},
        "end": {"dateTime": "2026-03-04T10:00:00.0000000", "timeZone": "UTC"},
        "lastModifiedDateTime": "2026-03-02T09:00:07.0000000Z",
    }
    assert resource_of(Stored(row), None, frozenset()).modified == CHANGED
    assert "lastModifiedDateTime" in GRAPH_FIELDS.split(",")


def test_the_sandbox_keeps_it() -> None:
    made = meeting("one", "Planning")
    assert made.to_data()["modified"] is None
    changed = replace(made, modified=CHANGED)
    row = {"id": "one", "uid": "one", "version": 3, "data": changed.to_data()}
    assert type(made).of_row(row).resource(frozenset()).modified == CHANGED  # type: ignore[arg-type]
    without = {name: value for name, value in changed.to_data().items() if name != "modified"}
    assert type(made).of_row(row | {"data": without}).modified is None  # type: ignore[arg-type]
