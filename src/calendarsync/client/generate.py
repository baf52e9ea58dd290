"""`python -m calendarsync.client.generate [--check]`: make the blocking flavour from the asynchronous one.

`_async` is written by hand; `_sync` is the same text without `async` and `await`, and with other names. Whoever
changes the first runs `make client`. It needs ruff, which puts the result into its canonical form.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

_FOLDER = Path(__file__).parent
_SOURCE, _RESULT = _FOLDER / "_async", _FOLDER / "_sync"

# Names of the library and of Python, whole words each; of our own, `Async` at the beginning goes.
_WORDS = {
    "AsyncClient": "Client",
    "AsyncIterator": "Iterator",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "_async": "_sync",
    "aclose": "close",
    "asyncio": "time",
}
_OURS = re.compile(r"\bAsync(?=[A-Z])")
_KEYWORDS = re.compile(r"\b(?:async|await) ")
_IDIOM = ("I", "UP028", "C416")  # in whose order imports stand; loops that are only loops without `async`
_OURS_TOO = 'lint.isort.known-first-party=["calendarsync"]'  # else it looks for the files that are to be made
_HEAD = "# Made from ../_async/{name} by `make client`: change that file, not this one.\n"


def synchronous(source: str) -> str:
    """The same code, blocking; not yet in its canonical form."""
    # Of two imports that become the same, one stays.
    if re.search(r"^import time$", source, re.MULTILINE):
        source = re.sub(r"^import asyncio\n", "", source, flags=re.MULTILINE)
    for word, other in _WORDS.items():
        source = re.sub(rf"\b{word}\b", other, source)
    return _KEYWORDS.sub("", _OURS.sub("", source))


def canonical(source: str, name: str) -> str:
    """As a person would have written it. Raises CalledProcessError where it is no Python."""
    fix = ("check", "--fix", "--unsafe-fixes", "--quiet", "--select", ",".join(_IDIOM), "--config", _OURS_TOO)
    for arguments in (fix, ("format",)):
        command = [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", str(_RESULT / name), "-"]
        done = subprocess.run(command, input=source, capture_output=True, text=True, check=True)  # noqa: S603
        source = done.stdout
    return source


def made() -> dict[Path, str]:
    """Each file of the blocking flavour, and what has to stand in it."""
    return {
        _RESULT / path.name: canonical(
            _HEAD.format(name=path.name) + synchronous(path.read_text("utf-8")), path.name
        )
        for path in sorted(_SOURCE.glob("*.py"))
    }


def differing() -> list[str]:
    """Names of files that are not what they should be, or that should not be there."""
    wanted = made()
    there = {path: path.read_text("utf-8") for path in _RESULT.glob("*.py")}
    return sorted(path.name for path in wanted.keys() | there.keys() if wanted.get(path) != there.get(path))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m calendarsync.client.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit status 1 on a difference")
    if parser.parse_args().check:
        found = differing()
        if found:
            sys.stderr.write(f"not what _async says: {', '.join(found)}; write it anew with: make client\n")
        return bool(found)
    wanted = made()
    _RESULT.mkdir(exist_ok=True)
    for path in set(_RESULT.glob("*.py")) - wanted.keys():
        path.unlink()
    for path, text in wanted.items():
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
