"""Fixtures of the API's tests."""

from __future__ import annotations

import io
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import pytest
import structlog

from calendarsync.observability import configure_logging
from tests.api.client import Client
from tests.api.world import World, build, close
from tests.store.watching import unexcused, watching


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    """Whatever a test makes the store execute must be bound to a tenant, or to an id that the engine has."""
    with watching() as seen:
        world = await build(database_url)
        yield world
        await close(world)
    assert [problem for each in seen for problem in unexcused(each)] == []


@pytest.fixture
async def client(world: World) -> Client:
    """The first account's, in live mode, with the default scopes."""
    return await world.client()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, down to DEBUG."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    with closing(io.StringIO()) as stream:
        configure_logging("DEBUG", stream)
        yield stream
    root.handlers[:], root.level = before
    structlog.reset_defaults()
