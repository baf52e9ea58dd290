"""Events as Graph gives them, read."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from calendarsync.domain.event import EventTime, EventType, Problem, Resource, Response, Status, Visibility
from calendarsync.domain.origin import copy_id
from calendarsync.domain.recurrence import expand
from calendarsync.providers.microsoft.reading import resource_of, text_of
from calendarsync.providers.microsoft.stored import MARK, Stored, mark_of
from tests.providers.microsoft.helpers import BERLIN, weekly

OWN_ID = copy_id("origin", "calendar", 0)


def event(**fields: Any) -> dict[str, Any]:
    """A row as it is answered, from 9 to 10 in Berlin."""
    return {
        "id": "AAkALg1",
        "changeKey": "key1",
        "type": "singleInstance",
        "iCalUId": "040000008200E00074C5B7101A82E008",
        "subject": "Standup",
        "body": {"contentType": "text", "content": "Two\r\nlines\r\n"},
        "start": {"dateTime": "2026-03-02T08:00:00.0000000", "timeZone": "UTC"},
        "end": {"dateTime": "2026-03-02T09:00:00.0000000", "timeZone": "UTC"},
        "originalStartTimeZone": BERLIN,
        "originalEndTimeZone": BERLIN,
        "showAs": "busy",
        "sensitivity": "normal",
        **fields,
    }


def series(**fields: Any) -> dict[str, Any]:
    recurrence = weekly()["recurrence"]
    recurrence["range"]["recurrenceTimeZone"] = BERLIN
    return event(type="seriesMaster", recurrence=recurrence, **fields)


def read(fields: dict[str, Any], *, owner: str = "", mark: str | None = None) -> Resource:
    return resource_of(Stored.of(fields), mark, frozenset({owner}))


def test_a_single_event() -> None:
    resource = read(event(location={"displayName": "Room 1"}, categories=["Red category"]))
    (component,) = resource.components
    assert (component.start, component.end) == (
        EventTime(datetime(2026, 3, 2, 9), "Europe/Berlin"),
        EventTime(datetime(2026, 3, 2, 10), "Europe/Berlin"),
    )
    assert (resource.id, resource.version, resource.problem) == ("AAkALg1", "key1", None)
    content = resource.contents[""]
    assert (content.title, content.description, content.location) == ("Standup", "Two\nlines", "Room 1")
    assert content.categories == ("Red category",)


def test_an_event_that_ends_in_another_zone() -> None:
    (flight,) = read(event(originalEndTimeZone="Eastern Standard Time")).components
    assert flight.start == EventTime(datetime(2026, 3, 2, 9), "Europe/Berlin")
    assert flight.end == EventTime(datetime(2026, 3, 2, 4), "America/New_York")


def test_the_etag_stands_in_for_a_change_key_that_is_not_shown() -> None:
    row = event(**{"@odata.etag": 'W/"key1"'})
    del row["changeKey"]
    assert read(row).version == read(event()).version == "key1"


@pytest.mark.parametrize(
    ("shown", "transparent", "status", "kind"),
    [
        ("free", True, Status.CONFIRMED, EventType.DEFAULT),
        ("workingElsewhere", True, Status.CONFIRMED, EventType.DEFAULT),
        ("tentative", False, Status.TENTATIVE, EventType.DEFAULT),
        ("busy", False, Status.CONFIRMED, EventType.DEFAULT),
        ("oof", False, Status.CONFIRMED, EventType.OUT_OF_OFFICE),
        ("unknown", False, Status.CONFIRMED, EventType.DEFAULT),
    ],
)
def test_how_an_event_is_shown(shown: str, transparent: bool, status: Status, kind: EventType) -> None:
    (component,) = read(event(showAs=shown)).components
    assert (component.transparent, component.status, component.event_type) == (transparent, status, kind)


@pytest.mark.parametrize(
    ("sensitivity", "visibility"),
    [
        ("normal", Visibility.PUBLIC),
        ("personal", Visibility.PRIVATE),
        ("private", Visibility.PRIVATE),
        ("confidential", Visibility.CONFIDENTIAL),
    ],
)
def test_who_may_see_it(sensitivity: str, visibility: Visibility) -> None:
    assert read(event(sensitivity=sensitivity)).components[0].visibility is visibility


@pytest.mark.parametrize(
    ("answer", "response"),
    [
        ("organizer", None),
        ("none", None),
        ("notResponded", Response.NEEDS_ACTION),
        ("accepted", Response.ACCEPTED),
        ("tentativelyAccepted", Response.TENTATIVE),
        ("declined", Response.DECLINED),
    ],
)
def test_what_the_owner_answered(answer: str, response: Response | None) -> None:
    assert read(event(responseStatus={"response": answer})).components[0].response is response


def test_people() -> None:
    """The owner's entry among the attendees counts where Graph does not say what the owner answered."""
    attendees = [
        {
            "emailAddress": {"name": "Alice", "address": "alice@example.com"},
            "status": {"response": "declined"},
        },
        {"emailAddress": {"address": "bob@example.com"}, "status": {"response": "accepted"}},
    ]
    resource = read(event(attendees=attendees, isOrganizer=False), owner="alice@example.com")
    (component,) = resource.components
    assert component.has_attendees
    assert component.organized_by_owner is False
    assert component.response is Response.DECLINED
    assert resource.contents[""].attendees == ("Alice", "bob@example.com")


def test_a_cancelled_meeting_is_cancelled() -> None:
    assert read(event(isCancelled=True, showAs="free")).components[0].status is Status.CANCELLED


def test_a_derived_transaction_id_is_the_uid_of_a_copy() -> None:
    assert read(event(transactionId=OWN_ID)).uid == OWN_ID
    assert read(event(transactionId="localevent:d3fa2faf")).uid == "040000008200E00074C5B7101A82E008"


def test_an_empty_mark_is_none() -> None:
    named = {"id": MARK.upper().replace("STRING", "String").replace("NAME CALENDARSYNC", "Name calendarsync")}
    assert mark_of({"singleValueExtendedProperties": [{**named, "value": "1;x"}]}) == "1;x"
    assert mark_of({"singleValueExtendedProperties": [{**named, "value": ""}]}) is None
    assert mark_of({"singleValueExtendedProperties": [{"id": "String 0x1000", "value": "1;x"}]}) is None
    assert mark_of({}) is None


def test_all_day_dates_are_what_they_say_whatever_the_zone() -> None:
    times = {
        "start": {"dateTime": "2026-03-02T00:00:00.0000000", "timeZone": "UTC"},
        "end": {"dateTime": "2026-03-04T00:00:00.0000000", "timeZone": "UTC"},
    }
    (component,) = read(event(isAllDay=True, originalStartTimeZone="Tokyo Standard Time", **times)).components
    assert (component.start, component.end) == (EventTime(date(2026, 3, 2)), EventTime(date(2026, 3, 4)))


def test_a_custom_zone_leaves_a_single_event_its_moment_and_makes_a_series_unusable() -> None:
    custom = {
        "originalStartTimeZone": "tzone://Microsoft/Custom",
        "originalEndTimeZone": "tzone://Microsoft/Custom",
    }
    assert read(event(**custom)).components[0].start == EventTime(datetime(2026, 3, 2, 8), "UTC")
    unknown = series(**custom)
    unknown["recurrence"]["range"]["recurrenceTimeZone"] = "tzone://Microsoft/Custom"
    assert read(unknown).problem is Problem.UNKNOWN_ZONE


def test_a_series_with_what_differs_in_it() -> None:
    moved = event(
        id="AAkALg2",
        type="exception",
        subject="Moved",
        originalStart="2026-03-09T08:00:00Z",
        start={"dateTime": "2026-03-10T13:00:00.0000000", "timeZone": "UTC"},
        end={"dateTime": "2026-03-10T14:00:00.0000000", "timeZone": "UTC"},
    )
    resource = read(
        series(exceptionOccurrences=[moved], cancelledOccurrences=["OID.AAkALg1.x-y_z=.2026-03-16"])
    )
    assert resource.problem is None
    master, exception = resource.components
    assert master.recurrence is not None
    assert master.recurrence.rrules == ("FREQ=WEEKLY;COUNT=5",)
    assert master.recurrence.exdates == (EventTime(datetime(2026, 3, 16, 9), "Europe/Berlin"),)
    assert exception.recurrence_id == EventTime(datetime(2026, 3, 9, 9), "Europe/Berlin")
    assert exception.start == EventTime(datetime(2026, 3, 10, 14), "Europe/Berlin")
    assert resource.contents[exception.original].title == "Moved"


def test_the_version_of_a_series_changes_with_its_exceptions() -> None:
    exception = event(id="AAkALg2", type="exception", originalStart="2026-03-09T08:00:00Z")
    plain = read(series())
    versions = {
        plain.version,
        read(series(exceptionOccurrences=[exception])).version,
        read(series(exceptionOccurrences=[{**exception, "changeKey": "key2"}])).version,
        read(series(cancelledOccurrences=["OID.AAkALg1.2026-03-09"])).version,
        read(series() | {"changeKey": "key2"}).version,
    }
    assert len(versions) == 5
    assert read(series()).version == plain.version


def test_a_series_begins_with_the_first_day_of_its_pattern() -> None:
    """ "The first occurrence of the meeting may not occur on this date" (outlook-schedule-recurring-events)."""
    tuesdays = series()
    tuesdays["recurrence"]["pattern"]["daysOfWeek"] = ["tuesday"]
    resource = read(tuesdays)
    first, *_ = resource.components
    assert first.start == EventTime(datetime(2026, 3, 3, 9), "Europe/Berlin")
    assert first.end == EventTime(datetime(2026, 3, 3, 10), "Europe/Berlin")
    begin, end = (datetime.fromisoformat(f"2026-{month}-01T00:00:00Z") for month in ("01", "12"))
    assert len(expand(resource.components, begin, end, "UTC")) == 5


def test_an_invitation_to_one_instance_stands_alone() -> None:
    resource = read(event(type="exception", seriesMasterId="AAkALg0", originalStart="2026-03-02T07:00:00Z"))
    (component,) = resource.components
    assert resource.id == "AAkALg1"
    assert component.recurrence_id == EventTime(datetime(2026, 3, 2, 8), "Europe/Berlin")
    assert component.start == EventTime(datetime(2026, 3, 2, 9), "Europe/Berlin")


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ({"start": None}, Problem.NO_START),
        ({"start": {"dateTime": "soon", "timeZone": "UTC"}}, Problem.UNREADABLE),
        ({"attendees": [7]}, Problem.UNREADABLE),
        ({"end": {"dateTime": "2026-03-01T08:00:00.0000000", "timeZone": "UTC"}}, Problem.END_BEFORE_START),
        ({"type": "seriesMaster", "recurrence": {"pattern": {}, "range": {}}}, Problem.BAD_RECURRENCE),
        ({"type": "seriesMaster"}, Problem.UNREADABLE),
    ],
)
def test_what_cannot_be_read_is_a_problem_of_that_event_alone(
    broken: dict[str, Any], problem: Problem
) -> None:
    resource = read(event(**broken), mark="1;mark")
    assert (resource.problem, resource.id, resource.version) == (problem, "AAkALg1", resource.version)
    assert resource.mark == "1;mark"


def test_a_series_whose_exceptions_make_no_sense_is_a_problem() -> None:
    assert read(series(cancelledOccurrences=["OID.AAkALg1.someday"])).problem is Problem.UNREADABLE
    nameless = event(id="AAkALg2", type="exception")
    assert read(series(exceptionOccurrences=[nameless])).problem is Problem.UNREADABLE


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<html><head>\r\n<style>p {}</style></head>\r\n<body>Hello<br>\r\nyou</body></html>\r\n", "Hello\nyou"),
        ("<p>One</p><p>Two &amp; three</p>", "One\nTwo & three"),
        ("<div>A\r\nB</div>", "A B"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_body_that_comes_as_html_all_the_same_is_read_as_text(content: str, text: str) -> None:
    assert text_of({"contentType": "html", "content": content}) == text


def test_no_contents_are_shown_by_accident() -> None:
    stored = Stored.of(event(subject="Secret"))
    assert "Secret" not in repr(stored)
    assert "Secret" not in repr(resource_of(stored, None, frozenset()))
