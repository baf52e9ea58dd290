"""What Google Calendar's events mean (reference of events).

A series is a master with `recurrence` lines, and exceptions that name it in `recurringEventId`. A hole in it is an
EXDATE line or a cancelled exception, of which only id, series and original start are sure: both read alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from calendarsync.domain.event import (
    Component,
    Content,
    EventTime,
    EventType,
    Problem,
    Recurrence,
    Resource,
    Response,
    Status,
    Visibility,
)
from calendarsync.domain.origin import looks_derived
from calendarsync.domain.recurrence import validate
from calendarsync.domain.times import moment_key
from calendarsync.providers.google.event import Event
from calendarsync.providers.google.fields import Row, is_cancelled, rows, table, text
from calendarsync.providers.google.recurrence import in_form, read_lines, with_holes
from calendarsync.providers.google.times import read_time
from calendarsync.providers.google.wholeness import mark_that_counts
from calendarsync.providers.icalendar.values import UnusableError
from calendarsync.providers.stamps import newest

_RESPONSES = {
    "accepted": Response.ACCEPTED,
    "declined": Response.DECLINED,
    "tentative": Response.TENTATIVE,
}
_TYPES = {
    "outOfOffice": EventType.OUT_OF_OFFICE,
    "focusTime": EventType.FOCUS_TIME,
    "workingLocation": EventType.WORKING_LOCATION,
    "birthday": EventType.BIRTHDAY,
}
_VISIBILITIES = {"private": Visibility.PRIVATE, "confidential": Visibility.CONFIDENTIAL}
_PLAIN_UTC = "UTC"


def read_event(event: Event, owner: frozenset[str]) -> Resource:
    """Never raises: `problem` says what is wrong. `owner` holds the calendar owner's addresses in lower case."""
    first = event.parts[0] if event.parts else {}
    uid = event.id if looks_derived(event.id) else text(first, "iCalUID")
    mark = mark_that_counts(event)
    try:
        components, contents = _components(event, uid, owner)
        problem = validate(components)
    except UnusableError as error:
        return Resource(event.id, event.version, uid, (), mark=mark, problem=error.problem)
    modified = newest(row.get("updated") for row in (event.master or {}, *event.exceptions))
    return Resource(event.id, event.version, uid, components, contents, mark, problem, modified)


def _components(
    event: Event, uid: str, owner: frozenset[str]
) -> tuple[tuple[Component, ...], Mapping[str, Content]]:
    found: dict[str, tuple[Component, Content]] = {}
    master: Component | None = None
    if event.master is not None:
        master = read_component(event.master, uid, owner)
        found[master.original] = master, read_content(event.master)
    overrides = []
    for row in event.live:
        original = read_time(row.get("originalStartTime"), Problem.BAD_RECURRENCE)
        named = original if master is None else in_form(original, master.start)
        override = replace(read_component(row, uid, owner), recurrence_id=named, recurrence=None)
        overrides.append(override)
        found[override.original] = override, read_content(row)
    if master is not None and master.recurrence is not None:
        recurrence = _recurrence(event, master.start, master.recurrence, overrides)
        found[master.original] = replace(master, recurrence=recurrence), found[master.original][1]
    ordered = dict(sorted(found.items()))
    contents = {original: content for original, (_, content) in ordered.items()}
    return tuple(component for component, _ in ordered.values()), contents


def _recurrence(
    event: Event, start: EventTime, lines: Recurrence, overrides: Sequence[Component]
) -> Recurrence:
    """The lines, with a hole for each cancelled exception and none where a live one stands."""
    holes = [
        read_time(row.get("originalStartTime"), Problem.BAD_RECURRENCE)
        for row in event.exceptions
        if is_cancelled(row)
    ]
    filled = [override.recurrence_id for override in overrides if override.recurrence_id is not None]
    return with_holes(lines, start, holes, filled)


def originals(event: Event) -> Mapping[str, Row]:
    """The exceptions by the key of their original start (`moment_key`). Raises UnusableError."""
    return {
        moment_key(read_time(row.get("originalStartTime"), Problem.BAD_RECURRENCE), _PLAIN_UTC): row
        for row in event.exceptions
    }


def read_component(row: Row, uid: str, owner: frozenset[str]) -> Component:
    """One event without its series. Raises UnusableError."""
    start = read_time(row.get("start"), Problem.NO_START)
    end = read_time(row.get("end"), Problem.END_BEFORE_START)
    if start.all_day != end.all_day or end.instant(_PLAIN_UTC) < start.instant(_PLAIN_UTC):
        raise UnusableError(Problem.END_BEFORE_START)
    if start.all_day and end == start:
        end = EventTime(start.local.date() + timedelta(days=1))
    attendees = rows(row, "attendees")
    return Component(
        uid=uid,
        start=start,
        end=end,
        recurrence=read_lines(row.get("recurrence"), start),
        transparent=row.get("transparency") == "transparent",
        status=Status.TENTATIVE if row.get("status") == "tentative" else Status.CONFIRMED,
        response=_response(attendees, owner),
        event_type=_TYPES.get(text(row, "eventType"), EventType.DEFAULT),
        visibility=_VISIBILITIES.get(text(row, "visibility"), Visibility.PUBLIC),
        has_attendees=bool(attendees) or row.get("attendeesOmitted") is True,
        organized_by_owner=_organized(row, owner),
    )


def _is_owner(person: Row, owner: frozenset[str]) -> bool:
    """`self` is who the calendar belongs to, which need not be who granted access to it."""
    return person.get("self") is True or text(person, "email").casefold() in owner


def _response(attendees: Sequence[Row], owner: frozenset[str]) -> Response | None:
    own = next((each for each in attendees if _is_owner(each, owner)), None)
    return None if own is None else _RESPONSES.get(text(own, "responseStatus"), Response.NEEDS_ACTION)


def _organized(row: Row, owner: frozenset[str]) -> bool | None:
    organizer = table(row, "organizer")
    if not organizer:
        return None if row.get("attendees") else True
    return _is_owner(organizer, owner)


def read_content(row: Row) -> Content:
    """The texts. A description may hold HTML (reference of events) and stays as it is."""
    names = (text(each, "displayName") or text(each, "email") for each in rows(row, "attendees"))
    return Content(
        title=text(row, "summary"),
        description=text(row, "description"),
        location=text(row, "location"),
        attendees=tuple(name for name in names if name),
    )
