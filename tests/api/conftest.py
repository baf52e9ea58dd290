"""Fixtures of the API's tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from calendarsync.store.database import Database
from tests.api.client import Client
from tests.api.world import World, build, close


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with its schema: made once, copied for every test."""
    path = tmp_path_factory.mktemp("schema") / "empty.sqlite3"

    async def make() -> None:
        database = Database(f"sqlite:///{path}")
        await database.migrate()
        await database.close()

    asyncio.run(make())
    return path


@pytest.fixture
async def world(tmp_path: Path, migrated: Path) -> AsyncIterator[World]:
    world = await build(tmp_path, migrated=migrated)
    yield world
    await close(world)


@pytest.fixture
async def client(world: World) -> Client:
    """The first account's, in live mode, with the default scopes."""
    return await world.client()
