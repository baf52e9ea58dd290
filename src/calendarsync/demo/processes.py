"""The servers of the demo as child processes, which end with the block that started them."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from calendarsync.demo.data import ADDRESS, HOME, WORK
from calendarsync.demo.interrupts import undisturbed
from calendarsync.demo.server import CalDavError, Owner

START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_ATTEMPTS = 5

_RADICALE = """[server]
hosts = 127.0.0.1:{port}
[auth]
type = htpasswd
htpasswd_filename = {folder}/users
htpasswd_encryption = plain
[storage]
filesystem_folder = {folder}/collections
[web]
type = none
[logging]
level = warning
"""


class DemoError(Exception):
    """The demo cannot go on. The message is for the person in front of it."""


@dataclass(frozen=True)
class Installation:
    """A CalendarSync of the demo's own: settings, and where its commands run."""

    folder: Path
    environment: Mapping[str, str]

    @property
    def log(self) -> Path:
        return self.folder / "serve.log"

    def log_tail(self) -> str:
        return _tail(self.log)

    def command(self, *arguments: str) -> str:
        """Run one command of the command line and return what it prints."""
        program = [sys.executable, "-m", "calendarsync", *arguments]
        with _child(program, subprocess.PIPE, cwd=self.folder, environment=self.environment) as process:
            output, errors = process.communicate()
        if process.returncode:
            raise DemoError(f"`calendarsync {' '.join(arguments)}` failed:\n{errors.decode().strip()}")
        return output.decode().strip()


def installation(folder: Path, poll_seconds: int) -> Installation:
    """Settings that reach this machine alone; those of another installation are left out."""
    folder.mkdir()
    ours = {name: value for name, value in _environment().items() if not name.startswith("CALENDARSYNC_")}
    settings = {
        "CALENDARSYNC_DATABASE_URL": f"sqlite:///{folder / 'calendarsync.sqlite3'}",
        "CALENDARSYNC_ALLOWED_PRIVATE_NETWORKS": "127.0.0.0/8",
        "CALENDARSYNC_POLL_INTERVAL_SECONDS": str(poll_seconds),
    }
    return Installation(folder, ours | settings)


@contextmanager
def radicale(folder: Path) -> Iterator[dict[str, Owner]]:
    """A Radicale with two users, each with one calendar; yields them by the calendar's name."""
    if find_spec("radicale") is None:
        raise DemoError(
            "Radicale, the CalDAV server of the demo, is not installed. "
            "`make env` installs it, and so does: pip install 'calendarsync[demo]'"
        )
    folder.mkdir()
    passwords = {name: secrets.token_urlsafe(12) for name in (WORK, HOME)}
    users = "".join(f"{name.lower()}:{password}\n" for name, password in passwords.items())
    _write_private(folder / "users", users)
    for attempt in range(_ATTEMPTS):
        port = _free_port()
        (folder / "config").write_text(_RADICALE.format(port=port, folder=folder))
        owners = {
            name: Owner(
                name=name,
                url=f"http://127.0.0.1:{port}/{name.lower()}/calendar/",
                username=name.lower(),
                password=passwords[name],
                address=ADDRESS[name],
            )
            for name in (WORK, HOME)
        }
        command = [sys.executable, "-m", "radicale", "--config", str(folder / "config")]
        log = (folder / "radicale.log").open("ab")
        with log, _child(command, log, cwd=folder, environment=_environment()) as process:
            # Somebody else may have taken the port meanwhile; then the process ends, and another is tried.
            if _answers(process, owners[WORK]):
                yield owners
                return
        if attempt == _ATTEMPTS - 1:
            raise DemoError(f"Radicale did not start:\n{_tail(folder / 'radicale.log')}")


@dataclass(frozen=True)
class Server:
    """A running CalendarSync."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def calendarsync(own: Installation) -> Iterator[Server]:
    """Runs `calendarsync serve`."""
    command = [sys.executable, "-m", "calendarsync", "serve", "--port", "0"]
    log = own.log.open("ab")
    with log, _child(command, log, cwd=own.folder, environment=own.environment) as process:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            if found := re.search(r"http://127\.0\.0\.1:\d+", own.log.read_text(errors="replace")):
                yield Server(found.group(), process)
                return
            time.sleep(0.05)
        raise DemoError(f"`calendarsync serve` did not start:\n{own.log_tail()}")


@contextmanager
def _child(
    command: Sequence[str], output: IO[bytes] | int, *, cwd: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    process = None
    try:
        # In a session of its own: the terminal's Ctrl-C reaches only the demo, which then ends its children.
        with undisturbed():
            process = subprocess.Popen(  # noqa: S603 - commands of this module
                command,
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE if output == subprocess.PIPE else subprocess.STDOUT,
                start_new_session=True,
            )
        yield process
    finally:
        if process is not None:
            with undisturbed():
                _end(process)


def _environment() -> dict[str, str]:
    """Radicale cannot start where its output takes ASCII only."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"}
    return kept | {"PYTHONUTF8": "1"}


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in filter(None, (process.stdout, process.stderr)):
        pipe.close()
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(process: subprocess.Popen[bytes], owner: Owner) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            owner.look()
        except CalDavError:
            time.sleep(0.05)
        else:
            return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(text)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
