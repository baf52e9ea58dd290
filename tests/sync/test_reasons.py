"""Every reason for which a run skips an event is explained to people."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from calendarsync.domain.event import Problem
from calendarsync.providers.base import Changed, IdTaken, Refused, ResourceGone, Unavailable
from calendarsync.sync.board import DEFECT

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    *sorted((ROOT / "src/calendarsync/sync").glob("*.py")),
    ROOT / "src/calendarsync/domain/rules.py",
]
PAGE = ROOT / "docs/guide/skipped-events.md"
CODE = re.compile(r"[a-z]+(?:_[a-z]+)*")

SKIPPING = {"Skipped": 2, "skip": 1, "_nothing": 1, "_cannot": 2}
"""Calls that skip, and which of their arguments is the reason."""

FAILING = {Changed.code, ResourceGone.code, IdTaken.code, Refused.code, Unavailable.code, DEFECT}
"""What `_fail` is given, where one write fails and the others go on."""


def strings(node: ast.AST) -> Iterator[str]:
    found = (one.value for one in ast.walk(node) if isinstance(one, ast.Constant))
    return (value for value in found if isinstance(value, str) and CODE.fullmatch(value))


def reasons(tree: ast.AST) -> Iterator[str]:
    """The reasons in one module: those of calls that skip, and what the functions that give reasons return."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = SKIPPING.get(name)
            if place is not None and len(node.args) > place:
                yield from strings(node.args[place])
            arguments = [one.value if isinstance(one, ast.Constant) else None for one in node.args]
            if "skip" in arguments[:-1]:
                yield from strings(node.args[arguments.index("skip") + 1])
        elif isinstance(node, ast.FunctionDef) and node.name.startswith(("why_not", "reason")):
            yield from (text for one in node.body[1:] or node.body for text in strings(one))
        elif isinstance(node, ast.FunctionDef) and node.name == "_choose":
            assignments = (one for one in ast.walk(node) if isinstance(one, ast.Assign))
            yield from (text for one in assignments for text in strings(one.value))


def test_every_reason_is_explained_and_every_explanation_is_of_a_reason() -> None:
    found = {reason for path in SOURCES for reason in reasons(ast.parse(path.read_text()))}
    assert {"free", "same_meeting", "copied_already", "copy_deleted_by_person", "not_removed"} <= found
    explained = set(re.findall(r"^\| `(\w+)` \| \S", PAGE.read_text(), re.MULTILINE))
    assert explained == found | FAILING | set(Problem)
