"""Calendars and the lists that people have of them: calendars.*, calendarList.* and freeBusy."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from . import errors, instances, times
from .calls import Answer, Call
from .errors import ApiError, invalid
from .state import ROLES, Calendar, User, etag

_TIMEZONE = "UTC"  # of a calendar that is made without one


def get(call: Call) -> Answer:
    return _answer(_calendar(call.calendar()))


def _calendar(calendar: Calendar) -> dict[str, Any]:
    body = {
        "kind": "calendar#calendar",
        "etag": etag(calendar.change + 1),
        "id": calendar.id,
        "summary": calendar.summary,
        "timeZone": calendar.timezone,
        "conferenceProperties": {"allowedConferenceSolutionTypes": ["hangoutsMeet"]},
    }
    return body if calendar.primary else {**body, "dataOwner": calendar.owner.email}


def _answer(body: dict[str, Any]) -> Answer:
    return Answer(200, body, {"ETag": body["etag"]})


def insert(call: Call) -> Answer:
    given = call.given()
    if not given.get("summary"):
        raise errors.required("Missing title.")
    timezone = given.get("timeZone", _TIMEZONE)
    times.zone(timezone)
    return _answer(_calendar(call.world.add_calendar(call.user, given["summary"], timezone)))


def patch(call: Call) -> Answer:
    """Title and time zone; calendars.update does the same."""
    calendar = call.calendar("owner")
    given = call.given()
    if "timeZone" in given:
        times.zone(given["timeZone"])
        calendar.timezone = given["timeZone"]
    calendar.summary = given.get("summary", calendar.summary)
    for user in call.world.users:
        if calendar.id in user.listed:
            call.world.list_for(user, calendar)
    return _answer(_calendar(calendar))


def delete(call: Call) -> Answer:
    calendar = call.calendar("owner")
    if calendar.primary:
        raise invalid("Cannot delete the primary calendar. Clear it instead.", "calendarId")
    call.world.remove_calendar(calendar)
    return Answer(204)


def list_entry(call: Call) -> Answer:
    calendar = call.calendar("freeBusyReader")
    if calendar.id not in call.user.listed:
        raise errors.not_found()
    return _answer(_entry(call.user, calendar))


def _entry(user: User, calendar: Calendar) -> dict[str, Any]:
    body = {
        "kind": "calendar#calendarListEntry",
        "etag": etag(user.listed[calendar.id]),
        "id": calendar.id,
        "summary": calendar.summary,
        "timeZone": calendar.timezone,
        "colorId": "14",
        "backgroundColor": "#9fe1e7",
        "foregroundColor": "#000000",
        "selected": True,
        "accessRole": calendar.role(user),
        "defaultReminders": [],
        "conferenceProperties": {"allowedConferenceSolutionTypes": ["hangoutsMeet"]},
    }
    return body | ({"primary": True} if calendar.id == user.email else {"dataOwner": calendar.owner.email})


def list_(call: Call) -> Answer:
    """Sorted pages are not modelled: a list of calendars fits on one."""
    user, world = call.user, call.world
    since = _since(call)
    least = ROLES.index(call.text("minAccessRole") or ROLES[0])
    ids = [each for each, changed in user.listed.items() if changed > since and each in world.calendars]
    items = [_entry(user, world.calendars[each]) for each in ids]
    items = [each for each in items if ROLES.index(each["accessRole"]) >= least]
    if since or call.flag("showDeleted"):
        removed = [each for each, changed in user.unlisted.items() if changed > since]
        items += [_removed(each, user.unlisted[each]) for each in removed]
    body = {
        "kind": "calendar#calendarList",
        "etag": f'"l{user.list_changes}"',
        "nextSyncToken": f"list.{user.list_changes}",
        "items": items,
    }
    return _answer(body)


def _removed(calendar_id: str, changed: int) -> dict[str, Any]:
    return {
        "kind": "calendar#calendarListEntry", "etag": etag(changed), "id": calendar_id, "deleted": True,
    }  # fmt: skip


def _since(call: Call) -> int:
    token = call.text("syncToken")
    if token is None:
        return 0
    if call.text("minAccessRole"):
        raise invalid("Sync token cannot be used with other query restrictions.", "syncToken")
    number = token.removeprefix("list.")
    if not number.isdigit() or int(number) > call.user.list_changes:
        raise errors.full_sync_required()
    return int(number)


def unlist(call: Call) -> Answer:
    calendar = call.calendar("freeBusyReader")
    if calendar.owner is call.user:
        message = "The data owner of a calendar cannot remove such a calendar from their calendar list."
        raise ApiError(403, "forbidden", message)
    call.world.unlist(call.user, calendar.id)
    return Answer(204)


def list_insert(call: Call) -> Answer:
    calendar = call.world.calendar(call.user, call.given().get("id", ""), "freeBusyReader")
    call.world.list_for(call.user, calendar)
    return _answer(_entry(call.user, calendar))


def free_busy(call: Call) -> Answer:
    given = call.given()
    first, last = (times.parse_timestamp(given.get(name, ""), name) for name in ("timeMin", "timeMax"))
    if first >= last:
        raise ApiError(400, "timeRangeEmpty", "The specified time range is empty.", domain="calendar")
    answers: dict[str, Any] = {}
    for each in given.get("items", []):
        try:
            calendar = call.world.calendar(call.user, each["id"], "freeBusyReader")
            answers[each["id"]] = {"busy": _busy(calendar, first, last)}
        except ApiError:
            answers[each["id"]] = {"errors": [{"domain": "global", "reason": "notFound"}], "busy": []}
    body = {"kind": "calendar#freeBusy", "timeMin": _utc(first), "timeMax": _utc(last), "calendars": answers}
    return Answer(200, body)


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _busy(calendar: Calendar, first: datetime, last: datetime) -> list[dict[str, str]]:
    spans = sorted(_spans(calendar, first, last))
    merged: list[list[datetime]] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return [{"start": _utc(start), "end": _utc(end)} for start, end in merged]


def _spans(calendar: Calendar, first: datetime, last: datetime) -> list[tuple[datetime, datetime]]:
    spans = []
    for entry in calendar.entries.values():
        if instances.dead(calendar, entry) or calendar.master(entry) is not None:
            continue
        for each in instances.expand(calendar, entry) if entry.recurring else [entry]:
            start, end = (times.instant(each.event[name], calendar.timezone) for name in ("start", "end"))
            if start < last and end > first and _takes_time(calendar, each.event):
                spans.append((max(start, first), min(end, last)))
    return spans


def _takes_time(calendar: Calendar, event: dict[str, Any]) -> bool:
    declined = any(
        each["email"] == calendar.id and each["responseStatus"] == "declined"
        for each in event.get("attendees", ())
    )
    return event["status"] != "cancelled" and event.get("transparency") != "transparent" and not declined
