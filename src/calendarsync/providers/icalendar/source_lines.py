"""The content lines of a resource as they were written, folds and line ends included, and where each event is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from calendarsync.domain.event import EventTime
from calendarsync.providers.icalendar.lines import Node, unfold
from calendarsync.providers.icalendar.zones import Zones

_LINE = re.compile(rb"[^\n]*\n|[^\n]+\Z")
_BLANK = re.compile(rb"\n[\r\n]+")


class NotAmendable(Exception):  # noqa: N818 - it tells what is the matter
    """The resource has a form in which the change cannot be made without touching something else."""


@dataclass(slots=True)
class SourceEvent:
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
        """Leave out these properties of the event itself."""
        gone = {place for name in names for place in self.places(name)}
        self.lines = [line for place, line in enumerate(self.lines) if place not in gone]

    def _end_of_properties(self) -> int:
        inner = (place for place, line in enumerate(self.lines) if place and _head(line)[0] == "BEGIN")
        return next(inner, len(self.lines) - 1)


def logical_lines(data: bytes) -> Iterator[bytes]:
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


def spans_of(lines: Sequence[bytes]) -> list[tuple[int, int]]:
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
