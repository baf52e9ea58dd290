"""Copies as Google Calendar's events: what is inserted, and what is patched (reference of events)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from calendarsync.domain.copy import Copy, CopyComponent
from calendarsync.domain.event import Component, Content, EventTime, Status, Visibility
from calendarsync.providers.base import Refused
from calendarsync.providers.google.colors import color_id
from calendarsync.providers.google.fields import COPY, IS_COPY, MARK, Row
from calendarsync.providers.google.times import as_answered, end_of, original_suffix, patched_time, write_time
from calendarsync.providers.google.wholeness import PART, ours, properties
from calendarsync.providers.icalendar import write_recurrence

Body = dict[str, Any]

MAX_REMINDERS = 5  # reference of events, `reminders.overrides`
MAX_REMINDER_MINUTES = 40_320
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")  # JSON could say it, but it is no text that can be stored


def inserted(copy: Copy) -> Body:
    """A new event with the copy's id. `iCalUID` is never given beside it: Google takes one of the two."""
    times = {"start": write_time(copy.master.start), "end": write_time(end_of(copy.master))}
    lines = recurrence_lines(copy.master)
    recurrence = {"recurrence": lines} if lines else {}
    color = color_id(copy.color) if copy.color else None
    colored = {"colorId": color} if color else {}
    return {
        "id": copy.id,
        **_texts(copy.master),
        **times,
        **recurrence,
        **_whole(copy, was_series=False),
        **colored,
    }


def patched(copy: Copy, there: Row) -> Body:
    """All that a copy holds, over an event that is there, of which its properties and recurrence have to be known.

    An array replaces the old one whole, and null deletes (guide "Performance", "Patch").
    """
    times = {"start": patched_time(copy.master.start), "end": patched_time(end_of(copy.master))}
    lines = recurrence_lines(copy.master)
    was_series = bool(there.get("recurrence"))
    recurrence = {"recurrence": lines} if lines or was_series else {}
    color = color_id(copy.color) if copy.color else None
    body = {
        **_texts(copy.master),
        **times,
        **recurrence,
        **_whole(copy, was_series=was_series),
        "colorId": color,
    }
    private = body["extendedProperties"]["private"]
    private |= {name: None for name in ours(there) if name not in private}
    return body


def instance(component: CopyComponent, part: str | None) -> Body:
    """One instance of a series as a patch, which makes it an exception, or brings back one that was cancelled.

    Its visibility is that of the series: to make one instance more private makes all of them so (`visibility`).
    """
    times = {"start": patched_time(component.start), "end": patched_time(end_of(component))}
    return {**_texts(component), **times, **_busy(component), "extendedProperties": {"private": {PART: part}}}


def unmarked(row: Row) -> Body:
    """A patch that takes our properties off."""
    return {"extendedProperties": {"private": dict.fromkeys(ours(row))}}


def instance_id(series_id: str, original: EventTime) -> str:
    """The id that an instance most likely has."""
    return f"{series_id}_{original_suffix(original)}"


def recurrence_lines(component: CopyComponent) -> list[str]:
    """Raises Refused for a rule that cannot be read."""
    if component.recurrence is None:
        return []
    try:
        return list(write_recurrence(component.recurrence, component.start))
    except ValueError:
        raise Refused("The recurrence of this event cannot be written.") from None


def says(component: CopyComponent, read: Component, content: Content) -> bool:
    """Whether an instance, as it was read, is what is wanted of it."""
    texts = _texts(component)
    return (
        (as_answered(component.start), as_answered(end_of(component))) == (read.start, read.end)
        and component.transparent is read.transparent
        and component.tentative is (read.status is Status.TENTATIVE)
        and (texts["summary"], texts["description"], texts["location"])
        == (content.title, content.description, content.location)
    )


def _whole(copy: Copy, *, was_series: bool) -> Body:
    """What the master says for all of its series."""
    minutes = sorted({each for each in copy.reminders if 0 <= each <= MAX_REMINDER_MINUTES})
    told = properties(copy, was_series=was_series)
    overrides = [{"method": "popup", "minutes": each} for each in minutes[:MAX_REMINDERS]]
    return {
        **_busy(copy.master),
        "visibility": _visibility((copy.master, *copy.overrides)),
        "reminders": {"useDefault": False, "overrides": overrides},
        "extendedProperties": {"private": {MARK: copy.mark, COPY: IS_COPY, **told}},
    }


def _visibility(components: Sequence[CopyComponent]) -> str:
    """The most private of a series' parts counts for all. A public one is as private as its calendar.

    `public` would show the texts to people who may see no more than when the calendar's owner is busy.
    """
    found = {component.visibility for component in components}
    order = (Visibility.CONFIDENTIAL, Visibility.PRIVATE)
    return next((each.value for each in order if each in found), "default")


def _busy(component: CopyComponent) -> Body:
    return {
        "status": "tentative" if component.tentative else "confirmed",
        "transparency": "transparent" if component.transparent else "opaque",
    }


def _texts(component: CopyComponent) -> Body:
    given = (component.title, component.description, component.location)
    return dict(zip(("summary", "description", "location"), map(cleaned, given), strict=True))


def cleaned(text: str) -> str:
    """Without what Google does not store."""
    return _NOT_TEXT.sub("", text)
