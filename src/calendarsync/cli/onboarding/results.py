"""The result file: what came of every row so far, and never a password."""

from __future__ import annotations

import csv
import io
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from calendarsync.cli.onboarding.people import People, Person, Problem, UnusableFile

Status = Literal["open", "done", "failed"]

_EVERY_SECONDS = 1.0
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # OWASP, CSV injection


@dataclass
class Outcome:
    """What came of a row. `open`: nothing yet, or not all of it."""

    status: Status = "open"
    connection_a_id: str = ""
    connection_b_id: str = ""
    pair_id: str = ""
    error_code: str = ""
    error_message: str = ""

    @property
    def connections(self) -> tuple[str, str]:
        return self.connection_a_id, self.connection_b_id


_OUTCOME = tuple(each.name for each in fields(Outcome))
_COLUMNS = ("line", "email", *_OUTCOME, "row")


class Results:
    """`outcomes` has one for each row, by its key. The file is replaced as a whole: it is never half written."""

    def __init__(self, path: Path, people: People) -> None:
        """Takes over what an earlier run wrote there. Raises UnusableFile where that is some other file."""
        before = _read(path)
        self.path = path
        self.outcomes = {person.key: before.get(person.key) or Outcome() for person in people.rows}
        self._people = people
        self._written = 0.0

    def of(self, person: Person) -> Outcome:
        return self.outcomes[person.key]

    def changed(self) -> None:
        """Write, unless that was done a moment ago."""
        if time.monotonic() - self._written >= _EVERY_SECONDS:
            self.write()

    def write(self) -> None:
        """Raises OSError."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=self._people.delimiter)
        writer.writerow(_COLUMNS)
        for person in self._people.rows:
            outcome = asdict(self.of(person))
            told = (person.email, *(outcome[name] for name in _OUTCOME))
            writer.writerow((person.line, *map(_harmless, told), person.key))
        _replace(self.path, text.getvalue())
        self._written = time.monotonic()


def _harmless(text: str) -> str:
    """What a spreadsheet would take for a formula, and carry out, becomes text by an apostrophe before it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _replace(path: Path, text: str) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600
    try:
        # With a byte order mark, without which Excel takes it for another encoding.
        with os.fdopen(descriptor, "w", encoding="utf-8-sig", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read(path: Path) -> Mapping[str, Outcome]:
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError):
        raise _not_ours(path) from None
    header = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count))
    try:
        columns, *lines = rows
    except (ValueError, csv.Error):  # ValueError: it is empty
        raise _not_ours(path) from None
    if tuple(columns) != _COLUMNS:
        raise _not_ours(path)
    found = (dict(zip(_COLUMNS, line, strict=False)) for line in lines)
    return {row["row"]: _outcome(row) for row in found if len(row) == len(_COLUMNS)}


def _outcome(row: Mapping[str, str]) -> Outcome:
    """What failed is tried again, from what there was of it."""
    status: Status = "done" if row["status"] == "done" else "open"
    return Outcome(status, row["connection_a_id"], row["connection_b_id"], row["pair_id"])


def _not_ours(path: Path) -> UnusableFile:
    message = f"{path} is there, and is no result file of this command; name another with --results"
    return UnusableFile(Problem(0, "", message))
