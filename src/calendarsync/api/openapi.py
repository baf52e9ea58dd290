"""`python -m calendarsync.api.openapi [--check] openapi.json`: write the OpenAPI document, or compare it."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from itertools import islice
from pathlib import Path

_SHOWN_LINES = 40


def rendered() -> str:
    from calendarsync.api.app import openapi_document

    return json.dumps(openapi_document(), indent=2, ensure_ascii=False) + "\n"


def difference(file: Path) -> str | None:
    """What tells the document in `file` from that of the code; None where nothing does."""
    try:
        committed = file.read_text("utf-8")
    except FileNotFoundError:
        return f"{file} is not there; write it with: make openapi\n"
    if committed == (now := rendered()):
        return None
    lines = difflib.unified_diff(
        committed.splitlines(keepends=True), now.splitlines(keepends=True), str(file), "the code"
    )
    shown = "".join(islice(lines, _SHOWN_LINES))
    return f"{shown}\n{file} is not what the code says; write it anew with: make openapi\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m calendarsync.api.openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit status 1 on a difference")
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    if not arguments.check:
        arguments.file.write_text(rendered(), "utf-8")
        return 0
    found = difference(arguments.file)
    if found is None:
        return 0
    sys.stderr.write(found)
    return 1


if __name__ == "__main__":
    sys.exit(main())
