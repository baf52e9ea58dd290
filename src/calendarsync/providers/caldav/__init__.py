"""CalDAV: calendars on any server that follows RFC 4791, and on those that nearly do."""

from calendarsync.providers.caldav.calendar import CalDavCalendar
from calendarsync.providers.caldav.discovery import discover
from calendarsync.providers.caldav.hrefs import canonical_url

__all__ = ["CalDavCalendar", "canonical_url", "discover"]
