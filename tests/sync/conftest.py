"""The desks that the tests of the engine sit at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path

import pytest

from tests.testbed.desk import Desk, desk
from tests.testbed.fixtures import SERVERS, server_named
from tests.testbed.memory_desk import MemoryDesk, memory_desk

PAIRS = list(product(SERVERS, SERVERS))


@pytest.fixture(params=PAIRS, ids="-".join)
async def at(request: pytest.FixtureRequest, quick_folder: Path) -> AsyncIterator[Desk]:
    """Two fresh calendars, on every ordered pair of servers in turn, and a fresh installation."""
    server_a, server_b = (server_named(request, name) for name in request.param)
    async with desk(server_a, quick_folder, server_b) as made:
        yield made


@pytest.fixture
async def at_memory(quick_folder: Path) -> AsyncIterator[MemoryDesk]:
    """Two calendars in memory, and a fresh installation."""
    async with memory_desk(quick_folder) as made:
        yield made
