"""Runs the commands of a page as a reader would: as they stand, in their order, in one shell and one folder.

`bash` blocks are typed into the shell, `python` blocks are run from it, so that what one block exports the next
ones see. A block that begins with a comment that is a file's name (`# board.py`) is saved under that name, for a
later block to run. All other blocks, `sh` among them, are for reading alone.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 180

_FENCED = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE
)
_FILE = re.compile(r"(?:#|//) ([\w.-]+\.\w+)\n")
_MARK = "==== block"


@dataclass(frozen=True, slots=True)
class Block:
    """`line` is where it begins on its page, from 1."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The name to save it under, instead of running it."""
        found = _FILE.match(self.text)
        return found[1] if found else None

    @property
    def is_run(self) -> bool:
        return self.language in ("bash", "python")


def blocks_of(page: str) -> list[Block]:
    """All fenced blocks of a page."""
    return [
        Block(
            found["language"],
            _dedented(found["text"], len(found["indent"])),
            page[: found.start()].count("\n") + 1,
        )
        for found in _FENCED.finditer(page)
    ]


def run(page: str, folder: Path, environment: Mapping[str, str]) -> list[str]:
    """What each block prints, on standard output and error, that is run. Raises AssertionError where one fails."""
    wanted = [block for block in blocks_of(page) if block.is_run or block.file]
    script = _script(wanted, folder)
    path = f"{Path(sys.executable).parent}:{environment['PATH']}"
    try:
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env={**environment, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        said = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout
        raise AssertionError(f"it did not end within {PATIENCE_SECONDS} s:\n{said}") from None
    _, *outputs = re.split(rf"^{_MARK} \d+\n", done.stdout, flags=re.MULTILINE)
    runs = [block for block in wanted if not block.file]
    if done.returncode != 0:
        block = runs[max(len(outputs) - 1, 0)]
        last = outputs[-1] if outputs else done.stdout
        raise AssertionError(f"line {block.line}, exit status {done.returncode}:\n{block.text}\n{last}")
    assert len(outputs) == len(runs)
    return outputs


def _script(blocks: Sequence[Block], folder: Path) -> str:
    # What was started in the background ends with the page.
    parts = ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT"]
    for number, block in enumerate(blocks):
        if block.file:
            (folder / block.file).write_text(block.text)
            continue
        parts.append(f"echo; echo '{_MARK} {number}'")
        if block.language == "bash":
            parts.append(block.text)
        else:
            name = f".block-{number}.py"
            (folder / name).write_text(block.text)
            parts.append(f"python {name}")
    return "\n".join(parts)


def _dedented(text: str, width: int) -> str:
    return "".join(line[width:] if line.strip() else line for line in text.splitlines(keepends=True))
