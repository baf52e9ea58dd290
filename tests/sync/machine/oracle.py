"""What copies should show, found from the calendars' contents and the words of SEMANTICS alone (rules 5, 6, 14)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from calendarsync.domain.event import Component, EventTime, Response, Status, Visibility
from calendarsync.domain.recurrence import Instance, RecurrenceError, expand
from calendarsync.providers.icalendar import read_resource
from tests.sync.machine.people import OWNER
from tests.testbed.difficult import ZONE

Slot = tuple[str, str, bool]
"""Start and end, as dates or in UTC, and whether it is shown as free."""


@dataclass(frozen=True)
class Occurrence:
    """One instance of a resource. `key` is its original start."""

    uid: str
    key: str
    start: str
    end: str
    component: Component
    title: str

    @property
    def slot(self) -> Slot:
        return self.start, self.end, self.component.transparent


def point(time: EventTime) -> str:
    return str(time.value) if time.all_day else f"{time.instant(ZONE):%Y-%m-%dT%H:%M:%SZ}"


def occurrences(data: bytes, first: datetime, last: datetime) -> list[Occurrence] | None:
    """The instances that overlap the span; None of what cannot be read."""
    resource = read_resource("", None, data, owner=frozenset({OWNER}))
    if resource.problem is not None:
        return None
    try:
        found = expand(resource.components, first, last, ZONE)
    except RecurrenceError:
        return None
    titles = {original: content.title for original, content in resource.contents.items()}
    return [_occurrence(resource.uid, instance, titles) for instance in found]


def _occurrence(uid: str, instance: Instance, titles: Mapping[str, str]) -> Occurrence:
    key = point(instance.original or instance.start)
    title = titles.get(instance.component.original, "")
    return Occurrence(uid, key, point(instance.start), point(instance.end), instance.component, title)


def eligible(component: Component, mode: str, options: Mapping[str, Any]) -> bool:
    """Rule 6, and the private events of rule 10."""
    tentative = component.status is Status.TENTATIVE or component.response is Response.TENTATIVE
    return not (
        component.status is Status.CANCELLED
        or component.response is Response.DECLINED
        or (component.transparent and not options.get("include_free", False))
        or (tentative and not options.get("include_tentative", True))
        or (component.response is Response.NEEDS_ACTION and not options.get("include_unanswered", True))
        or (component.start.all_day and not options.get("include_all_day", True))
        or (
            mode == "full"
            and options.get("private_events") == "skip"
            and component.visibility is not Visibility.PUBLIC
        )
    )


def passes(instance: Occurrence, options: Mapping[str, Any]) -> bool:
    """The filters of rule 8."""
    title = instance.title.casefold()
    if any(text in title for text in options.get("title_excludes", ())):
        return False
    all_day = instance.component.start.all_day
    start, end = map(datetime.fromisoformat, (instance.start, instance.end))
    if not all_day and end - start < timedelta(minutes=options.get("min_minutes", 0)):
        return False
    hours = options.get("only_between")
    if hours is None:
        return True
    day = start if all_day else start.astimezone(ZoneInfo(ZONE)).replace(hour=0, minute=0, tzinfo=None)
    last = end if all_day else end.astimezone(ZoneInfo(ZONE)).replace(tzinfo=None)
    while day < last:
        if f"{day:%a}".upper()[:2] in hours["weekdays"] and (all_day or _overlaps(start, end, day, hours)):
            return True
        day += timedelta(days=1)
    return False


def _overlaps(start: datetime, end: datetime, day: datetime, hours: Mapping[str, str]) -> bool:
    first, last = (
        datetime.combine(day.date(), time.fromisoformat(hours[name]), ZoneInfo(ZONE))
        for name in ("from", "to")
    )
    return start < last and first < end


def blocks(component: Component) -> bool:
    return not (
        component.transparent
        or component.status is Status.CANCELLED
        or component.response is Response.DECLINED
    )


def covered(source: Occurrence, standing: Iterable[Occurrence]) -> bool:
    """Rule 5: the same meeting stands in the target already, busy for as long."""
    return any(
        own.uid.casefold() == source.uid.casefold()
        and own.key == source.key
        and blocks(own.component)
        and own.component.start.all_day == source.component.start.all_day
        and own.start <= source.start
        and own.end >= source.end
        for own in standing
    )
