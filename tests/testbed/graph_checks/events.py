"""People, calendars, single events and views."""

from __future__ import annotations

import httpx

from .kit import BERLIN, SPRING, Graph, Json, check, event, is_error

# People and calendars


@check("errors", "without a token: 401 in the usual envelope")
def _(graph: Graph) -> None:
    is_error(httpx.get(f"{graph.base}/v1.0/me", trust_env=False), 401)


@check("user-get", "/me is somebody with an id and an address")
def _(graph: Graph) -> None:
    me = graph.get("/me").json()
    assert {"id", "mail", "userPrincipalName", "displayName"} <= set(me)


@check("user-get", "/users/{id} is the same person")
def _(graph: Graph) -> None:
    me = graph.get("/me").json()
    assert graph.get(f"/users/{me['id']}").json()["mail"] == me["mail"]
    assert graph.get(f"/users/{me['userPrincipalName']}").json()["id"] == me["id"]


@check("user-get-mailboxsettings", "the mailbox has a time zone")
def _(graph: Graph) -> None:
    zone = graph.get("/me/mailboxSettings").json()["timeZone"]
    assert zone
    assert graph.get("/me/mailboxSettings/timeZone").json()["value"] == zone


@check("user-list-calendars", "one calendar is the default one; each says whether it can be edited")
def _(graph: Graph) -> None:
    found = graph.get("/me/calendars", _top="100").json()["value"]
    assert sum(one["isDefaultCalendar"] for one in found) == 1
    assert all({"id", "name", "owner", "canEdit"} <= set(one) for one in found)


@check("calendar-get", "/me/calendar is the default calendar")
def _(graph: Graph) -> None:
    assert graph.get("/me/calendar").json()["isDefaultCalendar"] is True
    assert graph.get(f"/me/calendars/{graph.calendar}").json()["id"] == graph.calendar


@check("calendar-delete", "204, and the calendar is gone")
def _(graph: Graph) -> None:
    made = graph.new_calendar()
    assert graph.http.delete(f"/me/calendars/{made}").status_code == 204
    is_error(graph.get(f"/me/calendars/{made}"), 404)


@check("calendar-delete", "the default calendar stays")
def _(graph: Graph) -> None:
    default = graph.get("/me/calendar").json()["id"]
    assert 400 <= graph.http.delete(f"/me/calendars/{default}").status_code < 500


# Events


@check("calendar-post-events", "201, and the event as it stands")
def _(graph: Graph) -> None:
    made = graph.make()
    assert (made["type"], made["showAs"], made["sensitivity"]) == ("singleInstance", "busy", "normal")
    assert made["isOrganizer"] is True
    assert made["seriesMasterId"] is made["recurrence"] is None


@check("resources/event", "its ETag is that of its changeKey, which changes with each change")
def _(graph: Graph) -> None:
    made = graph.make()
    assert made["@odata.etag"] == f'W/"{made["changeKey"]}"'
    assert graph.patch(made["id"], subject="Other").json()["changeKey"] != made["changeKey"]


@check("event-get", "times are in UTC unless another zone is preferred")
def _(graph: Graph) -> None:
    found = graph.read(graph.make()["id"])
    assert found["start"] == {"dateTime": "2026-03-02T09:00:00.0000000", "timeZone": "UTC"}


@check("event-get", "Prefer: outlook.timezone sets the zone of the times, and the answer says so")
def _(graph: Graph) -> None:
    zone = "Pacific Standard Time"
    answer = graph.get(f"/me/events/{graph.make()['id']}", {"Prefer": f'outlook.timezone="{zone}"'})
    assert answer.json()["start"] == {"dateTime": "2026-03-02T01:00:00.0000000", "timeZone": zone}
    assert f'outlook.timezone="{zone}"' in answer.headers["Preference-Applied"]


@check("event-get", "originalStartTimeZone is the zone of the create")
def _(graph: Graph) -> None:
    found = graph.read(graph.make()["id"])
    assert (found["originalStartTimeZone"], found["originalEndTimeZone"]) == (BERLIN, BERLIN)


@check("resources/datetimetimezone", "zones may have IANA names")
def _(graph: Graph) -> None:
    made = graph.make(**event(zone="Europe/Berlin"))
    assert made["start"]["dateTime"].startswith("2026-03-02T09:00")


@check("outlookuser-supportedtimezones", "a zone that is none is refused")
def _(graph: Graph) -> None:
    is_error(graph.post(**event(zone="Middle Earth Standard Time")), 400)


@check("event-get", "a body comes as HTML")
def _(graph: Graph) -> None:
    made = graph.make(body={"contentType": "text", "content": "5 < 6"})
    body = graph.read(made["id"])["body"]
    assert body["contentType"] == "html"
    assert "5 &lt; 6" in body["content"]


@check("event-get", "or as text where that is preferred")
def _(graph: Graph) -> None:
    made = graph.make(body={"contentType": "HTML", "content": "<b>Does mid month</b> work for you?"})
    body = graph.read(made["id"], {"Prefer": 'outlook.body-content-type="text"'})["body"]
    assert body["contentType"] == "text"
    assert body["content"].strip() == "Does mid month work for you?"


@check("event-update", "200, and what was not named stays")
def _(graph: Graph) -> None:
    made = graph.make(location={"displayName": "Harry's Bar"})
    changed = graph.patch(made["id"], subject="Other")
    assert changed.status_code == 200
    assert (changed.json()["subject"], changed.json()["location"]["displayName"]) == ("Other", "Harry's Bar")
    assert changed.json()["start"] == made["start"]


@check("event-delete", "204, and the event is gone")
def _(graph: Graph) -> None:
    made = graph.make()
    assert graph.delete(made["id"]) == 204
    is_error(graph.get(f"/me/events/{made['id']}"), 404)


@check("resources/event", "location and locations correspond")
def _(graph: Graph) -> None:
    made = graph.make(location={"displayName": "Harry's Bar"})
    assert [one["displayName"] for one in made["locations"]] == ["Harry's Bar"]
    changed = graph.patch(made["id"], location={"displayName": "Home"}).json()
    assert [one["displayName"] for one in changed["locations"]] == ["Home"]


@check("resources/event", "showAs, sensitivity, importance, categories and reminders come back")
def _(graph: Graph) -> None:
    given: Json = {
        "showAs": "oof",
        "sensitivity": "private",
        "importance": "high",
        "categories": ["Red category"],
    }
    given |= {"isReminderOn": False, "reminderMinutesBeforeStart": 30}
    found = graph.read(graph.make(**given)["id"])
    assert {name: found[name] for name in given} == given


@check("resources/event", "an all-day event stays at midnight, whatever zone is preferred")
def _(graph: Graph) -> None:
    made = graph.make(**event("2026-03-05T00:00:00", "2026-03-06T00:00:00"), isAllDay=True)
    for zone in ("UTC", "Pacific Standard Time"):
        found = graph.read(made["id"], {"Prefer": f'outlook.timezone="{zone}"'})
        assert (found["start"]["dateTime"][:19], found["end"]["dateTime"][:19]) == (
            "2026-03-05T00:00:00",
            "2026-03-06T00:00:00",
        )


@check("resources/event", "an all-day event must start and end at midnight")
def _(graph: Graph) -> None:
    is_error(graph.post(**event("2026-03-05T09:00:00", "2026-03-06T00:00:00"), isAllDay=True), 400)


@check("resources/event", "an all-day event must start and end in one zone")
def _(graph: Graph) -> None:
    body = event("2026-03-05T00:00:00", "2026-03-06T00:00:00")
    body["end"]["timeZone"] = "UTC"
    is_error(graph.post(**body, isAllDay=True), 400)


@check("resources/event", "the same transactionId again makes no second event (seen: 201 and the first one)")
def _(graph: Graph) -> None:
    made = [graph.make(transactionId="7E163156-7762-4BEB-A1C6-729EA81755A7") for _ in range(2)]
    assert made[0]["id"] == made[1]["id"]
    assert made[0]["transactionId"] == "7E163156-7762-4BEB-A1C6-729EA81755A7"


@check("user-list-events", "the list has single events and masters, no instances")
def _(graph: Graph) -> None:
    graph.series()
    types = {one["type"] for one in graph.get(graph.events, _top="100").json()["value"]}
    assert types == {"singleInstance", "seriesMaster"}


@check("paging", "$top makes pages, @odata.nextLink leads on")
def _(graph: Graph) -> None:
    first = graph.get(graph.events, _top="2").json()
    second = graph.http.get(first["@odata.nextLink"]).json()
    assert [len(first["value"]), len(second["value"])] == [2, 2]
    assert not {one["id"] for one in first["value"]} & {one["id"] for one in second["value"]}


@check("query-parameters", "$select shows what it names, and the id")
def _(graph: Graph) -> None:
    row = graph.get(graph.events, _top="1", _select="subject,start").json()["value"][0]
    assert {name for name in row if "@" not in name} == {"id", "subject", "start"}


# Views


@check("calendar-list-calendarview", "instances and single events, no masters")
def _(graph: Graph) -> None:
    series = graph.series()
    graph.patch(graph.instances(series["id"])[1]["id"], subject="Other")
    found = graph.get(f"/me/calendars/{graph.calendar}/calendarView", **SPRING, _top="1000").json()["value"]
    assert {one["type"] for one in found} == {"singleInstance", "occurrence", "exception"}


@check("calendar-list-calendarview", "the offsets of the span count; without one it is UTC")
def _(graph: Graph) -> None:
    made = graph.make(**event("2027-05-02T04:30:00", "2027-05-02T05:00:00", "UTC"))
    view = f"/me/calendars/{graph.calendar}/calendarView"
    headers = {"Prefer": 'outlook.timezone="Pacific Standard Time"'}
    for start, end in (
        ("2027-05-01T20:00:00-08:00", "2027-05-01T21:00:00-08:00"),
        ("2027-05-02T04:00:00", "2027-05-02T05:00:00"),
    ):
        found = graph.get(view, headers, startDateTime=start, endDateTime=end).json()["value"]
        assert [one["id"] for one in found] == [made["id"]]


@check("calendar-list-calendarview", "a span of time is needed")
def _(graph: Graph) -> None:
    is_error(graph.get(f"/me/calendars/{graph.calendar}/calendarView"), 400)
