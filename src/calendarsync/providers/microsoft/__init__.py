"""Microsoft 365 and Outlook.com calendars, through Microsoft Graph."""

from calendarsync.providers.microsoft.calendar import MicrosoftCalendar
from calendarsync.providers.microsoft.discovery import discover
from calendarsync.providers.microsoft.watching import renew, unwatch, watch

__all__ = ["MicrosoftCalendar", "discover", "renew", "unwatch", "watch"]
