"""What a reader of a guide has: a server that runs, a key, and two calendars that are paired."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from calendarsync.client import CalendarSync
from tests.cli.processes import environment, read_until, running

EMAIL = "you@example.com"


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[dict[str, str]]:
    """The environment of somebody whose server runs: an empty account, and a test key with the default scopes."""
    settings = environment(folder, CALENDARSYNC_ALLOWED_PRIVATE_NETWORKS="127.0.0.0/8", **settings)
    with running(folder, settings, "serve", "--port", "0") as process:
        address = re.search(r"http://127\.0\.0\.1:\d+", read_until(process, "Ctrl-C"))
        assert address is not None
        _command(folder, settings, "accounts", "create", "--email", EMAIL)
        key = _command(folder, settings, "keys", "create", "--account", EMAIL, "--mode", "test")
        yield settings | {"CALENDARSYNC_URL": address.group(), "CALENDARSYNC_API_KEY": key}


def pair_two(reader: Mapping[str, str]) -> dict[str, str]:
    """`reader` with two sandbox calendars, $WORK and $PRIVATE, whose connections are the pair $PAIR."""
    with client_of(reader) as client:
        work = client.sandbox.create_calendar("Work", timezone="Europe/Berlin", email=EMAIL)
        private = client.sandbox.create_calendar("Home", timezone="Europe/Berlin", email=EMAIL)
        a, b = (client.connections.create("sandbox", calendar_id=each.id) for each in (work, private))
        pair = client.sync_pairs.create(a.id, b.id, sync_mode="blocker", direction="bidirectional")
        assert client.sync_pairs.trigger(pair.id).success
    names = {"PAIR": pair.id, "WORK": work.id, "PRIVATE": private.id, "WORK_CONNECTION": a.id}
    return {**reader, **names, "PRIVATE_CONNECTION": b.id}


def client_of(reader: Mapping[str, str]) -> CalendarSync:
    return CalendarSync(reader["CALENDARSYNC_API_KEY"], base_url=reader["CALENDARSYNC_URL"])


def _command(folder: Path, settings: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "calendarsync", *arguments],
        cwd=folder,
        env=settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
