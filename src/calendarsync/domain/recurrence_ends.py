"""When an instance of a component ends, wherever it starts (RFC 5545 section 3.8.5.3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from calendarsync.domain.event import Component, Duration, EventTime
from calendarsync.domain.timezones import zone_info

EndOf = Callable[[EventTime, datetime], tuple[datetime, EventTime]]
"""From a start, and its instant, to the end in UTC, and as it is said."""


def end_of(component: Component, floating: str) -> EndOf:
    """How to find the end: DTEND is an exact distance, DURATION is nominal in its days (3.8.5.3)."""
    if component.start.all_day:
        return _all_day_end(component, floating)
    if component.end is not None:
        length = component.end.instant(floating) - component.start.instant(floating)
        name = component.end.zone if not component.end.all_day else component.start.zone
    else:
        duration = component.duration or Duration()
        if duration.days:
            return _nominal_end(duration, floating)
        length = timedelta(seconds=duration.seconds)
        name = component.start.zone
    zone = zone_info(name or floating)

    def exact_end(start: EventTime, instant: datetime) -> tuple[datetime, EventTime]:
        end = instant + length
        return end, EventTime(end.astimezone(zone).replace(tzinfo=None), name)

    return exact_end


def own_end(component: Component, floating: str) -> tuple[datetime, EventTime]:
    """Where a component itself ends, whose length may be a duration: in UTC, and as it is said."""
    start = component.start
    return end_of(component, floating)(start, start.instant(floating))


def _all_day_end(component: Component, floating: str) -> EndOf:
    if component.end is not None:
        length = component.end.local.date() - component.start.local.date()
    else:
        duration = component.duration or Duration(days=1)
        length = timedelta(days=duration.days + -(-duration.seconds // 86400))

    def last_day(start: EventTime, instant: datetime) -> tuple[datetime, EventTime]:
        end = EventTime(start.local.date() + length)
        return end.instant(floating), end

    return last_day


def _nominal_end(duration: Duration, floating: str) -> EndOf:
    def end_on_the_clock(start: EventTime, instant: datetime) -> tuple[datetime, EventTime]:
        day = EventTime(start.local + timedelta(days=duration.days), start.zone)
        end = day.instant(floating) + timedelta(seconds=duration.seconds)
        local = end.astimezone(zone_info(start.zone or floating)).replace(tzinfo=None)
        return end, EventTime(local, start.zone)

    return end_on_the_clock
