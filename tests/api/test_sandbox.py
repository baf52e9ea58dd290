"""/sandbox: its calendars, events, instances and faults, as an integrator uses them."""

from __future__ import annotations

from typing import Any

import pytest

from calendarsync.accounts.keys import Mode
from calendarsync.api.v1 import connecting, sandboxing
from calendarsync.api.v1.finding import Found
from calendarsync.store.schedule import update_connection
from tests.api.client import Answer, Client
from tests.api.world import World

URL = "/api/v1/sandbox/calendars"
WEEKLY: dict[str, Any] = {
    "title": "Standup",
    "start": "2026-03-02T09:00:00+01:00",
    "end": "2026-03-02T09:30:00+01:00",
    "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=6"],
}


@pytest.fixture
async def tester(world: World) -> Client:
    """The first account's, in test mode."""
    return await world.client(mode=Mode.TEST)


async def add_calendar(client: Client, **given: Any) -> str:
    answer = await client.post(URL, {"name": "Work", "timezone": "Europe/Berlin", **given})
    assert answer.status == 201, answer
    calendar_id: str = answer.json["id"]
    return calendar_id


async def add_event(client: Client, calendar: str, **given: Any) -> dict[str, Any]:
    body = {"start": "2026-03-04T09:00:00+01:00", "end": "2026-03-04T10:00:00+01:00", **given}
    answer = await client.post(f"{URL}/{calendar}/events", body)
    assert answer.status == 201, answer.body
    event: dict[str, Any] = answer.json
    return event


def refused(answer: Answer, *fields: str) -> str:
    assert answer.status == 422, answer.body
    assert answer.fields == set(fields)
    message: str = answer.error["details"][0]["message"]
    return message


async def test_a_calendar_is_made_shown_listed_and_ended(world: World, tester: Client) -> None:
    answer = await tester.post(
        URL, {"name": "Work", "timezone": "Europe/Berlin", "email": "you@work.example"}
    )
    assert answer.status == 201
    made = answer.json
    assert made == {
        "id": made["id"],
        "name": "Work",
        "timezone": "Europe/Berlin",
        "email": "you@work.example",
        "created_at": "2026-03-28T10:00:00Z",
    }
    assert made["id"].startswith("sbx_")
    assert answer.headers["location"] == f"{URL}/{made['id']}"
    plain = (await tester.post(URL, {"name": "Plain"})).json
    assert (plain["timezone"], plain["email"]) == ("UTC", None)
    assert (await tester.get(f"{URL}/{made['id']}")).json == made
    listed = (await tester.get(URL)).json
    assert listed["has_more"] is False
    assert sorted(each["id"] for each in listed["calendars"]) == sorted([made["id"], plain["id"]])
    assert (await tester.delete(f"{URL}/{made['id']}")).status == 204
    assert (await tester.get(f"{URL}/{made['id']}")).status == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "Work", "timezone": "Mars/Olympus"}, "timezone"),
        ({"name": "Work", "timezone": None}, "timezone"),
        ({"name": "Work", "email": "nobody"}, "email"),
        ({"name": "Work", "color": "red"}, "color"),
    ],
)
async def test_a_calendar_that_cannot_be(tester: Client, body: dict[str, Any], field: str) -> None:
    refused(await tester.post(URL, body), field)


async def test_an_account_has_so_many_calendars(tester: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandboxing, "MAX_CALENDARS", 1)
    await add_calendar(tester)
    assert (await tester.post(URL, {"name": "One more"})).status == 409


async def test_a_calendar_holds_so_many_events(tester: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandboxing, "MAX_EVENTS", 1)
    calendar = await add_calendar(tester)
    await add_event(tester, calendar)
    answer = await tester.post(f"{URL}/{calendar}/events", WEEKLY)
    assert answer.status == 409


async def test_a_calendar_holds_so_much(tester: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    calendar = await add_calendar(tester)
    event = await add_event(tester, calendar)
    url = f"{URL}/{calendar}/events"
    monkeypatch.setattr("calendarsync.store.sandbox.MAX_BYTES", 2_000)
    changed = await tester.patch(f"{url}/{event['id']}", {"description": "x" * 2_000})
    assert changed.status == 409
    assert "together" in changed.error["message"]
    assert (await tester.get(url)).json["events"] == [event]
    answers = [(await tester.post(url, WEEKLY)).status for _ in range(9)]
    assert answers == sorted(answers)
    assert set(answers) == {201, 409}
    deleted = (await tester.get(url)).json["events"][0]["id"]
    await tester.delete(f"{url}/{deleted}")
    assert (await tester.post(url, WEEKLY)).status == 201


async def test_live_keys_have_no_sandbox(world: World, client: Client, tester: Client) -> None:
    calendar = await add_calendar(tester)
    for answer in (
        await client.get(URL),
        await client.post(URL, {"name": "Work"}),
        await client.post(URL, {"nonsense": True}),
        await client.get(f"{URL}/{calendar}/events"),
        await client.post("/api/v1/sandbox/clock", {"advance_seconds": 5}),
        await client.post("/api/v1/connections/discover", {"provider": "sandbox"}),
        await client.post("/api/v1/connections", {"provider": "sandbox", "calendar_id": calendar}),
    ):
        assert answer.status == 403, answer.body
        assert answer.error["code"] == "forbidden"
        assert "cs_test_" in answer.error["message"]


async def test_another_accounts_calendar_is_not_there(world: World, tester: Client) -> None:
    calendar = await add_calendar(tester)
    event = await add_event(tester, calendar)
    stranger = await world.client(mode=Mode.TEST, account_id=await world.other_account())
    own = await add_calendar(stranger)
    for path in (calendar, f"{calendar}/events", f"{calendar}/events/{event['id']}", f"{calendar}/faults"):
        assert (await stranger.get(f"{URL}/{path}")).status == 404
    assert (await stranger.get(f"{URL}/{own}/events/{event['id']}")).status == 404
    assert (await stranger.patch(f"{URL}/{own}/events/{event['id']}", {"title": "x"})).status == 404
    assert (await stranger.post(f"{URL}/{calendar}/faults", {"kind": "expire"})).status == 404
    assert (await stranger.get(URL)).json["calendars"][0]["id"] == own
    wanted = {"provider": "sandbox", "calendar_id": calendar}
    refused(await stranger.post("/api/v1/connections", wanted), "calendar_id")


async def test_an_event_is_shown_as_it_was_sent(tester: Client) -> None:
    calendar = await add_calendar(tester)
    event = await add_event(
        tester,
        calendar,
        title="Review",
        description="Bring\nnumbers",
        location="Room 2",
        status="tentative",
        transparency="transparent",
        visibility="private",
        recurrence=["RRULE:FREQ=WEEKLY;COUNT=4", "EXDATE;TZID=Europe/Berlin:20260311T090000"],
        attendees=[{"email": "you@work.example", "name": "You", "response": "accepted"}],
        uid="meeting-1@work.example",
    )
    assert event == {
        "id": event["id"],
        "calendar_id": calendar,
        "uid": "meeting-1@work.example",
        "title": "Review",
        "description": "Bring\nnumbers",
        "location": "Room 2",
        "start": "2026-03-04T08:00:00Z",
        "end": "2026-03-04T09:00:00Z",
        "all_day": False,
        "timezone": "Europe/Berlin",
        "status": "tentative",
        "transparency": "transparent",
        "visibility": "private",
        "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4", "EXDATE;TZID=Europe/Berlin:20260311T090000"],
        "attendees": [{"email": "you@work.example", "name": "You", "response": "accepted"}],
        "overrides": [],
        "copy": False,
        "reminders": [],
        "color": None,
    }
    assert (await tester.get(f"{URL}/{calendar}/events/{event['id']}")).json == event
    assert (await tester.get(f"{URL}/{calendar}/events")).json == {"events": [event], "has_more": False}


async def test_defaults(tester: Client) -> None:
    calendar = await add_calendar(tester, timezone="America/New_York")
    event = await add_event(tester, calendar)
    assert event["uid"] == event["id"]
    assert (event["timezone"], event["status"], event["visibility"]) == (
        "America/New_York",
        "confirmed",
        "public",
    )
    assert (event["transparency"], event["title"], event["attendees"]) == ("opaque", "", [])


async def test_days_stay_days(tester: Client) -> None:
    calendar = await add_calendar(tester)
    days = {"all_day": True, "start": "2026-03-06", "end": "2026-03-08"}
    event = await add_event(
        tester, calendar, **days, recurrence=["RRULE:FREQ=DAILY;COUNT=2", "RDATE;VALUE=DATE:20260401"]
    )
    assert {name: event[name] for name in days} == days
    assert event["timezone"] is None
    assert event["recurrence"] == ["RRULE:FREQ=DAILY;COUNT=2", "RDATE;VALUE=DATE:20260401"]


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"start": "2026-03-04T09:00:00"}, ["start"]),
        ({"start": "2026-03-04"}, ["start"]),
        ({"start": "yesterday"}, ["start"]),
        ({"start": "2026-02-30T09:00:00Z"}, ["start"]),
        ({"start": "0001-01-01T00:00:00+14:00"}, ["start"]),
        ({"start": "2026-03-04T09:00:00.5Z"}, ["start"]),
        ({"start": 1772611200}, ["start"]),
        ({"start": None}, ["start"]),
        ({"end": "2026-03-04T08:59:59+01:00"}, ["end"]),
        ({"all_day": True}, ["start"]),
        ({"all_day": True, "start": "2026-03-04", "end": "2026-03-04"}, ["end"]),
        ({"all_day": True, "start": "20260304", "end": "2026-03-05"}, ["start"]),
        ({"all_day": "true"}, ["all_day"]),
        ({"timezone": "Europe/Berln"}, ["timezone"]),
        ({"recurrence": ["FREQ=WEEKLY"]}, ["recurrence.0"]),
        ({"recurrence": ["RRULE:FREQ=WEEKLY", "RRULE:FREQ=FORTNIGHTLY"]}, ["recurrence.1"]),
        ({"recurrence": ["RRULE:FREQ=WEEKLY\r\nATTENDEE:mailto:x@y"]}, ["recurrence.0"]),
        ({"recurrence": ["EXDATE:20260311T090000"]}, ["recurrence.0"]),
        ({"recurrence": ["EXDATE;TZID=Nowhere/Else:20260311T090000"]}, ["recurrence.0"]),
        ({"recurrence": ["EXDATE;VALUE=DATE:20260311"]}, ["recurrence.0"]),
        ({"recurrence": ["EXDATE;VALUE=PERIOD:20260311T080000Z/PT1H"]}, ["recurrence.0"]),
        ({"recurrence": ["RDATE;VALUE=PERIOD:20260311T080000Z/20260311T070000Z"]}, ["recurrence.0"]),
        ({"recurrence": ["RRULE:FREQ=SECONDLY"]}, ["recurrence"]),
        ({"recurrence": "RRULE:FREQ=WEEKLY"}, ["recurrence"]),
        ({"recurrence": ["RRULE:FREQ=DAILY"] * 101}, ["recurrence"]),
        (
            {
                "start": "2026-10-25T02:30:00+01:00",
                "end": "2026-10-25T04:00:00+01:00",
                "recurrence": ["RRULE:FREQ=DAILY"],
            },
            ["start"],
        ),
        ({"status": "maybe"}, ["status"]),
        ({"transparency": "busy"}, ["transparency"]),
        ({"attendees": [{"email": "you"}]}, ["attendees.0.email"]),
        ({"attendees": [{"email": "a@b.example", "response": "yes"}]}, ["attendees.0.response"]),
        ({"attendees": [{"email": "a@b.example"}, {"email": "A@B.example"}]}, ["attendees.1.email"]),
        ({"title": "bell\x07"}, ["title"]),
        ({"title": "x" * 1001}, ["title"]),
        ({"organizer": "you"}, ["organizer"]),
        ({"copy": True}, ["copy"]),
    ],
)
async def test_what_cannot_be_an_event_is_named(
    tester: Client, given: dict[str, Any], fields: list[str]
) -> None:
    calendar = await add_calendar(tester)
    body = {"start": "2026-03-04T09:00:00+01:00", "end": "2026-03-04T10:00:00+01:00", **given}
    refused(await tester.post(f"{URL}/{calendar}/events", body), *fields)
    assert (await tester.get(f"{URL}/{calendar}/events")).json["events"] == []


async def test_a_uid_stands_once_in_a_calendar(tester: Client) -> None:
    calendar = await add_calendar(tester)
    event = await add_event(tester, calendar, uid="meeting")
    refused(await tester.post(f"{URL}/{calendar}/events", {**WEEKLY, "uid": "meeting"}), "uid")
    assert (await tester.delete(f"{URL}/{calendar}/events/{event['id']}")).status == 204
    await add_event(tester, calendar, uid="meeting")
    await add_event(tester, await add_calendar(tester), uid="meeting")


async def test_what_is_not_given_stays(tester: Client) -> None:
    calendar = await add_calendar(tester)
    event = await add_event(tester, calendar, title="Review", location="Room 2")
    url = f"{URL}/{calendar}/events/{event['id']}"
    moved = (await tester.patch(url, {"end": "2026-03-04T11:00:00+01:00"})).json
    assert moved == event | {"end": "2026-03-04T10:00:00Z"}
    abroad = (await tester.patch(url, {"timezone": "Asia/Tokyo", "title": ""})).json
    assert abroad == moved | {"timezone": "Asia/Tokyo", "title": ""}
    refused(await tester.patch(url, {"start": "2026-03-04T12:00:00+01:00"}), "end")
    refused(await tester.patch(url, {"all_day": True}), "start", "end")
    days = {"all_day": True, "start": "2026-03-04", "end": "2026-03-05"}
    assert (await tester.patch(url, days)).json == abroad | days | {"timezone": None}
    assert (await tester.patch(url, {})).json["all_day"] is True


async def test_the_second_of_two_equal_readings_of_the_clock_is_kept_in_utc(tester: Client) -> None:
    calendar = await add_calendar(tester)
    times = {"start": "2026-10-25T01:30:00Z", "end": "2026-10-25T03:00:00Z"}
    event = await add_event(tester, calendar, **times)
    assert {name: event[name] for name in times} == times
    first = await add_event(tester, calendar, start="2026-10-25T00:30:00Z", end="2026-10-25T03:00:00Z")
    assert (event["timezone"], first["timezone"]) == ("UTC", "Europe/Berlin")


async def test_an_instance_is_changed_on_its_own(tester: Client) -> None:
    calendar = await add_calendar(tester)
    event = await add_event(tester, calendar, **WEEKLY)
    url = f"{URL}/{calendar}/events/{event['id']}"
    times = {"start": "2026-03-10T13:00:00Z", "end": "2026-03-10T14:00:00Z"}
    changed = (await tester.patch(f"{url}/instances/2026-03-09T09:00:00%2B01:00", times)).json
    (override,) = changed["overrides"]
    assert override == {name: event[name] for name in override if name in event} | times | {
        "original_start": "2026-03-09T08:00:00Z"
    }
    again = await tester.patch(f"{url}/instances/2026-03-09T08:00:00Z", {"title": "Moved"})
    assert again.json["overrides"] == [override | {"title": "Moved"}]
    assert again.json["title"] == "Standup"
    # After the clocks changed it starts an hour earlier in UTC.
    late = (await tester.patch(f"{url}/instances/2026-03-30T07:00:00Z", {"status": "cancelled"})).json
    assert [each["status"] for each in late["overrides"]] == ["confirmed", "cancelled"]
    assert (await tester.get(url)).json == late
    for nowhere in (
        "2026-03-10T13:00:00Z",
        "2026-03-09",
        "2026-04-20T07:00:00Z",
        "soon",
        "2026-03-09T08:00:01Z",
    ):
        assert (await tester.patch(f"{url}/instances/{nowhere}", {"title": "x"})).status == 404
    refused(await tester.patch(f"{url}/instances/2026-03-09T08:00:00Z", {"recurrence": []}), "recurrence")


async def test_an_instance_is_taken_out(tester: Client) -> None:
    calendar = await add_calendar(tester)
    event = await add_event(tester, calendar, **WEEKLY)
    url = f"{URL}/{calendar}/events/{event['id']}"
    await tester.patch(f"{url}/instances/2026-03-09T08:00:00Z", {"title": "Moved"})
    assert (await tester.delete(f"{url}/instances/2026-03-09T08:00:00Z")).status == 204
    left = (await tester.get(url)).json
    assert left["overrides"] == []
    assert left["recurrence"] == ["RRULE:FREQ=WEEKLY;COUNT=6", "EXDATE;TZID=Europe/Berlin:20260309T090000"]
    assert (await tester.delete(f"{url}/instances/2026-03-09T08:00:00Z")).status == 404
    single = await add_event(tester, calendar)
    gone = await tester.delete(f"{URL}/{calendar}/events/{single['id']}/instances/{single['start']}")
    assert gone.status == 404


async def test_overrides_stay_while_the_series_has_their_instances(tester: Client) -> None:
    calendar = await add_calendar(tester)
    event = await add_event(tester, calendar, **WEEKLY)
    url = f"{URL}/{calendar}/events/{event['id']}"
    for week in ("09", "23"):
        await tester.patch(f"{url}/instances/2026-03-{week}T08:00:00Z", {"title": week})
    shorter = (await tester.patch(url, {"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=3"]})).json
    assert [each["title"] for each in shorter["overrides"]] == ["09"]
    renamed = (await tester.patch(url, {"title": "Daily"})).json
    assert [each["title"] for each in renamed["overrides"]] == ["09"]
    moved = (await tester.patch(url, {"start": "2026-03-02T09:15:00+01:00"})).json
    assert moved["overrides"] == []


async def test_an_event_that_is_gone_is_gone(tester: Client) -> None:
    calendar = await add_calendar(tester)
    event = await add_event(tester, calendar)
    url = f"{URL}/{calendar}/events/{event['id']}"
    assert (await tester.delete(url)).status == 204
    for answer in (await tester.get(url), await tester.patch(url, {"title": "x"}), await tester.delete(url)):
        assert answer.status == 404


async def test_lists_can_be_paged(tester: Client) -> None:
    calendar = await add_calendar(tester)
    ids = sorted([(await add_event(tester, calendar))["id"] for _ in range(3)])
    first = (await tester.get(f"{URL}/{calendar}/events?limit=2")).json
    rest = (await tester.get(f"{URL}/{calendar}/events?limit=2&starting_after={ids[1]}")).json
    assert [[each["id"] for each in page["events"]] for page in (first, rest)] == [ids[:2], ids[2:]]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    refused(await tester.get(f"{URL}/{calendar}/events?starting_after=sbe_x"), "starting_after")


async def test_faults_are_ordered_shown_and_cleared(tester: Client) -> None:
    calendar = await add_calendar(tester)
    url = f"{URL}/{calendar}/faults"
    assert (await tester.get(url)).json == {"faults": []}
    await tester.post(url, {"kind": "slow", "times": 3})
    await tester.post(url, {"kind": "expire"})
    answer = await tester.post(url, {"kind": "slow", "times": 1})
    assert answer.status == 201
    assert answer.json == {"faults": [{"kind": "expire", "times": 1}, {"kind": "slow", "times": 1}]}
    assert (await tester.get(url)).json == answer.json
    assert (await tester.delete(url)).status == 204
    assert (await tester.get(url)).json == {"faults": []}
    for body, field in (
        ({}, "kind"),
        ({"kind": "explode"}, "kind"),
        ({"kind": "slow", "times": 0}, "times"),
        ({"kind": "slow", "times": 101}, "times"),
        ({"kind": "slow", "times": True}, "times"),
    ):
        refused(await tester.post(url, body), field)


async def test_a_calendar_is_discovered_connected_and_then_kept(tester: Client) -> None:
    assert (await tester.post("/api/v1/connections/discover", {"provider": "sandbox"})).json == {
        "calendars": []
    }
    calendar = await add_calendar(tester, email="you@work.example")
    found = (await tester.post("/api/v1/connections/discover", {"provider": "sandbox"})).json["calendars"]
    assert found == [{"id": calendar, "name": "Work", "read_only": False, "timezone": "Europe/Berlin"}]
    answer = await tester.post("/api/v1/connections", {"provider": "sandbox", "calendar_id": calendar})
    assert answer.status == 201, answer.body
    connection = answer.json
    assert (connection["provider"], connection["calendar_id"], connection["email"], connection["status"]) == (
        "sandbox",
        calendar,
        "you@work.example",
        "active",
    )
    assert connection["mode"] == "test"
    again = await tester.post("/api/v1/connections", {"provider": "sandbox"})
    assert again.status == 409
    assert (await tester.delete(f"{URL}/{calendar}")).status == 409
    assert (await tester.delete(f"/api/v1/connections/{connection['id']}")).status == 204
    assert (await tester.delete(f"{URL}/{calendar}")).status == 204
    for given in ({"calendar_id": calendar}, {"calendar_id": "https://dav.example.com/a/"}, {}):
        refusal = await tester.post("/api/v1/connections", {"provider": "sandbox", **given})
        refused(refusal, "calendar_id")


async def test_a_calendar_that_goes_while_it_is_connected_is_not_there(
    tester: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    calendar = await add_calendar(tester)
    find = connecting.find_calendars

    async def find_and_delete(*arguments: Any) -> list[Found]:
        found = await find(*arguments)
        assert (await tester.delete(f"{URL}/{calendar}")).status == 204
        return found

    monkeypatch.setattr(connecting, "find_calendars", find_and_delete)
    refused(
        await tester.post("/api/v1/connections", {"provider": "sandbox", "calendar_id": calendar}),
        "calendar_id",
    )
    assert (await tester.get("/api/v1/connections")).json["connections"] == []


async def test_any_password_authorizes_an_expired_connection_again(world: World, tester: Client) -> None:
    calendar = await add_calendar(tester)
    made = (await tester.post("/api/v1/connections", {"provider": "sandbox"})).json
    async with world.db.write() as db:
        await update_connection(db, made["id"], status="expired", last_error_code="not_authorized")
    url = f"/api/v1/connections/{made['id']}"
    assert (await tester.get(url)).json["status"] == "expired"
    for changes in ({"username": "you"}, {"password": "x", "url": "https://x.example/"}):
        refused(await tester.patch(url, changes), next(iter(changes.keys() - {"password"})))
    renewed = await tester.patch(url, {"password": "whatever"})
    assert renewed.json == made
    assert renewed.json["calendar_id"] == calendar


async def test_what_has_changed_since_it_was_read_is_kept(tester: Client) -> None:
    calendar = await add_calendar(tester)
    event = await add_event(tester, calendar)
    url = f"{URL}/{calendar}"
    await tester.post(f"{url}/faults", {"kind": "slow"})
    for path in ("", f"/events/{event['id']}", "/faults"):
        read = await tester.get(url + path)
        assert (await tester.delete(url + path, headers=[("If-Match", '"other"')])).status == 412
        assert (await tester.get(url + path)).json == read.json
    etag = ("If-Match", (await tester.get(f"{url}/events/{event['id']}")).headers["etag"])
    first = await tester.patch(f"{url}/events/{event['id']}", {"title": "Mine"}, headers=[etag])
    second = await tester.patch(f"{url}/events/{event['id']}", {"title": "Theirs"}, headers=[etag])
    assert (first.status, second.status) == (200, 412)
