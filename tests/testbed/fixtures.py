"""Fixtures around the real servers. Each server runs once a session; a test makes its own calendars."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.cyrus import CyrusServer, cyrus_server, missing
from tests.testbed.radicale import RadicaleServer, radicale_server
from tests.testbed.xandikos import XandikosServer, xandikos_server

# Radicale waits for the disk at every PUT; where there is a file system in memory, tests need not.
_MEMORY = "/dev/shm"


@pytest.fixture(scope="session")
def radicale() -> Iterator[RadicaleServer]:
    """A Radicale seen as alice; `radicale.make_calendar()` returns a fresh calendar's URL."""
    quick = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with (
        tempfile.TemporaryDirectory(dir=quick) as folder,
        radicale_server(Path(folder) / "radicale") as server,
    ):
        yield server


@pytest.fixture(scope="session")
def xandikos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XandikosServer]:
    """A Xandikos seen as alice; `xandikos.make_calendar()` returns a fresh calendar's URL."""
    with xandikos_server(tmp_path_factory.mktemp("xandikos")) as server:
        yield server


@pytest.fixture(scope="session")
def cyrus() -> Iterator[CyrusServer]:
    """A Cyrus seen as alice; `cyrus.make_calendar()` returns a fresh calendar's URL."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with cyrus_server() as server:
        yield server
