"""`calendarsync demo`: two calendars on a real CalDAV server, kept in step through the public API."""
