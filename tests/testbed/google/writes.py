"""Writing events: insert, import, patch, update, delete and move."""

from __future__ import annotations

import base64
import copy
from typing import Any

from . import errors, instances, invitations, retiming, values
from .calls import Answer, Call
from .errors import invalid
from .rendering import render
from .state import Calendar, Entry, etag, new_id

_ORGANIZERS = (
    "start",
    "end",
    "recurrence",
    "guestsCanInviteOthers",
    "guestsCanModify",
    "guestsCanSeeOtherGuests",
)
_STRICTNESS = {"public": 0, "default": 1, "private": 2, "confidential": 2}


def insert(call: Call) -> Answer:
    calendar = call.calendar("writer")
    given = call.given()
    if given.get("eventType") == "fromGmail":
        raise invalid("Events from Gmail cannot be created.", "eventType")
    _check_alone(given)
    event_id, uid = _identity(given)
    event = _fresh(call, calendar, given) | {"iCalUID": uid}
    if _taken(calendar, event_id, uid):
        if not call.world.faults.overlook_collision():
            raise errors.duplicate()
        return _answer(call, calendar, Entry(event_id, _stamped(call, event), 0, 1))
    return _written(call, calendar, event_id, event, None)


def _check_alone(given: dict[str, Any]) -> None:
    """Exceptions are made by changing instances, not by creating events (kewisch/gdata-provider #1071)."""
    if given.get("recurringEventId") is not None:
        raise invalid("Invalid recurringEventId value.", "recurringEventId")


def _identity(given: dict[str, Any]) -> tuple[str, str]:
    """Id and iCalUID of a new event: "only one of them should be supplied"; the other follows (seen so)."""
    chosen, uid = given.get("id"), given.get("iCalUID")
    if chosen is not None and uid is not None:
        raise invalid("Only one of id and iCalUID should be supplied.")
    if uid is not None:
        return id_of_uid(uid), uid
    event_id = new_id() if chosen is None else values.client_id(chosen)
    return event_id, f"{event_id}@google.com"


def id_of_uid(uid: str) -> str:
    """The id that Google gives an event whose iCalUID comes from elsewhere: outside of what clients may choose."""
    return "_" + base64.b32hexencode(uid.encode()).decode().rstrip("=").lower()


def _taken(calendar: Calendar, event_id: str, uid: str) -> bool:
    """A deleted event keeps its id, and its iCalUID, for good."""
    return event_id in calendar.entries or _with_uid(calendar, uid) is not None


def _with_uid(calendar: Calendar, uid: str) -> Entry | None:
    for entry in calendar.entries.values():
        if entry.event["iCalUID"] == uid and entry.master_id is None:
            return entry
    return None


def _fresh(call: Call, calendar: Calendar, given: dict[str, Any]) -> dict[str, Any]:
    event = values.completed(calendar, copy.deepcopy(values.writable(call)))
    event["sequence"] = values.check_sequence(0, given.get("sequence"))
    event["creator"] = {"email": call.user.email}
    event["organizer"] = {"email": calendar.id}
    if not calendar.primary:
        event["organizer"]["displayName"] = calendar.summary
    return event


def _stamped(call: Call, event: dict[str, Any]) -> dict[str, Any]:
    now = f"{call.world.now():%Y-%m-%dT%H:%M:%S}.000Z"
    return {"created": now, "updated": now} | event


def import_(call: Call) -> Answer:
    """A private copy of an event that may be organized elsewhere; what has the iCalUID already is replaced."""
    calendar = call.calendar("writer")
    given = call.given()
    uid = given.get("iCalUID")
    if not uid:
        raise errors.required("Missing iCalUID.")
    if given.get("eventType", "default") != "default":
        raise invalid("Only events of the default type can be imported.", "eventType")
    _check_alone(given)
    event = _fresh(call, calendar, given) | {"iCalUID": uid}
    organizer = given.get("organizer", {})
    if organizer.get("email"):
        event["organizer"] = {name: organizer[name] for name in ("email", "displayName") if name in organizer}
    known = _with_uid(calendar, uid)
    if known is not None:
        values.check_sequence(known.event["sequence"], event["sequence"])
        event["created"] = known.event["created"]
    entry = call.world.put(calendar, known.id if known else id_of_uid(uid), event)
    return _answer(call, calendar, entry)


def patch(call: Call) -> Answer:
    calendar = call.calendar("writer")
    entry = instances.find(calendar, call.arguments["eventId"])
    _check_match(call, entry)
    return _changed(call, calendar, entry, values.merged(entry.event, values.writable(call)))


def update(call: Call) -> Answer:
    calendar = call.calendar("writer")
    entry = instances.find(calendar, call.arguments["eventId"])
    _check_match(call, entry)
    return _changed(call, calendar, entry, values.replaced(entry.event, call))


def _check_match(call: Call, entry: Entry) -> None:
    wanted = call.header("If-Match")
    if wanted is not None and wanted not in ("*", etag(entry.version)):
        raise errors.condition_not_met()


def _changed(call: Call, calendar: Calendar, entry: Entry, event: dict[str, Any]) -> Answer:
    before = entry.event
    if event.get("eventType", "default") != before["eventType"]:
        raise invalid("The event type cannot be changed.", "eventType")
    if entry.master_id is not None and event.get("recurrence"):
        raise invalid("Instances cannot recur.", "recurrence")
    sequence = values.check_sequence(before["sequence"], event.get("sequence"))
    event = values.completed(calendar, event)
    event["sequence"] = sequence
    reviving = instances.dead(calendar, entry) and event["status"] != "cancelled"
    if reviving and call.world.habits.revival == "refuse":
        raise errors.forbidden()
    if event["status"] == "cancelled" and not instances.dead(calendar, entry):
        return _removed(call, calendar, entry)
    event.pop(instances.GONE, None)
    _check_organizer(calendar, before, event)
    if not instances.same_series_after(before, event) and sequence == before["sequence"]:
        event["sequence"] += 1
    _spread_visibility(call, calendar, entry, event)
    return _written(call, calendar, entry.id, event, entry)


def _check_organizer(calendar: Calendar, before: dict[str, Any], event: dict[str, Any]) -> None:
    """In a copy that is not the organizer's, shared properties stay as they are."""
    if before["organizer"]["email"] == calendar.id or before.get("guestsCanModify"):
        return
    shared = [
        before.get("extendedProperties", {}).get("shared"),
        event.get("extendedProperties", {}).get("shared"),
    ]
    if any(before.get(name) != event.get(name) for name in _ORGANIZERS) or shared[0] != shared[1]:
        raise errors.organizer_only()


def _spread_visibility(call: Call, calendar: Calendar, entry: Entry, event: dict[str, Any]) -> None:
    """An instance made more private makes its whole series so; made less private, it stays (Event.visibility)."""
    master = calendar.master(entry)
    if master is None:
        return
    was, wanted = (each.get("visibility", "default") for each in (entry.event, event))
    if _STRICTNESS[wanted] <= _STRICTNESS[was]:
        event["visibility"] = was
        return
    for each in (master, *calendar.exceptions(master.id)):
        if each.id != entry.id:
            call.world.put(calendar, each.id, each.event | {"visibility": wanted})


def _written(
    call: Call, calendar: Calendar, event_id: str, event: dict[str, Any], before: Entry | None
) -> Answer:
    kept = copy.deepcopy(before.event) if before else None
    entry = call.world.put(calendar, event_id, call.world.habits.rewrite(event))
    if kept is not None and not instances.same_series_after(kept, event):
        retiming.settle_exceptions(call.world, calendar, entry)
    if kept is not None:
        retiming.follow(call.world, calendar, entry, kept)
    invitations.spread(call, calendar, entry, kept)
    return _answer(call, calendar, entry)


def _answer(call: Call, calendar: Calendar, entry: Entry) -> Answer:
    limit = call.number("maxAttendees", 0) or None
    body = render(calendar, call.user, entry, max_attendees=limit)
    return Answer(200, body, {"ETag": body["etag"]})


def delete(call: Call) -> Answer:
    calendar = call.calendar("writer")
    entry = instances.find(calendar, call.arguments["eventId"])
    if instances.dead(calendar, entry):
        raise errors.deleted()
    _check_match(call, entry)
    _removed(call, calendar, entry)
    return Answer(204)


def _removed(call: Call, calendar: Calendar, entry: Entry) -> Answer:
    """Deleted events stay as tombstones, so that syncs can name them; the exceptions of a series go with it."""
    before = copy.deepcopy(entry.event)
    for exception in calendar.exceptions(entry.id):
        call.world.put(calendar, exception.id, exception.event)
    removed = call.world.put(calendar, entry.id, entry.event | {"status": "cancelled"})
    invitations.spread(call, calendar, removed, before)
    return _answer(call, calendar, removed)


def move(call: Call) -> Answer:
    """To another calendar, which becomes the organizer; what is left behind, and answered, is a deleted event."""
    calendar = call.calendar("writer")
    destination = call.world.calendar(call.user, call.text("destination") or "", "writer")
    entry = calendar.entries.get(call.arguments["eventId"])
    if entry is None:
        raise errors.not_found()
    _check_match(call, entry)
    if instances.dead(calendar, entry) or entry.master_id or entry.event["eventType"] != "default":
        raise invalid("This event cannot be moved.")
    if entry.event["organizer"]["email"] != calendar.id:
        raise errors.organizer_only()
    if destination is calendar or entry.id in destination.entries:
        raise invalid("The event is in that calendar already.")
    organizer: dict[str, Any] = {"email": destination.id}
    for each in (entry, *calendar.exceptions(entry.id)):
        call.world.put(destination, each.id, copy.deepcopy(each.event) | {"organizer": organizer})
        call.world.put(calendar, each.id, each.event | {"status": "cancelled", "organizer": organizer})
    return _answer(call, calendar, calendar.entries[entry.id])


def quick_add(call: Call) -> Answer:
    raise invalid("The model reads no sentences.", "text")
