"""What an event may hold: fields are checked, brought into form, and completed with what Google adds."""

from __future__ import annotations

import copy
import re
from typing import Any

from . import errors, recurrence, times
from .calls import Call
from .errors import ApiError, invalid
from .state import Calendar

# What a client may set; what else it sends is ignored.
_WRITABLE = frozenset(
    {
        "anyoneCanAddSelf", "attachments", "attendees", "birthdayProperties", "colorId", "conferenceData",
        "description", "end", "eventLabelId", "eventType", "extendedProperties", "focusTimeProperties", "gadget",
        "guestsCanInviteOthers", "guestsCanModify", "guestsCanSeeOtherGuests", "location", "outOfOfficeProperties",
        "recurrence", "reminders", "sequence", "source", "start", "status", "summary", "transparency", "visibility",
        "workingLocationProperties",
    }
)  # fmt: skip
# What stays as it is unless a call says that its client knows of it.
_ON_DEMAND = {"conferenceData": "conferenceDataVersion", "attachments": "supportsAttachments"}
# The values that the discovery document lists in words.
VALUES: dict[str, tuple[str, ...]] = {
    "status": ("confirmed", "tentative", "cancelled"),
    "transparency": ("opaque", "transparent"),
    "visibility": ("default", "public", "private", "confidential"),
    "eventType": ("birthday", "default", "focusTime", "fromGmail", "outOfOffice", "workingLocation"),
}
RESPONSES = ("needsAction", "declined", "tentative", "accepted")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_ID = re.compile(r"[a-v0-9]{5,1024}")


def client_id(given: str) -> str:
    """An id that a client chose: base32hex, 5 to 1024 characters (Event.id). Raises 400."""
    if not _ID.fullmatch(given):
        raise invalid("Invalid resource id value.")
    return given


def _settable(call: Call) -> frozenset[str]:
    """What a client may set; conferences and attachments only where it says that it knows of them."""
    unknown = {name for name, parameter in _ON_DEMAND.items() if call.text(parameter) not in ("1", "true")}
    return _WRITABLE - unknown


def writable(call: Call) -> dict[str, Any]:
    """What of a call's body is taken."""
    settable = _settable(call)
    return {name: value for name, value in call.given().items() if name in settable}


def replaced(kept: dict[str, Any], call: Call) -> dict[str, Any]:
    """Update semantics: what a client may set is what it sent, or is gone."""
    settable = _settable(call)
    stays = {name: value for name, value in kept.items() if name not in settable}
    stays |= {name: kept[name] for name in ("eventType", "sequence")}
    return stays | copy.deepcopy(writable(call))


def merged(kept: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Patch semantics: objects merge, null deletes, arrays and all else replace (guide "Performance tips")."""
    result = dict(kept)
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], value)
        else:
            result[name] = copy.deepcopy(value)
    return result


def completed(calendar: Calendar, event: dict[str, Any]) -> dict[str, Any]:
    """An event in the form in which it is kept. Raises 400 for what Google refuses."""
    event = {name: value for name, value in event.items() if value is not None}
    event.setdefault("status", "confirmed")
    event.setdefault("eventType", "default")
    event.setdefault("reminders", {"useDefault": True})
    for name, allowed in VALUES.items():
        if name in event and event[name] not in allowed:
            raise invalid(f"Invalid value for: {name}")
    _check_times(calendar, event)
    _check_reminders(event["reminders"])
    if "attendees" in event:
        event["attendees"] = [_attendee(each) for each in event["attendees"]]
        if not event["attendees"]:
            del event["attendees"]
    if "extendedProperties" in event:
        event["extendedProperties"] = _properties(event["extendedProperties"])
        if not event["extendedProperties"]:
            del event["extendedProperties"]
    _check_type(calendar, event)
    return event


def _check_times(calendar: Calendar, event: dict[str, Any]) -> None:
    series = bool(event.get("recurrence"))
    if not series:
        event.pop("recurrence", None)
    for name in ("start", "end"):
        given = event.get(name)
        if series and isinstance(given, dict) and given.get("dateTime") and not given.get("timeZone"):
            raise errors.required(f"Missing time zone definition for {name} time.")
        event[name] = times.normal(given, calendar.timezone, name)
    times.length(event["start"], event["end"])
    if series:
        recurrence.check(event)


def _check_reminders(reminders: dict[str, Any]) -> None:
    overrides = reminders.get("overrides", [])
    if reminders.get("useDefault") and overrides:
        raise ApiError(
            400, "cannotUseDefaultRemindersAndSpecifyOverride",
            "Cannot specify both default reminders and overrides at the same time.", domain="calendar",
        )  # fmt: skip
    if len(overrides) > 5:
        raise invalid("Too many reminders.")
    for each in overrides:
        if each.get("method") not in ("email", "popup") or not 0 <= each.get("minutes", -1) <= 40320:
            raise invalid("Invalid reminder.")


def _attendee(given: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in given.items() if name not in ("self", "organizer")}
    if not _EMAIL.fullmatch(kept.get("email", "")):
        raise invalid("Invalid attendee email.")
    kept["email"] = kept["email"].lower()
    kept.setdefault("responseStatus", "needsAction")
    if kept["responseStatus"] not in RESPONSES:
        raise invalid("Invalid attendee response status.")
    return kept


def _properties(given: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Guide "Extended properties": keys over 44 characters are dropped, values cut at 1024, 300 in 32 kB."""
    kept = {}
    for audience in ("private", "shared"):
        pairs = (given.get(audience) or {}).items()
        short = {name: value[:1024] for name, value in pairs if value is not None and len(name) <= 44}
        if short:
            kept[audience] = short
    all_pairs = [pair for pairs in kept.values() for pair in pairs.items()]
    if len(all_pairs) > 300 or sum(len(name) + len(value) for name, value in all_pairs) > 32768:
        raise invalid("Extended properties are too large.")
    return kept


def _check_type(calendar: Calendar, event: dict[str, Any]) -> None:
    """Guides "Manage focus time, out of office, and working location events" and "Manage birthdays"."""
    kind = event["eventType"]
    if kind == "default":
        return
    if not calendar.primary:
        raise invalid("Status events are only possible on primary calendars.")
    if kind in ("outOfOffice", "focusTime") and times.is_date(event["start"]):
        raise invalid(f"A {kind} event must be a timed event.")
    if kind in ("outOfOffice", "focusTime", "workingLocation") and f"{kind}Properties" not in event:
        raise invalid(f"Missing {kind}Properties.")
    if kind in ("outOfOffice", "focusTime") and event.get("transparency", "opaque") != "opaque":
        raise invalid(f"A {kind} event must be opaque.")
    if kind == "workingLocation" and (event.get("visibility"), event.get("transparency")) != (
        "public",
        "transparent",
    ):
        raise invalid("A working location event must be public and transparent.")


def check_sequence(current: int, given: int | None) -> int:
    """The sequence number to go on from: a client may raise it, not lower it (seen so)."""
    if given is None:
        return current
    if given < current:
        raise invalid("Invalid sequence value. The specified sequence number is below the current one.")
    return given
