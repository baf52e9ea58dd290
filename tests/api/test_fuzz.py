"""Requests made up from the OpenAPI document: no answer of 5xx, and none that the document does not know."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
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

from calendarsync.api.app import openapi_document
from tests.api.world import build, close
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

schema = schemathesis.openapi.from_dict(openapi_document())
bounded = settings(
    max_examples=20,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Served:
    url: str
    key: str
    ids: dict[str, str]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, empty_installation: Path
) -> Iterator[Served]:
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server").make_database()
    else:
        url = f"sqlite:///{shutil.copy(empty_installation, tmp_path_factory.mktemp('fuzz'))}"
    with _serving(url) as server:
        yield server


@contextmanager
def _serving(url: str) -> Iterator[Served]:
    """The API on a loopback port, in a thread with a loop of its own. It reaches no other server."""
    ready, port = threading.Event(), free_port()
    found: list[tuple[uvicorn.Server, Served]] = []

    async def serve() -> None:
        world = await build(url, networks="")
        client = await world.client()
        a, b, c = [await world.connection(name) for name in "abc"]
        pair = await world.pair(client, a, b)
        other = await world.pair(client, b, c)
        ids = {"connection_id": c, "pair_id": pair["id"], "log_id": "log_none", "a": a, "b": c}
        ids["to_trigger"] = other["id"]  # no request to change a pair pauses this one
        config = uvicorn.Config(world.app, port=port, log_config=None, lifespan="off", access_log=False)
        server = uvicorn.Server(config)
        found.append((server, Served(f"http://127.0.0.1:{port}", client.key or "", ids)))
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
            await asyncio.sleep(0.01)
        ready.set()
        await serving
        await close(world)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(30)
        yield found[0][1]
    finally:
        found[0][0].should_exit = True
        thread.join(30)


@schema.parametrize()
@bounded
def test_made_up_requests(case: schemathesis.Case, served: Served) -> None:
    case.call_and_validate(base_url=served.url, headers=served.headers, checks=CHECKS)


@schema.include(path_regex=r"\{|sync-pairs$").exclude(method="DELETE").parametrize()
@bounded
def test_made_up_requests_for_what_is_there(case: schemathesis.Case, served: Served) -> None:
    for name in case.path_parameters:
        case.path_parameters[name] = served.ids[name]
    if case.path.endswith("/trigger"):
        case.path_parameters["pair_id"] = served.ids["to_trigger"]
    if isinstance(case.body, dict) and "connection_a_id" in case.body:
        case.body |= {"connection_a_id": served.ids["a"], "connection_b_id": served.ids["b"]}
    case.call_and_validate(base_url=served.url, headers=served.headers, checks=CHECKS[:-2])
