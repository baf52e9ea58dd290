"""The form of iCalendar: decoding, folding, content lines and nesting (RFC 5545 sections 3.1 and 3.4)."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

MAX_BYTES = 8 * 1024 * 1024
MAX_LINES = 100_000
MAX_DEPTH = 8
MAX_TEXTS = 500

MARK_PROPERTY = "X-CALENDARSYNC-MARK"
"""The property that holds our mark (rule 1)."""

_FOLD = re.compile(rb"\r?\n[ \t]")
_BLANK_LINES = re.compile(rb"\n[\r\n]+")
_NAME = re.compile(r"[A-Za-z0-9_.\-]+\Z")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_UNESCAPED_COMMA = re.compile(r"(?<!\\)((?:\\\\)*),")
# A line with one of these names that cannot be read changes what an event means: it must not be passed over.
_MEANINGFUL = (
    "DTSTART",
    "DTEND",
    "DURATION",
    "RRULE",
    "RDATE",
    "EXDATE",
    "EXRULE",
    "RECURRENCE-ID",
)
_TOP = frozenset({"VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VTIMEZONE"})
"""Components that never stand within one another."""


class MalformedError(Exception):
    """The text is cut off."""


class TooLargeError(Exception):
    """The text goes past one of the bounds of this module."""


@dataclass(slots=True)
class Property:
    """A content line. `value` is as written, not unescaped."""

    name: str
    raw_parameters: str
    value: str

    @property
    def parameters(self) -> Mapping[str, str]:
        """The parameters by upper-case name, without quotes; of a repeated one, the first."""
        found: dict[str, str] = {}
        for part in _unquoted_parts(self.raw_parameters):
            name, equals, value = part.partition("=")
            if equals:
                found.setdefault(name.strip().upper(), value.strip().replace('"', ""))
        return found

    @property
    def text(self) -> str:
        """The value as TEXT (RFC 5545 section 3.3.11)."""
        return unescape(self.value)


@dataclass(slots=True)
class Node:
    """A component with its properties in the order of the text.

    `broken`: a line of it that decides when it is cannot be read.
    """

    name: str
    properties: dict[str, list[Property]] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)
    broken: bool = False

    def first(self, name: str) -> Property | None:
        found = self.properties.get(name)
        return found[0] if found else None

    def all(self, name: str) -> list[Property]:
        return self.properties.get(name, [])

    def value(self, name: str) -> str:
        """The first value as written, stripped; empty where there is none."""
        found = self.properties.get(name)
        return found[0].value.strip() if found else ""

    def text(self, name: str) -> str:
        found = self.properties.get(name)
        return found[0].text if found else ""

    def walk(self, name: str) -> Iterator[Node]:
        for child in self.children:
            if child.name == name:
                yield child
            else:
                yield from child.walk(name)


def _unquoted_parts(text: str) -> list[str]:
    """The text split at semicolons outside quotes."""
    if '"' not in text:
        return text.split(";") if text else []
    parts: list[list[str]] = [[]]
    for number, piece in enumerate(text.split('"')):
        if number % 2:
            parts[-1].append(piece)
            continue
        first, *others = piece.split(";")
        parts[-1].append(first)
        parts += [[other] for other in others]
    return ["".join(pieces) for pieces in parts]


def unescape(value: str) -> str:
    if "\\" not in value:
        return value
    return _ESCAPE.sub(lambda match: "\n" if match[1] in "nN" else match[1], value)


def split_texts(value: str) -> list[str]:
    """A list of TEXT values, unescaped; at most MAX_TEXTS of them."""
    separated = _UNESCAPED_COMMA.sub("\\1\0", value, count=MAX_TEXTS)
    return [unescape(item) for item in separated.split("\0")[:MAX_TEXTS]]


def decode(data: bytes) -> str:
    """The text, unfolded. A fold may fall inside a character (RFC 5545 section 3.1), so bytes are unfolded."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", "replace").encode()
    elif data[1:2] == b"\0" or data[:1] == b"\0":
        data = data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be", "replace").encode()
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    if b"\n\n" in data or b"\n\r" in data:  # old Mozilla calendars put a blank line into their folds
        data = _BLANK_LINES.sub(b"\n", data)
    data = unfold(data)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def unfold(data: bytes) -> bytes:
    return _FOLD.sub(b"", data)


def parse(data: bytes, *, max_bytes: int = MAX_BYTES, max_lines: int = MAX_LINES) -> Node:
    """The tree of components under a nameless root. Raises MalformedError and TooLargeError."""
    if len(data) > max_bytes:
        raise TooLargeError
    text = decode(data)
    if text.count("\n") > max_lines:
        raise TooLargeError
    return _tree(text)


def _tree(text: str) -> Node:
    """Raises MalformedError where a component of the outermost level does not end: the text is cut off.

    What is wrongly nested further in breaks the event around it, and no other.
    """
    stack = [Node("")]
    for line in text.split("\n"):
        line = line.rstrip("\r")  # noqa: PLW2901 - the rest of a CRLF
        if not line or line.isspace():
            continue
        found = _content_line(line)
        if found is None:
            continue
        if found.name == "BEGIN":
            _begin(stack, found.value.strip().upper())
        elif found.name == "END":
            _end(stack, found.value.strip().upper())
        elif not found.name:
            stack[-1].broken = True
        elif len(stack) > 1:
            stack[-1].properties.setdefault(found.name, []).append(found)
    if len(stack) > 1:
        raise MalformedError
    return stack[0]


def _begin(stack: list[Node], name: str) -> None:
    if name in _TOP and (open_event := _innermost(stack, _TOP)):
        _end(stack, stack[open_event].name, complete=False)
    if len(stack) > MAX_DEPTH:
        stack[-1].broken = True
        return
    node = Node(name)
    stack[-1].children.append(node)
    stack.append(node)


def _end(stack: list[Node], name: str, *, complete: bool = True) -> None:
    """Close the innermost open component of this name, and what is open within it; a stray END is no END."""
    place = _innermost(stack, {name})
    if place:
        stack[place].broken |= place < len(stack) - 1 or not complete
        del stack[place:]


def _innermost(stack: Sequence[Node], names: Container[str]) -> int:
    """Where the innermost open component of one of these names stands; 0, the root's place, for none."""
    return next((place for place in range(len(stack) - 1, 0, -1) if stack[place].name in names), 0)


def _content_line(line: str) -> Property | None:
    """One unfolded line; None for what is no content line; without a name where that loses meaning."""
    head, colon, value = line.partition(":")
    if '"' in head:
        colon_at = _colon(line)
        head, colon, value = (line[:colon_at], ":", line[colon_at + 1 :]) if colon_at > 0 else (line, "", "")
    elif value.startswith("//") and head.upper().endswith(";TZID=TZONE"):
        # Exchange writes its URIs of zones without the quotes that RFC 5545 section 3.2 wants around a colon.
        zone, colon, value = value.partition(":")
        head = f"{head}:{zone}"
    name, _, parameters = head.partition(";")
    name = name.strip().upper()
    if colon and _NAME.match(name):
        structural = name in {"BEGIN", "END"}
        # "End: 17:00" is the rest of a description with a line break in it.
        return None if structural and not _NAME.match(value.strip()) else Property(name, parameters, value)
    word = re.split(r"[^A-Z-]", name, maxsplit=1)[0] if name.startswith(_MEANINGFUL) else ""
    return Property("", "", "") if word in _MEANINGFUL else None


def _colon(line: str) -> int:
    """Where the value begins: at the first colon outside quotes, or at the first of all if quotes are unpaired."""
    quoted = False
    for index, character in enumerate(line):
        if character == '"':
            quoted = not quoted
        elif character == ":" and not quoted:
            return index
    return line.find(":")
