"""What Google's events mean: each field by itself, people, kinds, and calendars of all sorts."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

import httpx
import pytest

from calendarsync.domain.event import (
    Component,
    EventTime,
    EventType,
    Problem,
    Response,
    Status,
    Visibility,
    master_of,
)
from calendarsync.net import HttpClient
from calendarsync.providers.google.event import Event
from calendarsync.providers.google.reading import read_event
from tests.providers.contract import MARK, Mirror, copy_of, series_of
from tests.providers.google.helpers import GooglePerson, opened, timed
from tests.testbed.google import Account, Model

BERLIN = "Europe/Berlin"
OWNER = frozenset({"ann@example.com"})


def row(**fields: Any) -> dict[str, Any]:
    return {"id": "event1", "etag": '"1"', "status": "confirmed", "iCalUID": "uid-1", **timed(), **fields}


def single(**fields: Any) -> Component:
    resource = read_event(Event("event1", row(**fields)), OWNER)
    assert resource.problem is None
    (component,) = resource.components
    return component


def problem(**fields: Any) -> Problem | None:
    return read_event(Event("event1", row(**fields)), OWNER).problem


def api(model: Model, account: Account) -> httpx.AsyncClient:
    """The API as somebody else's program uses it."""
    headers = {"Authorization": f"Bearer {account.token}"}
    return httpx.AsyncClient(base_url=f"{model.url}/calendar/v3", headers=headers, trust_env=False)


class TestTimes:
    @pytest.mark.parametrize(
        ("moment", "zone", "read"),
        [
            ("2026-03-02T09:00:00+01:00", BERLIN, f"2026-03-02T09:00:00[{BERLIN}]"),
            # The offset of an answer is that of the calendar, the zone that of the event.
            ("2026-03-02T15:00:00+01:00", "America/New_York", "2026-03-02T09:00:00[America/New_York]"),
            ("2026-03-02T08:00:00Z", "UTC", "2026-03-02T08:00:00Z"),
            ("2026-03-02T08:00:00.000Z", "Etc/UTC", "2026-03-02T08:00:00Z"),
            ("2026-03-02T09:00:00+01:00", None, "2026-03-02T08:00:00Z"),
            ("2026-03-02T09:00:00", BERLIN, f"2026-03-02T09:00:00[{BERLIN}]"),
            ("2026-03-02T09:00:00+01:00", "W. Europe Standard Time", f"2026-03-02T09:00:00[{BERLIN}]"),
            # The second of two equal readings of the clock has no local form.
            ("2026-10-25T02:30:00+02:00", BERLIN, f"2026-10-25T02:30:00[{BERLIN}]"),
            ("2026-10-25T02:30:00+01:00", BERLIN, "2026-10-25T01:30:00Z"),
        ],
    )
    def test_forms(self, moment: str, zone: str | None, read: str) -> None:
        time = {"dateTime": moment, "timeZone": zone}
        assert str(single(start=time, end=time).start) == read

    def test_days(self) -> None:
        component = single(start={"date": "2026-03-02"}, end={"date": "2026-03-04"})
        assert (str(component.start), str(component.end)) == ("2026-03-02", "2026-03-04")

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"start": None}, Problem.NO_START),
            ({"start": {}}, Problem.NO_START),
            ({"start": {"date": "soon"}}, Problem.NO_START),
            ({"start": {"dateTime": "2026-03-02T09:00:00"}}, Problem.NO_START),
            ({"start": {"dateTime": "0001-01-01T00:00:00+14:00"}}, Problem.NO_START),
            (
                {"start": {"dateTime": "2026-03-02T09:00:00Z", "timeZone": "Mars/Olympus"}},
                Problem.UNKNOWN_ZONE,
            ),
            ({"end": None}, Problem.END_BEFORE_START),
            ({"end": {"date": "2026-03-03"}}, Problem.END_BEFORE_START),
            ({"end": {"dateTime": "2026-03-02T08:59:00+01:00"}}, Problem.END_BEFORE_START),
            ({"recurrence": ["RRULE:FREQ=SOMETIMES"]}, Problem.BAD_RECURRENCE),
            ({"recurrence": ["EXDATE:soon"]}, Problem.BAD_RECURRENCE),
            ({"recurrence": "RRULE:FREQ=DAILY"}, Problem.BAD_RECURRENCE),
            ({"recurrence": ["X-NOTHING:1"]}, Problem.BAD_RECURRENCE),
            ({"recurrence": ["EXDATE;TZID=Mars/Olympus:20260302T090000"]}, Problem.UNKNOWN_ZONE),
        ],
    )
    def test_what_cannot_be_read(self, fields: dict[str, Any], expected: Problem) -> None:
        assert problem(**fields) is expected

    def test_a_day_without_an_end_of_its_own_is_a_whole_day(self) -> None:
        day = {"date": "2026-03-02"}
        assert single(start=day, end=day).end == EventTime(date(2026, 3, 3))

    @pytest.mark.parametrize(
        ("line", "read"),
        [
            ("EXDATE;TZID=Europe/Berlin:20260309T090000", ["2026-03-09T09:00:00[Europe/Berlin]"]),
            ("EXDATE:20260309T080000Z", ["2026-03-09T09:00:00[Europe/Berlin]"]),
            ("EXDATE:20260309T090000", ["2026-03-09T09:00:00[Europe/Berlin]"]),
            ("EXDATE;TZID=America/New_York:20260309T040000", ["2026-03-09T09:00:00[Europe/Berlin]"]),
            (
                "EXDATE;TZID=Europe/Berlin:20260316T090000,20260309T090000,20260316T090000",
                ["2026-03-09T09:00:00[Europe/Berlin]", "2026-03-16T09:00:00[Europe/Berlin]"],
            ),
            ("EXDATE;VALUE=DATE:20260309", ["2026-03-09"]),
        ],
    )
    def test_holes_are_named_as_the_start_is(self, line: str, read: list[str]) -> None:
        recurrence = single(recurrence=["RRULE:FREQ=WEEKLY", line]).recurrence
        assert recurrence is not None
        assert [str(exdate) for exdate in recurrence.exdates] == read


class TestFields:
    def test_defaults(self) -> None:
        component = single()
        assert component == Component(
            uid="uid-1",
            start=EventTime(datetime(2026, 3, 2, 9), "Europe/Berlin"),
            end=EventTime(datetime(2026, 3, 2, 10), "Europe/Berlin"),
            organized_by_owner=True,
        )

    @pytest.mark.parametrize(
        ("given", "read"),
        [
            (None, Visibility.PUBLIC),
            ("default", Visibility.PUBLIC),
            ("public", Visibility.PUBLIC),
            ("private", Visibility.PRIVATE),
            ("confidential", Visibility.CONFIDENTIAL),
        ],
    )
    def test_visibility(self, given: str | None, read: Visibility) -> None:
        assert single(visibility=given).visibility is read

    @pytest.mark.parametrize(
        ("given", "read"),
        [
            ("default", EventType.DEFAULT),
            ("fromGmail", EventType.DEFAULT),
            ("outOfOffice", EventType.OUT_OF_OFFICE),
            ("focusTime", EventType.FOCUS_TIME),
            ("workingLocation", EventType.WORKING_LOCATION),
            ("birthday", EventType.BIRTHDAY),
            ("something new", EventType.DEFAULT),
        ],
    )
    def test_kinds(self, given: str, read: EventType) -> None:
        assert single(eventType=given).event_type is read

    def test_flags(self) -> None:
        assert single(transparency="transparent").transparent
        assert single(status="tentative").status is Status.TENTATIVE

    @pytest.mark.parametrize(
        ("answer", "read"),
        [
            ("needsAction", Response.NEEDS_ACTION),
            ("accepted", Response.ACCEPTED),
            ("tentative", Response.TENTATIVE),
            ("declined", Response.DECLINED),
            ("perhaps", Response.NEEDS_ACTION),
        ],
    )
    @pytest.mark.parametrize("who", [{"self": True, "email": "x@example.org"}, {"email": "Ann@Example.com"}])
    def test_the_owners_answer(self, who: dict[str, Any], answer: str, read: Response) -> None:
        others = {"email": "bob@example.org", "responseStatus": "accepted", "organizer": True}
        component = single(attendees=[others, {**who, "responseStatus": answer}])
        assert component.response is read
        assert component.has_attendees

    @pytest.mark.parametrize(
        ("fields", "organizes"),
        [
            ({}, True),
            ({"organizer": {"self": True, "email": "x@example.org"}}, True),
            ({"organizer": {"email": "ANN@example.com"}}, True),
            ({"organizer": {"email": "bob@example.org"}}, False),
            ({"attendees": [{"email": "bob@example.org"}]}, None),
        ],
    )
    def test_who_organizes(self, fields: dict[str, Any], organizes: bool | None) -> None:
        assert single(**fields).organized_by_owner is organizes

    def test_attendees_who_are_not_shown_are_attendees(self) -> None:
        assert single(attendeesOmitted=True).has_attendees

    def test_texts_are_in_no_repr(self) -> None:
        canary = {"summary": "canary-1", "description": "canary-2", "location": "canary-3"}
        people = [{"email": "canary-4@example.com", "displayName": "canary-5"}]
        event = Event("event1", row(**canary, attendees=people))
        resource = read_event(event, OWNER)
        assert "canary" not in repr((event, resource))
        content = resource.contents[""]
        assert (content.title, content.description, content.location) == ("canary-1", "canary-2", "canary-3")
        assert content.attendees == ("canary-5",)


def test_a_hole_may_still_say_of_itself_that_it_was_written() -> None:
    """Of a cancelled exception only three fields are sure; others may be there."""
    private = {"calendarsync": MARK, "calendarsyncDraft": "draft"}
    original = timed(9)["start"]
    master = row(recurrence=["RRULE:FREQ=WEEKLY"], extendedProperties={"private": private})
    exception = row(id="event1_x", recurringEventId="event1", originalStartTime=original)
    exception["extendedProperties"] = {"private": {"calendarsyncPart": "0123abcd"}}
    assert read_event(Event("event1", master, [exception]), OWNER).mark == "draft"
    hole = {**exception, "status": "cancelled"}
    assert read_event(Event("event1", master, [hole]), OWNER).mark == MARK


class TestCalendars:
    async def test_somebody_who_is_invited(
        self, google_model: Model, client: HttpClient, account: Account
    ) -> None:
        """Their answer is that of the calendar's owner, and the meeting has one UID everywhere."""
        boss = google_model.account()
        host = GooglePerson(google_model, boss.email)
        invited = opened(client, google_model, account, account.email)
        event = {**timed(), "summary": "Review", "attendees": [{"email": account.email}]}
        async with api(google_model, boss) as calling:
            made = (await calling.post(f"/calendars/{boss.email}/events", json=event)).json()
        mirror = Mirror(invited)
        await mirror.refresh()
        (theirs,) = mirror.resources.values()
        (mine,) = await opened(client, google_model, boss, boss.email).fetch([made["id"]])
        assert theirs.uid == mine.uid == made["iCalUID"]
        assert theirs.components[0].response is Response.NEEDS_ACTION
        assert theirs.components[0].organized_by_owner is False
        assert mine.components[0].response is None
        assert mine.components[0].organized_by_owner is True
        assert host.events().keys() == {made["id"]}

    async def test_a_calendar_that_shows_only_when_its_owner_is_busy(
        self, client: HttpClient, google_model: Model, calendar_id: str, person: GooglePerson
    ) -> None:
        await person.add("canary")
        reader = google_model.account()
        google_model.share(calendar_id, reader, "freeBusyReader")
        mirror = Mirror(opened(client, google_model, reader, calendar_id))
        await mirror.refresh()
        assert mirror.titles == {""}

    async def test_a_copy_keeps_its_id_as_uid_and_others_theirs(
        self, mirror: Mirror, person: GooglePerson
    ) -> None:
        written = await mirror.calendar.create(copy_of())
        theirs = await person.add("Standup")
        await mirror.refresh()
        assert mirror.resources[written.id].uid == written.id
        assert mirror.resources[theirs].uid == f"{theirs}@google.com"

    async def test_a_copy_that_a_person_copied_has_another_id_than_its_mark_says(
        self, mirror: Mirror, person: GooglePerson
    ) -> None:
        written = await mirror.calendar.create(copy_of())
        pasted = person.put(summary="Busy", extendedProperties={"private": {"calendarsync": MARK}})
        await mirror.refresh()
        assert mirror.resources[pasted].mark == mirror.resources[written.id].mark == MARK
        assert mirror.resources[pasted].uid != mirror.resources[written.id].uid

    async def test_all_copies_are_found_by_one_property(
        self, google_model: Model, mirror: Mirror, account: Account, calendar_id: str, person: GooglePerson
    ) -> None:
        single_copy = await mirror.calendar.create(copy_of())
        series = await mirror.calendar.create(series_of())
        await person.add("Standup")
        async with api(google_model, account) as calling:
            query = {"privateExtendedProperty": "calendarsyncCopy=1"}
            answer = await calling.get(f"/calendars/{calendar_id}/events", params=query)
        found = answer.json()["items"]
        assert {single_copy.id, series.id} <= {each["id"] for each in found}
        assert all(re.match(f"{single_copy.id}|{series.id}", each["id"]) for each in found)

    async def test_a_series_ends_as_a_single_event_in_a_persons_hands(
        self, mirror: Mirror, person: GooglePerson
    ) -> None:
        series = person.put(summary="Weekly", recurrence=["RRULE:FREQ=WEEKLY;COUNT=5"])
        person.change(f"{series}_20260309T080000Z", **timed(10, 12))
        await mirror.refresh()
        person.change(series, recurrence=None)
        await person.remove(f"{series}_20260309T080000Z")
        changed = await mirror.refresh()
        assert [each.id for batch in changed.batches for each in batch.changed] == [series]
        (component,) = mirror.resources[series].components
        assert component.recurrence is None
        assert (await mirror.refresh(full=True)).nothing

    async def test_what_came_and_went_between_two_readings_is_not_told(
        self, mirror: Mirror, person: GooglePerson
    ) -> None:
        await mirror.refresh()
        await person.remove(await person.add("Gone at once"))
        assert (await mirror.refresh()).batches == []

    async def test_single_events_and_series_side_by_side(self, mirror: Mirror, person: GooglePerson) -> None:
        """What a reading of changes shows is what a full one shows."""
        series = person.put(summary="Weekly", recurrence=["RRULE:FREQ=WEEKLY;COUNT=5"])
        other = person.put(summary="Daily", recurrence=["RRULE:FREQ=DAILY;COUNT=5"])
        alone = await person.add("Standup")
        await mirror.refresh()
        person.change(f"{series}_20260309T080000Z", summary="Moved", **timed(10, 12))
        await person.remove(f"{other}_20260303T080000Z")
        await person.edit(alone, "Standup, later")
        await person.add("Lunch")
        changed = await mirror.refresh()
        assert len(changed.changed) == 4
        assert (await mirror.refresh(full=True)).nothing
        fresh = Mirror(mirror.calendar)
        await fresh.refresh()
        assert fresh.resources == mirror.resources
        master = master_of(mirror.resources[other].components)
        assert master is not None
        assert master.recurrence is not None
        assert [str(exdate) for exdate in master.recurrence.exdates] == ["2026-03-03T09:00:00[Europe/Berlin]"]
