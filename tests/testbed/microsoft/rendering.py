"""Events, calendars and people as JSON.

Sources: https://learn.microsoft.com/graph/api/resources/event, calendar-post-events (a whole answer), event-get
(zones, bodies, $select), issue 7632 of microsoft-graph-docs (what rows of delta hold of an occurrence).
"""

from __future__ import annotations

import html
import re
from typing import Any

from .errors import bad_request
from .ids import event_id
from .requests import Request, Shape
from .series import View
from .state import Calendar, Event, Mailbox, World
from .zones import render, stamp

NEVER = "0001-01-01T00:00:00Z"
_DEFAULTS: dict[str, Any] = {
    "allowNewTimeProposals": True,
    "categories": [],
    "hasAttachments": False,
    "hideAttendees": False,
    "importance": "normal",
    "isAllDay": False,
    "isCancelled": False,
    "isDraft": False,
    "isOnlineMeeting": False,
    "isOrganizer": True,
    "isReminderOn": True,
    "onlineMeeting": None,
    "onlineMeetingProvider": "unknown",
    "onlineMeetingUrl": None,
    "reminderMinutesBeforeStart": 15,
    "responseRequested": True,
    "sensitivity": "normal",
    "showAs": "busy",
    "subject": "",
    "transactionId": None,
}


def address(mailbox: Mailbox) -> dict[str, str]:
    return {"name": mailbox.name, "address": mailbox.email}


def etag(view: View) -> str:
    return f'W/"{view.change_key}"'


def event_json(world: World, view: View, request: Request, shape: Shape) -> dict[str, Any]:
    """Everything that `shape` asks for; `id` and the ETag are always there."""
    whole = _whole(view, request)
    if shape.select is not None:
        _check_names(shape.select, set(whole))
        wanted = {name.casefold() for name in shape.select} | {"id"}
        whole = {name: value for name, value in whole.items() if name.casefold() in wanted}
        if "cancelledoccurrences" in wanted and view.type == "seriesMaster":
            whole["cancelledOccurrences"] = _cancelled(view.event, request)
    if shape.properties is not None:
        shown = [
            {"id": name, "value": text} for name, text in view.properties.items() if name in shape.properties
        ]
        whole |= {"singleValueExtendedProperties": shown} if shown else {}
    if shape.exceptions and view.type == "seriesMaster" and _selected("exceptionOccurrences", shape):
        whole["exceptionOccurrences"] = [
            event_json(world, View(view.event, day), request, shape.exceptions)
            for day in sorted(view.event.exceptions)
        ]
    links = _links(view.event.calendar, request) if world.habits.links else {}
    return {"@odata.etag": etag(view)} | whole | links


def _check_names(select: set[str], known: set[str]) -> None:
    """Raises 400 for a property that events do not have."""
    more = {"id", "originalStart", "cancelledOccurrences", "exceptionOccurrences", "calendar", "attachments"}
    for name in select - known - more:
        message = f"Could not find a property named '{name}' on type 'microsoft.graph.event'."
        raise bad_request("BadRequest", message)


def _selected(name: str, shape: Shape) -> bool:
    return shape.select is None or name.casefold() in {one.casefold() for one in shape.select}


def _whole(view: View, request: Request) -> dict[str, Any]:
    event, fields = view.event, view.fields
    zones = event.original_zones or (event.start.zone, event.end.zone)
    owner = address(event.calendar.owner)
    is_instance = view.day is not None
    answered = {"response": "organizer", "time": NEVER}
    named = fields.get("location") or {}
    return (
        _DEFAULTS
        | {
            "id": event_id(event, view.day, immutable=request.immutable),
            "createdDateTime": stamp(event.created),
            "lastModifiedDateTime": stamp(event.modified),
            "changeKey": view.change_key,
            "originalStartTimeZone": zones[0],
            "originalEndTimeZone": zones[1],
            "iCalUId": view.uid,
            "bodyPreview": as_text(fields.get("body"))[:255].strip(),
            "seriesMasterId": event_id(event, immutable=request.immutable) if is_instance else None,
            "type": view.type,
            "webLink": f"https://outlook.office365.com/owa/?itemid={event.key}&exvsurl=1&path=/calendar/item",
            "recurrence": None if is_instance else event.recurrence,
            "responseStatus": answered,
            "organizer": {"emailAddress": owner},
            "locations": fields.get("locations") or ([named] if named.get("displayName") else []),
            "attendees": [],
            **({"originalStart": _original_start(view)} if is_instance else {}),
        }
        | {name: value for name, value in fields.items() if name != "locations"}
        | ({"transactionId": None} if is_instance else {})
        | {
            "body": _body(fields.get("body"), as_plain=request.text_bodies),
            "location": named or {"displayName": ""},
            "start": render(view.start, request.timezone, all_day=view.all_day),
            "end": render(view.end, request.timezone, all_day=view.all_day),
        }
        | {name: value for name, value in view.forced.items() if name != "iCalUId"}
    )


def _original_start(view: View) -> str:
    if view.event.all_day:
        return f"{view.original_start.local:%Y-%m-%dT%H:%M:%S}Z"
    return f"{view.original_start.utc:%Y-%m-%dT%H:%M:%S}Z"


def _cancelled(event: Event, request: Request) -> list[str]:
    """Source: event-get, "Request 4": `OID.` and the id of the master and the day."""
    master = event_id(event, immutable=request.immutable)
    return [f"OID.{master}.{day.isoformat()}" for day in sorted(event.cancelled)]


def delta_json(world: World, view: View, request: Request) -> dict[str, Any]:
    """A row of calendarView/delta: an occurrence carries nothing but its series and its times."""
    row = event_json(world, view, request, Shape())
    if view.type == "occurrence":
        kept = ("@odata.etag", "seriesMasterId", "type", "id", "start", "end")
        row = {name: row[name] for name in kept}
    elif not world.habits.transaction_in_delta:
        row["transactionId"] = None
    return {"@odata.type": "#microsoft.graph.event"} | row


def removed_json(key: str) -> dict[str, Any]:
    return {"@odata.type": "#microsoft.graph.event", "id": key, "@removed": {"reason": "deleted"}}


def _links(calendar: Calendar, request: Request) -> dict[str, str]:
    """Source: event-get, "Response 1"."""
    place = f"{request.base}/users('{calendar.owner.id}')/calendars('{calendar.id}')"
    return {
        "calendar@odata.associationLink": f"{place}/$ref",
        "calendar@odata.navigationLink": place,
    }


def as_text(body: dict[str, Any] | None) -> str:
    content = str((body or {}).get("content") or "")
    if str((body or {}).get("contentType", "text")).casefold() != "html":
        return content
    inner = re.sub(r"(?is)<head.*?</head>", "", content)
    inner = re.sub(r"(?i)\r?\n", "", inner)
    inner = re.sub(r"(?i)<br\s*/?>|</p>|</div>", "\r\n", inner)
    return html.unescape(re.sub(r"<[^>]*>", "", inner))


def _body(body: dict[str, Any] | None, *, as_plain: bool) -> dict[str, str]:
    """Text is answered as HTML unless text is preferred; both come back wrapped, as Exchange does."""
    content = str((body or {}).get("content") or "")
    kind = str((body or {}).get("contentType", "text")).casefold()
    if as_plain:
        text = as_text(body)
        return {"contentType": "text", "content": text and text.rstrip("\r\n") + "\r\n"}
    if content and kind != "html":
        lines = html.escape(content, quote=False).replace("\r\n", "\n").replace("\n", "<br>\r\n")
        content = f'<div class="PlainText">{lines}</div>'
    if content and "<html" not in content.casefold():
        meta = '<meta http-equiv="Content-Type" content="text/html; charset=utf-8">'
        content = f"<html>\r\n<head>\r\n{meta}\r\n</head>\r\n<body>\r\n{content}\r\n</body>\r\n</html>\r\n"
    return {"contentType": "html", "content": content}


def calendar_json(calendar: Calendar, viewer: Mailbox) -> dict[str, Any]:
    mine = calendar.owner is viewer
    can_edit = not calendar.read_only and (mine or calendar.shared.get(viewer.email, False))
    return {
        "id": calendar.id,
        "name": calendar.name,
        "color": "auto",
        "hexColor": "",
        "isDefaultCalendar": calendar.default and mine,
        "changeKey": calendar.change_key,
        "canShare": mine,
        "canViewPrivateItems": mine,
        "canEdit": can_edit,
        "isRemovable": not calendar.default,
        "isTallyingResponses": calendar.default,
        "allowedOnlineMeetingProviders": ["teamsForBusiness"],
        "defaultOnlineMeetingProvider": "teamsForBusiness",
        "owner": address(calendar.owner),
    }


def user_json(mailbox: Mailbox) -> dict[str, Any]:
    return {
        "id": mailbox.id,
        "displayName": mailbox.name,
        "mail": mailbox.email,
        "userPrincipalName": mailbox.email,
    }


def more_of_user(mailbox: Mailbox) -> dict[str, Any]:
    """Answered only where $select asks for it."""
    others = [f"smtp:{alias}" for alias in mailbox.aliases]
    return user_json(mailbox) | {
        "proxyAddresses": [f"SMTP:{mailbox.email}", *others],
        "otherMails": [],
    }
