"""The sandbox: calendars in our own database, for test keys alone (docs/decisions/sandbox.md)."""

from calendarsync.providers.sandbox.calendar import MAX_EVENTS, SandboxCalendar
from calendarsync.providers.sandbox.events import Attendee, Event, Part, written
from calendarsync.providers.sandbox.faults import Fault, Waiting, order

__all__ = [
    "MAX_EVENTS",
    "Attendee",
    "Event",
    "Fault",
    "Part",
    "SandboxCalendar",
    "Waiting",
    "order",
    "written",
]
