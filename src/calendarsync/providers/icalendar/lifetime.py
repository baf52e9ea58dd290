"""From when to when an event takes place, roughly, before its zones are known: they are looked up with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from calendarsync.domain.event import EventTime, Problem
from calendarsync.domain.occurrences import occurrences
from calendarsync.domain.recurrence import LIMIT
from calendarsync.domain.recurrence_rule import parse_rule
from calendarsync.domain.rule_starts import LONG, MAX_RULES, used_up
from calendarsync.providers.icalendar import quirks
from calendarsync.providers.icalendar.lines import Node
from calendarsync.providers.icalendar.values import UnusableError, listed, read_local

_LATEST = datetime(9999, 1, 1)  # noqa: DTZ001 - local time


def lifetime(events: Sequence[Node]) -> tuple[datetime, datetime | None]:
    """The first and the last moment that the VEVENTs name, to a day or so; None for an endless series.

    Raises UnusableError.
    """
    times: list[datetime] = []
    rules = [
        (quirks.rule_text(found.value), event.value("DTSTART"))
        for event in events
        if not event.value("RECURRENCE-ID")
        for found in event.all("RRULE")
    ]
    if len(rules) > MAX_RULES:
        raise UnusableError(Problem.BAD_RECURRENCE)
    for event in events:
        for name in ("DTSTART", "DTEND", "RECURRENCE-ID", "RDATE"):
            times += [_roughly(value.partition("/")[0]) for _, value in listed(event.all(name))]
    lasts = [_last_of(text, _roughly(start)) for text, start in rules]
    ends = [last for last in lasts if last is not None]
    return min(times), max([*times, *ends]) if len(ends) == len(lasts) else None


def _roughly(value: str) -> datetime:
    local = read_local(value, Problem.NO_START)[0]
    return EventTime(local).local


def _last_of(text: str, start: datetime) -> datetime | None:
    try:
        rule = parse_rule(text)
    except (ValueError, KeyError) as error:
        raise UnusableError(Problem.BAD_RECURRENCE) from error
    if rule.until is not None:
        return EventTime(rule.until).local.replace(tzinfo=None)
    if rule.count is None or rule.count > LIMIT:
        return None
    found = list(islice(occurrences(rule, start, start, start + min(LONG, _LATEST - start)), LIMIT))
    if not used_up(rule.count, found):
        return None
    return found[-1] if found else start
