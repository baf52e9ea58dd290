"""From events as Graph gives them to resources.

A single event is a resource; so is a series: its master, its exceptions and the days that were taken out of it. An
exception whose master is not in the mailbox (an invitation to one instance) is a resource of its own.
Source: https://learn.microsoft.com/graph/api/resources/event.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from html.parser import HTMLParser

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
from calendarsync.domain.recurrence import validate
from calendarsync.providers.icalendar.values import UnusableError
from calendarsync.providers.microsoft.recurrence import first_start, read_pattern, rule_of
from calendarsync.providers.microsoft.stored import Json, Stored, kind_of, original_of, series_zone, uid_of
from calendarsync.providers.microsoft.times import read_original, read_time, read_zone
from calendarsync.providers.stamps import newest

_RESPONSES = {
    "accepted": Response.ACCEPTED,
    "declined": Response.DECLINED,
    "notresponded": Response.NEEDS_ACTION,
    "tentativelyaccepted": Response.TENTATIVE,
}
_VISIBILITIES = {
    "personal": Visibility.PRIVATE,
    "private": Visibility.PRIVATE,
    "confidential": Visibility.CONFIDENTIAL,
}


def resource_of(stored: Stored, mark: str | None, owner: frozenset[str]) -> Resource:
    """As the engine sees it. `owner`: lower-case addresses whose responses are the calendar owner's."""
    event_id, uid = str(stored.event["id"]), uid_of(stored.event)
    try:
        parts = _series(stored, uid, owner) if stored.is_series else [_single(stored.event, uid, owner)]
        problem = validate([part for part, _ in parts])
    except UnusableError as error:
        return Resource(event_id, stored.version, uid, (), mark=mark, problem=error.problem)
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError):
        return Resource(event_id, stored.version, uid, (), mark=mark, problem=Problem.UNREADABLE)
    return Resource(
        event_id,
        stored.version,
        uid,
        tuple(part for part, _ in parts),
        {part.original: content for part, content in parts},
        mark,
        problem,
        newest(row.get("lastModifiedDateTime") for row in (stored.event, *stored.exceptions)),
    )


_Part = tuple[Component, Content]


def _single(event: Json, uid: str, owner: frozenset[str]) -> _Part:
    """A single event, or an instance of a series that the mailbox does not hold."""
    zone = read_zone(event.get("originalStartTimeZone")) or "UTC"
    component = _component(event, uid, zone, owner)
    if event.get("originalStart") and kind_of(event) in ("exception", "occurrence"):
        original = read_original(event["originalStart"], zone, all_day=component.start.all_day)
        component = replace(component, recurrence_id=original)
    return component, _content(event)


def _series(stored: Stored, uid: str, owner: frozenset[str]) -> list[_Part]:
    zone = series_zone(stored.event)
    master = _component(stored.event, uid, zone, owner)
    recurrence = stored.event["recurrence"]
    rule = rule_of(read_pattern(recurrence), master.start)
    first = first_start(rule, master.start)
    if first != master.start:
        master = _later(master, first)
        rule = rule_of(read_pattern(recurrence), first)
    exdates = tuple(_on(day, master.start) for day in sorted(stored.cancelled_days))
    master = replace(master, recurrence=Recurrence((rule,), exdates=exdates))
    parts = [(master, _content(stored.event))]
    for exception in stored.exceptions:
        original = original_of(exception, master.start)
        component = replace(_component(exception, uid, zone, owner), recurrence_id=original)
        parts.append((component, _content(exception)))
    return [parts[0], *sorted(parts[1:], key=lambda part: part[0].original)]


def _on(day: date, start: EventTime) -> EventTime:
    return (
        EventTime(day) if start.all_day else EventTime(datetime.combine(day, start.local.time()), start.zone)
    )


def _later(component: Component, start: EventTime) -> Component:
    days = timedelta(days=(start.local.date() - component.start.local.date()).days)
    end = component.end
    assert end is not None
    local = end.local + days
    return replace(component, start=start, end=EventTime(local.date() if end.all_day else local, end.zone))


def _component(event: Json, uid: str, zone: str, owner: frozenset[str]) -> Component:
    all_day = bool(event.get("isAllDay"))
    start = read_time(event.get("start"), zone, all_day=all_day)
    ends_in = read_zone(event.get("originalEndTimeZone")) or zone
    same = event.get("originalEndTimeZone") in (None, "", event.get("originalStartTimeZone"))
    end = read_time(event.get("end"), zone if same else ends_in, all_day=all_day)
    if end.instant("UTC") < start.instant("UTC"):
        raise UnusableError(Problem.END_BEFORE_START)
    shown = str(event.get("showAs") or "").lower()
    organizer = event.get("isOrganizer")
    return Component(
        uid=uid,
        start=start,
        end=end,
        transparent=shown in ("free", "workingelsewhere"),
        status=_status(event, shown),
        response=_response(event, owner),
        event_type=EventType.OUT_OF_OFFICE if shown == "oof" else EventType.DEFAULT,
        visibility=_VISIBILITIES.get(str(event.get("sensitivity") or "").lower(), Visibility.PUBLIC),
        has_attendees=bool(event.get("attendees")),
        organized_by_owner=organizer if isinstance(organizer, bool) else None,
    )


def _status(event: Json, shown: str) -> Status:
    if event.get("isCancelled"):
        return Status.CANCELLED
    return Status.TENTATIVE if shown == "tentative" else Status.CONFIRMED


def _response(event: Json, owner: frozenset[str]) -> Response | None:
    """The owner's own; where Graph does not tell it, what the owner's entry among the attendees says."""
    given = str((event.get("responseStatus") or {}).get("response") or "none").lower()
    if given != "none":
        return _RESPONSES.get(given)
    for attendee in event.get("attendees") or ():
        if str((attendee.get("emailAddress") or {}).get("address") or "").casefold() in owner:
            return _RESPONSES.get(str((attendee.get("status") or {}).get("response") or "").lower())
    return None


def _content(event: Json) -> Content:
    return Content(
        title=str(event.get("subject") or ""),
        description=text_of(event.get("body")),
        location=str((event.get("location") or {}).get("displayName") or ""),
        categories=tuple(str(name) for name in event.get("categories") or ()),
        attendees=tuple(_name(attendee) for attendee in event.get("attendees") or ()),
    )


def _name(attendee: Json) -> str:
    address = attendee.get("emailAddress") or {}
    return str(address.get("name") or address.get("address") or "")


def text_of(body: Json | None) -> str:
    """A body as text, with plain line ends. Text is asked for, which rows of delta need not heed."""
    content = str((body or {}).get("content") or "")
    if str((body or {}).get("contentType") or "").lower() == "html":
        page = _Page()
        page.feed(content)
        page.close()
        content = "\n".join(line.strip() for line in "".join(page.texts).splitlines())
    return content.replace("\r\n", "\n").replace("\r", "\n").rstrip()


class _Page(HTMLParser):
    """The text of an HTML body."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("head", "style", "script")
        if tag == "br":
            self.texts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("head", "style", "script")
        if tag in ("p", "div", "li", "tr"):
            self.texts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.texts.append(" ".join(data.splitlines()))
