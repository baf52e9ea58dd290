"""A real Xandikos. It has one user, alice, and asks for no password."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.testbed.dav import DavServer
from tests.testbed.process import free_port, running


class XandikosServer(DavServer):
    """Xandikos as alice sees it."""


@contextmanager
def xandikos_server(folder: Path) -> Iterator[XandikosServer]:
    """Run Xandikos in `folder`, with its default calendar."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [
        *(sys.executable, "-W", "ignore", "-m", "xandikos", "serve", "--defaults", "--no-detect-systemd"),
        *(
            "--current-user-principal=/alice/",
            "-d",
            str(folder / "data"),
            "--state-dir",
            str(folder / "state"),
        ),
        *("-l", "127.0.0.1", "-p", str(port)),
    ]
    with running(command, port, folder / "log") as service:
        url = f"http://127.0.0.1:{port}/"
        yield XandikosServer(url, f"{url}alice/calendars/", "alice", "unused", service=service)
