"""What needs no key: health, the OpenAPI document and its page. And what goes wrong inside."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from calendarsync.api import openapi
from calendarsync.api.app import create_app, openapi_document
from calendarsync.api.middleware import RequestContext
from calendarsync.settings import Settings
from tests.api.client import Client
from tests.api.routes import check_error, check_request_id
from tests.api.world import World

ROOT = Path(__file__).resolve().parents[2]


async def test_health(world: World) -> None:
    world.runner.late = 1.5
    answer = await Client(world.app).get("/health")
    assert answer.status == 200
    assert answer.json | {"status": "ok", "database": "ok", "schedule_late_seconds": 1.5} == answer.json
    check_request_id(answer)
    world.runner.late = None
    assert (await Client(world.app).get("/health")).json["schedule_late_seconds"] is None


async def test_health_without_a_database(world: World) -> None:
    async with world.db.write() as connection:
        await connection.exec_driver_sql("DROP TABLE alembic_version")
    answer = await Client(world.app).get("/health")
    assert (answer.status, answer.json["status"], answer.json["database"]) == (503, "error", "error")


async def test_the_document_is_openapi_3_1_and_names_every_scope(world: World) -> None:
    answer = await Client(world.app).get("/api/v1/openapi.json")
    assert answer.status == 200
    assert answer.json["openapi"].startswith("3.1.")
    assert answer.json == openapi_document()
    for path, methods in answer.json["paths"].items():
        for operation in methods.values():
            assert operation["summary"], path
            assert ("security" in operation) == path.startswith("/api/v1")
            assert operation["operationId"].isidentifier()
    ids = [each["operationId"] for methods in answer.json["paths"].values() for each in methods.values()]
    assert len(set(ids)) == len(ids)


def test_the_committed_document_is_that_of_the_code() -> None:
    assert openapi.difference(ROOT / "openapi.json") is None


def test_a_difference_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "openapi.json"
    arguments = ["openapi", "--check", str(file)]
    monkeypatch.setattr("sys.argv", arguments)
    assert openapi.main() == 1
    assert "make openapi" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["openapi", str(file)])
    assert openapi.main() == 0
    monkeypatch.setattr("sys.argv", arguments)
    assert openapi.main() == 0
    file.write_text(file.read_text("utf-8").replace('"/health"', '"/heath"'), "utf-8")
    assert openapi.main() == 1
    assert '-    "/heath"' in capsys.readouterr().err


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        values = dict(attrs)
        assert not any(name.startswith("on") or name == "style" for name in values)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [value for name in ("href", "src") if (value := values.get(name))]


async def test_the_docs_need_nothing_from_elsewhere(world: World) -> None:
    client = Client(world.app)
    answer = await client.get("/docs")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'; style-src 'self'" in answer.headers["content-security-policy"]
    page = _Page()
    page.feed(answer.body.decode())
    assert not page.tags & {"script", "iframe", "img", "style"}
    assert len(set(page.ids)) == len(page.ids)
    assert not re.search(
        r"<code>(True|False|None)</code>", answer.body.decode()
    )  # Python's words, not JSON's
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            assert (await client.get(link)).status == 200
    document = openapi_document()
    for path, methods in document["paths"].items():
        assert path in answer.body.decode()
        assert {each["operationId"] for each in methods.values()} <= set(page.ids)
    for methods in (*document["paths"].values(), *document["webhooks"].values()):
        for operation in methods.values():
            assert escape(operation["summary"]) in answer.body.decode()
    assert {f"error-{name}" for name in document["components"]["responses"]} <= set(page.ids)


async def test_a_secure_installation_says_so(world: World) -> None:
    settings = Settings(public_url="https://calendar.example.com/")
    secure = replace(world.services, settings=settings)
    answer = await Client(create_app(secure)).get("/health")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert "strict-transport-security" not in (await Client(world.app).get("/health")).headers


async def test_an_unexpected_error_tells_nothing(
    world: World, client: Client, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("canary-in-a-message")

    monkeypatch.setattr("calendarsync.store.connections.list_connections", explode)
    answer = await client.get("/api/v1/connections")
    check_error(answer, 500, "server_error")
    assert b"canary" not in answer.body
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    failed = next(line for line in lines if line["event"] == "request failed")
    assert failed["request_id"] == answer.error["request_id"]
    assert failed["error"] == "RuntimeError"
    assert any("explode" in place for place in failed["at"])
    assert "canary" not in log.getvalue()
    (request,) = [line for line in lines if line["event"] == "request"]
    assert (request["method"], request["operation"], request["status"]) == ("GET", "list_connections", 500)
    assert request["request_id"] == answer.error["request_id"]


async def test_a_caller_who_hangs_up_is_no_error(log: io.StringIO) -> None:
    async def hang_up(*_: object) -> None:
        raise ClientDisconnect

    async def nothing(*_: object) -> Message:
        raise AssertionError

    await RequestContext(hang_up, secure=False)({"type": "http", "method": "GET"}, nothing, nothing)
    assert '"status": 499' in log.getvalue()
    assert "request failed" not in log.getvalue()


async def test_each_request_has_its_own_id(world: World) -> None:
    client = Client(world.app)
    given = [("X-Request-Id", "chosen")]
    ids = {(await client.get("/health", headers=given)).headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5
    assert all(re.fullmatch(r"req_\w{22}", each) for each in ids)
