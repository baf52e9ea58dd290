"""A real Radicale: users alice and bob, whose password is their name and "-password"."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.testbed.dav import DavServer
from tests.testbed.process import free_port, running

USERS = ("alice", "bob")

_CONFIG = """
[server]
hosts = 127.0.0.1:{port}
max_connections = 100
{server}
[auth]
type = htpasswd
htpasswd_filename = {folder}/users
htpasswd_encryption = plain
delay = 0
[storage]
filesystem_folder = {folder}/collections
{storage}
[logging]
level = warning
{extra}
"""


class RadicaleServer(DavServer):
    """Radicale as one user sees it; `user()` gives another user's view."""

    def user(self, username: str) -> RadicaleServer:
        home = f"{self.url}{username}/"
        return replace(self, home=home, username=username, password=f"{username}-password")


@contextmanager
def radicale_server(
    folder: Path, *, server: str = "", storage: str = "", extra: str = ""
) -> Iterator[RadicaleServer]:
    """Run Radicale in an empty `folder`.

    `server` and `storage` are more lines for these sections of its configuration, `extra` is more sections.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    (folder / "users").write_text("".join(f"{user}:{user}-password\n" for user in USERS))
    config = folder / "config"
    config.write_text(_CONFIG.format(port=port, folder=folder, server=server, storage=storage, extra=extra))
    command = [sys.executable, "-m", "radicale", "--config", str(config)]
    with running(command, port, folder / "log") as service:
        url = f"http://127.0.0.1:{port}/"
        alice = RadicaleServer(url, "", "", "", service=service).user("alice")
        for user in USERS:  # Radicale makes a user's home at the first look at it
            assert alice.user(user).list(f"{url}{user}/") == {}
        yield alice
