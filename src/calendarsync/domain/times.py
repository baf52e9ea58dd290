"""Small conversions between the forms in which one moment may be written."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from datetime import time as clock

from calendarsync.domain.event import EventTime
from calendarsync.domain.timezones import zone_info

_UNTIL = re.compile(r"(?<=UNTIL=)(\d{8}T\d{6})(?!\d|Z)")


def zoned(time: EventTime, floating: str) -> EventTime:
    """The same reading of the clock with a zone: a floating time takes `floating` (rule 11)."""
    return time if time.all_day or time.zone else EventTime(time.value, floating)


def moment_key(time: EventTime, floating: str) -> str:
    """Equal for two spellings of one moment: the date of an all-day time, else UTC. `EventTime.parse` reads it."""
    if time.all_day:
        return str(time)
    return str(EventTime(time.instant(floating).replace(tzinfo=None), "UTC"))


def in_form_of(time: EventTime, model: EventTime, floating: str) -> EventTime:
    """A time that names an instance, written as `model` is: as a date, or in its zone.

    RFC 5545 sections 3.8.4.4, 3.8.5.1 and 3.8.5.2 want the two alike. A date among times is that day at the
    model's time; a floating time beside one with a zone is read on the same clock.
    """
    local = time.local
    if model.all_day:
        # 00:00 in UTC is a date in disguise; another time in UTC is midnight somewhere else.
        if time.zone == "UTC" and local.time() != clock.min:
            local = time.instant(floating).astimezone(zone_info(floating))
        return time if time.all_day else EventTime(local.date())
    if time.all_day:
        return EventTime(datetime.combine(local.date(), model.local.time()), model.zone)
    # Beside a floating time, a time in UTC with the very same reading of the clock got its Z by mistake.
    mistaken = model.zone is None and time.zone == "UTC" and local.time() == model.local.time()
    if time.zone is None or mistaken:
        time = EventTime(local, model.zone)
    moment = time.instant(floating)
    shown = moment.astimezone(zone_info(model.zone or floating)).replace(tzinfo=None)
    if shown.time() != model.local.time() and (skipped := _in_gap(moment, shown, model, floating)):
        return skipped
    return time if time.zone == model.zone else EventTime(shown, model.zone)


def _in_gap(moment: datetime, shown: datetime, model: EventTime, floating: str) -> EventTime | None:
    """The time of `model`'s instance at this moment where no clock shows it, but `shown`; else None.

    On the day on which clocks go from 02:00 to 03:00, a series at 02:30 has its instance at 02:30, too.
    """
    for day in (shown.date(), shown.date() - timedelta(days=1)):
        skipped = EventTime(datetime.combine(day, model.local.time()), model.zone)
        if skipped.instant(floating) == moment:
            return skipped
    return None


def zoned_rule(rule: str, start: EventTime, floating: str) -> str:
    """A rule whose local UNTIL fits a start that has got a zone: UNTIL is in UTC then (section 3.3.10)."""
    if start.all_day:
        return rule
    zone = start.zone or floating

    def in_utc(match: re.Match[str]) -> str:
        try:
            local = datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=zone_info(zone))
            return f"{local.astimezone(UTC):%Y%m%dT%H%M%S}Z".zfill(len("00010101T000000Z"))
        except (OverflowError, ValueError):
            return f"{match[1]}Z"  # at the ends of time an offset makes no difference

    return _UNTIL.sub(in_utc, rule)
