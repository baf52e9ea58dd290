"""Requests made up from the OpenAPI document: no answer of 5xx, and none that the document does not know."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as ASGIScope

from calendarsync.accounts.keys import Mode
from calendarsync.accounts.scopes import Scope
from calendarsync.api.app import openapi_document
from tests.api.client import Client
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
config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
schema = schemathesis.openapi.from_dict(openapi_document(), config=config)
bounded = settings(
    max_examples=20,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Served:
    """`keys` are one for each mode, with all scopes; `ids` those of what is there, by the name in the path."""

    url: str
    keys: dict[Mode, str]
    ids: dict[str, str]

    def headers(self, path: str) -> dict[str, str]:
        """The sandbox is there for test keys alone."""
        return {"Authorization": f"Bearer {self.keys[Mode.TEST if '/sandbox/' in path else Mode.LIVE]}"}


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
        clients = {mode: await world.client(mode=mode, scopes=tuple(Scope)) for mode in Mode}
        ids = await _things(world, clients)
        config = uvicorn.Config(_ticking(world), port=port, log_config=None, lifespan="off", access_log=False)
        server = uvicorn.Server(config)
        keys = {mode: client.key or "" for mode, client in clients.items()}
        found.append((server, Served(f"http://127.0.0.1:{port}", keys, ids)))
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


async def _things(world: World, clients: dict[Mode, Client]) -> dict[str, str]:
    live, test = clients[Mode.LIVE], clients[Mode.TEST]
    a, b, c = [await world.connection(name) for name in "abc"]
    pair = await world.pair(live, a, b)
    other = await world.pair(live, b, c)
    ids = {"connection_id": c, "pair_id": pair["id"], "log_id": "log_none", "a": a, "b": c}
    ids["to_trigger"] = other["id"]  # no request to change a pair pauses this one

    async def made(client: Client, path: str, body: dict[str, object]) -> str:
        answer = await client.post(f"/api/v1/{path}", body)
        assert answer.status in (201, 202), answer
        return str(answer.json["id"])

    ids["webhook_id"] = hook = await made(live, "webhooks", {"url": "https://hooks.example.com/"})
    ids["delivery_id"] = await made(live, f"webhooks/{hook}/test", {})
    ids["key_id"] = await made(live, "api-keys", {})
    ids["calendar_id"] = calendar = await made(test, "sandbox/calendars", {"name": "Work"})
    series = {
        "start": "2026-03-30T09:00:00Z",
        "end": "2026-03-30T10:00:00Z",
        "recurrence": ["RRULE:FREQ=DAILY"],
    }
    ids["event_id"] = await made(test, f"sandbox/calendars/{calendar}/events", dict(series))
    return ids | {"original_start": "2026-03-31T09:00:00Z"}


def _ticking(world: World) -> ASGIApp:
    """The application, with 40 s between two requests, so that neither limit of 100 an hour is reached."""

    async def app(scope: ASGIScope, receive: Receive, send: Send) -> None:
        world.tick(40)
        await world.app(scope, receive, send)

    return app


@schema.parametrize()
@bounded
def test_made_up_requests(case: schemathesis.Case, served: Served) -> None:
    case.call_and_validate(base_url=served.url, headers=served.headers(case.path), checks=_checks(case))


def _checks(case: schemathesis.Case) -> list[Any]:
    # Of many pairs each is judged by itself: what is wrong with one is told in an answer of 200.
    judged = case.path.endswith("/bulk")
    return [check for check in CHECKS if not (judged and check is negative_data_rejection)]


@schema.include(path_regex=r"\{|sync-pairs$").exclude(method="DELETE").parametrize()
@bounded
def test_made_up_requests_for_what_is_there(case: schemathesis.Case, served: Served) -> None:
    for name in case.path_parameters:
        case.path_parameters[name] = served.ids[name]
    if case.path.endswith("/trigger"):
        case.path_parameters["pair_id"] = served.ids["to_trigger"]
    if isinstance(case.body, dict) and "connection_a_id" in case.body:
        case.body |= {"connection_a_id": served.ids["a"], "connection_b_id": served.ids["b"]}
    case.call_and_validate(base_url=served.url, headers=served.headers(case.path), checks=CHECKS[:-2])
