"""Which instances a series has: an expansion of its own, by dateutil, for the model must not trust what it tests.

`recurrence` holds RRULE, EXRULE, RDATE and EXDATE lines (discovery document, Event.recurrence). DTSTART is always
an instance, and one of COUNT's (RFC 5545, 3.8.2.4 and 3.3.10). An EXDATE has to be of the kind of DTSTART to count;
Google ignores a date among the EXDATEs of a timed series (as its users report).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from heapq import merge
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr

from . import times
from .errors import ApiError, invalid
from .times import Time

_LINE = re.compile(r"(RRULE|EXRULE|RDATE|EXDATE)((?:;[^:;=]+=[^:;]+)*):(.+)", re.IGNORECASE)
_UNTIL = re.compile(r"UNTIL=(\d{8})(T\d{6})?(Z)?", re.IGNORECASE)
_COUNT = re.compile(r"COUNT=(\d+)", re.IGNORECASE)
HORIZON = timedelta(days=10 * 366)  # Google expands series without an end for some years


def occurrences(master: dict[str, Any]) -> Iterator[Time]:
    """The original start of each instance of a series, in order, until `HORIZON` after now or its start."""
    start: Time = master["start"]
    for moment in _moments(master):
        if moment.tzinfo is None:
            yield {"date": moment.date().isoformat()}
        else:
            yield {"dateTime": moment.isoformat(), "timeZone": start["timeZone"]}


def occurs(master: dict[str, Any], original: Time) -> bool:
    """Whether a series has an instance that starts then."""
    return times.suffix(original) in _suffixes(*_key(master))


def check(master: dict[str, Any]) -> None:
    """Raises 400 for a recurrence that cannot be read, or that leaves no instance."""
    if not _moments(master):
        raise invalid("Recurring event has no instances.")


def _key(master: dict[str, Any]) -> tuple[str, str | None, tuple[str, ...], date]:
    start: Time = master["start"]
    text = start["date"] if times.is_date(start) else start["dateTime"]
    return text, start.get("timeZone"), tuple(master["recurrence"]), datetime.now(UTC).date()


def _moments(master: dict[str, Any]) -> tuple[datetime, ...]:
    return _expanded(*_key(master))


@lru_cache(maxsize=1024)
def _expanded(text: str, zone: str | None, lines: tuple[str, ...], today: date) -> tuple[datetime, ...]:
    """The starts of a series: aware, or naive where it is all-day."""
    start: Time = {"date": text} if zone is None else {"dateTime": text, "timeZone": zone}
    found = _Series(start, lines).starts(today)
    if zone is None:
        return tuple(found)
    # Through UTC and back, so that a time that the clocks skip becomes the one that they show instead.
    return tuple(
        each.replace(tzinfo=times.zone(zone)).astimezone(UTC).astimezone(times.zone(zone)) for each in found
    )


@lru_cache(maxsize=1024)
def _suffixes(text: str, zone: str | None, lines: tuple[str, ...], today: date) -> frozenset[str]:
    moments = _expanded(text, zone, lines, today)
    return frozenset(
        f"{each:%Y%m%d}" if zone is None else f"{each.astimezone(UTC):%Y%m%dT%H%M%SZ}" for each in moments
    )


class _Series:
    def __init__(self, start: Time, lines: tuple[str, ...]) -> None:
        self._dates = times.is_date(start)
        self._zone = ZoneInfo("UTC") if self._dates else times.zone(start["timeZone"])
        self._start = self._local_start(start)
        self._rules: list[rrule] = []
        self._excluded_rules: list[rrule] = []
        self._more: set[datetime] = set()
        self._excluded: set[datetime] = set()
        for line in lines:
            self._read(line)
        if not self._rules and not self._more:
            raise invalid("Invalid recurrence rule.")

    def _local_start(self, start: Time) -> datetime:
        if self._dates:
            return datetime.fromisoformat(start["date"])
        return datetime.fromisoformat(start["dateTime"]).astimezone(self._zone).replace(tzinfo=None)

    def _read(self, line: str) -> None:
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise invalid("Invalid recurrence rule.")
        kind, parameters, value = found[1].upper(), found[2].upper(), found[3]
        if kind in ("RRULE", "EXRULE"):
            (self._rules if kind == "RRULE" else self._excluded_rules).append(self._rule(value))
            return
        zone = re.search(r"TZID=([^;]+)", found[2], re.IGNORECASE)
        target = self._more if kind == "RDATE" else self._excluded
        for text in value.split(","):
            local = self._extra(text, zone[1] if zone else None, "VALUE=PERIOD" in parameters)
            if local is not None:
                target.add(local)

    def _rule(self, text: str) -> rrule:
        """The rule in local time. One of COUNT's is DTSTART, also where the rule does not name it."""
        text = _UNTIL.sub(self._local_until, text)
        try:
            rule = rrulestr(text, dtstart=self._start)
            counted = _COUNT.search(text)
            if counted and next(iter(rule), None) != self._start:
                left = int(counted[1]) - 1
                rule = rrulestr(_COUNT.sub(f"COUNT={left}", text), dtstart=self._start)
        except (ValueError, TypeError, KeyError):
            raise invalid("Invalid recurrence rule.") from None
        assert isinstance(rule, rrule)
        return rule

    def _local_until(self, found: re.Match[str]) -> str:
        day = datetime.fromisoformat(found[1])
        if found[2] is None or self._dates:
            return f"UNTIL={day:%Y%m%d}T235959"
        moment = datetime.fromisoformat(found[1] + found[2])
        if found[3]:
            moment = moment.replace(tzinfo=UTC).astimezone(self._zone).replace(tzinfo=None)
        return f"UNTIL={moment:%Y%m%dT%H%M%S}"

    def _extra(self, text: str, named: str | None, period: bool) -> datetime | None:
        if period or "/" in text:
            raise ApiError(400, "invalid", "Invalid recurrence rule.")
        try:
            if re.fullmatch(r"\d{8}", text):
                day = datetime.fromisoformat(text)
                return day if self._dates else None
            local = datetime.fromisoformat(text.removesuffix("Z"))
        except ValueError:
            raise invalid("Invalid recurrence rule.") from None
        if self._dates:
            return datetime.combine(local.date(), time())
        zone = ZoneInfo("UTC") if text.endswith("Z") else times.zone(named) if named else self._zone
        return local.replace(tzinfo=zone).astimezone(self._zone).replace(tzinfo=None)

    def starts(self, today: date) -> Iterator[datetime]:
        last = max(datetime.combine(today, time()), self._start) + HORIZON
        streams: list[Iterable[datetime]] = [[self._start], *self._rules, sorted(self._more)]
        excluded = self._excluded | {
            each for rule in self._excluded_rules for each in rule.between(self._start, last, inc=True)
        }
        before: datetime | None = None
        for each in merge(*streams):
            if each > last:
                return
            if each != before and each not in excluded:
                yield each
            before = each
