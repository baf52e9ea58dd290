"""Events as Graph has them, and the iCalendar text of them: rules, zones and times."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from calendarsync.domain.event import EventTime
from calendarsync.domain.origin import looks_derived
from calendarsync.domain.recurrence_rule import FREQUENCIES, parse_rule
from calendarsync.providers.icalendar import MARK_PROPERTY
from tests.testbed.microsoft.errors import ApiError
from tests.testbed.microsoft.zones import zone as zone_named
from tests.testbed.paper import line, written
from tests.testbed.rest import Row

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
INDEXES = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": -1}
_CLASSES = {"normal": "", "personal": "PRIVATE", "private": "PRIVATE", "confidential": "CONFIDENTIAL"}


def pattern_of(rrule: str, start: EventTime) -> Row:
    """Such rules as the tests of all calendars have."""
    rule = parse_rule(rrule)
    kind = FREQUENCIES[rule.freq].lower()
    assert kind in ("daily", "weekly", "monthly"), rrule
    pattern: Row = {"type": kind, "interval": rule.interval}
    days = [DAYS[day.weekday] for day in rule.by.get("byweekday", ())]
    if kind == "weekly":
        days = days or [DAYS[start.local.weekday()]]
        pattern |= {"daysOfWeek": days, "firstDayOfWeek": DAYS[rule.wkst]}
    elif kind == "monthly" and days:
        assert rule.by["bysetpos"] == (-1,), rrule
        pattern |= {"type": "relativeMonthly", "daysOfWeek": days, "index": "last"}
    elif kind == "monthly":
        pattern |= {"type": "absoluteMonthly", "dayOfMonth": start.local.day}
    span: Row = {"type": "noEnd", "startDate": start.local.date().isoformat()}
    if rule.count:
        span |= {"type": "numbered", "numberOfOccurrences": rule.count}
    if rule.until:
        span |= {"type": "endDate", "endDate": f"{rule.until:%Y-%m-%d}"}
    return {"pattern": pattern, "range": span}


def _rule(recurrence: Row) -> str:
    pattern, span = recurrence["pattern"], recurrence["range"]
    kind = pattern["type"]
    frequency = {"relativeMonthly": "monthly", "absoluteMonthly": "monthly"}.get(kind, kind)
    parts = [f"FREQ={frequency.upper()}", f"INTERVAL={pattern['interval']}"]
    if kind in ("weekly", "relativeMonthly"):
        parts.append("BYDAY=" + ",".join(day[:2].upper() for day in pattern["daysOfWeek"]))
    if kind == "weekly":
        parts.append(f"WKST={pattern['firstDayOfWeek'][:2].upper()}")
    elif kind == "relativeMonthly":
        parts.append(f"BYSETPOS={INDEXES[pattern['index']]}")
    elif kind == "absoluteMonthly":
        parts.append(f"BYMONTHDAY={pattern['dayOfMonth']}")
    if span["type"] == "numbered":
        parts.append(f"COUNT={span['numberOfOccurrences']}")
    if span["type"] == "endDate":
        parts.append(f"UNTIL={span['endDate'].replace('-', '')}")
    return "RRULE:" + ";".join(parts)


def zone_of(name: str) -> str:
    """UTC where the name means nothing."""
    try:
        found = zone_named(name)
    except ApiError:
        return "UTC"
    return found.key if isinstance(found, ZoneInfo) else "UTC"


def _time(row: Row, name: str) -> EventTime:
    """A start or an end on the clock that it was meant on; answers are asked for in UTC."""
    local = datetime.fromisoformat(row[name]["dateTime"])
    if row["isAllDay"]:
        return EventTime(local.date())
    zone = zone_of(row[f"original{name.title()}TimeZone"])
    moved = local.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
    return EventTime(moved.replace(tzinfo=None), zone)


def vevents_of(row: Row) -> Iterator[str]:
    """An event, a series with what differs in it, or an instance alone."""
    uid = row["transactionId"] or ""
    uid = uid if looks_derived(uid) else row["iCalUId"]
    if row["type"] == "exception":
        yield _vevent(uid, row, [line("RECURRENCE-ID", _original(row["originalStart"], _time(row, "start")))])
        return
    properties = {each["id"]: each["value"] for each in row.get("singleValueExtendedProperties", ())}
    mark = next(iter(properties.values()), "")
    lines = [f"{MARK_PROPERTY}:{mark}"] if mark else []
    start = _time(row, "start")
    if row["recurrence"] is not None:
        lines.append(_rule(row["recurrence"]))
    for name in row.get("cancelledOccurrences", ()):
        day = datetime.fromisoformat(name.rpartition(".")[2])
        hole = (
            EventTime(day.date())
            if start.all_day
            else EventTime(datetime.combine(day, start.local.time()), start.zone)
        )
        lines.append(line("EXDATE", hole))
    yield _vevent(uid, row, lines)
    for each in row.get("exceptionOccurrences", ()):
        yield _vevent(uid, each, [line("RECURRENCE-ID", _original(each["originalStart"], start))])


def _original(text: str, start: EventTime) -> EventTime:
    moment = datetime.fromisoformat(text)
    return EventTime(moment.date()) if start.all_day else EventTime(moment.replace(tzinfo=None), "UTC")


def _vevent(uid: str, row: Row, lines: list[str]) -> str:
    shown = row["showAs"]
    status = "CANCELLED" if row["isCancelled"] else "TENTATIVE" if shown == "tentative" else "CONFIRMED"
    return written(
        uid,
        _time(row, "start"),
        _time(row, "end"),
        title=row["subject"],
        lines=lines,
        description=row["body"]["content"],
        location=row["location"]["displayName"],
        status=status,
        transp="TRANSPARENT" if shown in ("free", "workingElsewhere") else "OPAQUE",
        **{"class": _CLASSES[row["sensitivity"]]},
    )
