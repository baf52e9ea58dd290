"""The iCalendar codec (RFC 5545): resources read, copies written.

`lines` knows the form (folding, content lines, nesting), `values` the value types, `zones` VTIMEZONEs, `read`
and `write` the meaning, `feed` whole calendars in one file, `quirks` what vendors do differently.
"""

from calendarsync.providers.icalendar.feed import Feed, FeedError, NoCalendarError, read_feed
from calendarsync.providers.icalendar.read import read_resource
from calendarsync.providers.icalendar.write import MARK_PROPERTY, without_mark, write_copy

__all__ = [
    "MARK_PROPERTY",
    "Feed",
    "FeedError",
    "NoCalendarError",
    "read_feed",
    "read_resource",
    "without_mark",
    "write_copy",
]
