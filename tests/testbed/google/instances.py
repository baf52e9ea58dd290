"""Series: instances that stand in no record, exceptions that do, and ids for both.

An instance's id is its series' id and its original start, `<id>_20260302T090000Z` or `<id>_20260302`. Changing one
makes it an exception, an event of its own with `recurringEventId` and `originalStartTime` (guide "Recurring
events"). An exception may be all that a calendar has of a series: somebody was invited to that one instance.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from . import errors, recurrence, times
from .state import Calendar, Entry
from .times import Time

_INSTANCE = re.compile(r"(.+)_(\d{8}(?:T\d{6}Z)?)")
GONE = "_gone"  # an exception whose original start its series has no more: it is only listed as a deletion


def dead(calendar: Calendar, entry: Entry) -> bool:
    """Whether an event is deleted: by itself, or as an exception of a deleted series."""
    if entry.cancelled:
        return True
    master = calendar.entries.get(entry.master_id or "")
    return master is not None and master.cancelled


def cancelled_instance(calendar: Calendar, entry: Entry) -> bool:
    """Whether it is a hole in a series that lives, or in one that this calendar knows nothing of."""
    if not entry.cancelled or entry.master_id is None or GONE in entry.event:
        return False
    return calendar.master(entry) is not None


def find(calendar: Calendar, event_id: str) -> Entry:
    """An event by its id, deleted or not; one that stands in no record is made up. Raises 404."""
    entry = calendar.entries.get(event_id)
    if entry is not None and GONE not in entry.event:
        return entry
    made = _made_up(calendar, event_id)
    if made is not None:
        return made
    if entry is not None:
        return entry
    raise errors.not_found()


def _made_up(calendar: Calendar, event_id: str) -> Entry | None:
    named = _INSTANCE.fullmatch(event_id)
    master = calendar.entries.get(named[1]) if named else None
    if named is None or master is None or master.cancelled or not master.recurring:
        return None
    original = _original(master, named[2])
    if original is None or not recurrence.occurs(master.event, original):
        return None
    return instance(master, original)


def _original(master: Entry, suffix: str) -> Time | None:
    start: Time = master.event["start"]
    try:
        if times.is_date(start):
            return {"date": datetime.fromisoformat(suffix).date().isoformat()}
        moment = datetime.fromisoformat(suffix)
    except ValueError:
        return None
    return times.normal({"dateTime": moment.isoformat(), "timeZone": start["timeZone"]}, "UTC", "start")


def instance(master: Entry, original: Time) -> Entry:
    """An instance as its series says; it has the series' ETag (assumed)."""
    event: dict[str, Any] = copy.deepcopy(master.event)
    lasts = times.length(event["start"], event["end"])
    del event["recurrence"]
    end = times.moved(original, lasts)
    if "timeZone" in end:
        end = times.normal({**end, "timeZone": event["end"]["timeZone"]}, "UTC", "end")
    event |= {"recurringEventId": master.id, "originalStartTime": original, "start": original, "end": end}
    return Entry(f"{master.id}_{times.suffix(original)}", event, master.change, master.version)


def expand(calendar: Calendar, master: Entry) -> Iterator[Entry]:
    """Every instance of a series, exceptions in the place of what they replace, cancelled ones too."""
    replaced = {
        times.suffix(entry.event["originalStartTime"]): entry
        for entry in calendar.exceptions(master.id)
        if GONE not in entry.event
    }
    for original in recurrence.occurrences(master.event):
        suffix = times.suffix(original)
        yield replaced.pop(suffix) if suffix in replaced else instance(master, original)
    yield from replaced.values()


def spans(calendar: Calendar, entry: Entry) -> Iterator[tuple[datetime, datetime]]:
    """From when to when an event takes place; a series by all its instances that are not cancelled."""
    if not entry.recurring:
        yield _span(calendar, entry.event)
        return
    replaced = {}
    for exception in calendar.exceptions(entry.id):
        if GONE not in exception.event:
            replaced[times.suffix(exception.event["originalStartTime"])] = exception
            if not exception.cancelled:
                yield _span(calendar, exception.event)
    lasts = times.length(entry.event["start"], entry.event["end"])
    for original in recurrence.occurrences(entry.event):
        if times.suffix(original) not in replaced:
            start = times.instant(original, calendar.timezone)
            yield start, start + lasts


def _span(calendar: Calendar, event: dict[str, Any]) -> tuple[datetime, datetime]:
    start, end = (times.instant(event[name], calendar.timezone) for name in ("start", "end"))
    return start, end


def same_series_after(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether the instances of a series are where they were."""
    return all(before.get(name) == after.get(name) for name in ("start", "end", "recurrence"))
