"""ICS: feeds, which are whole calendars published as one file and can only be read.

`address` knows how feeds are named, `matching` which event is which from one reading to the next, `calendar`
reads.
"""

from calendarsync.providers.ics.address import FeedAddress
from calendarsync.providers.ics.calendar import IcsCalendar
from calendarsync.providers.ics.discovery import FoundFeed, find_feed

__all__ = ["FeedAddress", "FoundFeed", "IcsCalendar", "find_feed"]
