"""The desk that the tests of the engine sit at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.testbed.desk import Desk, desk
from tests.testbed.memory_desk import MemoryDesk, memory_desk
from tests.testbed.radicale import RadicaleServer


@pytest.fixture
async def at(radicale: RadicaleServer, tmp_path: Path) -> AsyncIterator[Desk]:
    """Two fresh calendars on Radicale, and a fresh installation."""
    async with desk(radicale, tmp_path) as made:
        yield made


@pytest.fixture
async def at_memory(tmp_path: Path) -> AsyncIterator[MemoryDesk]:
    """Two calendars in memory, and a fresh installation."""
    async with memory_desk(tmp_path) as made:
        yield made
