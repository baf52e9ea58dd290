"""docs/reference/api-keys.md: its commands run, its scopes are the program's, and its pattern finds keys alone."""

from __future__ import annotations

import json
import re
import string
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendarsync.accounts.keys import Mode, generate_key, is_well_formed
from calendarsync.accounts.scopes import DEFAULT_SCOPES, Scope
from tests.guides.runner import ROOT, blocks_of, run
from tests.guides.stage import EMAIL, serving

PAGE = (ROOT / "docs/reference/api-keys.md").read_text()
(PATTERN,) = (block.text.strip() for block in blocks_of(PAGE) if block.language == "regex")
(CHECK,) = (block.text for block in blocks_of(PAGE) if block.language == "python")


def test_the_table_names_every_scope() -> None:
    rows = re.findall(r"^\| `([\w:]+)` \| .+ \| (yes|no) \|$", PAGE, re.MULTILINE)
    assert rows == [(scope, "yes" if scope in DEFAULT_SCOPES else "no") for scope in Scope]


@given(st.sampled_from(Mode), st.sampled_from(["", " ", '"', "=", "\n", "Bearer ", "(", "https://h/?key="]))
def test_the_pattern_finds_keys(mode: Mode, before: str) -> None:
    key = generate_key(mode)
    for after in ("", " ", '"', "\n", ".", "&x=1"):
        found = re.search(PATTERN, f"some text {before}{key}{after} some more")
        assert found is not None
        assert found[0] == key


@given(st.text(string.ascii_letters + string.digits + "_- /+=.\n", max_size=200))
def test_the_pattern_finds_nothing_in_random_words(text: str) -> None:
    assert not re.search(PATTERN, text)


@pytest.mark.parametrize(
    "text",
    [
        f"cs_prod_{'x' * 38}",
        f"cs_live_{'x' * 37}",
        f"cs_live_{'x' * 39}",
        f"cs_live_{'x' * 37}_",
        f"cs_live_{'x' * 20}-{'x' * 17}",
        f"CS_LIVE_{'x' * 38}",
        f"docs_live_{'x' * 38}",
        "cs_live_…QdR8",
    ],
)
def test_the_pattern_does_not_find_what_is_almost_a_key(text: str) -> None:
    assert not re.search(PATTERN, text)


@given(st.sampled_from(Mode), st.integers(8, 45), st.sampled_from(string.ascii_letters + string.digits))
def test_the_code_tells_keys_as_the_program_does(mode: Mode, place: int, character: str) -> None:
    told: dict[str, object] = {}
    exec(compile(CHECK, "api-keys.md", "exec"), told)
    is_key = told["is_key"]
    assert callable(is_key)
    key = generate_key(mode)
    mistyped = key[:place] + character + key[place + 1 :]
    assert is_key(key)
    assert is_key(mistyped) == is_well_formed(mistyped)


def test_its_commands_run(tmp_path: Path) -> None:
    with serving(tmp_path) as reader:
        make = [sys.executable, "-m", "calendarsync", "keys", "create", "--account", EMAIL, "--mode", "test"]
        scopes = ",".join((*DEFAULT_SCOPES, Scope.ACCOUNT_ADMIN))
        admin = subprocess.check_output(
            [*make, "--scopes", scopes], env=reader, cwd=tmp_path, text=True
        ).strip()
        made, silent, rotated, old, revoked, _ = run(PAGE, tmp_path, reader | {"CALENDARSYNC_API_KEY": admin})
        assert is_well_formed(made.strip())
        assert (silent.strip(), revoked.strip()) == ("", "")
        new = json.loads(rotated)
        assert (new["name"], new["scopes"], new["expires_at"]) == ("nightly job", ["logs:read"], None)
        assert json.loads(old)["replaced_by"] == new["id"]
        listing = [sys.executable, "-m", "calendarsync", "keys", "list", "--account", EMAIL, "--json"]
        listed = json.loads(subprocess.check_output(listing, env=reader, cwd=tmp_path))
        assert [key["status"] for key in listed] == ["active", "active", "active", "revoked", "active"]
