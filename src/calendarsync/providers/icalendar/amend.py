"""Changing a calendar object resource that somebody else's program wrote (rule 17).

Content lines that change are written anew; all other bytes stay as they were, folds and line ends included. The
result is read again, and is only good if it says what was asked for, and of everything else what it said before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from calendarsync.domain.amendment import Change, Times
from calendarsync.domain.event import Component, Duration, EventTime, Problem, Resource
from calendarsync.domain.recurrence_series import Series
from calendarsync.providers.icalendar.lifetime import lifetime
from calendarsync.providers.icalendar.lines import (
    MalformedError,
    Node,
    Property,
    TooLargeError,
    parse,
    unescape,
    unfold,
)
from calendarsync.providers.icalendar.read import events_of, read_resource
from calendarsync.providers.icalendar.values import UnusableError, read_duration, read_time, write_local
from calendarsync.providers.icalendar.write import escaped, folded
from calendarsync.providers.icalendar.write_zone import write_zone
from calendarsync.providers.icalendar.zones import Zones

_LINE = re.compile(rb"[^\n]*\n|[^\n]+\Z")
_BLANK = re.compile(rb"\n[\r\n]+")
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


class NotAmendable(Exception):  # noqa: N818 - it tells what is the matter
    """The resource has a form in which the change cannot be made without touching something else."""


def amend(data: bytes, changes: Sequence[Change], *, now: datetime) -> bytes:
    """The resource with these changes; `now` (aware) becomes DTSTAMP. Raises NotAmendable."""
    try:
        amended = _Resource.of(data).amended(changes, now)
    except (MalformedError, TooLargeError, UnusableError, UnicodeDecodeError) as error:
        raise NotAmendable from error
    _check(read_resource("", None, data), read_resource("", None, amended), changes)
    return amended


@dataclass(slots=True)
class _Event:
    """One VEVENT: its lines, from BEGIN to END, the place of the first, and what they say."""

    at: int
    lines: list[bytes]
    node: Node
    name: EventTime | None
    zones: Zones

    def places(self, name: str) -> list[int]:
        """Where a property of the event itself stands, not one of an alarm in it."""
        found, depth = [], 0
        for place, line in enumerate(self.lines):
            this, _ = _head(line)
            depth += (this == "BEGIN") - (this == "END" and depth > 0)
            if this == name and depth == 1:
                found.append(place)
        return found

    def put(self, name: str, line: bytes, *, after: str = "") -> None:
        """Write a property anew where it stands, else behind another one, else before the alarms."""
        there = self.places(name)
        if there:
            self.lines[there[0]] = line
            return
        before = self.places(after) if after else []
        self.lines.insert(before[0] + 1 if before else self._end_of_properties(), line)

    def take_out(self, names: Sequence[str] | frozenset[str]) -> None:
        gone = {place for name in names for place in self.places(name)}
        self.lines = [line for place, line in enumerate(self.lines) if place not in gone]

    def _end_of_properties(self) -> int:
        inner = (place for place, line in enumerate(self.lines) if place and _head(line)[0] == "BEGIN")
        return next(inner, len(self.lines) - 1)


@dataclass(slots=True)
class _Resource:
    """A resource as logical lines, each with its folds and its end."""

    lines: list[bytes]
    events: list[_Event]
    tzids: list[str]
    crlf: bool
    new_zones: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, data: bytes) -> _Resource:
        lines = list(_logical(data))
        spans = _spans(lines)
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
            events.append(_Event(begin, lines[begin:end], node, name, zones))
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
        found = [place for place, event in enumerate(self.events) if _is_named(event.name, change.original)]
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

    def _change(self, event: _Event, change: Change, now: datetime) -> None:
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

    def _write_text(self, event: _Event, name: str, text: str) -> None:
        if not text:
            event.take_out([name])
        else:
            there = event.node.first(name)
            given = _PARAMETER.findall(there.raw_parameters) if there is not None else []
            kept = [each for each in given if each.partition("=")[0].strip().upper() not in _OUTDATED]
            event.put(name, self._line(f"{';'.join([name, *kept])}:{escaped(text)}"))
        event.take_out(_TOLD_AGAIN.get(name, ()))

    def _move(self, event: _Event, times: Times) -> None:
        start, end = event.node.first("DTSTART"), event.node.first("DTEND")
        event.put("DTSTART", self._time("DTSTART", times.start, event, start))
        if not event.places("DTEND") and _length_says(event.node, times):
            return
        event.take_out(["DURATION"])
        event.put("DTEND", self._time("DTEND", times.end, event, end or start), after="DTSTART")

    def _time(self, name: str, time: EventTime, event: _Event, model: Property | None) -> bytes:
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

    def _tzid(self, time: EventTime, event: _Event, model: Property | None) -> str:
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


def _logical(data: bytes) -> Iterator[bytes]:
    """The content lines with their folds, as `lines.decode` joins them. Raises NotAmendable."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:2] or b"\n" not in data:
        raise NotAmendable
    line = b""
    for part in _LINE.findall(data):
        if line and part[:1] not in (b" ", b"\t") and part.strip(b"\r\n"):
            yield line
            line = b""
        line += part
    if line:
        yield line


def _head(line: bytes) -> tuple[str, str]:
    """The name of a content line, and the rest."""
    text = unfold(_BLANK.sub(b"\n", line)).decode("utf-8", "replace").strip("\ufeff\r\n")
    name, _, value = text.partition(":")
    return name.partition(";")[0].strip().upper(), value.strip().upper()


def _spans(lines: Sequence[bytes]) -> list[tuple[int, int]]:
    """Where each VEVENT begins, and behind its END. Raises NotAmendable where components are nested wrongly."""
    spans: list[tuple[int, int]] = []
    open_at: list[tuple[str, int]] = []
    for place, line in enumerate(lines):
        name, value = _head(line)
        if name == "BEGIN":
            open_at.append((value, place))
        elif name == "END":
            if not open_at or open_at[-1][0] != value:
                raise NotAmendable
            _, begin = open_at.pop()
            if value == "VEVENT":
                spans.append((begin, place + 1))
    if open_at:
        raise NotAmendable
    return spans


def _recurs(node: Node) -> bool:
    return any(node.first(name) for name in (*_OF_SERIES, "RECURRENCE-ID"))


def _is_named(name: EventTime | None, original: EventTime | None) -> bool:
    """Whether this is the component of that instance; midnight may stand for a date."""
    if name is None or original is None:
        return name is original
    if name.all_day or original.all_day:
        return name.local == original.local
    return name.instant("UTC") == original.instant("UTC")


def _length_says(node: Node, times: Times) -> bool:
    """Whether the length that the event has without an end leads to this one."""
    text = node.value("DURATION")
    length = read_duration(text, Problem.END_BEFORE_START) if text else Duration()
    if times.start.all_day:
        length = Duration(days=max(length.days + -(-length.seconds // 86400), 1))
    event = Component("", times.start, duration=length)
    return Series((event,), "UTC").placed(event, event.start)[1] == times.end.instant("UTC")


def _check(before: Resource, after: Resource, changes: Sequence[Change]) -> None:
    """Raises NotAmendable where the result says anything else than was asked for."""
    if before.problem is not None or after.problem is not None or before.uid != after.uid:
        raise NotAmendable
    was, now = ({each.recurrence_id: each for each in side.components} for side in (before, after))
    left = set(now)
    for change in changes:
        name = next((each for each in now if _is_named(each, change.original)), None)
        if name not in left or not _is_made(change, before, after, was.get(name), now[name]):
            raise NotAmendable
        left.discard(name)
    untouched = {name for name in was if name in left}
    if untouched != left or any(
        was[name] != now[name] or before.contents[was[name].original] != after.contents[now[name].original]
        for name in untouched
    ):
        raise NotAmendable


def _is_made(
    change: Change, before: Resource, after: Resource, was: Component | None, now: Component
) -> bool:
    model = was if was is not None else next(each for each in before.components if each.recurrence_id is None)
    texts = {name: unescape(escaped(text)) for name, text in change.texts.items()}
    wanted = replace(before.contents[model.original], **texts)  # type: ignore[arg-type]
    recurrence = model.recurrence if was is not None else None
    expected = replace(model, recurrence_id=now.recurrence_id, recurrence=recurrence)
    times = change.times if was is not None else change.times or change.usual
    if times is not None:
        expected = replace(expected, start=times.start, end=now.end, duration=now.duration)
        ends = Series((now,), "UTC").placed(now, now.start)[1]
        if ends != times.end.instant("UTC"):
            return False
    return expected == now and wanted == after.contents[now.original]
