"""The installation's own processes, as children: what they use, and whether they logged a defect."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.service import cpu_seconds, memory
from tests.testbed.process import free_port

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_ROOT = Path(__file__).parents[2]
SECRET = "a secret that only measurements know and nobody else"

# Nothing here is held back by what a project may ask of a provider, but turns are given all the same.
_NO_QUOTA = 10_000_000


class ScaleError(Exception):
    """What was measured is not to be relied on: a process failed, or logged a defect."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process that writes its log, one JSON object a line, into a file."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def megabytes(self) -> float:
        """Resident."""
        self.ensure_alive()
        return memory(self.pid, "VmRSS")

    @property
    def cpu(self) -> float:
        """Seconds so far."""
        self.ensure_alive()
        return cpu_seconds(self.pid)

    def ensure_alive(self) -> None:
        if self.process.poll() is not None:
            raise ScaleError(f"{self.name} ended ({self.process.returncode}): {self._tail()}")

    def stop(self) -> Counter[str]:
        """End it as an operator does; how often it warned of what. Raises ScaleError if it failed at anything."""
        self.ensure_alive()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(_STOP_SECONDS)
        if code != 0:
            raise ScaleError(f"{self.name} ended with {code}: {self._tail()}")
        return warnings(self.name, self.log.read_text(errors="replace"))

    def kill(self) -> None:
        """Where something else went wrong; nothing once it has ended."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]


def warnings(name: str, log: str) -> Counter[str]:
    """The warnings of a log by their name. Raises ScaleError for an error, or for a line that is none of ours."""
    found: Counter[str] = Counter()
    for line in log.splitlines():
        try:
            entry = json.loads(line)
            level, event = entry["level"], entry["event"]
        except (ValueError, KeyError, TypeError):
            raise ScaleError(f"{name} wrote what is no log: {line[:500]}") from None
        if level in {"error", "critical"}:
            raise ScaleError(f"{name} failed at something: {line[:1000]}")
        if level == "warning":
            found[event] += 1
    return found


def settings(url: str, poll_seconds: int) -> dict[str, str]:
    """The environment of all of them. Every pair has the same pace, however seldom it changes."""
    return {
        "CALENDARSYNC_DATABASE_URL": url,
        "CALENDARSYNC_SECRET_KEY": SECRET,
        "CALENDARSYNC_POLL_INTERVAL_SECONDS": str(poll_seconds),
        "CALENDARSYNC_SLOWEST_POLL_SECONDS": str(poll_seconds),
        "CALENDARSYNC_GOOGLE_CLIENT_ID": "bench",
        "CALENDARSYNC_GOOGLE_CLIENT_SECRET": "bench",
        "CALENDARSYNC_GOOGLE_REQUESTS_PER_MINUTE": str(_NO_QUOTA),
        "CALENDARSYNC_MICROSOFT_CLIENT_ID": "bench",
        "CALENDARSYNC_MICROSOFT_CLIENT_SECRET": "bench",
        "CALENDARSYNC_MICROSOFT_REQUESTS_PER_MINUTE": str(_NO_QUOTA),
    }


@contextmanager
def child(name: str, command: Sequence[str], folder: Path, own: Mapping[str, str]) -> Iterator[Child]:
    """Runs at most as long as the block; whoever wants to know how it ends calls `stop`."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("CALENDARSYNC_")}
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,  # away from another installation's .env
            env={**others, **own, "PYTHONPATH": str(_ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            start_new_session=True,
        )
    made = Child(name, process, log)
    try:
        yield made
    finally:
        made.kill()


@contextmanager
def api(folder: Path, own: Mapping[str, str]) -> Iterator[tuple[Child, int]]:
    """`calendarsync serve --no-worker`, and its port."""
    port = free_port()
    command = ["calendarsync", "serve", "--no-worker", "--port", str(port)]
    with child("api", command, folder, own) as made:
        ends = time.monotonic() + _START_SECONDS
        while True:
            made.ensure_alive()
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if time.monotonic() > ends:
                raise ScaleError("the API did not start")
            time.sleep(0.05)
        yield made, port


def cpu_of_children(parent: int) -> float:
    """Seconds that a process and its children have used, those that have ended included."""
    total = 0.0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(entry.name) == parent:
                total += sum(map(int, fields[11:15]))
            elif int(fields[1]) == parent:
                total += sum(map(int, fields[11:13]))
    return total / os.sysconf("SC_CLK_TCK")
