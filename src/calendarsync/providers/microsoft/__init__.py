"""Microsoft 365 and Outlook.com calendars, through Microsoft Graph."""

from calendarsync.providers.microsoft.calendar import MicrosoftCalendar

__all__ = ["MicrosoftCalendar"]
