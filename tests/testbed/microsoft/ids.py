"""Ids of events: the usual ones, which change when an event goes to another calendar, and immutable ones.

Source: https://learn.microsoft.com/graph/outlook-immutable-id. Ids are opaque and case-sensitive; these hold the
key of the event and the day of an instance, padded to about the length that Exchange's have.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import date

from .errors import bad_request, not_found
from .series import View, instance
from .state import Event, World

_USUAL, _IMMUTABLE = "AAMkAD", "AAkALg"
_LENGTH = 105


def _calendar_part(event: Event) -> str:
    return hashlib.sha256(event.calendar.id.encode()).hexdigest()[:12]


def event_id(event: Event, day: date | None = None, *, immutable: bool) -> str:
    parts = (event.key, "" if immutable else _calendar_part(event), "" if day is None else day.isoformat())
    text = " ".join(parts).ljust(_LENGTH, ".")
    return (_IMMUTABLE if immutable else _USUAL) + base64.urlsafe_b64encode(text.encode()).decode()


def find(world: World, named: str) -> View:
    """The event or instance with an id of either kind. Raises 404."""
    try:
        text = base64.b64decode(named[len(_USUAL) :], altchars=b"-_", validate=True).decode()
        key, place, day = text.rstrip(".").split(" ")
        on = date.fromisoformat(day) if day else None
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise bad_request("ErrorInvalidIdMalformed", "Id is malformed.") from None
    for calendar in world.calendars.values():
        event = calendar.events.get(key)
        if event is not None and place in ("", _calendar_part(event)):
            return View(event) if on is None else instance(event, on)
    raise not_found()
