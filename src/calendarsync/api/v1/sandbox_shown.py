"""A sandbox event as the JSON of the API shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from calendarsync.api.v1.sandbox_models import InstanceOut, SandboxEventOut
from calendarsync.domain.event import Component, EventTime
from calendarsync.domain.origin import looks_marked
from calendarsync.domain.recurrence import span
from calendarsync.domain.timezones import zone_info
from calendarsync.providers.icalendar import write_recurrence
from calendarsync.providers.sandbox import Event, Part


def event_out(calendar_id: str, event: Event, zone: str) -> SandboxEventOut:
    """`zone` is the calendar's, which floating times are read in."""
    component = event.master.component
    recurrence = component.recurrence
    return SandboxEventOut(
        id=event.id,
        calendar_id=calendar_id,
        uid=event.uid,
        recurrence=[] if recurrence is None else list(write_recurrence(recurrence, component.start)),
        overrides=[
            InstanceOut(original_start=_shown(original_of(part), zone), **_part_out(part, zone))
            for part in event.overrides
        ],
        is_copy=looks_marked(event.mark),
        reminders=list(event.reminders),
        color=event.color,
        **_part_out(event.master, zone),
    )


def _part_out(part: Part, zone: str) -> dict[str, Any]:
    component = part.component
    return {
        "title": part.title,
        "description": part.description,
        "location": part.location,
        **shown_times(component, zone),
        "all_day": component.start.all_day,
        "timezone": component.start.zone,
        "status": component.status.value,
        "transparency": "transparent" if component.transparent else "opaque",
        "visibility": component.visibility.value,
        "attendees": [
            {"email": each.email, "name": each.name, "response": each.response.value}
            for each in part.attendees
        ],
    }


def shown_times(component: Component, zone: str) -> Mapping[str, str]:
    """`start` and `end`; `zone` as in `event_out`."""
    end = component.end
    if end is None:
        alone = replace(component, recurrence=None, recurrence_id=None)
        last = span((alone,), zone)[1]
        assert last is not None  # a single event ends
        local = last.astimezone(zone_info(zone))
        end = (
            EventTime(local.date())
            if component.start.all_day
            else EventTime(last.replace(tzinfo=None), "UTC")
        )
    return {"start": _shown(component.start, zone), "end": _shown(end, zone)}


def _shown(time: EventTime, zone: str) -> str:
    if time.all_day:
        return str(time)
    return f"{time.instant(zone).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def original_of(part: Part) -> EventTime:
    """The original start of an instance that was changed."""
    assert part.component.recurrence_id is not None
    return part.component.recurrence_id
