"""Runs a real server as a child process on a free loopback port, for as long as a `with` block lasts."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 30.0
STOP_SECONDS = 3.0


def free_port() -> int:
    """A port that nobody listens on. Test processes that run side by side never choose the same one.

    The ports lie below those that the system gives to clients, so that none is taken in between.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for _ in range(100):
        port = random.randrange(20_000 + 1_000 * worker, 21_000 + 1_000 * worker)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")


class Service:
    """A server's process, which may be stopped and started again; it listens on `port`."""

    def __init__(self, command: Sequence[str], port: int, log: Path) -> None:
        self._command = command
        self._port = port
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        with self._log.open("ab") as output:
            # A session of its own, for Cyrus ends with itself all that is in its process group.
            self._process = subprocess.Popen(
                self._command, stdout=output, stderr=output, start_new_session=True
            )
        _wait_for(self._process, self._port, self._log)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # Cyrus waits for its children, and they for clients that keep their connections.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def running(command: Sequence[str], port: int, log: Path) -> Iterator[Service]:
    """A service that runs as long as the block."""
    service = Service(command, port, log)
    try:
        service.start()
        yield service
    finally:
        service.stop()


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start:\n{log.read_text(errors='replace')[-4000:]}")
