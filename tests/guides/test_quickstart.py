"""The quick start of the API: its commands in their order, and every output that it shows."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from tests.cli.processes import environment
from tests.guides.runner import ROOT, Block, blocks_of, run
from tests.testbed.process import free_port

PAGE = (ROOT / "docs" / "guide" / "api-quickstart.md").read_text("utf-8")


def shown_after(blocks: list[Block]) -> list[str | None]:
    """For each block that is run, the output that the page shows after it, if it does."""
    after = [*pairwise(blocks), (blocks[-1], None)]
    return [
        shown.text if shown is not None and shown.language == "console" else None
        for block, shown in after
        if block.is_run
    ]


def is_shown(output: str, shown: str) -> bool:
    """Whether `output` is what a page shows, where `…` stands for anything within a line."""
    pattern = "[^\n]*".join(re.escape(part) for part in shown.strip().split("…"))
    return re.fullmatch(pattern, output.strip()) is not None


def test_every_command_does_what_the_page_says(tmp_path: Path) -> None:
    page = PAGE.replace("8000", str(free_port()))
    outputs = run(page, tmp_path, environment(tmp_path))
    expected = shown_after(blocks_of(page))
    assert len(outputs) == len(expected)
    assert sum(shown is not None for shown in expected) >= 9
    wrong = [
        (shown, output)
        for output, shown in zip(outputs, expected, strict=True)
        if shown is not None and not is_shown(output, shown)
    ]
    assert wrong == []


def test_what_is_shown_is_compared() -> None:
    assert is_shown("whk_1 in test mode\nCtrl-C\n", "whk_… in test mode\nCtrl-C\n")
    assert not is_shown("whk_1 in test mode\nCtrl-C\nmore\n", "whk_… in test mode\nCtrl-C\n")
    assert not is_shown("whk_1\n in test mode", "whk_… in test mode")
    assert not is_shown("a.c", "abc")
