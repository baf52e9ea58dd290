"""The server on a real socket: bounds on what comes in and how slowly, and how it ends."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from calendarsync.api import protocol, route, server
from calendarsync.api.server import Server
from tests.api.client import Client
from tests.api.world import World

HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
PATIENCE_SECONDS = 20.0


@dataclass
class Running:
    server: Server
    port: int
    task: asyncio.Task[None]

    async def open(self, sent: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent)
        return reader, writer

    async def exchange(self, sent: bytes) -> bytes:
        """All that comes until the server closes the connection."""
        reader, writer = await self.open(sent)
        async with asyncio.timeout(PATIENCE_SECONDS):
            received = await reader.read()
        writer.close()
        return received

    async def stop(self) -> None:
        self.server.should_exit = True
        await self.task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - nobody tells of what happens inside the server
            await asyncio.sleep(0.01)


@pytest.fixture
async def running(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    services = replace(world.services, wait_seconds=60)
    world.app.state.services = services
    monkeypatch.setattr(server, "create_app", lambda _: world.app)
    listener = socket.create_server(("127.0.0.1", 0))
    made = Server(services)
    task = asyncio.create_task(made.serve(sockets=[listener]))
    await until(lambda: made.started)
    running = Running(made, listener.getsockname()[1], task)
    yield running
    await running.stop()


def request(client: Client, method: str, path: str, *lines: str) -> bytes:
    head = (f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {client.key}", *lines)
    return "\r\n".join((*head, "", "")).encode()


def parsed(answer: bytes) -> tuple[int, dict[str, str], Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, json.loads(body) if body else None


def check_error(answer: bytes, status: int, code: str, message: str) -> None:
    got, headers, body = parsed(answer)
    assert got == status, answer
    assert body["error"]["code"] == code
    assert message in body["error"]["message"]
    assert re.fullmatch(r"req_[0-9A-Za-z]{22}", body["error"]["request_id"])
    assert headers["x-request-id"] == body["error"]["request_id"].lower()
    assert headers["content-type"] == "application/json"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["connection"] == "close"
    assert "date" in headers


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00",
        b"HELLO\r\n\r\n",
        b"GET /health HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
    ],
)
async def test_what_is_not_http_gets_the_body_of_every_error(running: Running, garbage: bytes) -> None:
    check_error(await running.exchange(garbage), 400, "bad_request", "not a valid HTTP request")


async def test_garbage_after_a_request_does_not_spoil_its_answer(running: Running) -> None:
    answer = await running.exchange(HEALTH + b"\x00garbage\r\n\r\n")
    status, headers, body = parsed(answer)
    assert (status, body["status"], headers["connection"]) == (200, "ok", "close")


async def test_a_body_that_is_broken_off_gets_one_answer(running: Running, client: Client) -> None:
    lines = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    answer = await running.exchange(request(client, "POST", "/api/v1/sync-pairs", *lines) + b"zz\r\n")
    check_error(answer, 400, "bad_request", "not a valid HTTP request")


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("chunked", [True, False])
async def test_another_protocol_is_declined_and_the_body_is_still_the_body(
    running: Running, client: Client, *, at_once: bool, chunked: bool
) -> None:
    """Java's client offers HTTP/2 with every request."""
    body = HEALTH + LAST
    lines = ["Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAEAAEAA", "Upgrade: h2c"]
    lines += ["Content-Type: application/json"]
    lines += ["Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"]
    head = HEALTH + request(client, "POST", "/api/v1/sync-pairs", *lines)
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    after = request(client, "GET", "/api/v1/logs", *lines[:3]) + LAST.replace(b"/health ", b"/nothing ")
    reader, writer = await running.open(head + (sent + after if at_once else b""))
    if not at_once:
        for part in (sent[:40], sent[40:], after):
            await asyncio.sleep(0.05)
            writer.write(part)
    async with asyncio.timeout(PATIENCE_SECONDS):
        received = await reader.read()
    writer.close()
    assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"200", b"400", b"200", b"404"]
    assert b"the body is not JSON" in received


@pytest.mark.parametrize("target", ["/health", "example.com:443"])
async def test_there_is_no_tunnel(running: Running, target: str) -> None:
    asked = f"CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    check_error(await running.exchange(asked + LAST), 400, "bad_request", "not a valid HTTP request")


def _fields(count: int, size: int) -> bytes:
    return b"".join(b"X-%d: %s\r\n" % (number, b"x" * size) for number in range(count))


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health HTTP/1.1\r\nHost: x\r\n" + _fields(1, 70_000) + b"\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\n" + _fields(70, 1_000) + b"\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\n" + _fields(8_000, 1) + b"\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_a_large_head_is_refused(running: Running, head: bytes) -> None:
    check_error(await running.exchange(head), 400, "bad_request", "larger than 65536 bytes")


@pytest.mark.parametrize("begun", [b"GET /health HTTP/1.1\r\nX: ", b"GET /", b"GET /health HTTP/1.1\r\n"])
async def test_a_head_without_end_is_refused(running: Running, begun: bytes) -> None:
    reader, writer = await running.open(begun)
    answer = asyncio.create_task(reader.read())
    sent = 0
    while not answer.done() and sent < 2_000_000:
        writer.write(b"x" * 1_000)
        sent += 1_000
        await asyncio.sleep(0.001)
    writer.close()
    check_error(await answer, 400, "bad_request", "larger than 65536 bytes")
    assert sent < 1_000_000


async def test_the_bound_is_on_each_head_alone(running: Running) -> None:
    big = HEALTH[:-2] + _fields(6, 10_000) + b"\r\n"
    answer = await running.exchange(big * 5 + LAST)
    assert answer.count(b"HTTP/1.1 200 OK") == 6


async def test_a_body_that_comes_too_slowly(
    running: Running, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.1)
    monkeypatch.setattr(route, "BODY_SECONDS", 0.5)
    lines = ("Content-Type: application/json", "Content-Length: 100")
    async with asyncio.timeout(5):
        answer = await running.exchange(request(client, "POST", "/api/v1/sync-pairs", *lines) + b"{")
    check_error(answer, 400, "bad_request", "the body did not arrive in time")


@pytest.mark.parametrize(
    "begun", [b"G", b"GET /health HTTP/1.1\r\nHost: x\r\n", b"POST /health HTTP/1.1\r\nX: y"]
)
async def test_a_head_that_comes_too_slowly(
    running: Running, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.2)
    check_error(await running.exchange(begun), 400, "bad_request", "the request did not arrive in time")


@pytest.mark.parametrize(
    ("begun", "answers"),
    [
        (b"", 0),
        (b"\r\n", 0),
        (HEALTH, 1),
        (HEALTH + b"\r\n", 1),
        (b"POST /api/v1/sync-pairs HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", 1),
        (b"POST /api/v1/sync-pairs HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 1),
    ],
)
async def test_a_connection_is_not_kept_for_nothing(
    running: Running, monkeypatch: pytest.MonkeyPatch, begun: bytes, answers: int
) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.2)
    assert (await running.exchange(begun)).count(b"HTTP/1.1 ") == answers


async def test_a_body_that_nobody_waits_for_keeps_no_connection(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.3)
    head = b"POST /api/v1/sync-pairs HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
    reader, writer = await running.open(head)
    async with asyncio.timeout(5):
        assert b" 401 " in await reader.readuntil(b"\r\n")
        await reader.readuntil(b"}}")
        writer.write(b"{}")
        assert await reader.read() == b""
    writer.close()


async def test_a_route_takes_as_long_as_it_takes(
    world: World, running: Running, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.1)
    world.app.state.services = replace(world.services, wait_seconds=0.5)
    url = await _pair(world, client)
    world.runner.stuck = True
    assert parsed(await running.exchange(request(client, "POST", f"{url}/trigger")))[0] == 202


async def test_too_many_connections(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 1)
    reader, writer = await running.open(HEALTH)
    await reader.readuntil(b"\r\n\r\n")
    check_error(await running.exchange(HEALTH), 503, "unavailable", "too many connections")
    writer.close()
    await until(lambda: not running.server.server_state.connections)
    assert parsed(await running.exchange(LAST))[0] == 200


async def test_head_on_the_wire(running: Running) -> None:
    status, headers, body = parsed(await running.exchange(LAST.replace(b"GET", b"HEAD")))
    assert (status, body) == (200, None)
    assert int(headers["content-length"]) > 0


async def _pair(world: World, client: Client) -> str:
    pair = await world.pair(client, await world.connection("a"), await world.connection("b"))
    return f"/api/v1/sync-pairs/{pair['id']}"


@pytest.mark.parametrize("method", ["POST", "DELETE", "DELETE connection"])
async def test_a_wait_ends_when_the_server_stops(
    world: World, running: Running, client: Client, method: str
) -> None:
    url = await _pair(world, client)
    world.runner.stuck = True
    if method == "POST":
        sent = request(client, "POST", f"{url}/trigger")
    elif method == "DELETE":
        sent = request(client, "DELETE", url)
    else:
        connection_id = (await client.get(url)).json["connection_a_id"]
        sent = request(client, "DELETE", f"/api/v1/connections/{connection_id}?cascade=true")
    answer = asyncio.create_task(running.exchange(sent))
    await until(lambda: bool(world.runner.asked))
    async with asyncio.timeout(5):
        await running.stop()
    status, headers, body = parsed(await answer)
    assert status == 202
    assert "x-request-id" in headers
    if method == "POST":
        assert body["sync_id"].startswith("sync_run_")
    elif method == "DELETE":
        assert body["removal"] == "pending"


async def test_a_request_that_is_cut_off_gets_our_error(
    running: Running, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def hang(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("calendarsync.store.connections.list_connections", hang)
    running.server.config.timeout_graceful_shutdown = 1
    answer = asyncio.create_task(running.exchange(request(client, "GET", "/api/v1/connections")))
    await begun.wait()
    await running.stop()
    check_error(await answer, 500, "server_error", "something went wrong on our side")
