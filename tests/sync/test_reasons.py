"""Every reason that the code gives is explained to people, with its rule and what would change it.

`CALENDARSYNC_WRITE_TABLES=1` writes the tables of the two pages from sync/reasons.py.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from calendarsync.domain.event import Problem
from calendarsync.domain.relay import NotRelayed
from calendarsync.providers.base import ProviderError
from calendarsync.sync import reasons as table
from calendarsync.sync.board import DEFECT
from calendarsync.sync.guards import EDITED, EMPTIED_SOURCE, LOST_KEY, VANISHED
from calendarsync.sync.reasons import REASONS, Reason
from calendarsync.sync.report import INTERNAL_ERROR
from calendarsync.sync.undo import UNDONE

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    *sorted((ROOT / "src/calendarsync/sync").glob("*.py")),
    ROOT / "src/calendarsync/domain/rules.py",
]
SKIPPED = ROOT / "docs/guide/skipped-events.md"
TOLD = ROOT / "docs/guide/explain.md"
CODE = re.compile(r"[a-z]+(?:_[a-z]+)*")
ROWS = re.compile(r"(?:^\| `\w+` \|.*\n)+", re.MULTILINE)

GIVING = {
    "Skipped": 2,
    "skip": 1,
    "_nothing": 1,
    "_cannot": 2,
    "note": 3,
    "keep": 2,
    "_operation": 2,
    "Create": 2,
    "Update": 2,
    "Delete": 4,
    "Propagate": 2,
    "Amendment": 1,
    "_tell": 2,
    "_instead": 1,
    "_restore": 4,
    "adopt_or_update": 4,
    "_create_at_free_id": 3,
    "_place_unlinked": 3,
    "leave": 2,
    "NotCarriedError": 0,
    "Trouble": 0,
    "Case": 3,
    "Explanation": 3,
    "_log": 2,
}
"""Calls that give a reason, and which of their arguments it is."""

ELSEWHERE = {
    # Of connections and pairs: the consent pages, the engine and its guards tell them.
    *("delegation_ended", LOST_KEY, VANISHED, EMPTIED_SOURCE, EDITED, INTERNAL_ERROR.code),
    *(DEFECT, UNDONE),
}


def strings(node: ast.AST) -> Iterator[str]:
    found = (one.value for one in ast.walk(node) if isinstance(one, ast.Constant))
    return (value for value in found if isinstance(value, str) and CODE.fullmatch(value))


def chosen(node: ast.AST) -> Iterator[str]:
    """The strings that an expression may come to, without those that it only compares with."""
    if isinstance(node, ast.IfExp):
        yield from chain(chosen(node.body), chosen(node.orelse))
    elif isinstance(node, ast.BoolOp):
        yield from chain.from_iterable(map(chosen, node.values))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
        yield node.value


def reasons(tree: ast.AST) -> Iterator[str]:
    """The reasons in one module: of calls that give one, of names called so, and of functions that return them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = GIVING.get(name)
            if place is not None and len(node.args) > place:
                yield from chosen(node.args[place])
            yield from chain.from_iterable(
                chosen(each.value) for each in node.keywords if each.arg == "reason"
            )
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(each, ast.Name) and each.id == "reason" for each in targets):
                yield from chosen(node.value)
        elif isinstance(node, ast.FunctionDef) and node.name.startswith(
            ("why_not", "reason", "_barred", "_what")
        ):
            yield from (text for one in node.body[1:] or node.body for text in strings(one))


def test_every_reason_is_explained_and_every_explanation_is_of_a_reason() -> None:
    found = {reason for path in SOURCES for reason in reasons(ast.parse(path.read_text()))}
    assert {"free", "same_meeting", "copied_already", "copy_deleted_by_person", "not_removed"} <= found
    assert {"in_step", "twin", "source_deleted", "foreign_copy", "pair_paused", "title_not_undone"} <= found
    elsewhere = ELSEWHERE | provider_codes(ProviderError) | set(Problem) | set(NotRelayed)
    assert found | elsewhere <= REASONS.keys()
    written = {text for path in SOURCES for text in strings(ast.parse(path.read_text()))}
    assert REASONS.keys() <= written | elsewhere


def provider_codes(kind: type[ProviderError]) -> set[str]:
    return {kind.code, *chain.from_iterable(map(provider_codes, kind.__subclasses__()))}


def test_a_reason_that_nobody_gives_is_found() -> None:
    given = "def f(board):\n    board.note('id', '', 'skip', 'first' if x == 'other' else 'second', None)\n"
    assert set(reasons(ast.parse(given))) == {"first", "second"}


@pytest.mark.parametrize("reason", REASONS.values(), ids=lambda reason: reason.code)
def test_an_explanation_is_whole(reason: Reason) -> None:
    assert 1 <= reason.rule <= 28
    assert reason.explanation.endswith((".", ".)"))
    assert reason.remedy.endswith(".")
    assert "|" not in reason.explanation + reason.remedy


def test_no_reason_is_explained_twice() -> None:
    sections = [*table.SKIPPED, *table.TOLD]
    assert len(REASONS) == sum(map(len, sections))


@pytest.mark.parametrize("page", [SKIPPED, TOLD], ids=lambda page: page.stem)
def test_the_pages_say_what_is_answered(page: Path) -> None:
    text = page.read_text()
    expected = _with_tables(
        text, with_rule=page == TOLD, sections=table.TOLD if page == TOLD else table.SKIPPED
    )
    if os.environ.get("CALENDARSYNC_WRITE_TABLES"):
        page.write_text(expected)
        return
    assert text == expected


def _with_tables(text: str, *, with_rule: bool, sections: tuple[tuple[Reason, ...], ...]) -> str:
    """The page with its tables of reasons, one for each section in their order."""
    left = list(sections)

    def rows(match: re.Match[str]) -> str:
        if match[0].partition("`")[2].partition("`")[0] not in REASONS:
            return match[0]
        return "".join(_row(reason, with_rule=with_rule) for reason in left.pop(0))

    written = ROWS.sub(rows, text)
    assert not left, "a section has no table"
    return written


def _row(reason: Reason, *, with_rule: bool) -> str:
    rule = f" {reason.rule} |" if with_rule else ""
    return f"| `{reason.code}` |{rule} {reason.explanation} | {reason.remedy} |\n"
