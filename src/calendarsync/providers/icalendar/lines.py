"""The form of iCalendar: decoding, folding, content lines and nesting (RFC 5545 sections 3.1 and 3.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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
_PARAMETER = re.compile(r"\s*([^=;\"]+?)\s*=\s*((?:\"[^\"]*\"|[^;\"])*)(?:;|\Z)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_UNESCAPED_COMMA = re.compile(r"(?<!\\)((?:\\\\)*),")
# A line with one of these names that cannot be read changes what an event means: it must not be passed over.
_MEANINGFUL = (
    "BEGIN",
    "END",
    "DTSTART",
    "DTEND",
    "DURATION",
    "RRULE",
    "RDATE",
    "EXDATE",
    "EXRULE",
    "RECURRENCE-ID",
)


class MalformedError(Exception):
    """The text is cut off, wrongly nested or no iCalendar at all."""


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
        if self.raw_parameters:
            for name, value in _PARAMETER.findall(self.raw_parameters):
                found.setdefault(name.upper(), value.strip().replace('"', ""))
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
    root = node = Node("")
    stack = [root]
    for line in text.split("\n"):
        line = line.rstrip("\r")  # noqa: PLW2901 - the rest of a CRLF
        if not line or line.isspace():
            continue
        found = _content_line(line)
        if found is None:
            continue
        name = found.name
        if name == "BEGIN":
            if len(stack) > MAX_DEPTH:
                raise TooLargeError
            node = Node(found.value.strip().upper())
            stack[-1].children.append(node)
            stack.append(node)
        elif name == "END":
            if len(stack) == 1 or found.value.strip().upper() != node.name:
                raise MalformedError
            stack.pop()
            node = stack[-1]
        elif not name:
            node.broken = True
        elif len(stack) > 1:
            node.properties.setdefault(name, []).append(found)
    if len(stack) > 1:
        raise MalformedError
    return root


def _content_line(line: str) -> Property | None:
    """One unfolded line; None for what is no content line; without a name where that loses meaning.

    Raises MalformedError where it loses the nesting.
    """
    head, colon, value = line.partition(":")
    if '"' in head:
        colon_at = _colon(line)
        head, colon, value = (line[:colon_at], ":", line[colon_at + 1 :]) if colon_at > 0 else (line, "", "")
    name, _, parameters = head.partition(";")
    name = name.strip().upper()
    if colon and _NAME.match(name):
        return Property(name, parameters, value)
    word = re.split(r"[^A-Z-]", name, maxsplit=1)[0] if name.startswith(_MEANINGFUL) else ""
    if word in {"BEGIN", "END"}:
        raise MalformedError
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
