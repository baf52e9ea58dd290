"""What the routes do for people, calendars and events.

Each function takes a `Call` and gives an `Answer`; the pages that it follows are named in its docstring.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from . import errors, filters, writing
from .access import Call
from .ids import event_id
from .rendering import calendar_json, event_json, more_of_user, user_json
from .requests import shape
from .series import View, instances, visible
from .state import Calendar
from .zones import instant

_LONGEST_VIEW = 1825
_ORDERS: dict[str, Callable[[View], Any]] = {
    "start/dateTime": lambda view: view.start.utc,
    "end/dateTime": lambda view: view.end.utc,
    "subject": lambda view: view.fields.get("subject", ""),
    "createdDateTime": lambda view: view.event.created,
    "lastModifiedDateTime": lambda view: view.event.modified,
}


@dataclass
class Answer:
    status: int
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)


def get_user(call: Call) -> Answer:
    """user-get: a few properties by default, others where $select asks."""
    select = shape(call.request).select
    if select is None:
        return Answer(200, _context(call, "users/$entity") | user_json(call.mailbox))
    whole = more_of_user(call.mailbox)
    return Answer(
        200, _context(call, "users/$entity") | {name: whole[name] for name in whole if name in select}
    )


def get_settings(call: Call) -> Answer:
    """user-get-mailboxsettings."""
    settings = {"timeZone": call.mailbox.timezone, "dateFormat": "yyyy-MM-dd", "timeFormat": "HH:mm"}
    return Answer(200, _context(call, "mailboxSettings") | settings)


def get_settings_zone(call: Call) -> Answer:
    """user-get-mailboxsettings, "Example 2"."""
    return Answer(200, _context(call, "mailboxSettings/timeZone") | {"value": call.mailbox.timezone})


def list_calendars(call: Call) -> Answer:
    """user-list-calendars."""
    rows = [calendar_json(one, call.mailbox) for one in call.world.visible(call.mailbox)]
    return _page(call, _selected(call, rows), "calendars")


def create_calendar(call: Call) -> Answer:
    """user-post-calendars."""
    name = call.body.get("name")
    if not name:
        raise errors.bad_request("ErrorInvalidRequest", "A calendar needs a name.")
    if any(one.name == name for one in call.world.visible(call.mailbox)):
        raise errors.ApiError(409, "ErrorFolderExists", "A folder with the specified name already exists.")
    calendar = call.world.add_calendar(call.mailbox, name)
    return Answer(201, _context(call, "calendars/$entity") | calendar_json(calendar, call.mailbox))


def get_calendar(call: Call) -> Answer:
    """calendar-get."""
    (row,) = _selected(call, [calendar_json(call.calendar, call.mailbox)])
    return Answer(200, _context(call, "calendars/$entity") | row)


def update_calendar(call: Call) -> Answer:
    """calendar-update."""
    call.check_editable(call.calendar)
    call.calendar.name = call.body.get("name", call.calendar.name)
    return get_calendar(call)


def delete_calendar(call: Call) -> Answer:
    """calendar-delete: "Delete a calendar other than the default calendar"."""
    calendar = call.calendar
    if calendar.default or calendar.owner is not call.mailbox:
        raise errors.access_denied()
    for event in list(calendar.events.values()):
        call.world.remove(event)
    del call.world.calendars[calendar.id]
    return Answer(204)


def list_events(call: Call) -> Answer:
    """user-list-events: single events and series masters. A filter on an extended property finds events of the
    whole mailbox, whatever calendar the path names (singlevaluelegacyextendedproperty-get)."""
    views = [View(event) for event in _listed(call.calendar)]
    text = call.request.option("$filter")
    if text is not None:
        extended = filters.extended(text)
        if extended is not None:
            call.calendar  # noqa: B018 the path must still name one
            views = [view for event in call.world.owned_events(call.mailbox) if extended(view := View(event))]
        else:
            views = list(filter(filters.plain(text), views))
    return _events_page(call, views)


def _listed(calendar: Calendar) -> list[Any]:
    return sorted(calendar.events.values(), key=lambda event: event.change, reverse=True)


def create_event(call: Call) -> Answer:
    """calendar-post-events."""
    calendar = call.calendar
    call.check_editable(calendar)
    event = writing.create(call.world, calendar, call.body)
    answer = _event_answer(call, View(event), 201)
    call.world.settle(event)
    return answer


def get_event(call: Call) -> Answer:
    """event-get."""
    return _event_answer(call, call.view, 200)


def update_event(call: Call) -> Answer:
    """event-update."""
    view = call.view
    call.check_editable(view.event.calendar)
    writing.update(call.world, view, call.body)
    return _event_answer(call, view, 200)


def delete_event(call: Call) -> Answer:
    """event-delete."""
    view = call.view
    call.check_editable(view.event.calendar)
    writing.delete(call.world, view)
    return Answer(204)


def list_instances(call: Call) -> Answer:
    """event-list-instances: occurrences and exceptions of a series in a span of time."""
    view = call.view
    start, end = span(call)
    if view.type != "seriesMaster":
        raise errors.bad_request("ErrorInvalidRequest", "The event is no master of a series.")
    return _events_page(call, instances(view.event, start, end))


def list_view(call: Call) -> Answer:
    """calendar-list-calendarview: instances, never masters."""
    start, end = span(call)
    views = [view for event in call.calendar.events.values() for view in visible(event, start, end)]
    return _events_page(call, sorted(views, key=lambda view: view.start.utc))


def span(call: Call) -> tuple[datetime, datetime]:
    """startDateTime and endDateTime of the query. Raises 400; a span over 1,825 days is too long (assumed: read
    in forums, on no page)."""
    found = []
    for name in ("startDateTime", "endDateTime"):
        text = call.request.option(name)
        if text is None:
            message = f"This request requires a time window; the query string parameter {name} is missing."
            raise errors.bad_request("ErrorInvalidParameter", message)
        found.append(instant(text, name))
    if found[1] < found[0]:
        raise errors.bad_request("ErrorInvalidParameter", "The end of the time window is before its start.")
    if (found[1] - found[0]).days > _LONGEST_VIEW:
        message = (
            "Your request can't be completed. The range between the start and end dates is greater than the "
            f"allowed range. Maximum number of days: {_LONGEST_VIEW}"
        )
        raise errors.bad_request("ErrorCalendarViewRangeTooBig", message)
    return found[0], found[1]


def translate_ids(call: Call) -> Answer:
    """user-translateexchangeids, from and to ids of Graph."""
    immutable = call.body.get("targetIdType", "").casefold() == "restimmutableentryid"
    found = []
    for named in call.body.get("inputIds", []):
        view = Call(call.world, call.request, call.mailbox, {"event": named}).view
        target = event_id(view.event, view.day, immutable=immutable)
        found.append({"sourceId": named, "targetId": target})
    return Answer(200, _context(call, "Collection(convertIdResult)") | {"value": found})


def _event_answer(call: Call, view: View, status: int) -> Answer:
    body = event_json(call.world, view, call.request, shape(call.request))
    return Answer(status, _context(call, "events/$entity") | body)


def _events_page(call: Call, views: list[View]) -> Answer:
    shown = shape(call.request)
    page, link = _cut(call, _ordered(call, views))
    rows = [event_json(call.world, view, call.request, shown) for view in page]
    return Answer(200, _context(call, "events") | {"value": rows} | link)


def _ordered(call: Call, views: list[View]) -> list[View]:
    """$orderby by start, end, subject or the times of creation and change. Raises 400."""
    text = call.request.option("$orderby")
    if text is None:
        return views
    name, _, direction = text.strip().partition(" ")
    if name not in _ORDERS or direction.strip() not in ("", "asc", "desc"):
        raise errors.bad_request("ErrorInvalidProperty", f"The property '{name}' does not support ordering.")
    return sorted(views, key=_ORDERS[name], reverse=direction.strip() == "desc")


def _page(call: Call, rows: list[dict[str, Any]], what: str) -> Answer:
    page, link = _cut(call, rows)
    return Answer(200, _context(call, what) | {"value": page} | link)


def _cut(call: Call, rows: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    """One page by $top (10 by default) and $skip, and the link to the next."""
    request = call.request
    top = min(request.number("$top", 10, 1000) or 10, call.world.habits.page_limit)
    skip = request.number("$skip", 0, 10**9)
    if len(rows) <= skip + top:
        return rows[skip : skip + top], {}
    query = {name: value for name, value in request.query.items() if name.casefold() != "$skip"}
    link = f"{request.url}?{urlencode(query | {'$skip': str(skip + top)})}"
    return rows[skip : skip + top], {"@odata.nextLink": link}


def _selected(call: Call, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    select = shape(call.request).select
    if select is None:
        return rows
    return [{name: row[name] for name in row if name in select | {"id"}} for row in rows]


def _context(call: Call, what: str) -> dict[str, Any]:
    return {"@odata.context": f"{call.request.base}/$metadata#users('{call.mailbox.id}')/{what}"}
