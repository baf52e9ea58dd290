"""The tables in docs/reference/corpus.md: a test run compares them, and writes them where it is told to."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from difflib import ndiff
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "corpus.md"
WRITE = "CALENDARSYNC_WRITE_TABLES"


def check_table(name: str, rows: Sequence[str]) -> None:
    """Whether the page's table between `<!-- name -->` and `<!-- end -->` consists of these rows."""
    page = PAGE.read_text()
    found = re.search(rf"(<!-- {name} -->\n)(.*?)(<!-- end -->)", page, re.DOTALL)
    assert found is not None, f"docs/reference/corpus.md has no place for {name}"
    if os.environ.get(WRITE):
        table = "".join(f"{row}\n" for row in rows)
        PAGE.write_text(page[: found.start(2)] + table + page[found.end(2) :])
        return
    difference = [line for line in ndiff(found[2].splitlines(), list(rows)) if line[0] != " "]
    assert difference == [], f"run `make corpus-table`, and look at the difference: {difference}"
