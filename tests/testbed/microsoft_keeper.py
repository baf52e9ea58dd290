"""A person's hand on a calendar at Microsoft: blocking calls of Graph that go past the program under test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote

from calendarsync.domain.event import Component, Content, EventTime, Resource, Response, Status, Visibility
from calendarsync.domain.origin import looks_derived
from calendarsync.domain.times import in_form_of
from calendarsync.domain.timezone_to_windows import windows_name
from calendarsync.providers.icalendar import read_resource
from calendarsync.providers.microsoft.stored import MARK
from tests.testbed.events import vcalendar
from tests.testbed.microsoft import Account, Model
from tests.testbed.microsoft_paper import pattern_of, vevents_of, zone_of
from tests.testbed.paper import end_of, read
from tests.testbed.rest import Answer, Row, ask

ZONE = "Europe/Berlin"
_PREFER = 'IdType="ImmutableId", outlook.timezone="UTC", outlook.body-content-type="text"'
_MARKED = f"singleValueExtendedProperties($filter=id eq '{MARK}')"
_SERIES = (
    "id,changeKey,originalStart,subject,body,start,end,originalStartTimeZone,originalEndTimeZone,isAllDay,location,"
    "showAs,sensitivity,isCancelled,exceptionOccurrences,cancelledOccurrences"
)
_SENSITIVITIES = {
    Visibility.PUBLIC: "normal",
    Visibility.PRIVATE: "private",
    Visibility.CONFIDENTIAL: "confidential",
}
_RESPONSES = {
    Response.ACCEPTED: "accepted",
    Response.DECLINED: "declined",
    Response.NEEDS_ACTION: "notResponded",
    Response.TENTATIVE: "tentativelyAccepted",
}


@dataclass
class MicrosoftKeeper:
    """Somebody with a mailbox. Resources are named by what they were put as, else by their ids.

    A copy is known by the id that it was created with, its `transactionId`.
    """

    model: Model
    account: Account = field(init=False)
    _ids: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.account = self.model.account()

    def newcomer(self) -> MicrosoftKeeper:
        return MicrosoftKeeper(self.model)

    def make_calendar(self) -> str:
        return self.model.make_calendar(self.account, f"Calendar {len(self._ids)}")

    def forget_tokens(self, calendar: str) -> None:
        self.model.forget_delta_tokens()

    def put(self, calendar: str, name: str, data: bytes | str) -> None:
        resource = read(name, data)
        there = self._all(calendar).get(name)
        if there is not None and there["type"] == "exception":
            self.delete(calendar, name)
            there = None
        if there is None:
            self._ids[name] = self._create(calendar, resource)
        else:
            self._change(resource, there)

    def delete(self, calendar: str, name: str) -> None:
        self._ask("DELETE", f"/events/{self._all(calendar)[name]['id']}")

    def list(self, calendar: str) -> dict[str, str]:
        return {name: _version(row) for name, row in self._all(calendar).items()}

    def read_all(self, calendar: str) -> dict[str, bytes]:
        return {name: vcalendar(*vevents_of(row)).encode() for name, row in self._all(calendar).items()}

    # Writing

    def _create(self, calendar: str, resource: Resource) -> str:
        master = resource.components[0]
        body = _body(resource, master)
        if master.recurrence_id is not None:
            # Somebody was invited to one instance alone.
            original = _moment(master.recurrence_id)
            return self.model.place(
                calendar, body, type="exception", originalStart=original, iCalUId=resource.uid
            )
        if looks_derived(resource.uid):
            body["transactionId"] = resource.uid
        if master.status is Status.CANCELLED:
            # A meeting that its organizer has called off.
            return self.model.place(calendar, body, isCancelled=True, isOrganizer=False)
        made: str = self._ask("POST", f"/calendars/{quote(calendar, safe='')}/events", body)["id"]
        if not looks_derived(resource.uid):
            self.model.force(made, iCalUId=resource.uid, **_answer(master))
        self._write_instances(made, resource, {}, set())
        return made

    def _change(self, resource: Resource, there: Row) -> None:
        master = resource.components[0]
        body = _body(resource, master)
        if _same_times(there, body):
            # Whoever sets the times of a series anew loses its exceptions.
            body = {name: body[name] for name in body.keys() - {"start", "end", "isAllDay", "recurrence"}}
        self._ask("PATCH", f"/events/{there['id']}", body)
        self.model.force(there["id"], **_answer(master))
        now = self._whole(there["id"])
        known = {each["originalStart"]: each for each in now.get("exceptionOccurrences", ())}
        gone = {each.rpartition(".")[2] for each in now.get("cancelledOccurrences", ())}
        self._write_instances(there["id"], resource, known, gone)

    def _write_instances(
        self, series: str, resource: Resource, known: dict[str, Row], gone: set[str]
    ) -> None:
        master, *overrides = resource.components
        exdates = master.recurrence.exdates if master.recurrence else ()
        cancelled = [each.recurrence_id for each in overrides if each.status is Status.CANCELLED]
        for hole in (*exdates, *cancelled):
            original = in_form_of(hole, master.start, ZONE) if hole else None
            if original is not None and original.local.date().isoformat() not in gone:
                self._ask("DELETE", self._instance(series, original))
        kept = set()
        for component in overrides:
            if component.recurrence_id is not None and component.status is not Status.CANCELLED:
                original = in_form_of(component.recurrence_id, master.start, ZONE)
                kept.add(_moment(original))
                path = self._instance(series, original)
                self._ask("PATCH", path, _body(resource, component))
                if component.response is not None:
                    self.model.force(path.rpartition("/")[2], **_answer(component))
        for moment, row in known.items():
            if moment not in kept:
                self._straighten(row, master, datetime.fromisoformat(moment))

    def _straighten(self, row: Row, master: Component, original: datetime) -> None:
        """What is no exception any more is moved back by hand."""
        length = end_of(master).instant(ZONE) - master.start.instant(ZONE)
        start, end = (EventTime(time.replace(tzinfo=None), "UTC") for time in (original, original + length))
        self._ask("PATCH", f"/events/{row['id']}", {"start": _written(start), "end": _written(end)})

    def _instance(self, series: str, original: EventTime) -> str:
        moment = original.instant("UTC" if original.all_day else ZONE)
        span = {
            "startDateTime": (moment - timedelta(days=40)).isoformat(),
            "endDateTime": (moment + timedelta(days=40)).isoformat(),
            "$top": "200",
        }
        rows = self._pages(f"/events/{series}/instances", span)
        wanted = _moment(original)
        (row,) = [each for each in rows if each["originalStart"] == wanted]
        return f"/events/{row['id']}"

    # Reading

    def _all(self, calendar: str) -> dict[str, Row]:
        """By name: the events, those that are series with what differs in them."""
        path = f"/calendars/{quote(calendar, safe='')}/events"
        found = {}
        for row in self._pages(path, {"$expand": _MARKED, "$top": "1000"}):
            series = self._whole(row["id"]) if row["type"] == "seriesMaster" else {}
            found[self._name(row)] = {**row, **series}
        return found

    def _pages(self, path: str, params: Row) -> Iterator[Row]:
        page = self._ask("GET", path, params=params)
        yield from page["value"]
        while "@odata.nextLink" in page:
            page = self._ask("GET", page["@odata.nextLink"].partition("/v1.0/me")[2])
            yield from page["value"]

    def _whole(self, series: str) -> Row:
        params = {"$select": _SERIES, "$expand": "exceptionOccurrences"}
        return self._ask("GET", f"/events/{series}", params=params)

    def _name(self, row: Row) -> str:
        transaction = row["transactionId"] or ""
        usual = transaction if looks_derived(transaction) else row["id"]
        return next((name for name, found in self._ids.items() if found == row["id"]), f"{usual}.ics")

    def _ask(self, method: str, path: str, body: Row | None = None, params: Row | None = None) -> Row:
        return self._send(method, path, body, params).expect(200, 201, 204)

    def _send(self, method: str, path: str, body: Row | None, params: Row | None) -> Answer:
        url = f"{self.model.url}/v1.0/me{path}"
        return ask(method, url, self.account.token, body, params, {"Prefer": _PREFER})


def _version(row: Row) -> str:
    exceptions = sorted(each["changeKey"] for each in row.get("exceptionOccurrences", ()))
    return " ".join([row["changeKey"], *exceptions, *row.get("cancelledOccurrences", ())])


def _moment(original: EventTime) -> str:
    return f"{original.instant('UTC' if original.all_day else ZONE):%Y-%m-%dT%H:%M:%SZ}"


def _body(resource: Resource, component: Component) -> Row:
    content = resource.contents.get(component.original, Content())
    tentative = component.status is Status.TENTATIVE
    body: Row = {
        "subject": content.title,
        "body": {"contentType": "text", "content": content.description},
        "location": {"displayName": content.location},
        "start": _written(component.start),
        "end": _written(end_of(component)),
        "isAllDay": component.start.all_day,
        "showAs": "free" if component.transparent else "tentative" if tentative else "busy",
    }
    if component.recurrence_id is None:
        body["sensitivity"] = _SENSITIVITIES[component.visibility]
        body["singleValueExtendedProperties"] = [{"id": MARK, "value": resource.mark or ""}]
    if component.recurrence is not None:
        body["recurrence"] = pattern_of(component.recurrence.rrules[0], component.start)
    return body


def _answer(component: Component) -> Row:
    """What the keeper has answered to whoever organizes it: nobody else, where there is no answer."""
    given = "organizer" if component.response is None else _RESPONSES[component.response]
    return {
        "isOrganizer": component.response is None,
        "responseStatus": {"response": given, "time": "2026-01-01T00:00:00Z"},
    }


def _written(time: EventTime) -> Row:
    """In Windows's names, as Outlook does."""
    name = windows_name(time.zone or ZONE) if not time.all_day else "UTC"
    return {"dateTime": f"{time.local:%Y-%m-%dT%H:%M:%S}", "timeZone": name}


def _same_times(there: Row, body: Row) -> bool:
    if there["recurrence"] is None or "recurrence" not in body:
        return False
    rows = vevents_of({**there, "cancelledOccurrences": [], "exceptionOccurrences": []})
    stands = read_resource("x", None, vcalendar(*rows).encode()).components[0]
    start = EventTime(datetime.fromisoformat(body["start"]["dateTime"]), zone_of(body["start"]["timeZone"]))
    end = EventTime(datetime.fromisoformat(body["end"]["dateTime"]), zone_of(body["end"]["timeZone"]))
    if body["isAllDay"]:
        start, end = EventTime(start.local.date()), EventTime(end.local.date())
    same = there["recurrence"]["pattern"] | body["recurrence"]["pattern"] == there["recurrence"]["pattern"]
    ends = there["recurrence"]["range"], body["recurrence"]["range"]
    kinds = [(each["type"], each.get("numberOfOccurrences"), each.get("endDate")) for each in ends]
    return same and kinds[0] == kinds[1] and (stands.start, stands.end) == (start, end)
