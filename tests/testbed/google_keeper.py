"""A person's hand on a Google calendar: blocking calls of the API that go past the program under test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

from calendarsync.domain.event import Component, Content, EventTime, Resource, Status, Visibility
from calendarsync.domain.origin import looks_derived
from calendarsync.domain.times import in_form_of, moment_key
from calendarsync.domain.timezones import zone_info
from calendarsync.providers.icalendar import MARK_PROPERTY, read_resource, write_recurrence
from tests.testbed.events import vcalendar
from tests.testbed.google import Account, Model
from tests.testbed.paper import line, written
from tests.testbed.rest import Answer, Row, ask

MARK, COPY = "calendarsync", "calendarsyncCopy"
ZONE = "Europe/Berlin"


@dataclass
class GoogleKeeper:
    """Somebody with a Google account. Resources are named by what they were put as, else by their ids."""

    model: Model
    account: Account = field(init=False)
    _ids: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.account = self.model.account()

    def newcomer(self) -> GoogleKeeper:
        return GoogleKeeper(self.model)

    def make_calendar(self) -> str:
        return self.model.make_calendar(self.account, timezone=ZONE)

    def forget_tokens(self, calendar: str) -> None:
        self.model.forget_sync_tokens(calendar)

    def put(self, calendar: str, name: str, data: bytes | str) -> None:
        """Google keeps nothing that is cancelled; an instance of that kind is deleted, a whole event not made."""
        resource = read_resource(name, None, data.encode() if isinstance(data, str) else data)
        master = resource.components[0]
        assert master.recurrence_id is None, "the API makes no exception without its series"
        there = self._series(calendar, self._id(name))
        if master.status is Status.CANCELLED:
            if there:
                self.delete(calendar, name)
        elif there:
            self._change(calendar, resource, there)
        else:
            self._ids[name] = self._create(calendar, resource)

    def delete(self, calendar: str, name: str) -> None:
        self._ask("DELETE", f"{_events(calendar)}/{self._id(name)}")

    def list(self, calendar: str) -> dict[str, str]:
        return {
            self._name(event_id): " ".join(row["etag"] for row in rows)
            for event_id, rows in self._all(calendar).items()
        }

    def read_all(self, calendar: str) -> dict[str, bytes]:
        return {
            self._name(event_id): vcalendar(*_vevents(rows)).encode()
            for event_id, rows in self._all(calendar).items()
        }

    # Names and ids

    def _id(self, name: str) -> str:
        return self._ids.get(name, name.removesuffix(".ics"))

    def _name(self, event_id: str) -> str:
        return next((name for name, found in self._ids.items() if found == event_id), f"{event_id}.ics")

    # Writing

    def _create(self, calendar: str, resource: Resource) -> str:
        uid = resource.uid
        body = _without_nulls(_body(resource, resource.components[0]))
        own = {"id": uid} if looks_derived(uid) else {"iCalUID": uid}
        answer = self._send("POST", _events(calendar), {**body, **own})
        if answer.status == 409:  # a UID that was deleted is not free: this is another event
            answer = self._send("POST", _events(calendar), body)
        made: str = answer.expect(200)["id"]
        self._write_overrides(calendar, made, resource, {})
        return made

    def _change(self, calendar: str, resource: Resource, there: list[Row]) -> None:
        row, *exceptions = there
        master = resource.components[0]
        known = {_key(each["originalStartTime"]): each for each in exceptions}
        body = {"recurrence": None, **_body(resource, master)}
        lines = set(row.get("recurrence", ()))
        exdates = master.recurrence.exdates if master.recurrence else ()
        new = [each for each in exdates if line("EXDATE", each) not in lines and _key_of(each) not in known]
        if body["recurrence"]:
            kept = [each for each in body["recurrence"] if not each.startswith("EXDATE") or each in lines]
            body["recurrence"] = kept
        self._ask("PATCH", f"{_events(calendar)}/{row['id']}", body)
        for original in new:
            self._ask("DELETE", self._instance(calendar, row["id"], original))
        now = {_key(each["originalStartTime"]): each for each in self._series(calendar, row["id"])[1:]}
        self._write_overrides(calendar, row["id"], resource, now)

    def _write_overrides(self, calendar: str, series: str, resource: Resource, known: dict[str, Row]) -> None:
        master, *overrides = resource.components
        for component in overrides:
            assert component.recurrence_id is not None
            original = in_form_of(component.recurrence_id, master.start, ZONE)
            if known.get(_key_of(original), {}).get("status") == "cancelled":
                assert component.status is Status.CANCELLED, "nobody brings a deleted instance back"
            elif component.status is Status.CANCELLED:
                self._ask("DELETE", self._instance(calendar, series, original))
            else:
                body = _body(resource, component)
                self._ask("PATCH", self._instance(calendar, series, original), body)
        self._straighten(calendar, master, {_key_of(each.recurrence_id) for each in overrides}, known)

    def _straighten(self, calendar: str, master: Component, kept: set[str], known: dict[str, Row]) -> None:
        """What is no exception any more is moved back by hand."""
        length = _end(master).instant(ZONE) - master.start.instant(ZONE)
        for key, row in known.items():
            if key in kept or row["status"] == "cancelled":
                continue
            start = _time(row["originalStartTime"])
            begin = row["originalStartTime"]
            end = EventTime((start.instant(ZONE) + length).replace(tzinfo=None), "UTC")
            self._ask("PATCH", f"{_events(calendar)}/{row['id']}", {"start": begin, "end": _written(end)})

    def _instance(self, calendar: str, series: str, original: EventTime) -> str:
        start = _written(original)
        moment = start.get("date") or original.instant(ZONE).isoformat()
        found = self._ask("GET", f"{_events(calendar)}/{series}/instances", params={"originalStart": moment})
        (row,) = found["items"]
        return f"{_events(calendar)}/{row['id']}"

    # Reading

    def _series(self, calendar: str, event_id: str) -> list[Row]:
        """The event, then its exceptions; empty where it is not there."""
        return self._all(calendar).get(event_id, [])

    def _all(self, calendar: str) -> dict[str, list[Row]]:
        """By id: the event, then its exceptions, cancelled ones too."""
        found: list[Row] = []
        params = {"maxResults": "2500"}
        while True:
            page = self._ask("GET", _events(calendar), params=params)
            found += page["items"]
            if "nextPageToken" not in page:
                break
            params["pageToken"] = page["nextPageToken"]
        living = [row for row in found if "recurringEventId" not in row and row["status"] != "cancelled"]
        grouped = {row["id"]: [row] for row in living}
        for row in found:
            if row.get("recurringEventId") in grouped:
                grouped[row["recurringEventId"]].append(row)
        return grouped

    def _ask(self, method: str, path: str, body: Row | None = None, params: Row | None = None) -> Row:
        return self._send(method, path, body, params).expect(200, 204)

    def _send(self, method: str, path: str, body: Row | None = None, params: Row | None = None) -> Answer:
        return ask(method, f"{self.model.url}/calendar/v3{path}", self.account.token, body, params)


def _events(calendar: str) -> str:
    return f"/calendars/{quote(calendar, safe='')}/events"


def _body(resource: Resource, component: Component) -> Row:
    content = resource.contents.get(component.original, Content())
    body: Row = {
        "summary": content.title,
        "description": content.description,
        "location": content.location,
        "start": _written(component.start),
        "end": _written(_end(component)),
        "status": "tentative" if component.status is Status.TENTATIVE else "confirmed",
        "transparency": "transparent" if component.transparent else "opaque",
    }
    if component.recurrence_id is None:
        body["visibility"] = (
            "default" if component.visibility is Visibility.PUBLIC else component.visibility.value
        )
        body["extendedProperties"] = {"private": {MARK: resource.mark, COPY: "1" if resource.mark else None}}
    if component.recurrence is not None:
        body["recurrence"] = list(write_recurrence(component.recurrence, component.start))
    return body


def _without_nulls(row: Row) -> Row:
    """What a patch takes away is not there from the start."""
    return {
        name: _without_nulls(value) if isinstance(value, dict) else value
        for name, value in row.items()
        if value is not None
    }


def _end(component: Component) -> EventTime:
    assert component.end is not None, "people at Google give an end"
    return component.end


def _written(time: EventTime) -> Row:
    if time.all_day:
        return {"date": time.local.date().isoformat(), "dateTime": None}
    zone = time.zone or ZONE
    local = time.local.replace(tzinfo=zone_info(zone))
    return {"dateTime": local.isoformat(), "timeZone": zone, "date": None}


def _time(value: Row) -> EventTime:
    if value.get("date"):
        return EventTime(datetime.fromisoformat(value["date"]).date())
    zone = value.get("timeZone", ZONE)
    moment = datetime.fromisoformat(value["dateTime"])
    return EventTime(moment.astimezone(zone_info(zone)).replace(tzinfo=None), zone)


def _key(value: Row) -> str:
    return _key_of(_time(value))


def _key_of(time: EventTime | None) -> str:
    assert time is not None
    return moment_key(time, ZONE)


def _vevents(rows: list[Row]) -> Iterator[str]:
    master, *exceptions = rows
    private = master.get("extendedProperties", {}).get("private", {})
    lines = [f"{MARK_PROPERTY}:{private[MARK]}"] if MARK in private else []
    lines += master.get("recurrence", ())
    cancelled = [each for each in exceptions if each["status"] == "cancelled"]
    lines += [line("EXDATE", _time(each["originalStartTime"])) for each in cancelled]
    uid = master["id"] if looks_derived(master["id"]) else master["iCalUID"]
    yield _vevent(uid, master, lines)
    for each in exceptions:
        if each["status"] != "cancelled":
            yield _vevent(uid, each, [line("RECURRENCE-ID", _time(each["originalStartTime"]))])


def _vevent(uid: str, row: Row, lines: list[str]) -> str:
    visibility = row.get("visibility", "default")
    return written(
        uid,
        _time(row["start"]),
        _time(row["end"]),
        title=row.get("summary", ""),
        lines=lines,
        description=row.get("description", ""),
        location=row.get("location", ""),
        status=row["status"].upper(),
        transp=row.get("transparency", "opaque").upper(),
        **{"class": "" if visibility in ("default", "public") else visibility.upper()},
    )
