"""Google Calendar (API v3), as its published description says it is.

`calendar` is the whole of it. `session` makes requests, `batching` puts calls together, `multipart` knows the form
of a batch, `events` the methods of the API, `errors` and `results` what the answers mean; `reading` and `writing`
are the codec, with `times`, `recurrence` and `colors`; `listing` and `fetching` read, `series` and `exceptions`
write what takes several calls; `discovery` and `watching` are about calendars as such.
"""

from calendarsync.providers.google.calendar import GoogleCalendar
from calendarsync.providers.google.discovery import discover
from calendarsync.providers.google.watching import unwatch, watch

__all__ = ["GoogleCalendar", "discover", "unwatch", "watch"]
