"""Processes of the program that are to be disturbed."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

DRAIN_SECONDS = 20.0
_START_SECONDS = 60.0
WORKER = ("calendarsync", "worker")
"""A module, and its arguments."""


@dataclass
class Member:
    """One process. `disturbed`: it is down, frozen or starting."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]
    disturbed: bool = True

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8", errors="replace")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def drain(self) -> None:
        """SIGTERM; it ends within its time, and with success."""
        self.disturbed = True
        started = time.monotonic()
        self.process.terminate()
        code = await asyncio.to_thread(self.process.wait, DRAIN_SECONDS * 2)
        took = time.monotonic() - started
        assert code == 0, f"{self.name} ended with {code}:\n{self.said[-3000:]}"
        assert took <= DRAIN_SECONDS, f"{self.name} took {took:.1f} s to end"

    def defects(self) -> list[str]:
        """What it logged that is a fault of its own."""
        found = []
        for line in self.said.splitlines():
            if line.startswith("{"):
                entry = json.loads(line)
                if entry.get("logger") == "pgqueuer":
                    continue  # it calls it an error that its connection was cut
                if "defect" in entry or entry.get("level") in {"error", "critical"}:
                    found.append(f"{self.name}: {line}")
            elif "Traceback" in line or "Error" in line:
                found.append(f"{self.name}: {line}")
        return found


@dataclass
class Crew:
    """Starts processes in `folder`; `members` are all that ever were."""

    folder: Path
    settings: Mapping[str, str]
    members: list[Member] = field(default_factory=list)

    @property
    def running(self) -> list[Member]:
        return [member for member in self.members if member.process.poll() is None]

    @property
    def undisturbed(self) -> list[Member]:
        return [member for member in self.running if not member.disturbed]

    async def start(self, name: str, arguments: Sequence[str] = WORKER, **settings: str) -> Member:
        """Start a process and wait until it says that it works; once more where it could not begin."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            member = self._launch(name, arguments, settings)
            while "Ctrl-C" not in member.said and member.process.poll() is None:
                assert time.monotonic() < deadline, f"{name} does not start:\n{member.said}"
                await asyncio.sleep(0.05)
            if member.process.poll() is None:
                member.disturbed = False
                return member
            # As a supervisor does: the database may just be away.
            assert time.monotonic() < deadline, f"{name} does not start:\n{member.said}"
            assert "the database cannot be" in member.said, member.said
            self.members.remove(member)
            await asyncio.sleep(0.5)

    def _launch(self, name: str, arguments: Sequence[str], settings: Mapping[str, str]) -> Member:
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=Path(__file__).resolve().parents[2],
                env={**self.settings, **settings, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        member = Member(name, log, process)
        self.members.append(member)
        return member

    def kill_all(self) -> None:
        for member in self.running:
            member.kill()

    def complaints(self) -> list[str]:
        return [defect for member in self.members for defect in member.defects()]
