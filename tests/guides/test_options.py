"""The table of options in the guide, beside what the engine knows and what the API takes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from calendarsync.api.v1.pair_models import OptionsOut
from calendarsync.api.v1.pair_options import Options
from calendarsync.domain.rules import Rules, SyncMode

PAGE = Path(__file__).parents[2] / "docs/guide/options.md"
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| `(.+?)` \| (.+?) \| ([\d, ]+) \|$", re.MULTILINE)
TABLE = {name: (values, default, rules) for name, values, default, _, rules in ROW.findall(PAGE.read_text())}
SCHEMA: dict[str, Any] = Options.model_json_schema()["properties"]


def test_every_option_has_its_row() -> None:
    known = Rules(SyncMode.BLOCKER).options()
    assert TABLE.keys() == known.keys()
    assert set(TABLE) == set(SCHEMA) == set(OptionsOut.model_fields)
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert len(rows) == len(TABLE)


@pytest.mark.parametrize("name", sorted(SCHEMA))
def test_the_default_is_what_is_in_effect(name: str) -> None:
    in_effect = Rules(SyncMode.BLOCKER).options() | {"title": None}
    assert json.loads(TABLE[name][1]) == in_effect[name]


@pytest.mark.parametrize("name", sorted(SCHEMA))
def test_the_values_are_what_is_taken(name: str) -> None:
    values = TABLE[name][0]
    told = SCHEMA[name]
    either = told.get("anyOf", [told])
    kinds = {one.get("type", "object") for one in either}
    assert ("null" in values) is ("null" in kinds)
    (one,) = [one for one in either if one.get("type") != "null"]
    if kinds == {"boolean"}:
        assert values == "true, false"
    elif kinds == {"integer"}:
        assert values == f"{one['minimum']} to {one['maximum']}"
    elif "enum" in one:
        assert values == ", ".join(one["enum"])
    elif "maxItems" in one:
        assert f"up to {one['maxItems']} " in values
    elif "maxLength" in one and name == "title":
        assert f"up to {one['maxLength']} characters" in values


@pytest.mark.parametrize("name", sorted(SCHEMA))
def test_the_rules_are_some_that_a_test_may_name(name: str) -> None:
    assert all(1 <= int(number) <= 28 for number in TABLE[name][2].split(","))


@pytest.mark.rule(8)
def test_the_hours_of_the_page_are_taken() -> None:
    shown = re.search(r'\*\*Hours\*\*: `(\{"weekdays.+?\})`', PAGE.read_text())
    assert shown is not None
    given = json.loads(shown[1])
    assert Options.model_validate({"only_between": given}).given() == {"only_between": given}
    assert Rules.from_options("blocker", {"only_between": given}).options()["only_between"] == given
