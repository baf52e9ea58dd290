"""The program as a child process, in an empty home, and what it must not leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PATIENCE_SECONDS = 60.0


def environment(folder: Path, **extra: str) -> dict[str, str]:
    """An empty home and temporary folder, and none of this environment's settings."""
    home, temporary = folder / "home", folder / "tmp"
    home.mkdir(exist_ok=True)
    temporary.mkdir(exist_ok=True)
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("CALENDARSYNC_", "XDG_"))
    }
    return kept | {"HOME": str(home), "TMPDIR": str(temporary)} | extra


@contextmanager
def running(folder: Path, settings: Mapping[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`calendarsync …` with its output in pipes, killed if it is still there at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "calendarsync", *arguments],
        cwd=folder,
        env=settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], wanted: str) -> str:
    """What the process prints, up to the line that holds `wanted`."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if wanted in line:
            return "".join(lines)
    raise AssertionError(
        f"ended before {wanted!r}:\n{''.join(lines)}\n{(process.stderr or sys.stdin).read()}"
    )


def end(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str, str]:
    """Send a signal; the exit status, and what was still printed."""
    process.send_signal(number)
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, output, errors


def processes_of(folder: Path) -> list[str]:
    """Command lines of all processes of this machine that run in `folder` or name it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            cwd = os.readlink(entry / "cwd")
        except OSError:  # it ended meanwhile
            continue
        if str(folder) in command or cwd.startswith(str(folder)):
            found.append(command)
    return found


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)
