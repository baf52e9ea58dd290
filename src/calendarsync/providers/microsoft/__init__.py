"""Microsoft 365 and Outlook.com calendars, through Microsoft Graph v1.0, as its pages say it is.

`calendar` is the whole of it. `session` makes requests and `batching` puts them together; `places` knows the paths,
`failures` what answers mean, `membership` in which calendar an event is; `stored` and `reading` read events,
`writing` writes them, with `times` and `recurrence`; `delta` and `gathering` read a calendar, `event_writer` writes
into it; `discovery` and `watching` are about calendars as such.

Pages are named by the last part of their address under https://learn.microsoft.com/graph/ or /graph/api/.
"""

from calendarsync.providers.microsoft.calendar import MicrosoftCalendar
from calendarsync.providers.microsoft.discovery import discover
from calendarsync.providers.microsoft.watching import renew, unwatch, watch

__all__ = ["MicrosoftCalendar", "discover", "renew", "unwatch", "watch"]
