"""The iCalendar codec (RFC 5545): resources read, copies written.

`lines` knows the form (folding, content lines, nesting), `values` the value types, `zones` VTIMEZONEs. `read`
reads resources, `read_event` each VEVENT of them, and `write` writes copies. `amend` changes what others wrote, in
its own `source_lines`; `amend_check` judges the result. `recurrence_lines` has the recurrence of an event that is
sent as JSON, `feed` whole calendars in one file, `quirks` what vendors do differently.
"""

from calendarsync.providers.icalendar.amend import amend
from calendarsync.providers.icalendar.feed import Feed, FeedError, NoCalendarError, read_feed
from calendarsync.providers.icalendar.read import read_resource
from calendarsync.providers.icalendar.recurrence_lines import RecurrenceLineError, read_recurrence
from calendarsync.providers.icalendar.source_lines import NotAmendable
from calendarsync.providers.icalendar.write import (
    MARK_PROPERTY,
    without_mark,
    write_copy,
    write_recurrence,
)

__all__ = [
    "MARK_PROPERTY",
    "Feed",
    "FeedError",
    "NoCalendarError",
    "NotAmendable",
    "RecurrenceLineError",
    "amend",
    "read_feed",
    "read_recurrence",
    "read_resource",
    "without_mark",
    "write_copy",
    "write_recurrence",
]
