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
from tests.api.consenting import Asked, asked, at_google, at_microsoft
from tests.api.world import World, build, close
from tests.store.watching import unexcused, watching
from tests.testbed.google import Model as GoogleModel


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


@pytest.fixture(
    params=[
        pytest.param(("google", "postgresql_database"), marks=pytest.mark.postgresql, id="google-postgresql"),
        pytest.param(("microsoft", "quick_folder"), id="microsoft-sqlite"),
    ]
)
async def at(request: pytest.FixtureRequest) -> AsyncIterator[Asked]:
    """An account that asks a person with calendars at a model of a provider."""
    provider, database = request.param
    found = request.getfixturevalue(database)
    url = found if provider == "google" else f"sqlite:///{found / 'calendarsync.sqlite3'}"
    model = request.getfixturevalue(f"{provider}_model")
    person = (at_google if provider == "google" else at_microsoft)(model)
    with watching() as seen:
        async with asked(url, provider, person) as made:
            yield made
    assert [problem for each in seen for problem in unexcused(each)] == []


@pytest.fixture
async def google(database_url: str, google_model: GoogleModel) -> AsyncIterator[Asked]:
    """The same where the provider makes no difference."""
    async with asked(database_url, "google", at_google(google_model)) as made:
        yield made


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
