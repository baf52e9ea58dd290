"""Reading calendar object resources: which of their VEVENTs count, and what they are together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, time

from calendarsync.domain.event import Component, EventTime, Problem, Resource
from calendarsync.domain.origin import looks_derived
from calendarsync.domain.recurrence import validate
from calendarsync.providers.icalendar.lifetime import lifetime
from calendarsync.providers.icalendar.lines import (
    MARK_PROPERTY,
    MalformedError,
    Node,
    TooLargeError,
    parse,
)
from calendarsync.providers.icalendar.read_event import component_of, content_of
from calendarsync.providers.icalendar.values import UnusableError, ZoneResolver
from calendarsync.providers.icalendar.zones import Definitions, Zones
from calendarsync.providers.stamps import newest

_MAX_COMPONENTS = 5000
_RECURRING = ("RRULE", "RDATE", "EXRULE", "EXDATE", "RECURRENCE-ID")

Events = list[tuple[Definitions, Node]]
"""VEVENTs, each with the VTIMEZONEs of the VCALENDAR around it."""
_Revised = tuple[tuple[int, str], Component, Node]
"""SEQUENCE and time of change, the component, and where it was read from."""


def read_resource(
    resource_id: str, version: str | None, data: bytes, *, owner: frozenset[str] = frozenset()
) -> Resource:
    """One calendar object resource (RFC 4791 section 4.1). Never raises: `problem` says what is wrong.

    `owner` holds the lower-case mail addresses of the calendar's owner, without `mailto:`.
    """
    try:
        root = parse(data)
    except TooLargeError:
        return Resource(resource_id, version, "", (), problem=Problem.TOO_LARGE)
    except MalformedError:
        return Resource(resource_id, version, "", (), problem=Problem.UNREADABLE)
    events = events_of(root)
    if not events:
        problem = Problem.NO_EVENT if root.children else Problem.UNREADABLE
        return Resource(resource_id, version, "", (), problem=problem)
    if len({uid_of(event) for _, event in events}) > 1:
        return Resource(resource_id, version, uid_of(events[0][1]), (), problem=Problem.UNREADABLE)
    return resource_of(resource_id, version, events, owner)


def events_of(root: Node) -> Events:
    """Every VEVENT, whether there is a VCALENDAR around it or not."""
    found: Events = []
    for calendar in (root, *root.children):
        if calendar is root or calendar.name == "VCALENDAR":
            timezones = Definitions(calendar)
            events = root.children if calendar is root else calendar.walk("VEVENT")
            found += [(timezones, event) for event in events if event.name == "VEVENT"]
    return found


def uid_of(event: Node) -> str:
    return event.text("UID").strip()


def resource_of(resource_id: str, version: str | None, events: Events, owner: frozenset[str]) -> Resource:
    """The events of one UID as a resource.

    A copy is known by the name that it was written at: there are servers that give what they store other UIDs.
    """
    name = resource_id.removesuffix(".ics")
    uid = name if looks_derived(name) else uid_of(events[0][1])
    mark = _mark(event for _, event in events)
    nodes = [event for _, event in events]
    try:
        if len(events) > _MAX_COMPONENTS:
            raise UnusableError(Problem.TOO_LARGE)
        if any(event.broken for event in nodes):
            raise UnusableError(Problem.UNREADABLE)
        recurs = len(nodes) > 1 or any(nodes[0].first(name) for name in _RECURRING)
        zones: dict[int, ZoneResolver] = {}
        latest: dict[datetime | None, _Revised] = {}
        for timezones, event in events:
            resolve = zones.get(id(timezones))
            if resolve is None:
                resolve = zones[id(timezones)] = Zones(timezones, lambda: lifetime(nodes), recurs=recurs).time
            component = component_of(event, uid, resolve, owner)
            # Two components for one instance: the newer revision counts (RFC 5546 section 2.1.5).
            key = component.recurrence_id.instant("UTC") if component.recurrence_id is not None else None
            revision = _revision(event)
            if key not in latest or revision >= latest[key][0]:
                latest[key] = (revision, component, event)
        kept = _without_deleted(sorted(latest.values(), key=lambda entry: entry[1].recurrence_id is not None))
        kept = _named_by_dates(kept)
        components = tuple(component for _, component, _ in kept)
        problem = validate(components)
    except UnusableError as error:
        return Resource(resource_id, version, uid, (), mark=mark, problem=error.problem)
    contents = {component.original: content_of(event) for _, component, event in kept}
    modified = newest(_modified(*found) for found in events)
    return Resource(resource_id, version, uid, components, contents, mark, problem, modified)


def _modified(timezones: Definitions, event: Node) -> str:
    """LAST-MODIFIED, or what says the same where there is no METHOD (RFC 5545 section 3.8.7.2)."""
    return event.value("LAST-MODIFIED") or ("" if timezones.published else event.value("DTSTAMP"))


def _without_deleted(entries: list[_Revised]) -> list[_Revised]:
    """Without the overrides whose instance a newer revision of the master leaves out by EXDATE."""
    (sequence, _), master, _ = entries[0]
    if master.recurrence_id is not None or master.recurrence is None or not master.recurrence.exdates:
        return entries
    gone = {excluded.instant("UTC") for excluded in master.recurrence.exdates}
    return [
        entry
        for entry in entries
        if entry[1].recurrence_id is None
        or entry[0][0] >= sequence
        or entry[1].recurrence_id.instant("UTC") not in gone
    ]


def _named_by_dates(entries: list[_Revised]) -> list[_Revised]:
    """Overrides of an all-day series by dates, as RFC 5545 section 3.8.4.4 wants: midnight is how some write it."""
    if not entries[0][1].start.all_day or entries[0][1].recurrence_id is not None:
        return entries
    latest: dict[str, _Revised] = {}
    for revision, component, event in entries:
        named = replace(component, recurrence_id=_date_of(component.recurrence_id))
        if named.original not in latest or revision >= latest[named.original][0]:
            latest[named.original] = (revision, named, event)
    return list(latest.values())


def _date_of(name: EventTime | None) -> EventTime | None:
    if name is None or name.all_day or name.local.time() != time.min:
        return name
    return EventTime(name.local.date())


def _mark(events: Iterable[Node]) -> str | None:
    for event in events:
        found = event.first(MARK_PROPERTY)
        if found is not None:
            return found.text.strip()
    return None


def _revision(event: Node) -> tuple[int, str]:
    sequence = event.value("SEQUENCE")
    number = int(sequence) if sequence.isascii() and sequence.isdigit() and len(sequence) < 12 else 0
    return number, event.value("LAST-MODIFIED") or event.value("DTSTAMP")
