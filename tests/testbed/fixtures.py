"""Fixtures around the real servers. Each server runs once a session; a test makes its own calendars."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.testbed.radicale import RadicaleServer, radicale_server
from tests.testbed.xandikos import XandikosServer, xandikos_server


@pytest.fixture(scope="session")
def radicale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RadicaleServer]:
    """A Radicale seen as alice; `radicale.make_calendar()` returns a fresh calendar's URL."""
    with radicale_server(tmp_path_factory.mktemp("radicale")) as server:
        yield server


@pytest.fixture(scope="session")
def xandikos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XandikosServer]:
    """A Xandikos seen as alice; `xandikos.make_calendar()` returns a fresh calendar's URL."""
    with xandikos_server(tmp_path_factory.mktemp("xandikos")) as server:
        yield server
