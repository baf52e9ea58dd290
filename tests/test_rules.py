"""Every numbered rule of a sync is proven by a test that names it: `@pytest.mark.rule(21)`, or `test_rule_21_…`."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
SEMANTICS = TESTS.parents[1] / "shared" / "SEMANTICS.md"
RULES = range(1, 29)
_IN_A_NAME = re.compile(r"test_rules?_((?:\d+_)(?:(?:and_)?\d+_)*)")


def named(source: str) -> Iterator[int]:
    """The numbers of rules that tests in a module's source prove."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for found in _IN_A_NAME.finditer(node.name):
                yield from map(int, re.findall(r"\d+", found[1]))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "rule":
            yield from (each.value for each in node.args if isinstance(each, ast.Constant))  # type: ignore[misc]


def test_every_rule_is_proven_by_a_test_that_names_it() -> None:
    proofs: defaultdict[int, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for number in named(path.read_text("utf-8")):
            proofs[number].append(path.name)
    assert [number for number in RULES if number not in proofs] == [], "rules without a test"
    assert sorted(proofs.keys() - set(RULES)) == [], "tests of rules that there are not"


@pytest.mark.skipif(not SEMANTICS.exists(), reason="../shared is not here: it holds the rules")
def test_the_rules_are_those_that_are_in_force() -> None:
    assert [int(number) for number in re.findall(r"^(\d+)\. ", SEMANTICS.read_text(), re.MULTILINE)] == [
        *RULES
    ]


def test_a_rule_is_found_by_either_name() -> None:
    assert {*named("def test_rule_21_x(): ...\n@pytest.mark.rule(3)\nasync def test_y(): ...")} == {21, 3}
    assert {*named("pytestmark = pytest.mark.rule(8)\ndef test_rules_5_and_17_x(): ...")} == {5, 8, 17}
    assert [*named("def test_ruler_5(): ...")] == []
