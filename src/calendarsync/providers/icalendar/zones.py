"""VTIMEZONE components and the zones that a resource's TZIDs stand for (RFC 5545 section 3.6.5)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from calendarsync.domain.event import EventTime, Problem
from calendarsync.domain.timezones import (
    Observance,
    ZoneDefinition,
    is_exact,
    moment_of,
    resolve_zone,
    zone_of_name,
)
from calendarsync.providers.icalendar import quirks
from calendarsync.providers.icalendar.lines import Node
from calendarsync.providers.icalendar.values import YEARS, UnusableError, read_local

_OFFSET = re.compile(r"([+-]?)(\d\d):?(\d\d)(?::?(\d\d))?")
_MAX_CUSTOM = 16
_MAX_DEFINITIONS = 100
_MAX_DATES = 2000


class Definitions:
    """The VTIMEZONEs of one VCALENDAR, by TZID. At most `_MAX_DEFINITIONS` are looked at for all its events.

    `published`: it has a METHOD, so that DTSTAMP says when the text was made (RFC 5545 section 3.8.7.2).
    """

    def __init__(self, calendar: Node) -> None:
        self.published = calendar.first("METHOD") is not None
        self._nodes: dict[str, Node] = {}
        for child in calendar.children:
            if child.name == "VTIMEZONE":
                self._nodes.setdefault(_bare(child.text("TZID")), child)
        self._read: dict[str, ZoneDefinition | None] = {}

    def of(self, tzid: str) -> ZoneDefinition | None:
        name = _bare(tzid)
        if name not in self._read:
            node = self._nodes.get(name)
            if node is None or len(self._read) >= _MAX_DEFINITIONS:
                return None
            self._read[name] = read_definition(node)
        return self._read[name]


def _bare(tzid: str) -> str:
    return tzid.strip().strip('"')


class Zones:
    """Resolves the TZIDs of one calendar object: its VTIMEZONEs speak for nothing outside it.

    `lifetime` is asked only where a VTIMEZONE's rules are needed. An event that does not recur needs no zone:
    where no zone equals its VTIMEZONE, its times are the moments that the VTIMEZONE says.
    """

    def __init__(
        self,
        definitions: Definitions,
        lifetime: Callable[[], tuple[datetime, datetime | None]],
        *,
        recurs: bool,
    ) -> None:
        self._definitions = definitions
        self._ask_lifetime = lifetime
        self._lifetime: tuple[datetime, datetime | None] | None = None
        self._recurs = recurs
        self._found: dict[str, tuple[str | None, ZoneDefinition | None]] = {}
        self._custom = 0

    def time(self, tzid: str, local: datetime) -> EventTime | None:
        """The reading of a clock as a time; None where there is no telling what the TZID stands for."""
        key = zone_of_name(tzid)
        if key is not None and is_exact(tzid):
            return EventTime(local, key)
        if tzid not in self._found:
            self._custom += 1
            self._found[tzid] = self._resolve(tzid) if self._custom <= _MAX_CUSTOM else (None, None)
        key, definition = self._found[tzid]
        if key is not None:
            return EventTime(local, key)
        moment = moment_of(definition.observances, local) if definition and not self._recurs else None
        return EventTime(moment, "UTC") if moment is not None else None

    def _resolve(self, tzid: str) -> tuple[str | None, ZoneDefinition | None]:
        definition = self._definitions.of(tzid)
        self._lifetime = self._lifetime or self._ask_lifetime()
        return resolve_zone(tzid, definition, *self._lifetime), definition


def read_definition(node: Node) -> ZoneDefinition | None:
    """A VTIMEZONE's rules; None where it is broken."""
    try:
        parts = tuple(_observance(child) for child in node.children if child.name in {"STANDARD", "DAYLIGHT"})
    except UnusableError:
        return None
    location = node.text("X-LIC-LOCATION").strip() or None
    return ZoneDefinition(node.text("TZID"), parts, location) if parts or location else None


def _observance(node: Node) -> Observance:
    # Some programs let their zones begin in the year 1.
    start = _as_datetime(read_local(node.value("DTSTART"), Problem.UNKNOWN_ZONE, range(1, YEARS.stop))[0])
    if start.year < YEARS.start:
        start = start.replace(year=YEARS.start)
    dates: list[datetime] = []
    for found in node.all("RDATE"):
        for value in found.value.split(","):
            if len(dates) >= _MAX_DATES:
                raise UnusableError(Problem.UNKNOWN_ZONE)
            if quirks.is_listed(value):
                dates.append(_as_datetime(read_local(value.partition("/")[0], Problem.UNKNOWN_ZONE)[0]))
    return Observance(
        start,
        _offset(node.value("TZOFFSETFROM")),
        _offset(node.value("TZOFFSETTO")),
        tuple(quirks.rule_text(found.value) for found in node.all("RRULE")),
        tuple(dates),
    )


def _as_datetime(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise UnusableError(Problem.UNKNOWN_ZONE)
    return value


def _offset(value: str) -> timedelta:
    match = _OFFSET.fullmatch(value)
    if match is None:
        raise UnusableError(Problem.UNKNOWN_ZONE)
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]), seconds=int(match[4] or 0))
    return -offset if match[1] == "-" else offset
