"""Time zones by their Windows or IANA names, and times as Graph writes them.

Source: https://learn.microsoft.com/graph/api/resources/datetimetimezone
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from .errors import bad_request

CUSTOM = "tzone://Microsoft/Custom"
_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,7})?)?")
_WINDOWS = {name.casefold(): zone for name, zone in WINDOWS_TO_OLSON.items()}


def zone(name: str) -> tzinfo:
    """Raises 400 `TimeZoneNotSupportedException` for a name that is neither Windows's nor IANA's."""
    if name.casefold() in {"utc", "z", "tzone://microsoft/utc"}:
        return UTC
    try:
        return ZoneInfo(_WINDOWS.get(name.casefold(), name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = f"The following TimeZone value is not supported: '{name}'."
        raise bad_request("TimeZoneNotSupportedException", message) from None


@dataclass(frozen=True)
class Moment:
    """A wall time in a zone, `zone` as the client named it."""

    local: datetime
    zone: str

    @property
    def utc(self) -> datetime:
        return self.local.replace(tzinfo=zone(self.zone)).astimezone(UTC)

    def within(self, name: str) -> Moment:
        """The same instant on the clocks of another zone."""
        return Moment(self.utc.astimezone(zone(name)).replace(tzinfo=None), name)

    def on(self, day: date) -> Moment:
        return Moment(datetime.combine(day, self.local.time()), self.zone)

    @property
    def midnight(self) -> bool:
        return self.local.time() == time()


def parse(value: dict[str, Any], name: str) -> Moment:
    """A dateTimeTimeZone of a request. Raises 400."""
    text = value.get("dateTime")
    if not isinstance(text, str) or not _LOCAL.fullmatch(text):
        raise bad_request(
            "ErrorPropertyValidationFailure", f"The dateTime of '{name}' is not a date and time."
        )
    zone(named := value.get("timeZone") or "UTC")
    try:
        found = Moment(datetime.fromisoformat(text[:26]), named)
        _ = found.utc  # some days at either end of time are none in UTC
    except (ValueError, OverflowError):
        raise bad_request("ErrorPropertyValidationFailure", f"'{name}' is no valid date.") from None
    return found


def render(moment: Moment, preferred: str, *, all_day: bool) -> dict[str, str]:
    """All-day events stay at midnight whatever zone is preferred."""
    local = moment.local if all_day else moment.within(preferred).local
    return {"dateTime": f"{local:%Y-%m-%dT%H:%M:%S}.{local.microsecond:06d}0", "timeZone": preferred}


def instant(text: str, name: str) -> datetime:
    """A startDateTime or endDateTime of a query: UTC where it has no offset. Raises 400."""
    try:
        found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise bad_request("ErrorInvalidParameter", f"The value of '{name}' is no date and time.") from None


def stamp(moment: datetime) -> str:
    """A DateTimeOffset in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"
