"""Events with attendees: their copies on the attendees' calendars, their answers, and the e-mails about them.

Guide "Events with attendees" and reference of events: a copy has the organizer's id and iCalUID; some properties
are shared by all copies, the others are each attendee's own; an answer shows in all of them. Only attendees whom
the model knows have copies. E-mails go out as `sendUpdates` says; by default none do. A deletion that nobody is
told of stays in the guests' calendars (measured, see README.md).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from . import instances
from .calls import Call
from .errors import ApiError
from .state import Calendar, Entry, Mail

_OWN = ("reminders", "transparency", "colorId", "visibility", "created", "updated")


def spread(call: Call, calendar: Calendar, entry: Entry, before: dict[str, Any] | None) -> None:
    """After a write: bring the other copies of the event in line, and write the e-mails."""
    if entry.event["organizer"]["email"] != calendar.id:
        _answered(call, calendar, entry, before)
        return
    people = _people(entry.event) | _people(before or {})
    _mail(call, calendar, entry, before)
    if instances.dead(calendar, entry) and _wish(call) == "none":
        return
    for email in people - {calendar.id}:
        theirs = call.world.primary_of(email)
        if theirs is None:
            continue
        _copy_to(call, theirs, entry, email)
        for exception in calendar.exceptions(entry.id):
            _copy_to(call, theirs, exception, email)


def _people(event: dict[str, Any]) -> set[str]:
    return {each["email"] for each in event.get("attendees", ())}


def _copy_to(call: Call, theirs: Calendar, entry: Entry, email: str) -> None:
    known = theirs.entries.get(entry.id)
    invited = email in _people(entry.event)
    master_known = entry.master_id in theirs.entries
    if known is None and not invited and not master_known:
        return
    event = copy.deepcopy(entry.event)
    if not invited:
        event["status"] = "cancelled"
    event.get("extendedProperties", {}).pop("private", None)
    kept = known.event if known else {"reminders": {"useDefault": True}}
    event = {name: value for name, value in event.items() if name not in _OWN}
    event |= {name: copy.deepcopy(kept[name]) for name in _OWN if name in kept}
    if known is None and "visibility" in entry.event:
        event["visibility"] = entry.event["visibility"]
    private = kept.get("extendedProperties", {}).get("private")
    if private:
        event.setdefault("extendedProperties", {})["private"] = private
    if known is None or known.event != event:
        call.world.put(theirs, entry.id, event)


def _answered(call: Call, calendar: Calendar, entry: Entry, before: dict[str, Any] | None) -> None:
    """An attendee wrote to their copy: the organizer sees how they answered; a deleted copy means declined."""
    organizers = call.world.primary_of(entry.event["organizer"]["email"])
    mine = next((each for each in entry.event.get("attendees", ()) if each["email"] == calendar.id), None)
    if organizers is None or mine is None:
        return
    answer = "declined" if instances.dead(calendar, entry) else mine["responseStatus"]
    try:
        original = instances.find(organizers, entry.id)
    except ApiError:
        return
    event = copy.deepcopy(original.event)
    for each in event.get("attendees", ()):
        if each["email"] == calendar.id and each["responseStatus"] != answer:
            each["responseStatus"] = answer
            call.world.put(organizers, entry.id, event)
            _send(call, [event["organizer"]["email"]], entry.id, "reply")


def _mail(call: Call, calendar: Calendar, entry: Entry, before: dict[str, Any] | None) -> None:
    now, then = _people(entry.event) - {calendar.id}, _people(before or {}) - {calendar.id}
    if instances.dead(calendar, entry):
        _send(call, now, entry.id, "cancellation")
        return
    _send(call, now - then, entry.id, "invitation")
    _send(call, now & then, entry.id, "update")
    _send(call, then - now, entry.id, "cancellation")


def _wish(call: Call) -> str:
    return call.text("sendUpdates") or ("all" if call.flag("sendNotifications") else "none")


def _send(call: Call, to: Iterable[str], event_id: str, kind: str) -> None:
    """`externalOnly` means who is not of the sender's own domain, whatever its description says (measured)."""
    wish, own = _wish(call), call.user.email.partition("@")[2]
    for email in sorted(to):
        if wish == "all" or (wish == "externalOnly" and email.partition("@")[2] != own):
            call.world.mails.append(Mail(email, event_id, kind))
