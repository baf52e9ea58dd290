"""CalendarSync keeps several calendars in step."""

__version__ = "0.1.0"
