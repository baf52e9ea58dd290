"""One table, for the screen and for docs/reference/performance.md."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "performance.md"
_MEASURED = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- end of what was measured -->)", re.DOTALL)
_HEADINGS = ("", "CalendarSync", "limit", "vdirsyncer", "goal", "met")


@dataclass(frozen=True)
class Row:
    """One line. `met` is None where there is no goal."""

    name: str
    ours: str
    limit: str = ""
    rival: str = ""
    goal: str = ""
    met: bool | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        verdict = {None: "", True: "yes", False: "no"}[self.met]
        return (self.name, self.ours, self.limit, self.rival, self.goal, verdict)


def show(console: Console, rows: Sequence[Row], notes: Sequence[str]) -> None:
    table = Table(*_HEADINGS, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*row.cells, style="red" if row.met is False else None)
    console.print(table)
    for note in notes:
        console.print(note)


def write(rows: Sequence[Row], notes: Sequence[str]) -> None:
    """Put the table into its place in the page."""
    lines = [_HEADINGS, ("---",) * len(_HEADINGS), *(row.cells for row in rows)]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    measured = f"\n{table}\n" + "".join(f"{note}\n\n" for note in notes)
    text, found = _MEASURED.subn(lambda _: measured, PAGE.read_text())
    assert found == 1, f"{PAGE.name} has no place for the table"
    PAGE.write_text(text)


def machine(*versions: str) -> str:
    """What it was measured on; `versions` are those of other programs."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    parts = [
        f"{name} {version(name)}" for name in ("calendarsync", "aiohttp", "sqlalchemy", "asyncpg", "pgqueuer")
    ]
    where = f"{model or platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"
    programs = ", ".join([f"Python {platform.python_version()}", *parts, *versions])
    return f"{datetime.now(UTC):%Y-%m-%d}, {where}; {programs}."
