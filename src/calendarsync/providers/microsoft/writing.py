"""From copies to events as Graph takes them, and what differs between the two.

Source: https://learn.microsoft.com/graph/api/event-update, calendar-post-events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from calendarsync.domain.copy import Copy, CopyComponent
from calendarsync.domain.event import EventTime, Recurrence, Visibility
from calendarsync.domain.patterns import holds_rule, pattern_of
from calendarsync.domain.times import in_form_of
from calendarsync.providers.base import Refused
from calendarsync.providers.icalendar.values import UnusableError
from calendarsync.providers.microsoft.reading import text_of
from calendarsync.providers.microsoft.recurrence import read_pattern, write_pattern
from calendarsync.providers.microsoft.stored import MARK, Json
from calendarsync.providers.microsoft.times import at, end_of, read_time, read_zone, write_time

_SENSITIVITIES = {
    Visibility.PUBLIC: "normal",
    Visibility.PRIVATE: "private",
    Visibility.CONFIDENTIAL: "confidential",
}
_TIMES = ("start", "end", "isAllDay")


def mark_field(value: str) -> dict[str, Any]:
    """Our property as it is written; the empty value is none, for no page says how a property is taken away."""
    return {"singleValueExtendedProperties": [{"id": MARK, "value": value}]}


def event_of(copy: Copy, component: CopyComponent) -> dict[str, Any]:
    """What is written of a component, our property and the transactionId aside. Raises Refused.

    Outlook has one reminder for an event: the last of several is written. It has no colours of its own.
    """
    start, end = write_time(component.start), write_time(end_of(component))
    event: dict[str, Any] = {
        "subject": component.title,
        "body": {"contentType": "text", "content": component.description},
        "location": {"displayName": component.location},
        "start": start,
        "end": end,
        "isAllDay": component.start.all_day,
        "showAs": "free" if component.transparent else "tentative" if component.tentative else "busy",
        "sensitivity": _SENSITIVITIES[component.visibility],
        "isReminderOn": bool(copy.reminders),
    }
    if copy.reminders:
        event["reminderMinutesBeforeStart"] = min(copy.reminders)
    if component.recurrence is not None:
        event["recurrence"] = _recurrence(component.recurrence, component.start, start["timeZone"])
    return event


def _recurrence(recurrence: Recurrence, start: EventTime, zone: str) -> dict[str, Any]:
    if len(recurrence.rrules) != 1 or recurrence.rdates or recurrence.exrules:
        raise Refused("Outlook holds a series by one rule alone.")
    (rule,) = recurrence.rrules
    pattern = pattern_of(rule, start)
    if pattern is None or not holds_rule(rule, start):
        raise Refused("Outlook has no pattern for the rule of this series.")
    return write_pattern(pattern, start, zone)


def shorter(recurrence: Mapping[str, Any]) -> dict[str, Any]:
    """The same pattern with another end."""
    count = 2 if recurrence["range"].get("numberOfOccurrences") == 1 else 1
    span = {name: recurrence["range"][name] for name in ("startDate", "recurrenceTimeZone")}
    return {
        "pattern": recurrence["pattern"],
        "range": {**span, "type": "numbered", "numberOfOccurrences": count},
    }


def day_of(time: EventTime, start: EventTime) -> date:
    """The day of the instance that a RECURRENCE-ID or EXDATE names: a pattern has one a day at most."""
    return in_form_of(time, start, "UTC").local.date()


def holes_of(master: CopyComponent) -> frozenset[date]:
    """The days on which instances are left out. A time at which the series has none leaves nothing out."""
    exdates = master.recurrence.exdates if master.recurrence is not None else ()
    named = [in_form_of(exdate, master.start, "UTC") for exdate in exdates]
    days = [(time.local.date(), time.instant("UTC")) for time in named]
    return frozenset(day for day, moment in days if start_on(day, master).instant("UTC") == moment)


def overrides_of(copy: Copy) -> dict[date, CopyComponent]:
    """The overrides by the day of their original start."""
    return {
        day_of(override.recurrence_id, copy.master.start): override
        for override in copy.overrides
        if override.recurrence_id is not None
    }


def start_on(day: date, master: CopyComponent) -> EventTime:
    """When the master's instance of that day starts."""
    if master.start.all_day:
        return EventTime(day)
    return EventTime(datetime.combine(day, master.start.local.time()), master.start.zone)


def plain_instance(day: date, master: CopyComponent) -> CopyComponent:
    """The instance of that day as the master has it."""
    start = start_on(day, master)
    length = end_of(master).instant("UTC") - master.start.instant("UTC")
    if start.all_day:
        return replace(master, start=start, end=EventTime(day + length), duration=None, recurrence=None)
    end = at(start.instant("UTC") + length, start.zone or "UTC")
    return replace(master, start=start, end=end, duration=None, recurrence=None)


def differences(stored: Json, wanted: Mapping[str, Any], *, is_instance: bool = False) -> dict[str, Any]:
    """The part of what is wanted that the event is not; its times come together.

    The zone of an instance is that of its series and not compared.
    """
    changed = {
        name: wanted[name]
        for name in ("subject", "showAs", "sensitivity", "isReminderOn")
        if stored.get(name) != wanted[name]
    }
    if text_of(stored.get("body")) != text_of(wanted["body"]):
        changed["body"] = wanted["body"]
    if str((stored.get("location") or {}).get("displayName") or "") != wanted["location"]["displayName"]:
        changed["location"] = wanted["location"]
    minutes = wanted.get("reminderMinutesBeforeStart")
    if minutes not in (None, stored.get("reminderMinutesBeforeStart")):
        changed["reminderMinutesBeforeStart"] = minutes
    if not _same_times(stored, wanted, is_instance=is_instance):
        changed |= {name: wanted[name] for name in _TIMES}
    if not is_instance and not _same_recurrence(stored, wanted):
        changed["recurrence"] = wanted.get("recurrence")
    return changed


def changes_instances(changes: Mapping[str, Any]) -> bool:
    """Whether these changes of a master make Graph drop the exceptions of the series."""
    return not changes.keys().isdisjoint({*_TIMES, "recurrence"})


def _same_times(stored: Json, wanted: Mapping[str, Any], *, is_instance: bool) -> bool:
    all_day = bool(wanted["isAllDay"])
    if bool(stored.get("isAllDay")) != all_day:
        return False
    try:
        for name, zone in (("start", "originalStartTimeZone"), ("end", "originalEndTimeZone")):
            there, here = (read_time(each.get(name), "UTC", all_day=all_day) for each in (stored, wanted))
            zones = read_zone(stored.get(zone)), read_zone(wanted[name]["timeZone"])
            if there != here or not (all_day or is_instance or zones[0] == zones[1]):
                return False
    except UnusableError:
        return False
    return True


def _same_recurrence(stored: Json, wanted: Mapping[str, Any]) -> bool:
    there, here = stored.get("recurrence"), wanted.get("recurrence")
    if not there or not here:
        return not there and not here
    try:
        same = read_pattern(there) == read_pattern(here)
    except UnusableError:
        return False
    zones = (read_zone(each["range"].get("recurrenceTimeZone")) for each in (there, here))
    return same and there["range"].get("startDate") == here["range"]["startDate"] and len(set(zones)) == 1


def is_earlier(stored: Json, wanted: Mapping[str, Any]) -> bool:
    """Whether the answer to a create is another event than was sent: the one that its transactionId made before.

    Graph answers 201 to both. Only what it is sure to keep as it was given is compared.
    """
    differing = differences(stored, wanted).keys() & {*_TIMES, "showAs", "sensitivity", "subject"}
    if differing == {"subject"}:
        texts = (" ".join(str(each.get("subject") or "").split())[:200] for each in (stored, wanted))
        return len(set(texts)) > 1
    return bool(differing)
