"""The model of Google Calendar: listings, pages, sync tokens and lists of calendars."""

from __future__ import annotations

from typing import Any

import pytest

from tests.testbed.google import Model
from tests.testbed.google_calling import Caller, at, got, meeting, refusal, weekly


@pytest.fixture
def ann(google_model: Model) -> Caller:
    return Caller(google_model)


def whole(ann: Caller, **params: Any) -> tuple[list[dict[str, Any]], str]:
    """All pages of a listing, and its sync token."""
    items, page = [], ann.page(**params)
    while "nextPageToken" in page:
        assert "nextSyncToken" not in page
        items += page["items"]
        page = ann.page(**params, pageToken=page["nextPageToken"])
    return items + page["items"], page["nextSyncToken"]


def test_pages_hold_what_was_there_and_the_token_dates_from_their_first(ann: Caller) -> None:
    ids = [ann.insert()["id"] for _ in range(5)]
    first = ann.page(maxResults=2)
    late = ann.insert()["id"]
    ann.model.habits.page_limit = 1
    items, page = list(first["items"]), first
    while "nextPageToken" in page:
        page = ann.page(maxResults=2, pageToken=page["nextPageToken"])
        items += page["items"]
    assert [each["id"] for each in items] == ids
    assert [each["id"] for each in ann.list(syncToken=page["nextSyncToken"])] == [late]


def test_deleted_events_take_room_on_pages_that_do_not_show_them(ann: Caller) -> None:
    for _ in range(3):
        ann.delete(ann.insert()["id"])
    last = ann.insert()["id"]
    first = ann.page(maxResults=2)
    assert (first["items"], "nextPageToken" in first) == ([], True)
    items, token = whole(ann, maxResults=2)
    assert [each["id"] for each in items] == [last]
    assert ann.list(syncToken=token) == []


def test_a_page_is_asked_for_as_the_first_one_was(ann: Caller) -> None:
    for _ in range(3):
        ann.insert()
    token = ann.page(maxResults=2)["nextPageToken"]
    assert refusal(ann.raw("GET", params={"maxResults": 1, "pageToken": token})) == (400, "invalid")
    assert refusal(ann.raw("GET", params={"maxResults": 2, "pageToken": "other"})) == (400, "invalid")
    assert len(ann.list(maxResults=2, pageToken=token)) == 1


def test_a_sync_names_what_changed_once_and_what_was_deleted_in_short(ann: Caller) -> None:
    kept, changed, gone = (ann.insert()["id"] for _ in range(3))
    token = ann.page()["nextSyncToken"]
    ann.patch(changed, {"summary": "One"})
    ann.patch(changed, {"summary": "Two"})
    ann.delete(gone)
    items, after = whole(ann, syncToken=token)
    assert [(each["id"], each["status"]) for each in items] == [(changed, "confirmed"), (gone, "cancelled")]
    assert items[1].keys() == {"kind", "etag", "id", "status"}
    assert "summary" in ann.list(syncToken=token, showDeleted="true")[1]
    assert whole(ann, syncToken=after)[0] == []
    assert kept in [each["id"] for each in ann.list()]


def test_a_sync_comes_in_the_order_of_changes(ann: Caller) -> None:
    first, second = ann.insert()["id"], ann.insert()["id"]
    token = ann.page()["nextSyncToken"]
    for event_id in (second, first):
        ann.patch(event_id, {"summary": "Changed"})
    assert [each["id"] for each in ann.list(syncToken=token)] == [second, first]


def test_a_sync_after_a_ranged_listing_is_not_kept_to_its_range(ann: Caller) -> None:
    near = ann.insert(start=at("2026-06-01 10:00"), end=at("2026-06-01 11:00"))["id"]
    ann.insert()
    items, token = whole(ann, timeMin="2026-05-01T00:00:00Z")
    assert [each["id"] for each in items] == [near]
    far = ann.insert()["id"]
    assert [each["id"] for each in ann.list(syncToken=token)] == [far]


@pytest.mark.parametrize(
    "extra",
    [
        {"timeMin": "2026-01-01T00:00:00Z"}, {"timeMax": "2026-01-01T00:00:00Z"}, {"q": "x"}, {"iCalUID": "x"},
        {"orderBy": "updated"}, {"updatedMin": "2026-01-01T00:00:00Z"}, {"privateExtendedProperty": "a=b"},
        {"sharedExtendedProperty": "a=b"}, {"showDeleted": "false"},
    ],
    ids=lambda extra: next(iter(extra)),
)  # fmt: skip
def test_a_sync_token_stands_alone(ann: Caller, extra: dict[str, str]) -> None:
    token = ann.page()["nextSyncToken"]
    assert refusal(ann.raw("GET", params={"syncToken": token, **extra})) == (400, "invalid")


def test_sync_tokens_are_of_one_calendar_and_can_be_forgotten(ann: Caller) -> None:
    token = ann.page()["nextSyncToken"]
    other = ann.model.make_calendar(ann.account)
    elsewhere = ann.ask("GET", f"/calendars/{other}/events", params={"syncToken": token})
    assert refusal(elsewhere) == (410, "fullSyncRequired")
    ann.model.forget_sync_tokens(ann.account.email)
    assert refusal(ann.raw("GET", params={"syncToken": token})) == (410, "fullSyncRequired")
    assert ann.list(syncToken=ann.page()["nextSyncToken"]) == []


def test_a_change_of_access_ends_sync_tokens(ann: Caller) -> None:
    token = ann.page()["nextSyncToken"]
    ann.model.share(ann.account.email, ann.model.account())
    assert refusal(ann.raw("GET", params={"syncToken": token})) == (410, "fullSyncRequired")


def test_a_deleted_series_takes_its_exceptions_along(ann: Caller) -> None:
    series = ann.insert(**weekly())["id"]
    exception = ann.patch(f"{series}_20260309T090000Z", {"summary": "Changed"})["id"]
    token = ann.page()["nextSyncToken"]
    ann.delete(series)
    found = {each["id"]: each["status"] for each in ann.list(syncToken=token)}
    assert found == {series: "cancelled", exception: "cancelled"}
    assert ann.list() == []


def test_deleted_events_are_listed_where_they_are_asked_for(ann: Caller) -> None:
    before = ann.insert()["updated"]
    gone = ann.insert()["id"]
    ann.delete(gone)
    assert gone not in [each["id"] for each in ann.list()]
    assert gone in [each["id"] for each in ann.list(showDeleted="true")]
    assert gone in [each["id"] for each in ann.list(updatedMin=before)]


@pytest.mark.parametrize(
    ("first", "last", "found"),
    [
        ("2026-03-02T09:59:59Z", "2026-03-02T10:30:00Z", True),
        ("2026-03-02T10:00:00Z", "2026-03-02T11:00:00Z", False),
        ("2026-03-02T08:00:00Z", "2026-03-02T09:00:00Z", False),
        ("2026-03-02T10:00:00+01:00", "2026-03-02T10:00:01+01:00", True),
    ],
    ids=["before its end", "from its end on", "until its start", "with an offset"],
)
def test_a_range_is_between_an_events_end_and_start(ann: Caller, first: str, last: str, found: bool) -> None:
    ann.insert()
    assert bool(ann.list(timeMin=first, timeMax=last)) is found


def test_a_series_is_in_a_range_by_its_instances(ann: Caller) -> None:
    series = ann.insert(**weekly())["id"]
    ann.delete(f"{series}_20260316T090000Z")
    assert series in [
        each["id"] for each in ann.list(timeMin="2026-03-23T00:00:00Z", timeMax="2026-03-24T00:00:00Z")
    ]
    assert series not in [
        each["id"] for each in ann.list(timeMin="2026-03-16T00:00:00Z", timeMax="2026-03-17T00:00:00Z")
    ]


def test_an_empty_range_is_refused(ann: Caller) -> None:
    moment = "2026-03-02T09:00:00Z"
    assert refusal(ann.raw("GET", params={"timeMin": moment, "timeMax": moment})) == (400, "timeRangeEmpty")


def test_parts_of_answers_are_cut_out_as_asked(ann: Caller) -> None:
    ann.insert(extendedProperties={"private": {"mark": "1"}})
    fields = "items(id,start/dateTime,extendedProperties/private),nextSyncToken"
    page = ann.page(fields=fields)
    assert page.keys() == {"items", "nextSyncToken"}
    [item] = page["items"]
    assert item.keys() == {"id", "start", "extendedProperties"}
    assert item["start"].keys() == {"dateTime"}
    assert refusal(ann.raw("GET", params={"fields": "items(id"})) == (400, "invalidParameter")


def test_a_calendar_list_tells_roles_zones_and_changes(google_model: Model) -> None:
    ann, bob = Caller(google_model), Caller(google_model)
    shared = google_model.make_calendar(ann.account, "Team", "America/New_York")
    start = got(bob.ask("GET", "/users/me/calendarList"))
    assert [(each["id"], each["primary"], each["accessRole"]) for each in start["items"]] == [
        (bob.account.email, True, "owner")
    ]
    google_model.share(shared, bob.account, "reader")
    token = {"syncToken": start["nextSyncToken"]}
    [entry] = got(bob.ask("GET", "/users/me/calendarList", params=token))["items"]
    assert (entry["summary"], entry["timeZone"], entry["accessRole"]) == (
        "Team",
        "America/New_York",
        "reader",
    )
    google_model.unshare(shared, bob.account)
    [entry] = got(bob.ask("GET", "/users/me/calendarList", params=token))["items"]
    assert (entry["id"], entry["deleted"]) == (shared, True)
    assert refusal(bob.ask("GET", "/users/me/calendarList", params={"syncToken": "x"})) == (
        410,
        "fullSyncRequired",
    )


def test_calendars_are_made_and_removed_by_those_whose_they_are(google_model: Model) -> None:
    ann = Caller(google_model)
    ann.account.restrict("calendar")
    made = got(ann.ask("POST", "/calendars", json={"summary": "New", "timeZone": "Asia/Tokyo"}))
    assert got(ann.ask("GET", f"/calendars/{made['id']}"))["timeZone"] == "Asia/Tokyo"
    event = got(ann.ask("POST", f"/calendars/{made['id']}/events", json=meeting()))
    assert event["organizer"] == {"email": made["id"], "displayName": "New", "self": True}
    assert event["creator"] == {"email": ann.account.email}
    assert event["start"]["dateTime"] == "2026-03-02T18:00:00+09:00"
    assert ann.ask("DELETE", f"/calendars/{made['id']}").status_code == 204
    assert refusal(ann.ask("GET", f"/calendars/{made['id']}/events")) == (404, "notFound")
    assert refusal(ann.ask("DELETE", "/calendars/primary")) == (400, "invalid")


def test_only_calendars_of_others_leave_a_list(google_model: Model) -> None:
    ann, bob = Caller(google_model), Caller(google_model)
    for each in (ann, bob):
        each.account.restrict("calendar")
    own = google_model.make_calendar(ann.account)
    google_model.share(own, bob.account)
    assert refusal(ann.ask("DELETE", f"/users/me/calendarList/{own}")) == (403, "forbidden")
    assert bob.ask("DELETE", f"/users/me/calendarList/{own}").status_code == 204
    assert refusal(bob.ask("GET", f"/users/me/calendarList/{own}")) == (404, "notFound")
    assert got(bob.ask("POST", "/users/me/calendarList", json={"id": own}))["accessRole"] == "reader"


def test_free_and_busy_leaves_out_what_takes_no_time(google_model: Model) -> None:
    ann = Caller(google_model)
    ann.account.restrict("calendar")
    series = ann.insert(**weekly())["id"]
    ann.delete(f"{series}_20260309T090000Z")
    ann.insert(transparency="transparent", start=at("2026-03-03 10:00"), end=at("2026-03-03 11:00"))
    asked = {
        "timeMin": "2026-03-01T00:00:00Z",
        "timeMax": "2026-03-20T00:00:00Z",
        "items": [{"id": "primary"}],
    }
    busy = got(ann.ask("POST", "/freeBusy", json=asked))["calendars"]["primary"]["busy"]
    assert [each["start"] for each in busy] == ["2026-03-02T09:00:00Z", "2026-03-16T09:00:00Z"]
