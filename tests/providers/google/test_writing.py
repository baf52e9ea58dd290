"""What is written into Google's events beside times and texts, and what is not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest

from calendarsync.api.v1.css_colors import CSS_COLORS
from calendarsync.domain.copy import Copy
from calendarsync.domain.event import EventTime, Recurrence, Visibility
from calendarsync.providers.base import Refused
from calendarsync.providers.google.colors import color_id
from calendarsync.providers.google.fetching import likely_uid
from calendarsync.providers.google.times import write_time
from calendarsync.providers.google.wholeness import MOST
from calendarsync.providers.google.writing import inserted, instance_id, patched
from tests.providers.contract import MARK, component, copy_of, id_of


def test_every_css_colour_has_one_of_googles_nearby() -> None:
    assert {color_id(name) for name in CSS_COLORS} <= {str(number) for number in range(1, 12)}


@pytest.mark.parametrize(
    ("css", "google"),
    [("tomato", "11"), ("crimson", "11"), ("green", "10"), ("royalblue", "9"), ("gold", "5"), ("darkgrey", "8"),
     ("darkgray", "8"), ("violet", "3"), ("turquoise", "7"), ("none", None)],
)  # fmt: skip
def test_the_nearest_colour(css: str, google: str | None) -> None:
    assert color_id(css) == google
    assert inserted(replace(copy_of(), color=css)).get("colorId") == google


def test_a_colour_that_is_wanted_no_more_is_taken_off() -> None:
    assert patched(copy_of(), {})["colorId"] is None


def test_reminders_are_those_of_the_copy_and_never_the_calendars() -> None:
    assert inserted(copy_of())["reminders"] == {"useDefault": False, "overrides": []}
    given = replace(copy_of(), reminders=(30, 10, 10, 90_000, 1, 2, 3, 4))
    overrides = inserted(given)["reminders"]["overrides"]
    assert overrides == [{"method": "popup", "minutes": minutes} for minutes in (1, 2, 3, 4, 10)]


@pytest.mark.parametrize(
    ("visibility", "written"),
    [
        (Visibility.PUBLIC, "default"),
        (Visibility.PRIVATE, "private"),
        (Visibility.CONFIDENTIAL, "confidential"),
    ],
)
def test_nothing_is_shown_to_more_people_than_the_calendar_is(visibility: Visibility, written: str) -> None:
    assert inserted(copy_of(visibility=visibility))["visibility"] == written


def test_a_block_holds_nothing_but_what_it_needs() -> None:
    body = inserted(copy_of())
    assert body == {
        "id": copy_of().id,
        "summary": "Busy",
        "description": "",
        "location": "",
        "start": {"dateTime": "2026-03-02T09:00:00+01:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-03-02T10:00:00+01:00", "timeZone": "Europe/Berlin"},
        "status": "confirmed",
        "transparency": "opaque",
        "visibility": "private",
        "reminders": {"useDefault": False, "overrides": []},
        "extendedProperties": {"private": {"calendarsync": MARK, "calendarsyncCopy": "1"}},
    }


@pytest.mark.parametrize(
    ("time", "written"),
    [
        (EventTime(date(2026, 3, 2)), {"date": "2026-03-02"}),
        (
            EventTime(datetime(2026, 3, 2, 8), "UTC"),
            {"dateTime": "2026-03-02T08:00:00+00:00", "timeZone": "UTC"},
        ),
        (
            EventTime(datetime(2026, 10, 25, 2, 30, fold=1), "Europe/Berlin"),
            {"dateTime": "2026-10-25T02:30:00+01:00", "timeZone": "Europe/Berlin"},
        ),
        # RFC 3339 has no seconds in offsets.
        (
            EventTime(datetime(1890, 1, 1, 12), "Europe/Berlin"),
            {"dateTime": "1890-01-01T11:06:32+00:00", "timeZone": "Europe/Berlin"},
        ),
    ],
)
def test_times(time: EventTime, written: dict[str, str]) -> None:
    assert write_time(time) == written


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(Refused):
        inserted(copy_of(start=EventTime(datetime(2026, 3, 2, 9)), end=EventTime(datetime(2026, 3, 2, 10))))


def test_a_rule_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(Refused):
        inserted(copy_of(recurrence=Recurrence(("FREQ=SOMETIMES",))))


def test_a_series_with_more_exceptions_than_can_be_told_of_is_refused() -> None:
    master = component(recurrence=Recurrence(("FREQ=DAILY",)))
    override = component(recurrence_id=EventTime(datetime(2026, 3, 3, 9), "Europe/Berlin"))
    inserted(Copy(id_of("series"), MARK, master, (override,) * MOST))
    with pytest.raises(Refused):
        inserted(Copy(id_of("series"), MARK, master, (override,) * (MOST + 1)))


@pytest.mark.parametrize("text", ["\ud800 half a character", "a \0 in between"])
def test_what_is_no_text_is_left_out(text: str) -> None:
    body: Any = json.loads(json.dumps(inserted(copy_of(title=text, description=text, location=text))))
    assert body["summary"] == text.replace("\ud800", "").replace("\0", "")


def test_ids() -> None:
    assert instance_id("abc", EventTime(datetime(2026, 3, 9, 9), "Europe/Berlin")) == "abc_20260309T080000Z"
    assert instance_id("abc", EventTime(date(2026, 3, 9))) == "abc_20260309"
    assert likely_uid("abc") == "abc@google.com"
    assert likely_uid("_elkm8b9h81ingobde1m6abjfe9jg") == "uid-1@example.org"
    assert likely_uid("_zz") == "_zz@google.com"
