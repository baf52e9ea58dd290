"""Requests made up from the OpenAPI document: no answer of 5xx, and none that the document does not know."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings
from schemathesis import checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as ASGIScope

from calendarsync.accounts.keys import Mode
from calendarsync.accounts.scopes import Scope
from calendarsync.api.app import openapi_document
from tests.api.serving import Served, in_thread, things
from tests.api.world import World, build, close
from tests.testbed.process import free_port

CHECKS = [
    checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    ignored_auth,
]

# The key goes with every request; a case that takes it away would be sent with it all the same.
_KEYED = {"generation": {"with-security-parameters": False}}
# What breaks the document in each of the ways there are goes no further than to what judges it, once for all.
_REACHING = _KEYED | {"phases": {"coverage": {"generation": {"mode": "positive"}}}}

everything, reaching = (
    schemathesis.openapi.from_dict(openapi_document(), config=schemathesis.Config.from_dict(given))
    for given in (_KEYED, _REACHING)
)
bounded = settings(
    max_examples=10,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.postgresql)


@pytest.fixture(scope="module")
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, empty_installation: Path
) -> Iterator[Served]:
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server").make_database()
    else:
        url = f"sqlite:///{shutil.copy(empty_installation, tmp_path_factory.mktemp('fuzz'))}"
    with in_thread(_opened(url)) as server:
        yield server


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[tuple[uvicorn.Server, Served]]:
    """With a stand-in for the engine, and a clock that moves. It reaches no other server."""
    world = await build(url, networks="")
    clients = {mode: await world.client(mode=mode, scopes=tuple(Scope)) for mode in Mode}
    ids = await things(world, clients)
    port = free_port()
    config = uvicorn.Config(_ticking(world), port=port, log_config=None, lifespan="off", access_log=False)
    keys = {mode: client.key or "" for mode, client in clients.items()}
    yield uvicorn.Server(config), Served(f"http://127.0.0.1:{port}", keys, ids)
    await close(world)


def _ticking(world: World) -> ASGIApp:
    """The application, with 40 s between two requests, so that neither limit of 100 an hour is reached."""

    async def app(scope: ASGIScope, receive: Receive, send: Send) -> None:
        world.tick(40)
        await world.app(scope, receive, send)

    return app


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """One connection for all requests: to make another takes longer than most answers."""
    with requests.Session() as session:
        yield session


@everything.parametrize()
@bounded
@pytest.mark.parametrize("served", ["sqlite"], indirect=True)
def test_made_up_requests(case: schemathesis.Case, served: Served, session: requests.Session) -> None:
    _call(case, served, session, _checks(case))


@reaching.parametrize()
@bounded
@pytest.mark.parametrize("served", [POSTGRESQL], indirect=True)
def test_made_up_requests_that_reach_the_other_database(
    case: schemathesis.Case, served: Served, session: requests.Session
) -> None:
    _call(case, served, session, _checks(case))


def _checks(case: schemathesis.Case) -> list[Any]:
    # Of many pairs each is judged by itself: what is wrong with one is told in an answer of 200.
    judged = case.path.endswith("/bulk")
    return [check for check in CHECKS if not (judged and check is negative_data_rejection)]


@reaching.include(path_regex=r"\{|sync-pairs$").exclude(method="DELETE").parametrize()
@bounded
@pytest.mark.parametrize("served", ["sqlite", POSTGRESQL], indirect=True)
def test_made_up_requests_for_what_is_there(
    case: schemathesis.Case, served: Served, session: requests.Session
) -> None:
    for name in case.path_parameters:
        case.path_parameters[name] = served.ids[name]
    if case.path.endswith("/trigger"):
        case.path_parameters["pair_id"] = served.ids["to_trigger"]
    if isinstance(case.body, dict) and "connection_a_id" in case.body:
        case.body |= {"connection_a_id": served.ids["a"], "connection_b_id": served.ids["b"]}
    _call(case, served, session, CHECKS[:-2])


def _call(case: schemathesis.Case, served: Served, session: requests.Session, judged: list[Any]) -> None:
    case.call_and_validate(
        base_url=served.url, headers=served.headers(case.path), session=session, checks=judged
    )
