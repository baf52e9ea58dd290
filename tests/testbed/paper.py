"""What a service without iCalendar holds, written as iCalendar, so that tests read all calendars alike."""

from __future__ import annotations

from collections.abc import Iterable

from calendarsync.domain.event import Component, EventTime, Resource
from calendarsync.domain.recurrence_ends import own_end
from calendarsync.domain.timezones import zone_info
from calendarsync.providers.icalendar import read_resource
from tests.testbed.events import EMAILS, vevent


def read(name: str, data: bytes | str) -> Resource:
    """What a person put, with the answer of whoever keeps the calendar."""
    text = data.encode() if isinstance(data, str) else data
    return read_resource(name, None, text, owner=frozenset(EMAILS.values()))


def end_of(component: Component) -> EventTime:
    """Where a service wants an end, and a duration was written."""
    if component.end is not None:
        return component.end
    return own_end(component, "UTC")[1]


def written(
    uid: str, start: EventTime, end: EventTime, *, title: str = "", lines: Iterable[str] = (), **texts: str
) -> str:
    """One VEVENT. `texts` are further properties by name, left out where they are empty."""
    further = [f"{name.upper()}:{_escaped(text)}" for name, text in texts.items() if text]
    stamps = [_stamp(start), _stamp(end if end.zone == start.zone else _beside(end, start))]
    zone = None if start.zone == "UTC" else start.zone
    return vevent(uid, *stamps, zone=zone, title=_escaped(title), extra="\n".join((*lines, *further)))


def line(name: str, time: EventTime) -> str:
    """A property that names an instance, such as EXDATE."""
    if time.all_day:
        return f"{name};VALUE=DATE:{_stamp(time)}"
    zone = "" if time.zone in (None, "UTC") else f";TZID={time.zone}"
    return f"{name}{zone}:{_stamp(time)}"


def _beside(end: EventTime, start: EventTime) -> EventTime:
    """On the same clock."""
    zone = zone_info(start.zone or "UTC")
    return EventTime(end.instant("UTC").astimezone(zone).replace(tzinfo=None), start.zone)


def _stamp(time: EventTime) -> str:
    return (
        f"{time.local:%Y%m%d}" if time.all_day else f"{time.local:%Y%m%dT%H%M%S}{'Z' * (time.zone == 'UTC')}"
    )


def _escaped(text: str) -> str:
    for plain in "\\,;":
        text = text.replace(plain, f"\\{plain}")
    return text.strip().replace("\r\n", "\n").replace("\n", "\\n")
