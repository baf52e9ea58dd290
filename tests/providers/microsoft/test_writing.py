"""Copies as events of Graph, and what differs between the two."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest

from calendarsync.domain.copy import CopyComponent
from calendarsync.domain.event import Duration, EventTime, Recurrence, Visibility
from calendarsync.providers.base import IdTaken
from calendarsync.providers.microsoft import MicrosoftCalendar
from calendarsync.providers.microsoft.writing import (
    changes_instances,
    differences,
    event_of,
    holes_of,
    is_earlier,
    plain_instance,
    shorter,
)
from tests.providers.contract import copy_of
from tests.providers.microsoft.helpers import BERLIN

ZONE = "Europe/Berlin"


def written(reminders: tuple[int, ...] = (), **fields: Any) -> dict[str, Any]:
    copy = replace(copy_of(**fields), reminders=reminders)
    return event_of(copy, copy.master)


def stored(**fields: Any) -> dict[str, Any]:
    """As Graph answers what was written."""
    event = written()
    hours = {"start": "08", "end": "09"}
    moments = {
        name: {"dateTime": f"2026-03-02T{hour}:00:00.0000000", "timeZone": "UTC"}
        for name, hour in hours.items()
    }
    zones = {"originalStartTimeZone": BERLIN, "originalEndTimeZone": BERLIN}
    return {**event, **moments, **zones, "reminderMinutesBeforeStart": 15, "recurrence": None, **fields}


def test_a_block() -> None:
    assert written() == {
        "subject": "Busy",
        "body": {"contentType": "text", "content": ""},
        "location": {"displayName": ""},
        "start": {"dateTime": "2026-03-02T09:00:00", "timeZone": BERLIN},
        "end": {"dateTime": "2026-03-02T10:00:00", "timeZone": BERLIN},
        "isAllDay": False,
        "showAs": "busy",
        "sensitivity": "private",
        "isReminderOn": False,
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"transparent": True, "tentative": True}, {"showAs": "free"}),
        ({"tentative": True}, {"showAs": "tentative"}),
        ({"visibility": Visibility.PUBLIC}, {"sensitivity": "normal"}),
        ({"visibility": Visibility.CONFIDENTIAL}, {"sensitivity": "confidential"}),
        ({"description": "Bring cake", "location": "Room 1"}, {"location": {"displayName": "Room 1"}}),
        ({"reminders": (60, 10)}, {"isReminderOn": True, "reminderMinutesBeforeStart": 10}),
        (
            {"start": EventTime(date(2026, 3, 2)), "end": None, "duration": Duration(days=2)},
            {"isAllDay": True, "end": {"dateTime": "2026-03-04T00:00:00", "timeZone": "UTC"}},
        ),
    ],
    ids=["free", "tentative", "public", "confidential", "place", "the last reminder", "days"],
)
def test_what_a_copy_holds(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    event = written(**fields)
    assert {name: event[name] for name in expected} == expected


def test_a_series_has_its_pattern_and_zone() -> None:
    event = written(recurrence=Recurrence(("FREQ=WEEKLY;COUNT=5",)))
    assert event["recurrence"] == {
        "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"], "firstDayOfWeek": "monday"},
        "range": {
            "type": "numbered",
            "numberOfOccurrences": 5,
            "startDate": "2026-03-02",
            "recurrenceTimeZone": BERLIN,
        },
    }
    other = shorter(event["recurrence"])
    assert other["pattern"] == event["recurrence"]["pattern"]
    assert other["range"]["numberOfOccurrences"] == 1
    assert shorter(other)["range"]["numberOfOccurrences"] == 2


def test_nothing_differs_from_what_was_written() -> None:
    assert differences(stored(), written()) == {}


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"title": "Other"}, {"subject"}),
        ({"description": "Bring cake"}, {"body"}),
        ({"location": "Room 1"}, {"location"}),
        ({"transparent": True}, {"showAs"}),
        ({"visibility": Visibility.PUBLIC}, {"sensitivity"}),
        ({"reminders": (10,)}, {"isReminderOn", "reminderMinutesBeforeStart"}),
        ({"start": EventTime(datetime(2026, 3, 2, 8), ZONE)}, {"start", "end", "isAllDay"}),
        (
            {
                "start": EventTime(datetime(2026, 3, 2, 8), "UTC"),
                "end": EventTime(datetime(2026, 3, 2, 9), "UTC"),
            },
            {"start", "end", "isAllDay"},
        ),
        ({"recurrence": Recurrence(("FREQ=WEEKLY",))}, {"recurrence"}),
    ],
    ids=["title", "text", "place", "shown", "visibility", "reminder", "time", "zone", "series"],
)
def test_only_what_differs_is_written(change: dict[str, Any], names: set[str]) -> None:
    changed = differences(stored(), written(**change))
    assert changed.keys() == names
    assert changes_instances(changed) is bool(names & {"start", "recurrence"})


def test_the_zone_of_an_instance_is_that_of_its_series() -> None:
    elsewhere = {
        "start": EventTime(datetime(2026, 3, 2, 8), "UTC"),
        "end": EventTime(datetime(2026, 3, 2, 9), "UTC"),
    }
    assert differences(stored(), written(**elsewhere), is_instance=True) == {}


def test_a_pattern_in_other_words_is_the_same() -> None:
    event = written(recurrence=Recurrence(("FREQ=WEEKLY;COUNT=5",)))
    pattern = {**event["recurrence"]["pattern"], "month": 0, "dayOfMonth": 0, "index": "first"}
    span = {**event["recurrence"]["range"], "endDate": "0001-01-01", "recurrenceTimeZone": "Europe/Berlin"}
    answered = stored(recurrence={"pattern": pattern, "range": span})
    assert differences(answered, event) == {}
    assert differences(answered, written()) == {"recurrence": None}


def test_an_instance_as_its_series_has_it() -> None:
    master = CopyComponent(
        start=EventTime(datetime(2026, 3, 2, 22), ZONE),
        end=EventTime(datetime(2026, 3, 3, 2), ZONE),
        recurrence=Recurrence(("FREQ=DAILY",)),
    )
    night = plain_instance(date(2026, 3, 28), master)  # summer time begins at two
    assert night.start == EventTime(datetime(2026, 3, 28, 22), ZONE)
    assert night.end == EventTime(datetime(2026, 3, 29, 3), ZONE)
    assert night.recurrence is None
    days = CopyComponent(start=EventTime(date(2026, 3, 2)), end=EventTime(date(2026, 3, 4)))
    assert plain_instance(date(2026, 3, 9), days).end == EventTime(date(2026, 3, 11))


def test_holes_are_where_the_series_has_instances() -> None:
    """Google leaves the old times of a series that was moved among the holes; its overrides are at the new ones."""
    holes = (
        EventTime(datetime(2026, 3, 9, 9), ZONE),
        EventTime(datetime(2026, 3, 16, 7), ZONE),
        EventTime(datetime(2026, 3, 23, 8), "UTC"),
        EventTime(date(2026, 4, 6)),
    )
    master = CopyComponent(
        start=EventTime(datetime(2026, 3, 2, 9), ZONE),
        end=EventTime(datetime(2026, 3, 2, 10), ZONE),
        recurrence=Recurrence(("FREQ=WEEKLY",), exdates=holes),
    )
    assert holes_of(master) == {date(2026, 3, 9), date(2026, 3, 23), date(2026, 4, 6)}


class TestEarlier:
    """Graph answers 201 to a transactionId that was used before, with the event that it made then."""

    @pytest.mark.parametrize(
        "change",
        [
            {"title": "Other"},
            {"start": EventTime(datetime(2026, 3, 2, 8), ZONE)},
            {"tentative": True},
            {"visibility": Visibility.PUBLIC},
        ],
    )
    def test_another_event_is_an_earlier_one(self, change: dict[str, Any]) -> None:
        assert is_earlier(stored(), written(**change))

    @pytest.mark.parametrize(
        "answered",
        [{}, {"subject": " Busy\r\n"}, {"body": {"contentType": "text", "content": "rewritten"}}],
    )
    def test_what_exchange_tidies_up_is_not(self, answered: dict[str, Any]) -> None:
        assert not is_earlier(stored(**answered), written())

    async def test_a_create_at_another_time_finds_it(self, calendar: MicrosoftCalendar) -> None:
        await calendar.create(copy_of())
        with pytest.raises(IdTaken):
            await calendar.create(copy_of(hour=11))

    def test_the_end_of_a_very_long_title_is_not_compared(self) -> None:
        assert not is_earlier(stored(subject="x" * 255), written(title="x" * 300))
