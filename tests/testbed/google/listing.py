"""Reading events: list, instances and get; paging, sync tokens and filters.

Reference of events.list and guide "Synchronize resources efficiently": a sync token comes on the last page, dates
from the first page's request, and yields what changed since, deletions included. A listing that began with
`timeMin` or `timeMax` has one too; syncs by it are not kept to that range and may not name it. Deleted events that
are not shown take room on a page all the same, so that pages may be short, or empty (measured, see README.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from . import errors, instances, times
from .calls import Answer, Call
from .errors import invalid
from .filters import Filter
from .rendering import render
from .state import Calendar, Entry, new_id, stamp

# What a listing went through, None for what it left out: pages are cut before they are filtered.
Slots = list[dict[str, Any] | None]

_NOT_WITH_SYNC_TOKEN = (
    "iCalUID", "orderBy", "privateExtendedProperty", "q", "sharedExtendedProperty", "timeMin", "timeMax",
    "updatedMin",
)  # fmt: skip
# A listing restricted by these is no state that a sync could go on from (assumed: the reference gives no list).
_WITHOUT_SYNC = frozenset(
    {"iCalUID", "orderBy", "privateExtendedProperty", "q", "sharedExtendedProperty", "updatedMin"}
)
_PER_PAGE = frozenset({"pageToken", "prettyPrint", "alt", "quotaUser"})


class Pages:
    """Page tokens that were given out, and what remains to be given for each."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[str, Slots, str | None]] = {}

    def keep(self, call: Call, slots: Slots, sync_token: str | None) -> str:
        token = f"page_{new_id(20)}"
        self._waiting[token] = (_query(call), slots, sync_token)
        return token

    def of(self, call: Call, token: str) -> tuple[Slots, str | None]:
        """What remains. Raises 400 for a token that is unknown, or comes with another query."""
        found = self._waiting.get(token)
        if found is None or found[0] != _query(call):
            raise invalid("Invalid page token value.", "pageToken")
        return found[1], found[2]

    def forget(self) -> None:
        self._waiting.clear()


def _query(call: Call) -> str:
    kept = {name: values for name, values in call.query.items() if name not in _PER_PAGE}
    return json.dumps([call.user.email, call.arguments, kept], sort_keys=True)


def get(call: Call) -> Answer:
    calendar = call.calendar()
    entry = instances.find(calendar, call.arguments["eventId"])
    zone = call.text("timeZone")
    limit = call.number("maxAttendees", 0) or None
    body = render(calendar, call.user, entry, zone=zone, max_attendees=limit)
    headers = {"ETag": body["etag"]}
    if call.header("If-None-Match") == body["etag"]:
        return Answer(304, None, headers)
    return Answer(200, body, headers)


def list_(call: Call, pages: Pages) -> Answer:
    calendar = call.calendar("freeBusyReader")
    page_token = call.text("pageToken")
    if page_token:
        return _page(call, calendar, pages, *pages.of(call, page_token))
    sync_token = call.text("syncToken")
    if call.text("orderBy") == "startTime" and not call.flag("singleEvents"):
        raise invalid("The requested ordering is not available for the particular query.", "orderBy")
    wanted = Filter.of(call)
    entries = _since(call, calendar, sync_token) if sync_token else list(calendar.entries.values())
    changes = sync_token is not None or wanted.updated_min is not None
    found: list[Entry | None] = []
    for entry in entries:
        admitted = [each for each in _form(call, calendar, entry, changes) if wanted.admits(calendar, each)]
        found += admitted or [None]
    slots = _rendered(call, calendar, _ordered(call, calendar, found))
    resumable = not _WITHOUT_SYNC & call.query.keys()
    return _page(call, calendar, pages, slots, _token(calendar) if resumable else None)


def _since(call: Call, calendar: Calendar, token: str) -> list[Entry]:
    """What changed since a sync token. Raises 400 for what may not come with one, 410 where it has expired."""
    if any(name in call.query for name in _NOT_WITH_SYNC_TOKEN):
        raise invalid("Sync token cannot be used with other query restrictions.", "syncToken")
    if call.text("showDeleted") == "false":
        raise invalid("Sync token cannot be used with showDeleted=false.", "showDeleted")
    try:
        epoch, number = token.removesuffix("=").split(".")
        since = int(number)
    except ValueError:
        raise errors.full_sync_required() from None
    if epoch != calendar.epoch or not 0 <= since <= calendar.change:
        raise errors.full_sync_required()
    return [entry for entry in calendar.entries.values() if entry.change > since]


def _token(calendar: Calendar) -> str:
    return f"{calendar.epoch}.{calendar.change}="


def _form(call: Call, calendar: Calendar, entry: Entry, changes: bool) -> Iterator[Entry]:
    """A series as master and exceptions, or as single instances; deleted events where they are wanted."""
    deleted = changes or call.flag("showDeleted")
    single = call.flag("singleEvents")
    if instances.dead(calendar, entry):
        hole = instances.cancelled_instance(calendar, entry) and not single
        if (deleted and not (single and entry.recurring and not changes)) or hole:
            yield entry
    elif not single:
        yield entry
    elif entry.recurring:
        yield from (each for each in instances.expand(calendar, entry) if not each.cancelled)
    elif calendar.master(entry) is None or changes:
        yield entry  # what has a living master comes with it


def _ordered(call: Call, calendar: Calendar, found: list[Entry | None]) -> Sequence[Entry | None]:
    order = call.text("orderBy")
    if order is None:
        return found
    there = [each for each in found if each is not None]
    if order == "startTime":
        return sorted(there, key=lambda each: times.instant(each.event["start"], calendar.timezone))
    return sorted(there, key=lambda each: str(each.event["updated"]))


def _rendered(call: Call, calendar: Calendar, found: Sequence[Entry | None]) -> Slots:
    bare = not call.flag("showDeleted")
    limit = call.number("maxAttendees", 0) or None
    zone = call.text("timeZone")
    return [
        None if each is None else render(calendar, call.user, each, zone=zone, bare=bare, max_attendees=limit)
        for each in found
    ]


def _page(call: Call, calendar: Calendar, pages: Pages, slots: Slots, sync_token: str | None) -> Answer:
    size = min(call.number("maxResults", 250), 2500, call.world.habits.page_limit)
    body: dict[str, Any] = {
        "kind": "calendar#events",
        "etag": f'"p{calendar.change}{calendar.epoch}"',
        "summary": calendar.summary,
        "description": "",
        "updated": stamp(calendar.updated),
        "timeZone": call.text("timeZone") or calendar.timezone,
        "accessRole": calendar.role(call.user),
        "defaultReminders": [],
        "items": [each for each in slots[:size] if each is not None],
    }
    if len(slots) > size:
        body["nextPageToken"] = pages.keep(call, slots[size:], sync_token)
    elif sync_token is not None:
        body["nextSyncToken"] = sync_token
    return Answer(200, body, {"ETag": body["etag"]})


def list_instances(call: Call, pages: Pages) -> Answer:
    calendar = call.calendar()
    page_token = call.text("pageToken")
    if page_token:
        return _page(call, calendar, pages, *pages.of(call, page_token))
    series = instances.find(calendar, call.arguments["eventId"])
    if not series.recurring and series.master_id is None:
        raise invalid("The requested event is not a recurring event.", "eventId")
    wanted = Filter.of(call)
    shown = call.flag("showDeleted")
    found = [
        each
        for each in (instances.expand(calendar, series) if series.recurring else [series])
        if (shown or not instances.dead(calendar, each))
        and wanted.admits(calendar, each)
        and _starts(call, calendar, each)
    ]
    found.sort(key=lambda each: times.instant(each.event["start"], calendar.timezone))
    return _page(call, calendar, pages, _rendered(call, calendar, found), None)


def _starts(call: Call, calendar: Calendar, entry: Entry) -> bool:
    """Whether it is the instance that `originalStart` names, as a date or a moment."""
    wanted = call.text("originalStart")
    if wanted is None:
        return True
    original = entry.event["originalStartTime"]
    if times.is_date(original):
        return bool(original["date"] == wanted)
    moment: datetime = times.instant(original, calendar.timezone)
    return "T" in wanted and moment == times.parse_timestamp(wanted, "originalStart")
