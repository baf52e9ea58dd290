"""Creating, changing and deleting events and instances.

Sources: https://learn.microsoft.com/graph/api/calendar-post-events, event-update, event-delete.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import takewhile
from typing import Any

from . import errors, recurrence
from .extended import extended_id
from .habits import Habits
from .ids import event_id
from .series import View, check_apart, check_neighbours, days, wall
from .state import Calendar, Event, Mail, Override, World, change_key
from .zones import Moment, parse

_NOT_FIELDS = {"start", "end", "recurrence", "singleValueExtendedProperties", "transactionId"}
_READ_ONLY = {
    "id", "bodyPreview", "cancelledOccurrences", "changeKey", "createdDateTime", "hasAttachments", "iCalUId",
    "isCancelled", "isDraft", "isOrganizer", "lastModifiedDateTime", "onlineMeeting", "onlineMeetingUrl",
    "organizer", "originalEndTimeZone", "originalStart", "originalStartTimeZone", "responseStatus",
    "seriesMasterId", "type", "webLink",
}  # fmt: skip
_ENUMS = {
    "showAs": ("unknown", "free", "tentative", "busy", "oof", "workingElsewhere"),
    "sensitivity": ("normal", "personal", "private", "confidential"),
    "importance": ("low", "normal", "high"),
}


def read_only(body: dict[str, Any]) -> list[str]:
    """What a request carries that only Graph writes."""
    return sorted(set(body) & _READ_ONLY)


def create(world: World, calendar: Calendar, body: dict[str, Any]) -> Event:
    """A new event, or the one that the transactionId made before. Raises 400."""
    transaction = body.get("transactionId")
    if transaction is not None:
        earlier = _by_transaction(world, calendar, str(transaction))
        if earlier is not None:
            return earlier
    start, end = _times(body, None)
    event = Event(calendar, start, end, fields(body), world.now())
    if transaction is not None:
        event.fields["transactionId"] = transaction
    _check_times(start, end, all_day=event.all_day)
    if body.get("recurrence"):
        set_recurrence(event, body["recurrence"])
    _set_properties(event.properties, body)
    world.add(event)
    _mail(world, View(event), "invitation")
    return event


def _by_transaction(world: World, calendar: Calendar, transaction: str) -> Event | None:
    """Raises 409 where the habits say that a deleted event uses its transactionId up."""
    for event in world.owned_events(calendar.owner):
        if event.transaction == transaction:
            return event
    if world.habits.transaction_after_delete == "refuse":
        gone = [event for other in world.calendars.values() for event in other.deleted]
        if any(event.transaction == transaction and event.calendar.owner is calendar.owner for event in gone):
            raise errors.ApiError(409, "ErrorDuplicateTransactionId", "The transactionId was used before.")
    return None


def update(world: World, view: View, body: dict[str, Any]) -> None:
    """Raises 400."""
    if view.day is not None:
        _update_instance(world, view, body)
    else:
        _update_event(view.event, body, world.habits)
    world.touch(view.event, "updated")
    _mail(world, view, "update")


def _update_event(event: Event, body: dict[str, Any], habits: Habits) -> None:
    """All of it or, where a part is refused, nothing."""
    draft = replace(event, properties=dict(event.properties), fields=event.fields | fields(body))
    draft.start, draft.end = _times(body, View(event))
    _check_times(draft.start, draft.end, all_day=draft.all_day)
    if "start" in body:
        draft.original_zones = None
    times = [(wall(event, one.start), wall(event, one.end), one.all_day) for one in (event, draft)]
    moved = times[0] != times[1]
    if "recurrence" in body or (moved and event.recurrence is not None):
        set_recurrence(draft, body.get("recurrence", _moved_range(draft)))
    if moved or draft.recurrence != event.recurrence:
        _reset_instances(draft, keep=not moved and habits.shortened == "keep" and _same_pattern(draft, event))
    _set_properties(draft.properties, body)
    vars(event).update(vars(draft))


def _same_pattern(one: Event, other: Event) -> bool:
    """Whether two forms of a series differ in nothing but its end."""
    if one.recurrence is None or other.recurrence is None:
        return False
    same_start = one.recurrence["range"]["startDate"] == other.recurrence["range"]["startDate"]
    return bool(same_start and one.recurrence["pattern"] == other.recurrence["pattern"])


def _reset_instances(event: Event, *, keep: bool) -> None:
    """Exchange keeps exceptions by the times that they replace; with other times none of them is left."""
    left = (
        set(takewhile(lambda day: day <= max(event.exceptions, default=day), days(event))) if keep else set()
    )
    event.exceptions = {day: one for day, one in event.exceptions.items() if day in left}
    event.cancelled = set(event.cancelled) if keep else set()


def _moved_range(event: Event) -> dict[str, Any] | None:
    """The recurrence of a series whose first day was moved by start alone."""
    if event.recurrence is None:
        return None
    span = event.recurrence["range"] | {"startDate": event.start.local.date().isoformat()}
    return {"pattern": event.recurrence["pattern"], "range": span}


def _update_instance(world: World, view: View, body: dict[str, Any]) -> None:
    assert view.day is not None
    if body.get("recurrence"):
        raise errors.bad_request("ErrorInvalidPropertySet", "An instance of a series can't recur.")
    start, end = _times(body, view)
    merged = (view.override.fields if view.override else {}) | fields(body)
    _check_times(start, end, all_day=bool((view.event.fields | merged).get("isAllDay")))
    if "start" in body or "end" in body:
        check_neighbours(view.event, view.day, start, end)
    properties = dict(view.override.properties) if view.override else {}
    _set_properties(properties, body)
    forced = view.override.forced if view.override else {}
    view.event.exceptions[view.day] = Override(start, end, merged, properties, change_key(), forced)


def delete(world: World, view: View) -> None:
    """A deleted instance is cancelled; with the last one the series goes."""
    _mail(world, view, "cancellation")
    event = view.event
    if view.day is None:
        world.remove(event)
        return
    event.exceptions.pop(view.day, None)
    event.cancelled.add(view.day)
    if next(days(event), None) is None:
        world.remove(event)
    else:
        world.touch(event, "updated")


def fields(body: dict[str, Any]) -> dict[str, Any]:
    """What a request writes but for times, recurrence and extended properties. Raises 400."""
    found = {
        name: value
        for name, value in body.items()
        if name not in _NOT_FIELDS | _READ_ONLY and "@" not in name
    }
    for name, values in _ENUMS.items():
        if isinstance(found.get(name), str):
            matching = [value for value in values if value.casefold() == found[name].casefold()]
            if not matching:
                raise errors.bad_request("RequestBodyRead", f"Cannot convert the value of '{name}'.")
            found[name] = matching[0]
    if "location" in found and "locations" not in found:
        named = found["location"] or {}
        found["location"] = _place(named) if named.get("displayName") else None
        found["locations"] = None
    if found.get("attendees"):
        found["attendees"] = [_attendee(one) for one in found["attendees"]]
    return found


def _place(named: dict[str, Any]) -> dict[str, Any]:
    kind = {"locationType": "default", "uniqueId": named["displayName"], "uniqueIdType": "private"}
    return kind | named


def _attendee(one: dict[str, Any]) -> dict[str, Any]:
    unanswered = {"response": "none", "time": "0001-01-01T00:00:00Z"}
    return {"type": "required", "status": unanswered} | one


def _times(body: dict[str, Any], now: View | None) -> tuple[Moment, Moment]:
    found = []
    for name in ("start", "end"):
        if isinstance(body.get(name), dict):
            found.append(parse(body[name], name))
        elif now is not None and name not in body:
            found.append(now.start if name == "start" else now.end)
        else:
            raise errors.bad_request("ErrorPropertyValidationFailure", f"Property '{name}' is required.")
    return found[0], found[1]


def _check_times(start: Moment, end: Moment, *, all_day: bool) -> None:
    """Source: resources/event, isAllDay: "start and end time must be set to midnight and be in the same zone"."""
    if all_day:
        for name, moment in (("Start", start), ("End", end)):
            if not moment.midnight:
                message = f"The Event.{name} property for an all-day event needs to be set to midnight."
                raise errors.bad_request("ErrorInvalidRequest", message)
        if start.zone != end.zone:
            message = "The start and end of an all-day event must be in the same time zone."
            raise errors.bad_request("ErrorInvalidRequest", message)
        if end.local - start.local < timedelta(days=1):
            message = "The duration of an event marked as All day must be at least 24 hours."
            raise errors.bad_request("ErrorInvalidRequest", message)
    elif end.utc < start.utc:
        message = "The end date of the event is earlier than its start date."
        raise errors.bad_request("ErrorCalendarEndDateIsEarlierThanStartDate", message)


def set_recurrence(event: Event, value: dict[str, Any] | None) -> None:
    """Raises 400. The series starts on the first day of its pattern, on its range's first day or later."""
    if value is None:
        event.recurrence = None
        return
    zone = (value.get("range") or {}).get("recurrenceTimeZone") or event.start.zone
    if zone != event.start.zone and not event.all_day:
        event.original_zones = event.original_zones or (event.start.zone, event.end.zone)
        event.start, event.end = event.start.within(zone), event.end.within(zone)
    recurrence.check(value, event.start.local.date())
    first = next(recurrence.days(value), None)
    if first is None:
        raise errors.bad_request("ErrorRecurrenceHasNoOccurrence", "The recurrence has no occurrence.")
    ahead = first - event.start.local.date()
    event.start = Moment(event.start.local + ahead, event.start.zone)
    event.end = Moment(event.end.local + ahead, event.end.zone)
    span = {"recurrenceTimeZone": event.start.zone} | value["range"] | {"startDate": first.isoformat()}
    event.recurrence = {"pattern": _normal_pattern(value["pattern"]), "range": _normal_range(span)}
    check_apart(event)


def _normal_pattern(pattern: dict[str, Any]) -> dict[str, Any]:
    """As Graph answers it: every property there, unused ones with 0 or their default."""
    kinds = ("daily", "weekly", "absoluteMonthly", "relativeMonthly", "absoluteYearly", "relativeYearly")
    kind = next(kind for kind in kinds if kind.casefold() == pattern["type"].casefold())
    found = {"interval": pattern["interval"], "month": 0, "dayOfMonth": 0, "firstDayOfWeek": "sunday"}
    found |= {"index": "first", "type": kind}
    found |= {
        name: pattern[name]
        for name in ("month", "dayOfMonth", "index", "firstDayOfWeek")
        if pattern.get(name)
    }
    found["firstDayOfWeek"] = found["firstDayOfWeek"].casefold()
    found["index"] = found["index"].casefold()
    if pattern.get("daysOfWeek"):
        found["daysOfWeek"] = [day.casefold() for day in pattern["daysOfWeek"]]
    return found


def _normal_range(span: dict[str, Any]) -> dict[str, Any]:
    kind = next(
        kind for kind in ("endDate", "noEnd", "numbered") if kind.casefold() == span["type"].casefold()
    )
    return {
        "type": kind,
        "startDate": span["startDate"],
        "endDate": span["endDate"] if kind == "endDate" else "0001-01-01",
        "recurrenceTimeZone": span["recurrenceTimeZone"],
        "numberOfOccurrences": span["numberOfOccurrences"] if kind == "numbered" else 0,
    }


def _set_properties(properties: dict[str, str], body: dict[str, Any]) -> None:
    """Extended properties: those named are set, the others stay; none can be taken away. Raises 400."""
    for one in body.get("singleValueExtendedProperties") or ():
        if one.get("value") is None:
            raise errors.bad_request("ErrorInvalidProperty", "An extended property needs a value.")
        properties[extended_id(one.get("id", ""))] = one["value"]


def _mail(world: World, view: View, kind: str) -> None:
    """Whoever is invited hears of every change by the organizer."""
    if not view.forced.get("isOrganizer", True):
        return
    for one in view.fields.get("attendees") or ():
        to = str((one.get("emailAddress") or {}).get("address", ""))
        world.mails.append(Mail(to, event_id(view.event, view.day, immutable=True), kind))
