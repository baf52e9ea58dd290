"""An event as an answer carries it: to whom, on which calendar, in which zone, with how much detail."""

from __future__ import annotations

import copy
from typing import Any

from . import instances, times
from .state import Calendar, Entry, User, etag

_OMITTED_DEFAULTS = {
    "transparency": "opaque",
    "visibility": "default",
    "guestsCanInviteOthers": True,
    "guestsCanModify": False,
    "guestsCanSeeOtherGuests": True,
    "anyoneCanAddSelf": False,
    "privateCopy": False,
}
_TIMES = ("start", "end", "originalStartTime")
_SHOWN_OF_PRIVATE = frozenset(
    {
        "kind", "etag", "id", "status", "htmlLink", "created", "updated", "creator", "organizer", "start", "end",
        "recurrence", "recurringEventId", "originalStartTime", "transparency", "visibility", "iCalUID", "sequence",
        "eventType",
    }
)  # fmt: skip


def render(
    calendar: Calendar,
    user: User,
    entry: Entry,
    *,
    zone: str | None = None,
    bare: bool = False,
    max_attendees: int | None = None,
) -> dict[str, Any]:
    """An event resource. `bare`: deleted events carry no details, as in a sync without `showDeleted`."""
    zone = zone or calendar.timezone
    hole = instances.cancelled_instance(calendar, entry)
    dead = instances.dead(calendar, entry)
    event: dict[str, Any] = {"kind": "calendar#event", "etag": etag(entry.version), "id": entry.id}
    event["status"] = "cancelled" if dead else entry.event["status"]
    if hole or (dead and bare):
        names = ["recurringEventId", "originalStartTime"]
        event |= {name: copy.deepcopy(entry.event[name]) for name in names if name in entry.event}
    else:
        event["htmlLink"] = f"https://www.google.com/calendar/event?eid={entry.id}"
        event |= _details(calendar, entry, max_attendees)
    for name in _TIMES:
        if name in event:
            event[name] = times.shown(event[name], zone)
    return _for_reader(calendar, user, event)


def _details(calendar: Calendar, entry: Entry, max_attendees: int | None) -> dict[str, Any]:
    event = copy.deepcopy(entry.event)
    event.pop("status")
    event.pop(instances.GONE, None)
    for name, default in _OMITTED_DEFAULTS.items():
        if event.get(name) == default:
            del event[name]
    for person in (event["creator"], event["organizer"]):
        _mark_self(calendar, person)
    for attendee in event.get("attendees", ()):
        _mark_self(calendar, attendee)
        if attendee["email"] == event["organizer"].get("email"):
            attendee["organizer"] = True
    if max_attendees is not None and len(event.get("attendees", ())) > max_attendees:
        event["attendees"] = [each for each in event["attendees"] if each.get("self")]
        event["attendeesOmitted"] = True
    return event


def _mark_self(calendar: Calendar, person: dict[str, Any]) -> None:
    if person.get("email") == calendar.id:
        person["self"] = True


def _for_reader(calendar: Calendar, user: User, event: dict[str, Any]) -> dict[str, Any]:
    """Private events keep their details from those who may only read (CalendarListEntry, accessRole)."""
    role = calendar.role(user)
    hidden = role == "freeBusyReader" or (
        role == "reader" and event.get("visibility") in ("private", "confidential")
    )
    return {name: value for name, value in event.items() if name in _SHOWN_OF_PRIVATE} if hidden else event
