"""The iCalendar codec (RFC 5545): resources read, copies written.

`lines` knows the form (folding, content lines, nesting), `values` the value types, `zones` VTIMEZONEs, `read`
and `write` the meaning, `quirks` what vendors do differently.
"""

from calendarsync.providers.icalendar.read import read_feed, read_resource
from calendarsync.providers.icalendar.write import MARK_PROPERTY, without_mark, write_copy

__all__ = ["MARK_PROPERTY", "read_feed", "read_resource", "without_mark", "write_copy"]
