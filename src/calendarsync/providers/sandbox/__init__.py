"""The sandbox: calendars in our own database, for test keys alone (docs/decisions/sandbox.md)."""

from calendarsync.providers.sandbox.calendar import SandboxCalendar
from calendarsync.providers.sandbox.events import Attendee, Event, Part
from calendarsync.providers.sandbox.faults import Fault

__all__ = ["Attendee", "Event", "Fault", "Part", "SandboxCalendar"]
