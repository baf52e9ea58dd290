"""A person's hand on a Google calendar: blocking calls of the API that go past the program under test."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote

from calendarsync.domain.event import Component, Content, EventTime, Resource, Response, Status, Visibility
from calendarsync.domain.origin import looks_derived
from calendarsync.domain.recurrence import expand
from calendarsync.domain.times import in_form_of, moment_key
from calendarsync.domain.timezones import zone_info
from calendarsync.providers.icalendar import MARK_PROPERTY, write_recurrence
from tests.testbed.events import vcalendar
from tests.testbed.google import Account, Model
from tests.testbed.paper import end_of, line, read, written
from tests.testbed.rest import Answer, Row, ask

_RESPONSES = {
    Response.ACCEPTED: "accepted",
    Response.DECLINED: "declined",
    Response.NEEDS_ACTION: "needsAction",
    Response.TENTATIVE: "tentative",
}
MARK, COPY = "calendarsync", "calendarsyncCopy"
ZONE = "Europe/Berlin"
_SECOND = timedelta(seconds=1)


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
        resource = read(name, data)
        first = resource.components[0]
        there = self._all(calendar).get(self._id(name))
        if there and first.status is Status.CANCELLED:
            self.delete(calendar, name)
        elif there and there.master:
            self._change(calendar, resource, there)
        elif first.recurrence_id is not None:
            self._ids[name] = self._place_instance(calendar, resource)
        elif first.status is not Status.CANCELLED:
            self._ids[name] = self._create(calendar, resource)

    def delete(self, calendar: str, name: str) -> None:
        there = self._all(calendar)[self._id(name)]
        for row in [there.master] if there.master else there.exceptions:
            self._ask("DELETE", f"{_events(calendar)}/{row['id']}")

    def list(self, calendar: str) -> dict[str, str]:
        return {self._name(event_id): found.version for event_id, found in self._all(calendar).items()}

    def read_all(self, calendar: str) -> dict[str, bytes]:
        everything = self._all(calendar).items()
        return {self._name(event_id): vcalendar(*found.vevents()).encode() for event_id, found in everything}

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
        self._invite(calendar, made, resource.components[0])
        known = self._all(calendar)[made].known
        self._write_overrides(calendar, made, resource, known)
        return made

    def _place_instance(self, calendar: str, resource: Resource) -> str:
        """Somebody was invited to one instance alone; the API has no call that makes this."""
        (component,) = resource.components
        assert component.recurrence_id is not None
        series = f"_{base64.b32hexencode(resource.uid.encode()).decode().rstrip('=').lower()}"
        named = {"recurringEventId": series, "originalStartTime": _written(component.recurrence_id)}
        event_id = f"{series}_{component.recurrence_id.instant(ZONE):%Y%m%dT%H%M%SZ}"
        body = {**_body(resource, component), **named, "iCalUID": resource.uid}
        self.model.put(calendar, _without_nulls(body), event_id)
        return series

    def _invite(self, calendar: str, event_id: str, component: Component) -> None:
        """Somebody else has invited to it, and this is the answer."""
        if component.response is not None:
            own = {"email": calendar, "responseStatus": _RESPONSES[component.response]}
            self.model.put(
                calendar, {"organizer": {"email": "boss@example.com"}, "attendees": [own]}, event_id
            )

    def _change(self, calendar: str, resource: Resource, there: _Found) -> None:
        row, master = there.master, resource.components[0]
        assert row is not None
        known = there.known
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
        answers = {"attendees": [], "organizer": {"email": calendar}}
        self.model.put(calendar, answers, row["id"])
        self._invite(calendar, row["id"], master)
        self._write_overrides(calendar, row["id"], resource, self._all(calendar)[row["id"]].known)

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
                path = self._instance(calendar, series, original)
                row = self._ask("PATCH", path, _body(resource, component))
                self._invite(calendar, row["id"], component)
        self._straighten(calendar, master, {_key_of(each.recurrence_id) for each in overrides}, known)

    def _straighten(self, calendar: str, master: Component, kept: set[str], known: dict[str, Row]) -> None:
        """What is no exception any more is moved back by hand, or deleted where the series has nothing there."""
        length = end_of(master).instant(ZONE) - master.start.instant(ZONE)
        for key, row in known.items():
            if key in kept or row["status"] == "cancelled":
                continue
            path, begin = f"{_events(calendar)}/{row['id']}", row["originalStartTime"]
            moment = _time(begin).instant(ZONE)
            if any(
                each.start.instant(ZONE) == moment
                for each in expand([master], moment, moment + _SECOND, ZONE)
            ):
                end = EventTime((moment + length).replace(tzinfo=None), "UTC")
                self._ask("PATCH", path, {"start": begin, "end": _written(end)})
            else:
                self._ask("DELETE", path)

    def _instance(self, calendar: str, series: str, original: EventTime) -> str:
        start = _written(original)
        moment = start.get("date") or original.instant(ZONE).isoformat()
        found = self._ask("GET", f"{_events(calendar)}/{series}/instances", params={"originalStart": moment})
        (row,) = found["items"]
        return f"{_events(calendar)}/{row['id']}"

    # Reading

    def _all(self, calendar: str) -> dict[str, _Found]:
        """By the id of the event, of a series its master's."""
        rows: list[Row] = []
        params = {"maxResults": "2500"}
        while True:
            page = self._ask("GET", _events(calendar), params=params)
            rows += page["items"]
            if "nextPageToken" not in page:
                break
            params["pageToken"] = page["nextPageToken"]
        found: dict[str, _Found] = {}
        for row in rows:
            of = found.setdefault(row.get("recurringEventId", row["id"]), _Found())
            if "recurringEventId" in row:
                of.exceptions.append(row)
            else:
                of.master = row
        return found

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
        "end": _written(end_of(component)),
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


def _key_of(time: EventTime | None) -> str:
    assert time is not None
    return moment_key(time, ZONE)


@dataclass
class _Found:
    """An event with its exceptions, cancelled ones too; those of a series that is not here have no master."""

    master: Row | None = None
    exceptions: list[Row] = field(default_factory=list)

    @property
    def version(self) -> str:
        rows = [self.master, *self.exceptions] if self.master else self.exceptions
        return " ".join(row["etag"] for row in rows)

    @property
    def known(self) -> dict[str, Row]:
        """The exceptions by the keys of their original starts."""
        return {_key_of(_time(each["originalStartTime"])): each for each in self.exceptions}

    def vevents(self) -> Iterator[str]:
        uid = _uid(self.master or self.exceptions[0])
        cancelled = [each for each in self.exceptions if each["status"] == "cancelled"]
        if self.master is not None:
            private = self.master.get("extendedProperties", {}).get("private", {})
            lines = [f"{MARK_PROPERTY}:{private[MARK]}"] if MARK in private else []
            lines += self.master.get("recurrence", ())
            lines += [line("EXDATE", _time(each["originalStartTime"])) for each in cancelled]
            yield _vevent(uid, self.master, lines)
        for each in self.exceptions:
            if each not in cancelled:
                yield _vevent(uid, each, [line("RECURRENCE-ID", _time(each["originalStartTime"]))])


def _uid(row: Row) -> str:
    found: str = row["id"] if looks_derived(row["id"]) else row["iCalUID"]
    return found


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
