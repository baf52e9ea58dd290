"""The model of Google Calendar behaves as Google says that its service does: events, one by one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.testbed.google import DEFAULT_TOKEN, Model
from tests.testbed.google_calling import Caller, at, got, meeting, refusal
from tests.testbed.process import free_port, running

TESTS = Path(__file__).resolve().parents[1]
PROBE = TESTS.parents[1] / "shared" / "testbed" / "probe_google.py"


@pytest.fixture
def ann(google_model: Model) -> Caller:
    return Caller(google_model)


def test_the_probe_of_documented_behaviour_passes_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not PROBE.exists():
        pytest.skip("../shared is not here")
    monkeypatch.chdir(TESTS)
    port = free_port()
    with running([sys.executable, "-m", "testbed", "google", "--port", str(port)], port, tmp_path / "log"):
        command = [sys.executable, str(PROBE), f"http://127.0.0.1:{port}", DEFAULT_TOKEN]
        probed = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    assert probed.stdout.splitlines()[-1] == "47 of 47", probed.stdout


def test_times_are_told_in_the_calendars_zone_beside_the_events_own(ann: Caller) -> None:
    there = ann.insert(
        start=at("2026-07-01 09:00", "America/New_York"), end=at("2026-07-01 10:00", "America/New_York")
    )
    assert there["start"] == {"dateTime": "2026-07-01T15:00:00+02:00", "timeZone": "America/New_York"}
    in_tokyo = ann.get(there["id"], timeZone="Asia/Tokyo")
    assert in_tokyo["start"]["dateTime"] == "2026-07-01T22:00:00+09:00"


@pytest.mark.parametrize("zone", ["W. Europe Standard Time", "Europe/Nowhere", "+01:00"])
def test_zones_are_named_as_iana_names_them(ann: Caller, zone: str) -> None:
    assert refusal(ann.raw("POST", json=meeting(start=at("2026-03-02 10:00", zone)))) == (400, "invalid")


def test_a_time_may_leave_out_its_zone_or_its_offset(ann: Caller) -> None:
    utc = ann.insert(start={"dateTime": "2026-03-02T09:00:00Z"}, end={"dateTime": "2026-03-02T10:00:00Z"})
    assert utc["start"] == {"dateTime": "2026-03-02T10:00:00+01:00", "timeZone": "UTC"}
    tokyo = {"dateTime": "2026-03-02T09:00:00", "timeZone": "Asia/Tokyo"}
    assert ann.insert(start=tokyo)["start"]["dateTime"] == "2026-03-02T01:00:00+01:00"


def test_what_is_written_may_be_tidied_up(ann: Caller) -> None:
    ann.model.habits.rewrite = lambda event: event | {"summary": event["summary"].strip()}
    assert ann.insert(summary=" Meeting ")["summary"] == "Meeting"


def test_a_deleted_event_keeps_its_id_for_good(ann: Caller) -> None:
    ann.insert(id="fresh0000")
    ann.delete("fresh0000")
    assert refusal(ann.raw("POST", json=meeting(id="fresh0000"))) == (409, "duplicate")
    assert ann.get("fresh0000")["status"] == "cancelled"
    assert refusal(ann.raw("DELETE", "/fresh0000")) == (410, "deleted")


def test_an_update_brings_a_deleted_event_back_or_is_refused(ann: Caller) -> None:
    event = ann.insert(id="fresh0000")
    ann.delete("fresh0000")
    ann.model.habits.revival = "refuse"
    assert refusal(ann.raw("PUT", "/fresh0000", json=event | {"status": "confirmed"})) == (403, "forbidden")
    ann.model.habits.revival = "allow"
    assert got(ann.raw("PUT", "/fresh0000", json=event))["status"] == "confirmed"


def test_a_collision_may_go_undetected(ann: Caller) -> None:
    ann.insert(id="fresh0000", summary="First")
    ann.model.faults.collisions = 1
    assert ann.insert(id="fresh0000", summary="Second")["summary"] == "Second"
    assert ann.get("fresh0000")["summary"] == "First"


@pytest.mark.parametrize("chosen", ["abcd", "w2345", "a" * 1025, "a-b-c-d", "Abcde"])
def test_ids_are_base32hex_of_5_to_1024_characters(ann: Caller, chosen: str) -> None:
    assert refusal(ann.raw("POST", json=meeting(id=chosen))) == (400, "invalid")


def test_an_ical_uid_is_taken_once_and_makes_an_id_of_its_own(ann: Caller) -> None:
    first = ann.insert(iCalUID="abc@elsewhere.example")
    assert first["iCalUID"] == "abc@elsewhere.example"
    assert first["id"].startswith("_")
    assert refusal(ann.raw("POST", json=meeting(iCalUID="abc@elsewhere.example"))) == (409, "duplicate")
    ann.insert(id="fresh0000")
    assert refusal(ann.raw("POST", json=meeting(iCalUID="fresh0000@google.com"))) == (409, "duplicate")
    assert [each["id"] for each in ann.list(iCalUID="abc@elsewhere.example")] == [first["id"]]


def test_a_patch_merges_objects_deletes_by_null_and_replaces_lists(ann: Caller) -> None:
    event = ann.insert(
        location="Room",
        extendedProperties={"private": {"one": "1", "two": "2"}},
        attendees=[{"email": "bob@example.com"}, {"email": "eve@example.com"}],
    )
    change: dict[str, Any] = {
        "location": None,
        "extendedProperties": {"private": {"two": None, "three": "3"}},
        "attendees": [{"email": "eve@example.com"}],
    }
    patched = ann.patch(event["id"], change)
    assert "location" not in patched
    assert patched["summary"] == "Meeting"
    assert patched["extendedProperties"]["private"] == {"one": "1", "three": "3"}
    assert [each["email"] for each in patched["attendees"]] == ["eve@example.com"]


def test_a_patch_that_leaves_the_date_beside_a_time_is_refused(ann: Caller) -> None:
    event = ann.insert(start=at("2026-03-02"), end=at("2026-03-03"))
    times = {"start": at("2026-03-02 10:00"), "end": at("2026-03-02 11:00")}
    assert refusal(ann.raw("PATCH", f"/{event['id']}", json=times)) == (400, "invalid")
    nulled = {name: {**value, "date": None} for name, value in times.items()}
    assert ann.patch(event["id"], nulled)["start"]["dateTime"] == "2026-03-02T10:00:00+01:00"


def test_an_update_replaces_all_but_what_is_read_only(ann: Caller) -> None:
    event = ann.insert(location="Room", extendedProperties={"private": {"one": "1"}}, visibility="private")
    sent = {
        "start": event["start"],
        "end": event["end"],
        "iCalUID": "other@example.com",
        "creator": {"email": "x@y"},
    }
    updated = got(ann.raw("PUT", f"/{event['id']}", json=sent))
    assert not {"location", "extendedProperties", "visibility", "summary"} & updated.keys()
    assert [updated[name] == event[name] for name in ("iCalUID", "creator", "created")] == [True] * 3


def test_each_write_moves_etag_and_updated_and_a_new_time_moves_the_sequence(ann: Caller) -> None:
    first = ann.insert()
    second = ann.patch(first["id"], {"summary": "Other"})
    third = ann.patch(first["id"], {"start": at("2026-03-02 09:00")})
    assert len({each["etag"] for each in (first, second, third)}) == 3
    assert first["updated"] < second["updated"] < third["updated"]
    assert [each["sequence"] for each in (first, second, third)] == [0, 0, 1]
    reminded = ann.patch(first["id"], {"reminders": {"useDefault": False}})
    assert reminded["updated"] == third["updated"]
    assert reminded["etag"] != third["etag"]
    assert refusal(ann.raw("PATCH", f"/{first['id']}", json={"sequence": 0})) == (400, "invalid")


def test_conditions_are_kept_on_every_write(ann: Caller) -> None:
    event = ann.insert()
    path, stale = f"/{event['id']}", {"headers": {"If-Match": event["etag"]}}
    ann.patch(event["id"], {"summary": "Moved on"}, **stale)
    assert refusal(ann.raw("PATCH", path, json={}, **stale)) == (412, "conditionNotMet")
    assert refusal(ann.raw("PUT", path, json=meeting(), **stale)) == (412, "conditionNotMet")
    assert refusal(ann.raw("DELETE", path, **stale)) == (412, "conditionNotMet")
    current = ann.get(event["id"])["etag"]
    assert ann.raw("GET", path, headers={"If-None-Match": current}).status_code == 304
    assert ann.raw("DELETE", path, headers={"If-Match": current}).status_code == 204


def test_long_property_names_are_dropped_and_long_values_cut(ann: Caller) -> None:
    private = {"a" * 44: "kept", "b" * 45: "dropped", "long": "v" * 1100}
    event = ann.insert(extendedProperties={"private": private})
    assert event["extendedProperties"]["private"] == {"a" * 44: "kept", "long": "v" * 1024}


def test_properties_are_found_by_name_and_value_exactly(ann: Caller) -> None:
    one = ann.insert(extendedProperties={"private": {"mark": "1", "kind": "copy"}})
    ann.insert(extendedProperties={"private": {"mark": "11", "kind": "copy"}})
    ann.insert(extendedProperties={"shared": {"mark": "1"}})
    assert len(ann.list(privateExtendedProperty="kind=copy")) == 2
    found = ann.list(privateExtendedProperty=["kind=copy", "mark=1"])
    assert [each["id"] for each in found] == [one["id"]]


def test_types_of_events_are_made_as_the_guides_say_and_never_change(ann: Caller) -> None:
    away = ann.insert(eventType="outOfOffice", outOfOfficeProperties={"autoDeclineMode": "declineNone"})
    assert away["eventType"] == "outOfOffice"
    assert refusal(ann.raw("PATCH", f"/{away['id']}", json={"eventType": "default"})) == (400, "invalid")
    days = {"start": at("2026-03-02"), "end": at("2026-03-03")}
    all_day = meeting(eventType="focusTime", focusTimeProperties={}, **days)
    assert refusal(ann.raw("POST", json=all_day)) == (400, "invalid")
    assert refusal(ann.raw("POST", json=meeting(eventType="fromGmail"))) == (400, "invalid")
    assert [each["id"] for each in ann.list(eventTypes="outOfOffice")] == [away["id"]]


def test_what_google_made_itself_is_put_there_by_hand(ann: Caller) -> None:
    mail = ann.model.put(ann.account.email, meeting(eventType="fromGmail", summary="Flight"))
    assert ann.get(mail["id"])["eventType"] == "fromGmail"
    ann.model.put(ann.account.email, {"summary": "Flight, later"}, mail["id"])
    assert ann.get(mail["id"])["summary"] == "Flight, later"
    ann.model.delete(ann.account.email, mail["id"])
    assert ann.list() == []


def test_conferences_are_kept_only_for_those_who_know_of_them(ann: Caller) -> None:
    conference = {"conferenceId": "abc"}
    assert "conferenceData" not in ann.insert(conferenceData=conference)
    body = meeting(conferenceData=conference)
    event = got(ann.raw("POST", json=body, params={"conferenceDataVersion": 1}))
    assert event["conferenceData"] == conference
    assert got(ann.raw("PUT", f"/{event['id']}", json=meeting()))["conferenceData"] == conference
    replaced = got(ann.raw("PUT", f"/{event['id']}", json=meeting(), params={"conferenceDataVersion": 1}))
    assert "conferenceData" not in replaced


def test_exceptions_are_not_created_outright(ann: Caller) -> None:
    given = meeting(recurringEventId="elsewhere0", originalStartTime=at("2026-03-02 09:00"))
    assert refusal(ann.raw("POST", json=given)) == (400, "invalid")
    assert refusal(ann.raw("POST", "/import", json=given | {"iCalUID": "x@y.example"})) == (400, "invalid")


def test_an_import_is_a_copy_of_what_somebody_else_organizes(ann: Caller) -> None:
    foreign = meeting(iCalUID="x@other.example", organizer={"email": "boss@other.example"})
    first = got(ann.raw("POST", "/import", json=foreign))
    assert first["organizer"] == {"email": "boss@other.example"}
    again = got(ann.raw("POST", "/import", json=foreign | {"summary": "Later", "sequence": 1}))
    assert (again["id"], again["summary"]) == (first["id"], "Later")
    assert refusal(ann.raw("POST", "/import", json=foreign)) == (400, "invalid")
    moved = {"start": at("2026-03-02 09:00")}
    assert refusal(ann.raw("PATCH", f"/{first['id']}", json=moved)) == (403, "forbiddenForNonOrganizer")


def test_a_move_changes_the_organizer_and_leaves_a_deletion_behind(ann: Caller) -> None:
    other = ann.model.make_calendar(ann.account)
    event = ann.insert()
    stale = {"headers": {"If-Match": '"1"'}, "params": {"destination": other}}
    assert refusal(ann.raw("POST", f"/{event['id']}/move", **stale)) == (412, "conditionNotMet")
    left = got(ann.raw("POST", f"/{event['id']}/move", params={"destination": other}))
    assert (left["organizer"]["email"], left["status"]) == (other, "cancelled")
    assert got(ann.ask("GET", f"/calendars/{other}/events/{event['id']}"))["status"] == "confirmed"
