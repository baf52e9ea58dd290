"""Changing a calendar object resource that somebody else's program wrote (rule 17).

Content lines that change are written anew; all other bytes stay as they were, folds and line ends included. The
result is read again, and is only good if it says what was asked for, and of everything else what it said before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from calendarsync.domain.amendment import Change, Times
from calendarsync.domain.event import Component, Duration, EventTime, Problem
from calendarsync.domain.recurrence_ends import own_end
from calendarsync.providers.icalendar.amend_check import check, is_named
from calendarsync.providers.icalendar.lifetime import lifetime
from calendarsync.providers.icalendar.lines import MalformedError, Node, Property, TooLargeError, parse
from calendarsync.providers.icalendar.read import events_of, read_resource
from calendarsync.providers.icalendar.source_lines import NotAmendable, SourceEvent, logical_lines, spans_of
from calendarsync.providers.icalendar.values import UnusableError, read_duration, read_time, write_local
from calendarsync.providers.icalendar.write import escaped, folded
from calendarsync.providers.icalendar.write_zone import write_zone
from calendarsync.providers.icalendar.zones import Zones

_PARAMETER = re.compile(r'(?:[^;"]|"[^"]*")+')
_PROPERTIES = {"title": "SUMMARY", "description": "DESCRIPTION", "location": "LOCATION"}
_TOLD_AGAIN = {
    "DESCRIPTION": ("X-ALT-DESC",),
    "LOCATION": ("GEO", "X-APPLE-STRUCTURED-LOCATION"),
}
"""What says the same in another form, and would show what was there before."""

_OUTDATED = frozenset({"ALTREP", "ENCODING", "CHARSET"})
"""Parameters that speak of the old text."""

_OF_SERIES = frozenset({"RRULE", "RDATE", "EXRULE", "EXDATE"})
_YEARS_AHEAD = 12
"""How far a zone is laid out that the resource did not have."""


def amend(data: bytes, changes: Sequence[Change], *, now: datetime) -> bytes:
    """The resource with these changes; `now` (aware) becomes DTSTAMP. Raises NotAmendable."""
    try:
        amended = _Resource.of(data).amended(changes, now)
    except (MalformedError, TooLargeError, UnusableError, UnicodeDecodeError) as error:
        raise NotAmendable from error
    check(read_resource("", None, data), read_resource("", None, amended), changes)
    return amended


@dataclass(slots=True)
class _Resource:
    """A resource as logical lines, each with its folds and its end."""

    lines: list[bytes]
    events: list[SourceEvent]
    tzids: list[str]
    crlf: bool
    new_zones: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, data: bytes) -> _Resource:
        lines = list(logical_lines(data))
        spans = spans_of(lines)
        root = parse(data)
        found = events_of(root)
        if len(found) != len(spans) or any(node.broken for _, node in found):
            raise NotAmendable
        nodes = [node for _, node in found]
        events = []
        for (begin, end), (definitions, node) in zip(spans, found, strict=True):
            zones = Zones(definitions, lambda: lifetime(nodes), recurs=len(nodes) > 1 or _recurs(nodes[0]))
            named = node.first("RECURRENCE-ID")
            name = None
            if named is not None and named.value.strip():
                if "RANGE" in named.parameters:
                    raise NotAmendable
                name = read_time(named.value, named.parameters, zones.time, Problem.BAD_RECURRENCE)
            events.append(SourceEvent(begin, lines[begin:end], node, name, zones))
        tzids = [zone.text("TZID").strip() for zone in root.walk("VTIMEZONE")]
        return cls(lines, events, tzids, crlf=b"\r\n" in data)

    def amended(self, changes: Sequence[Change], now: datetime) -> bytes:
        spans = [(event.at, event.at + len(event.lines)) for event in self.events]
        written: dict[int, list[bytes]] = {}
        added: list[bytes] = []
        # Instances that get a component of their own get it from the series as it was.
        for change in sorted(changes, key=lambda change: change.original is None):
            place = self._place(change)
            if place is None:
                added += self._instance(change, now)
            else:
                event = self.events[place]
                self._change(event, change, now)
                written[place] = event.lines
        result: list[bytes] = []
        last = 0
        for place, (begin, end) in enumerate(spans):
            result += self.lines[last:begin]
            if place == 0:
                result += self._zones(changes)
            result += written.get(place, self.lines[begin:end])
            last = end
        return b"".join([*result, *added, *self.lines[last:]])

    def _place(self, change: Change) -> int | None:
        """Which event a change is of; None of an instance that has none of its own."""
        found = [place for place, event in enumerate(self.events) if is_named(event.name, change.original)]
        if len(found) > 1 or (not found and change.original is None):
            raise NotAmendable
        return found[0] if found else None

    def _instance(self, change: Change, now: datetime) -> list[bytes]:
        """A component for an instance: all that the series says of it, and where it is."""
        master = next((event for event in self.events if event.name is None), None)
        if master is None or change.original is None or change.usual is None or not _recurs(master.node):
            raise NotAmendable
        event = replace(master, lines=list(master.lines))
        event.take_out(_OF_SERIES)
        self._move(event, change.usual)
        named = self._time("RECURRENCE-ID", change.original, event, event.node.first("DTSTART"))
        event.put("RECURRENCE-ID", named, after="DTSTART")
        self._change(event, change, now)
        return event.lines

    def _change(self, event: SourceEvent, change: Change, now: datetime) -> None:
        for name, text in change.texts.items():
            self._write_text(event, _PROPERTIES[name], text)
        if change.times is not None:
            self._move(event, change.times)
            # RFC 5546 section 2.1.4: a new revision where it is at another time, and not for its texts alone.
            sequence = event.node.value("SEQUENCE")
            number = int(sequence) if sequence.isascii() and sequence.isdigit() else 0
            event.put("SEQUENCE", self._line(f"SEQUENCE:{number + 1}"))
        stamp = f"{write_local(now.astimezone(UTC))}Z"
        event.put("DTSTAMP", self._line(f"DTSTAMP:{stamp}"))
        if event.places("LAST-MODIFIED"):
            event.put("LAST-MODIFIED", self._line(f"LAST-MODIFIED:{stamp}"))

    def _write_text(self, event: SourceEvent, name: str, text: str) -> None:
        if not text:
            event.take_out([name])
        else:
            there = event.node.first(name)
            given = _PARAMETER.findall(there.raw_parameters) if there is not None else []
            kept = [each for each in given if each.partition("=")[0].strip().upper() not in _OUTDATED]
            event.put(name, self._line(f"{';'.join([name, *kept])}:{escaped(text)}"))
        event.take_out(_TOLD_AGAIN.get(name, ()))

    def _move(self, event: SourceEvent, times: Times) -> None:
        start, end = event.node.first("DTSTART"), event.node.first("DTEND")
        event.put("DTSTART", self._time("DTSTART", times.start, event, start))
        if not event.places("DTEND") and _length_says(event.node, times):
            return
        event.take_out(["DURATION"])
        event.put("DTEND", self._time("DTEND", times.end, event, end or start), after="DTSTART")

    def _time(self, name: str, time: EventTime, event: SourceEvent, model: Property | None) -> bytes:
        if time.all_day:
            return self._line(f"{name};VALUE=DATE:{write_local(time.value)}")
        # The second of two equal readings of the clock has no local form in RFC 5545.
        if time.zone == "UTC" or (time.zone is not None and time.local.fold):
            return self._line(f"{name}:{write_local(time.instant('UTC'))}Z")
        if time.zone is None:
            return self._line(f"{name}:{write_local(time.value)}")
        tzid = self._tzid(time, event, model)
        quoted = f'"{tzid}"' if re.search("[:;,]", tzid) else tzid
        return self._line(f"{name};TZID={quoted}:{write_local(time.value)}")

    def _tzid(self, time: EventTime, event: SourceEvent, model: Property | None) -> str:
        """The name that the resource has for a zone; else the IANA name, whose VTIMEZONE is added."""
        assert time.zone is not None
        models = (model, event.node.first("DTSTART"))
        named = [each.parameters["TZID"] for each in models if each is not None and "TZID" in each.parameters]
        for tzid in dict.fromkeys([*named, *self.tzids]):
            if event.zones.time(tzid, time.local) == time:
                return tzid
        self.new_zones.add(time.zone)
        return time.zone

    def _zones(self, changes: Sequence[Change]) -> list[bytes]:
        placed = (change.times or change.usual for change in changes)
        years = [times.start.local.year for times in placed if times is not None]
        return [
            self._line(line)
            for zone in sorted(self.new_zones.difference(self.tzids))
            for line in write_zone(zone, min(years), max(years) + _YEARS_AHEAD)
        ]

    def _line(self, text: str) -> bytes:
        line = folded(text)
        return line if self.crlf else line.replace(b"\r\n", b"\n")


def _recurs(node: Node) -> bool:
    return any(node.first(name) for name in (*_OF_SERIES, "RECURRENCE-ID"))


def _length_says(node: Node, times: Times) -> bool:
    """Whether the length that the event has without an end leads to this one."""
    text = node.value("DURATION")
    length = read_duration(text, Problem.END_BEFORE_START) if text else Duration()
    if times.start.all_day:
        length = Duration(days=max(length.days + -(-length.seconds // 86400), 1))
    event = Component("", times.start, duration=length)
    return own_end(event, "UTC")[0] == times.end.instant("UTC")
