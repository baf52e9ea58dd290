"""The model of Google Calendar: series, their instances and exceptions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.testbed.google import Model
from tests.testbed.google_calling import Caller, at, got, meeting, refusal, weekly

FIRST, SECOND, LAST = "20260302T090000Z", "20260309T090000Z", "20260330T080000Z"


@pytest.fixture
def ann(google_model: Model) -> Caller:
    return Caller(google_model)


def starts(events: list[dict[str, Any]]) -> list[str]:
    return [(each["start"].get("dateTime") or each["start"]["date"])[:16] for each in events]


def test_a_series_keeps_its_hour_when_the_clocks_change(ann: Caller) -> None:
    series = ann.insert(**weekly())
    instances = ann.instances(series["id"])
    assert [each["id"] for each in instances] == [
        f"{series['id']}_{suffix}" for suffix in (FIRST, SECOND, "20260316T090000Z", "20260323T090000Z", LAST)
    ]
    assert instances[-1]["start"]["dateTime"] == "2026-03-30T10:00:00+02:00"
    assert {each["recurringEventId"] for each in instances} == {series["id"]}
    assert {each["iCalUID"] for each in instances} == {series["iCalUID"]}


def test_all_day_series_name_their_instances_by_date(ann: Caller) -> None:
    series = ann.insert(**weekly(start=at("2026-03-02"), end=at("2026-03-04")))
    assert ann.instances(series["id"])[1]["id"] == f"{series['id']}_20260309"
    changed = ann.patch(f"{series['id']}_20260309", {"summary": "Other"})
    assert changed["originalStartTime"] == {"date": "2026-03-09"}
    assert changed["end"] == {"date": "2026-03-11"}


@pytest.mark.parametrize("missing", ["start", "end"])
def test_recurring_events_need_a_time_zone(google_model: Model, missing: str) -> None:
    ann = Caller(google_model)
    given = weekly(**{missing: {"dateTime": "2026-03-02T10:30:00+01:00"}})
    assert refusal(ann.raw("POST", json=given)) == (400, "required")
    assert google_model.violations == [f"calendar.events.insert: {missing} lacks timeZone"]
    google_model.violations.clear()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["RRULE:FREQ=DAILY;UNTIL=20260304T090000Z"], ["02", "03", "04"]),
        (["RRULE:FREQ=DAILY;UNTIL=20260304T085959Z"], ["02", "03"]),
        (["RRULE:FREQ=WEEKLY;BYDAY=TU;COUNT=3"], ["02", "03", "10"]),
        (["RRULE:FREQ=DAILY;COUNT=3", "EXDATE;TZID=Europe/Berlin:20260303T100000"], ["02", "04"]),
        (["RRULE:FREQ=DAILY;COUNT=3", "EXDATE:20260303T090000Z"], ["02", "04"]),
        (["RDATE;TZID=Europe/Berlin:20260307T100000,20260305T100000"], ["02", "05", "07"]),
        (["RRULE:FREQ=DAILY;COUNT=4", "EXRULE:FREQ=DAILY;INTERVAL=2;COUNT=2"], ["03", "05"]),
    ],
    ids=[
        "until",
        "until before",
        "start beside the rule",
        "exdate",
        "exdate in UTC",
        "rdate",
        "exrule",
    ],
)
def test_rules_and_dates_together_say_which_instances_there_are(
    ann: Caller, lines: list[str], expected: list[str]
) -> None:
    series = ann.insert(**weekly(recurrence=lines))
    assert [each[8:10] for each in starts(ann.instances(series["id"]))] == expected


@pytest.mark.parametrize(
    "line", ["RRULE:FREQ=NEVER", "RRULE FREQ=DAILY", "EXDATE:20260303T090000Z", "RDATE:tomorrow"]
)
def test_what_cannot_recur_is_refused(ann: Caller, line: str) -> None:
    assert refusal(ann.raw("POST", json=weekly(recurrence=[line]))) == (400, "invalid")


def test_an_instance_that_is_changed_becomes_an_exception(ann: Caller) -> None:
    series = ann.insert(**weekly())
    moved = {"start": at("2026-03-10 15:00"), "end": at("2026-03-10 16:00")}
    exception = ann.patch(f"{series['id']}_{SECOND}", moved)
    assert exception["originalStartTime"] == {
        "dateTime": "2026-03-09T10:00:00+01:00",
        "timeZone": "Europe/Berlin",
    }
    assert exception["etag"] != series["etag"]
    assert "recurrence" not in exception
    assert [each["id"] for each in ann.list()] == [series["id"], exception["id"]]
    assert starts(ann.instances(series["id"]))[:2] == ["2026-03-02T10:00", "2026-03-10T15:00"]
    assert ann.get(series["id"])["etag"] == series["etag"]


def test_one_instance_is_found_by_its_original_start(ann: Caller) -> None:
    series = ann.insert(**weekly())
    ann.patch(f"{series['id']}_{SECOND}", {"start": at("2026-03-10 10:00"), "end": at("2026-03-10 11:00")})
    for wanted in ("2026-03-09T10:00:00+01:00", "2026-03-09T09:00:00Z"):
        found = ann.instances(series["id"], originalStart=wanted)
        assert starts(found) == ["2026-03-10T10:00"]
    for other in ("2026-03-10T10:00:00+01:00", "2026-03-09"):
        assert ann.instances(series["id"], originalStart=other) == []


def test_a_cancelled_instance_carries_little_and_stays_listed_while_its_series_lives(ann: Caller) -> None:
    series = ann.insert(**weekly())
    ann.delete(f"{series['id']}_{SECOND}")
    [hole] = [each for each in ann.list() if each["status"] == "cancelled"]
    assert hole.keys() == {"kind", "etag", "id", "status", "recurringEventId", "originalStartTime"}
    assert hole == ann.get(hole["id"])
    assert len(ann.instances(series["id"])) == 4
    assert len(ann.instances(series["id"], showDeleted="true")) == 5
    assert refusal(ann.raw("DELETE", f"/{hole['id']}")) == (410, "deleted")
    ann.delete(series["id"])
    assert ann.list() == []


def test_a_cancelled_instance_comes_back_as_it_was(ann: Caller) -> None:
    series = ann.insert(**weekly(summary="Weekly"))
    ann.delete(f"{series['id']}_{SECOND}")
    assert ann.patch(f"{series['id']}_{SECOND}", {"status": "confirmed"})["summary"] == "Weekly"


def test_exceptions_keep_what_was_changed_when_their_series_changes(ann: Caller) -> None:
    series = ann.insert(**weekly())
    exception = ann.patch(f"{series['id']}_{SECOND}", {"location": "Elsewhere"})
    ann.patch(series["id"], {"summary": "Renamed"})
    assert (ann.get(exception["id"])["location"], ann.get(exception["id"])["summary"]) == (
        "Elsewhere",
        "Meeting",
    )
    ann.model.habits.follow = True
    ann.patch(series["id"], {"summary": "Meeting"})
    ann.patch(series["id"], {"summary": "Renamed again", "location": "Here"})
    assert ann.get(exception["id"])["location"] == "Elsewhere"
    assert ann.get(exception["id"])["summary"] == "Renamed again"


@pytest.mark.parametrize(
    ("habit", "listed", "summaries"),
    [
        ("drop", {SECOND: "cancelled", "20260316T090000Z": "cancelled"}, ["Meeting"] * 5),
        ("keep", {SECOND: "confirmed", "20260316T090000Z": "cancelled"}, ["Meeting"] * 5 + ["Changed"]),
    ],
)
def test_a_series_at_another_hour_has_other_instances(
    ann: Caller, habit: Any, listed: dict[str, str], summaries: list[str]
) -> None:
    ann.model.habits.retimed = habit
    series = ann.insert(**weekly())
    ann.patch(f"{series['id']}_{SECOND}", {"summary": "Changed"})
    ann.delete(f"{series['id']}_20260316T090000Z")
    token = ann.page()["nextSyncToken"]
    ann.patch(series["id"], {"start": at("2026-03-02 12:00"), "end": at("2026-03-02 13:00")})
    after = {each["id"].partition("_")[2]: each["status"] for each in ann.list(showDeleted="true")}
    assert {name: status for name, status in after.items() if name} == listed
    assert sorted(each["summary"] for each in ann.instances(series["id"])) == sorted(summaries)
    changed = [each["id"] for each in ann.list(syncToken=token)]
    assert (f"{series['id']}_{SECOND}" in changed) is (habit == "drop")


def test_a_series_that_is_reset_forgets_its_exceptions(ann: Caller) -> None:
    ann.model.habits.retimed = "reset"
    series = ann.insert(**weekly())
    ann.patch(f"{series['id']}_{SECOND}", {"summary": "Changed"})
    ann.patch(series["id"], {"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=3"]})
    assert [each["summary"] for each in ann.instances(series["id"])] == ["Meeting"] * 3


def test_a_series_that_ends_earlier_keeps_the_exceptions_behind_its_end(ann: Caller) -> None:
    series = ann.insert(**weekly())
    kept = ann.patch(f"{series['id']}_{LAST}", {"summary": "Changed"})
    ann.patch(series["id"], {"recurrence": ["RRULE:FREQ=WEEKLY;UNTIL=20260309T090000Z"]})
    assert [each["summary"] for each in ann.instances(series["id"])] == ["Meeting", "Meeting", "Changed"]
    ann.delete(kept["id"])
    assert len(ann.instances(series["id"])) == 2


def test_a_series_that_ends_earlier_may_drop_the_exceptions_behind_its_end(ann: Caller) -> None:
    ann.model.habits.retimed = "drop"
    series = ann.insert(**weekly())
    ann.patch(f"{series['id']}_{LAST}", {"summary": "Changed"})
    ann.patch(series["id"], {"recurrence": ["RRULE:FREQ=WEEKLY;UNTIL=20260309T090000Z"]})
    assert starts(ann.instances(series["id"])) == ["2026-03-02T10:00", "2026-03-09T10:00"]
    assert [each["id"] for each in ann.list()] == [series["id"]]
    ann.patch(series["id"], {"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=5"]})
    assert [each["summary"] for each in ann.instances(series["id"])] == ["Meeting"] * 5


def test_a_series_that_recurs_no_more_is_a_single_event(ann: Caller) -> None:
    series = ann.insert(**weekly())
    exception = ann.patch(f"{series['id']}_{SECOND}", {"summary": "Changed"})
    single = ann.patch(series["id"], {"recurrence": None})
    assert "recurrence" not in single
    assert [each["id"] for each in ann.list()] == [series["id"]]
    assert ann.get(exception["id"])["status"] == "cancelled"
    assert refusal(ann.raw("GET", f"/{series['id']}/instances")) == (400, "invalid")


def test_an_instance_made_private_makes_its_whole_series_private(ann: Caller) -> None:
    series = ann.insert(**weekly())
    ann.patch(f"{series['id']}_{SECOND}", {"visibility": "private"})
    assert {each.get("visibility") for each in ann.instances(series["id"])} == {"private"}
    kept = ann.patch(f"{series['id']}_{FIRST}", {"visibility": "public", "summary": "Open"})
    assert (kept["visibility"], kept["summary"]) == ("private", "Open")
    assert ann.get(series["id"])["visibility"] == "private"


@pytest.mark.parametrize("suffix", ["20260310T090000Z", "20260309", "20260309T0900", "x"])
def test_what_is_no_instance_is_not_found(ann: Caller, suffix: str) -> None:
    series = ann.insert(**weekly())
    assert refusal(ann.raw("GET", f"/{series['id']}_{suffix}")) == (404, "notFound")
    assert refusal(ann.raw("PATCH", f"/{series['id']}_{suffix}", json={})) == (404, "notFound")


def test_a_series_that_becomes_all_day_has_no_exceptions(ann: Caller) -> None:
    series = ann.insert(**weekly())["id"]
    ann.patch(f"{series}_{SECOND}", {"summary": "Changed"})
    ann.delete(f"{series}_20260316T090000Z")
    days = {"start": at("2026-03-02"), "end": at("2026-03-03"), "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=5"]}
    got(ann.raw("PUT", f"/{series}", json=meeting(**days)))
    assert [each["summary"] for each in ann.instances(series)] == ["Meeting"] * 5
    assert [each["id"] for each in ann.list()] == [series]


def test_the_instances_of_an_instance_are_itself(ann: Caller) -> None:
    series = ann.insert(**weekly())
    second = f"{series['id']}_{SECOND}"
    assert [each["id"] for each in ann.instances(second)] == [second]
    ann.delete(second)
    assert ann.instances(second) == []


def test_instances_cannot_recur(ann: Caller) -> None:
    series = ann.insert(**weekly())
    change = {"recurrence": ["RRULE:FREQ=DAILY;COUNT=2"]}
    assert refusal(ann.raw("PATCH", f"/{series['id']}_{SECOND}", json=change)) == (400, "invalid")


def test_an_exception_may_be_all_that_a_calendar_has_of_a_series(ann: Caller) -> None:
    invited = meeting(
        recurringEventId="elsewhere0",
        originalStartTime=at("2026-03-02 09:00"),
        organizer={"email": "boss@x.example"},
    )
    ann.model.put(ann.account.email, invited, "elsewhere0_20260302T080000Z")
    [only] = ann.list()
    assert only["recurringEventId"] == "elsewhere0"
    assert refusal(ann.raw("GET", "/elsewhere0")) == (404, "notFound")
    assert [each["id"] for each in ann.list(singleEvents="true")] == [only["id"]]
    ann.delete(only["id"])
    assert ann.list() == []


def test_single_events_stand_in_for_their_series_in_the_order_of_their_starts(ann: Caller) -> None:
    series = ann.insert(**weekly())
    ann.patch(f"{series['id']}_{FIRST}", {"start": at("2026-03-12 10:00"), "end": at("2026-03-12 11:00")})
    ann.delete(f"{series['id']}_20260316T090000Z")
    ann.insert(start=at("2026-03-05"), end=at("2026-03-06"))
    found = ann.list(singleEvents="true", orderBy="startTime", timeMax="2026-03-25T00:00:00Z")
    assert [each[:10] for each in starts(found)] == ["2026-03-05", "2026-03-09", "2026-03-12", "2026-03-23"]


def test_a_replaced_instance_is_one_put_away_from_its_series(ann: Caller) -> None:
    series = ann.insert(**weekly())
    given = meeting(summary="Replaced", start=at("2026-03-09 10:00"), end=at("2026-03-09 12:00"))
    put = got(ann.raw("PUT", f"/{series['id']}_{SECOND}", json=given))
    assert (put["recurringEventId"], put["iCalUID"]) == (series["id"], series["iCalUID"])
    assert put["end"]["dateTime"] == "2026-03-09T12:00:00+01:00"
