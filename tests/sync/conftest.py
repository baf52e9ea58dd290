"""The desks that the tests of the engine sit at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import product
from pathlib import Path

import pytest

from calendarsync.sync.actions import FlowInput, FlowPlan
from calendarsync.sync.plan import plan
from calendarsync.sync.reasons import REASONS
from calendarsync.sync.relay import sources
from tests.testbed.desk import Desk, FeedKeeper, Keeper, desk
from tests.testbed.feed import feed_server
from tests.testbed.fixtures import SERVERS, server_named
from tests.testbed.google_keeper import GoogleKeeper
from tests.testbed.memory_desk import MemoryDesk, memory_desk
from tests.testbed.microsoft_keeper import MicrosoftKeeper

SERVICES = ("google", "microsoft", "radicale")
"""What calendars live at; one CalDAV server stands for all."""

# On SQLite in every combination, and on PostgreSQL in one: what the servers answer is the same on both.
PAIRS = [
    *(pytest.param((*pair, "quick_folder"), id="-".join(pair)) for pair in product(SERVERS, SERVERS)),
    pytest.param(
        ("radicale", "xandikos", "postgresql_database"),
        id="radicale-xandikos-postgresql",
        marks=pytest.mark.postgresql,
    ),
]
OTHERS = [pair for pair in product(SERVICES, SERVICES) if pair != ("radicale", "radicale")]
"""The ordered pairs with Google or Microsoft in them."""

ONE_WAY = [*product((*SERVERS, "feed"), SERVERS), *OTHERS, ("feed", "google"), ("feed", "microsoft")]


@pytest.fixture(autouse=True)
def every_plan_tells_of_all(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test makes the planner see: it decides of every source and link, for explained reasons."""
    untold: set[str] = set()

    def checked(flow: FlowInput) -> FlowPlan:
        made = plan(flow)
        told = {case.event_id for case in made.cases}
        untold.update({case.reason for case in made.cases} - REASONS.keys())
        untold.update(entry.id for entry in sources(flow) if entry.id not in told)
        if not (flow.withdrawn or flow.scene.rules.relay):
            untold.update({link.source_resource for link in flow.links} - told)
        return made

    monkeypatch.setattr("calendarsync.sync.run.plan", checked)
    yield
    assert untold == set()


@pytest.fixture(params=PAIRS)
async def at(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    """Two fresh calendars, on every ordered pair of servers in turn, and a fresh installation."""
    *names, where = request.param
    server_a, server_b = (server_named(request, name) for name in names)
    async with desk(server_a, request.getfixturevalue(where), server_b) as made:
        yield made


@pytest.fixture(
    params=[*PAIRS, *(pytest.param((*pair, "quick_folder"), id="-".join(pair)) for pair in OTHERS)]
)
async def anywhere(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    """The same, on every ordered pair of services as well."""
    *names, where = request.param
    async with _desk_of(request, tuple(names), where) as made:
        yield made


@pytest.fixture
async def between(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    """The same for the pair of services that the test names in its parameters."""
    async with _desk_of(request, request.param, "quick_folder") as made:
        yield made


def keeper_named(request: pytest.FixtureRequest, name: str) -> Keeper:
    if name == "google":
        return GoogleKeeper(request.getfixturevalue("google_model"))
    if name == "microsoft":
        return MicrosoftKeeper(request.getfixturevalue("microsoft_model"))
    return server_named(request, name)


@asynccontextmanager
async def _desk_of(request: pytest.FixtureRequest, names: tuple[str, str], where: str) -> AsyncIterator[Desk]:
    folder = request.getfixturevalue(where)
    async with AsyncExitStack() as stack:
        if names[0] == "feed":
            a: Keeper = FeedKeeper(await stack.enter_async_context(feed_server()))
        else:
            a = keeper_named(request, names[0])
        yield await stack.enter_async_context(desk(a, folder, keeper_named(request, names[1])))


@pytest.fixture(params=ONE_WAY, ids="-".join)
async def one_way(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    """The same for stories in which a is only read: it may be a feed too."""
    async with _desk_of(request, request.param, "quick_folder") as made:
        yield made


@pytest.fixture(params=SERVERS)
async def beside(request: pytest.FixtureRequest, quick_folder: Path) -> AsyncIterator[Desk]:
    """Two fresh calendars on one server, each of them in turn."""
    async with desk(server_named(request, request.param), quick_folder) as made:
        yield made


@pytest.fixture
async def at_memory(database_url: str) -> AsyncIterator[MemoryDesk]:
    """Two calendars in memory, and a fresh installation on either database."""
    async with memory_desk(database_url) as made:
        yield made
