"""The file of people: CSV as a spreadsheet writes it, checked as a whole before anything is sent."""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Literal, cast, get_args

from calendarsync.client.models import Direction, SyncMode

DELEGATED = ("google", "microsoft")
"""An organisation has let the account in: whose calendar it is tells the e-mail address."""

PROVIDERS = ("caldav", "ics", "sandbox", *DELEGATED)
ENDS: tuple[Literal["a", "b"], ...] = ("a", "b")
OF_AN_END = ("provider", "url", "username", "password", "calendar_id", "email")
COLUMNS = ("email", *(f"{end}_{name}" for end in ENDS for name in OF_AN_END), "sync_mode", "direction")

_WORDS = {"sync_mode": get_args(SyncMode), "direction": get_args(Direction)}
_NEEDED = {"caldav": ("url", "username", "password"), "ics": ("url",), "sandbox": ("calendar_id",)}
_TARGETS = {"bidirectional": "ab", "a_to_b": "b", "b_to_a": "a"}
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


@dataclass(frozen=True)
class Problem:
    """`line` counts from 1, as a text editor does; 0 is the file as a whole. `column` is a name, or empty."""

    line: int
    column: str
    message: str

    def __str__(self) -> str:
        where = ", ".join(filter(None, (f"line {self.line}" if self.line else "", self.column)))
        return f"{where}: {self.message}" if where else self.message


class UnusableFile(Exception):  # noqa: N818 - what happened
    """Nothing can be done with it; `problems` are all that were found."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True)
class End:
    """One calendar of a person, as the file names it. An ICS feed's address is as secret as a password."""

    provider: str
    url: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    calendar_id: str = ""
    email: str = ""

    @property
    def calendar(self) -> End:
        """Equal for the same calendar, whoever's answers count there."""
        return self if self.provider in DELEGATED else replace(self, email="")


@dataclass(frozen=True)
class Person:
    """One row of the file: two calendars, and how they are to be kept in step."""

    line: int
    email: str
    a: End
    b: End
    sync_mode: SyncMode
    direction: Direction

    @property
    def key(self) -> str:
        """Tells a row from all others, wherever it stands. A new password leaves it the same row."""
        calendars = (astuple(replace(end, password="")) for end in (self.a, self.b))
        parts = (self.email, self.sync_mode, self.direction, *(part for each in calendars for part in each))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class People:
    """What a file holds. `delimiter` is the one that its spreadsheet uses."""

    rows: Sequence[Person]
    delimiter: str


def read_people(path: Path, defaults: Mapping[str, str]) -> People:
    """`defaults`: values by column, for cells that are empty and columns that are not there.

    Raises UnusableFile, with every problem that the file has.
    """
    text = _text(path)
    delimiter, skipped = _delimiter(text)
    records = _records(text, delimiter, skipped)
    line, header = next(records, (0, []))
    columns = _columns(line, header)
    problems: list[Problem] = []
    rows: list[Person] = []
    seen: dict[str, int] = {}
    for line, cells in records:
        person = _person(line, columns, cells, defaults, problems)
        if person is None:
            continue
        if person.key in seen:
            problems.append(Problem(line, "", f"the same as line {seen[person.key]}"))
        seen.setdefault(person.key, line)
        rows.append(person)
    if problems:
        raise UnusableFile(*problems)
    if not rows:
        raise UnusableFile(Problem(0, "", "the file has no rows"))
    return People(rows, delimiter)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnusableFile(Problem(0, "", f"the file cannot be read: {error.strerror}")) from None
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        advice = 'this is not UTF-8; save it as "CSV UTF-8" in the spreadsheet'
        raise UnusableFile(Problem(line, "", advice)) from None


def _delimiter(text: str) -> tuple[str, int]:
    """The delimiter, and how many lines stand before the header: Excel may name it in one of its own."""
    first = text.partition("\n")[0].strip(" \r")
    if re.fullmatch(r"sep=.", first, re.IGNORECASE):
        return first[-1], 1
    return max(",;\t", key=first.count), 0


def _records(text: str, delimiter: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not blank, with the line that it begins in."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise UnusableFile(Problem(line, "", f"this is not CSV: {error}")) from None
        if cells is None:
            return
        if line > skipped and any(cell.strip() for cell in cells):
            yield line, cells


def _columns(line: int, header: Sequence[str]) -> list[str]:
    columns = [name.strip().lower() for name in header]
    problems = []
    for number, name in enumerate(columns, 1):
        if name and name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, 1)
            hint = f"; is {near[0]} meant?" if near else ""
            problems.append(Problem(line, f"column {number}", f"there is no column {name!r}{hint}"))
        elif name and name in columns[: number - 1]:
            problems.append(Problem(line, f"column {number}", f"{name} is there twice"))
    if "email" not in columns:
        problems.append(Problem(line, "", f"the first line must name the columns: {', '.join(COLUMNS)}"))
    if problems:
        raise UnusableFile(*problems)
    return columns


def _person(
    line: int,
    columns: Sequence[str],
    cells: Sequence[str],
    defaults: Mapping[str, str],
    problems: list[Problem],
) -> Person | None:
    """None where something is wrong with it, which then stands in `problems`."""
    found = len(problems)
    if len(cells) > len(columns):
        message = f"has {len(cells)} values, and the header {len(columns)} columns"
        problems.append(Problem(line, "", message))
    values = dict(defaults)
    for number, (name, cell) in enumerate(zip(columns, cells, strict=False), 1):
        value = cell if name.endswith("_password") else cell.strip()
        if value and not name:
            problems.append(Problem(line, f"column {number}", "has a value, and no name in the header"))
        if value:
            values[name] = value
    problems.extend(_wrong(line, values))
    if len(problems) > found:
        return None
    a, b = (_end(values, end) for end in ENDS)
    mode, direction = cast("SyncMode", values["sync_mode"]), cast("Direction", values["direction"])
    return Person(line, values["email"], a, b, mode, direction)


def _end(values: Mapping[str, str], end: str) -> End:
    given = {name: values.get(f"{end}_{name}", "") for name in OF_AN_END}
    return End(**{**given, "email": given["email"] or values["email"]})


def _wrong(line: int, values: Mapping[str, str]) -> Iterator[Problem]:
    """What is wrong with one row."""
    for name, value in values.items():
        if _CONTROL.search(value):
            yield Problem(line, name, "holds a control character or a line break")
    for name in ("email", "a_email", "b_email"):
        value = values.get(name, "")
        if (value or name == "email") and not _EMAIL.fullmatch(value):
            yield Problem(line, name, "must be an address such as you@example.com")
    for name, words in _WORDS.items():
        if values.get(name) not in words:
            yield Problem(line, name, f"must be one of {', '.join(words)}")
    for end in ENDS:
        yield from _wrong_end(line, values, end)
    a, b = ([values.get(f"{end}_{name}", "") for name in OF_AN_END[:-1]] for end in ENDS)
    if a == b and any(a[1:]):
        yield Problem(line, "b_url", "the two calendars are the same")


def _wrong_end(line: int, values: Mapping[str, str], end: str) -> Iterator[Problem]:
    provider = values.get(f"{end}_provider", "")
    if provider not in PROVIDERS:
        yield Problem(line, f"{end}_provider", f"must be one of {', '.join(PROVIDERS)}")
    for name in _NEEDED.get(provider, ()):
        if not values.get(f"{end}_{name}"):
            yield Problem(line, f"{end}_{name}", f"is empty, and {provider} needs it")
    if provider == "ics" and end in _TARGETS.get(values.get("direction", ""), ""):
        other = "b_to_a" if end == "b" else "a_to_b"
        yield Problem(line, "direction", f"an ics calendar can only be read: {end} goes with {other}")
