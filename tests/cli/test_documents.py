"""What the documents say about the tree holds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from calendarsync import __version__
from calendarsync.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


def broken_links(page: Path) -> list[str]:
    return [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[here](page.md) [there](nowhere.md#part) [away](https://example.com/x)")
    assert broken_links(page) == ["nowhere.md"]


def test_every_setting_is_described() -> None:
    described = re.findall(
        rf"^\| `({PREFIX}\w+)` \|", (ROOT / "docs/guide/configuration.md").read_text(), re.MULTILINE
    )
    assert sorted(described) == sorted(f"{PREFIX}{name.upper()}" for name in Settings.model_fields)


def test_every_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:`|^    |1 )make ([a-z-]+)", page.read_text(), re.MULTILINE))
        assert named <= targets, page


def test_every_dependency_is_locked_with_hashes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for lock, wanted in (
        ("requirements.lock", project["dependencies"] + extras["demo"]),
        ("requirements-dev.lock", project["dependencies"] + extras["demo"] + extras["dev"]),
    ):
        text = (ROOT / lock).read_text()
        locked = re.findall(r"^([a-z0-9-]+)==\S+.*\\\n    --hash=sha256:", text, re.MULTILINE)
        assert {re.split(r"[\s<>=;\[]", name)[0].lower() for name in wanted} <= set(locked)


def test_the_changelog_knows_the_version() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] in ("Unreleased", __version__)
