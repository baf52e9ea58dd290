"""Times of events as Google takes and gives them: `date`, or `dateTime` with an offset or a `timeZone`.

Discovery document, EventDateTime: "A time zone offset is required unless a time zone is explicitly specified in
timeZone", "For recurring events this field is required". Answers come in the calendar's zone, or in the one that
`timeZone` of the request names, and keep the event's own `timeZone` beside them (events.list, timeZone).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from .errors import ApiError, invalid, required

_ZONES = frozenset(available_timezones())
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)?", re.IGNORECASE)

Time = dict[str, str]  # an EventDateTime


def zone(name: str) -> ZoneInfo:
    if name not in _ZONES:
        raise invalid("Invalid time zone definition.", "timeZone")
    return ZoneInfo(name)


def parse_timestamp(text: str, parameter: str) -> datetime:
    """A query parameter, which has to carry an offset; "milliseconds may be provided but are ignored"."""
    found = _RFC3339.fullmatch(text)
    if found is None or found[2] is None:
        raise ApiError(400, "badRequest", "Bad Request", location=("parameter", parameter))
    return _aware(found)


def _aware(found: re.Match[str]) -> datetime:
    try:
        return datetime.fromisoformat(found[1] + found[2].upper().replace("Z", "+00:00"))
    except ValueError:
        raise invalid("Invalid time value.") from None


def normal(given: Any, calendar_zone: str, name: str) -> Time:
    """A time as it is kept: `{"date"}`, or `{"dateTime", "timeZone"}` with an offset in the former.

    `name` is "start" or "end", for the message. Raises 400.
    """
    if not isinstance(given, dict):
        raise required(f"Missing {name} time.")
    given = {key: value for key, value in given.items() if value is not None}
    if "date" in given and "dateTime" in given:
        raise invalid(f"Invalid {name} time.")
    if "date" in given:
        try:
            return {"date": date.fromisoformat(given["date"]).isoformat()}
        except ValueError:
            raise invalid(f"Invalid {name} time.") from None
    if "dateTime" not in given:
        raise required(f"Missing {name} time.")
    found = _RFC3339.fullmatch(given["dateTime"])
    if found is None:
        raise invalid(f"Invalid {name} time.")
    return _normal_moment(found, given.get("timeZone"), calendar_zone, name)


def _normal_moment(found: re.Match[str], named: str | None, calendar_zone: str, name: str) -> Time:
    if found[2] is None:
        if named is None:
            raise required(f"Missing time zone definition for {name} time.")
        moment = datetime.fromisoformat(found[1]).replace(tzinfo=zone(named))
    else:
        moment = _aware(found)
    if named is None:
        named = "UTC" if found[2].upper() == "Z" else calendar_zone
    return {"dateTime": moment.astimezone(zone(named)).isoformat(), "timeZone": named}


def is_date(time: Time) -> bool:
    return "date" in time


def instant(time: Time, calendar_zone: str) -> datetime:
    """The moment of a kept time; a date begins at midnight in the calendar's zone."""
    if is_date(time):
        midnight = datetime.fromisoformat(time["date"])
        return midnight.replace(tzinfo=zone(calendar_zone)).astimezone(UTC)
    return datetime.fromisoformat(time["dateTime"]).astimezone(UTC)


def shown(time: Time, answer_zone: str) -> Time:
    """A kept time as an answer carries it."""
    if is_date(time):
        return dict(time)
    moment = datetime.fromisoformat(time["dateTime"]).astimezone(zone(answer_zone))
    text = moment.isoformat()
    return {**time, "dateTime": text.replace("+00:00", "Z") if text.endswith("+00:00") else text}


def suffix(time: Time) -> str:
    """What an instance's id ends in: `20260302T090000Z`, or `20260302` for all-day series (assumed, seen so)."""
    if is_date(time):
        return time["date"].replace("-", "")
    return f"{datetime.fromisoformat(time['dateTime']).astimezone(UTC):%Y%m%dT%H%M%SZ}"


def moved(time: Time, by: timedelta) -> Time:
    """A kept time, later by a span of wall-clock days (dates) or of real time (moments)."""
    if is_date(time):
        return {"date": (date.fromisoformat(time["date"]) + by).isoformat()}
    moment = datetime.fromisoformat(time["dateTime"]).astimezone(UTC) + by
    return {"dateTime": moment.astimezone(zone(time["timeZone"])).isoformat(), "timeZone": time["timeZone"]}


def length(start: Time, end: Time) -> timedelta:
    """How long an event lasts. Raises 400 where it does not end after its start, or they are of two kinds."""
    if is_date(start) != is_date(end):
        raise invalid("Invalid start time.")
    if is_date(start):
        lasts = date.fromisoformat(end["date"]) - date.fromisoformat(start["date"])
        empty = lasts < timedelta(0)
    else:
        lasts = instant(end, "UTC") - instant(start, "UTC")
        empty = lasts <= timedelta(0)
    if empty:
        raise ApiError(400, "timeRangeEmpty", "The specified time range is empty.", domain="calendar")
    return lasts
