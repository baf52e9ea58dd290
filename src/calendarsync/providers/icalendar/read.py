"""Reading calendar object resources: what an event means, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta

from calendarsync.domain.event import (
    Component,
    Content,
    Duration,
    EventTime,
    EventType,
    Problem,
    Recurrence,
    RecurrenceDate,
    Resource,
    Response,
    Status,
    Visibility,
)
from calendarsync.domain.origin import looks_derived
from calendarsync.domain.recurrence import validate
from calendarsync.providers.icalendar import quirks
from calendarsync.providers.icalendar.lifetime import lifetime
from calendarsync.providers.icalendar.lines import (
    MARK_PROPERTY,
    MalformedError,
    Node,
    Property,
    TooLargeError,
    parse,
    split_texts,
)
from calendarsync.providers.icalendar.values import (
    UnusableError,
    ZoneResolver,
    listed,
    read_duration,
    read_time,
)
from calendarsync.providers.icalendar.zones import Definitions, Zones
from calendarsync.providers.stamps import newest

_MAX_COMPONENTS = 5000
_DAY = timedelta(days=1)
_RECURRING = ("RRULE", "RDATE", "EXRULE", "EXDATE", "RECURRENCE-ID")
_NO_PARAMETERS: Mapping[str, str] = {}

_STATUS = {"TENTATIVE": Status.TENTATIVE, "CANCELLED": Status.CANCELLED}
_CLASS = {"": Visibility.PUBLIC, "PUBLIC": Visibility.PUBLIC, "CONFIDENTIAL": Visibility.CONFIDENTIAL}
Events = list[tuple[Definitions, Node]]
"""VEVENTs, each with the VTIMEZONEs of the VCALENDAR around it."""
_Revised = tuple[tuple[int, str], Component, Node]
"""SEQUENCE and time of change, the component, and where it was read from."""

_PARTSTAT = {
    "ACCEPTED": Response.ACCEPTED,
    "TENTATIVE": Response.TENTATIVE,
    "DECLINED": Response.DECLINED,
    "DELEGATED": Response.DECLINED,  # somebody else goes
}


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
            component = _component(event, uid, resolve, owner)
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
    contents = {component.original: _content(event) for _, component, event in kept}
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


def _component(event: Node, uid: str, resolve: ZoneResolver, owner: frozenset[str]) -> Component:
    found = event.first("DTSTART")
    if found is None:
        raise UnusableError(Problem.NO_START)
    start = _time(found, resolve, Problem.NO_START)
    end, duration = _end(event, start, resolve)
    recurrence_id, this_and_future = _recurrence_id(event, resolve)
    status, transparent, event_type = _busy(event)
    response, has_attendees, organized = _people(event, owner)
    return Component(
        uid=uid,
        start=start,
        end=end,
        duration=duration,
        recurrence_id=recurrence_id,
        this_and_future=this_and_future,
        recurrence=recurrence_of(event, resolve) if recurrence_id is None else None,
        transparent=transparent,
        status=status,
        response=response,
        event_type=event_type,
        # RFC 5545 section 3.8.1.3: a value that is not known counts as PRIVATE.
        visibility=_CLASS.get(event.value("CLASS").upper(), Visibility.PRIVATE),
        has_attendees=has_attendees,
        organized_by_owner=organized,
    )


def _time(found: Property, resolve: ZoneResolver, problem: Problem) -> EventTime:
    parameters = found.parameters if found.raw_parameters else _NO_PARAMETERS
    return read_time(found.value, parameters, resolve, problem)


def _end(event: Node, start: EventTime, resolve: ZoneResolver) -> tuple[EventTime | None, Duration | None]:
    """DTEND, or else DURATION, or else what RFC 5545 section 3.6.1 says of neither."""
    found = event.first("DTEND")
    if found is not None and found.value.strip():
        end = _same_kind(_time(found, resolve, Problem.END_BEFORE_START), start)
        if start.all_day:
            if end.local < start.local:
                raise UnusableError(Problem.END_BEFORE_START)
            # An end on the first day, which RFC 5545 forbids, is how many programs write one day.
            return (end if end.local > start.local else EventTime(start.local.date() + _DAY)), None
        if end.instant("UTC") < start.instant("UTC"):
            raise UnusableError(Problem.END_BEFORE_START)
        return end, None
    text = event.value("DURATION")
    duration = read_duration(text, Problem.END_BEFORE_START) if text else Duration()
    if start.all_day:
        duration = Duration(days=max(duration.days + -(-duration.seconds // 86400), 1))
    return None, duration


def _same_kind(end: EventTime, start: EventTime) -> EventTime:
    """DTEND as a date where DTSTART is one, else as a time (RFC 5545 section 3.8.2.2 wants them alike)."""
    if start.all_day and not end.all_day:
        midnight = end.local.hour == end.local.minute == end.local.second == 0
        return EventTime(end.local.date() if midnight else end.local.date() + _DAY)
    if end.all_day and not start.all_day:
        return EventTime(max(end.local, start.local), start.zone)
    return end


def _recurrence_id(event: Node, resolve: ZoneResolver) -> tuple[EventTime | None, bool]:
    found = event.first("RECURRENCE-ID")
    if found is None or not found.value.strip():
        return None, False
    future = found.parameters.get("RANGE", "").upper() == "THISANDFUTURE"
    return _time(found, resolve, Problem.BAD_RECURRENCE), future


def recurrence_of(event: Node, resolve: ZoneResolver) -> Recurrence | None:
    rrules = tuple(quirks.rule_text(found.value) for found in event.all("RRULE"))
    exrules = tuple(quirks.rule_text(found.value) for found in event.all("EXRULE"))
    rdates = tuple(
        _recurrence_date(parameters, value, resolve) for parameters, value in listed(event.all("RDATE"))
    )
    exdates = tuple(
        read_time(value, parameters, resolve, Problem.BAD_RECURRENCE)
        for parameters, value in listed(event.all("EXDATE"))
    )
    if not (rrules or rdates or exrules or exdates):
        return None
    return Recurrence(tuple(rule for rule in rrules if rule), rdates, exdates, tuple(filter(None, exrules)))


def _recurrence_date(parameters: Mapping[str, str], value: str, resolve: ZoneResolver) -> RecurrenceDate:
    first, slash, second = value.partition("/")
    start = read_time(first, parameters, resolve, Problem.BAD_RECURRENCE)
    if not slash:
        return RecurrenceDate(start)
    if second.strip()[:1] in {"P", "p", "+", "-"}:
        return RecurrenceDate(start, duration=read_duration(second, Problem.BAD_RECURRENCE))
    end = _same_kind(read_time(second, parameters, resolve, Problem.BAD_RECURRENCE), start)
    if end.instant("UTC") < start.instant("UTC"):
        raise UnusableError(Problem.BAD_RECURRENCE)
    return RecurrenceDate(start, end=end)


def _busy(event: Node) -> tuple[Status, bool, EventType]:
    status = _STATUS.get(event.value("STATUS").upper(), Status.CONFIRMED)
    transparent = event.value("TRANSP").upper() == "TRANSPARENT"
    event_type = EventType.DEFAULT
    match quirks.busy_status(event):
        case "FREE" | "WORKINGELSEWHERE":
            transparent = True
        case "TENTATIVE" if status is not Status.CANCELLED:
            status = Status.TENTATIVE
        case "OOF":
            event_type = EventType.OUT_OF_OFFICE
    return status, transparent, event_type


def _people(event: Node, owner: frozenset[str]) -> tuple[Response | None, bool, bool | None]:
    """The owner's response, whether there are attendees, whether the owner organizes (None: unknown)."""
    response = None
    attendees = event.all("ATTENDEE")
    if owner:
        for attendee in attendees:
            parameters = attendee.parameters
            if quirks.mail_address(attendee.value, parameters.get("EMAIL")) in owner:
                response = _PARTSTAT.get(parameters.get("PARTSTAT", "").upper(), Response.NEEDS_ACTION)
                break
    organizer = event.first("ORGANIZER")
    if organizer is None:  # not a meeting at all, or one whose invitation was stripped
        return response, bool(attendees), None if attendees else True
    if not owner:
        return response, bool(attendees), None
    address = quirks.mail_address(organizer.value, organizer.parameters.get("EMAIL"))
    return response, bool(attendees), address in owner


def _content(event: Node) -> Content:
    return Content(
        title=event.text("SUMMARY"),
        description=event.text("DESCRIPTION"),
        location=event.text("LOCATION"),
        categories=tuple(
            category.strip() for found in event.all("CATEGORIES") for category in split_texts(found.value)
        ),
        attendees=tuple(_name(attendee) for attendee in event.all("ATTENDEE")),
    )


def _name(attendee: Property) -> str:
    parameters = attendee.parameters
    return parameters.get("CN") or quirks.mail_address(attendee.value, parameters.get("EMAIL"))
