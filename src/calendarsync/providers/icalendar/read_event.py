"""Reading one VEVENT: what it means, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from calendarsync.domain.event import (
    Component,
    Content,
    Duration,
    EventTime,
    EventType,
    Problem,
    Recurrence,
    RecurrenceDate,
    Response,
    Status,
    Visibility,
)
from calendarsync.providers.icalendar import quirks
from calendarsync.providers.icalendar.lines import Node, Property, split_texts
from calendarsync.providers.icalendar.values import (
    UnusableError,
    ZoneResolver,
    listed,
    read_duration,
    read_time,
)

_DAY = timedelta(days=1)
_NO_PARAMETERS: Mapping[str, str] = {}

_STATUS = {"TENTATIVE": Status.TENTATIVE, "CANCELLED": Status.CANCELLED}
_CLASS = {"": Visibility.PUBLIC, "PUBLIC": Visibility.PUBLIC, "CONFIDENTIAL": Visibility.CONFIDENTIAL}
_PARTSTAT = {
    "ACCEPTED": Response.ACCEPTED,
    "TENTATIVE": Response.TENTATIVE,
    "DECLINED": Response.DECLINED,
    "DELEGATED": Response.DECLINED,  # somebody else goes
}


def component_of(event: Node, uid: str, resolve: ZoneResolver, owner: frozenset[str]) -> Component:
    """`uid` is that of the resource; `owner` as in `read_resource`. Raises UnusableError."""
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
    """None where the event does not recur. Raises UnusableError."""
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


def content_of(event: Node) -> Content:
    """Its texts, and who is invited."""
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
