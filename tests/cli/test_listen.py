"""`calendarsync webhooks listen`: against a real server, and against what is no delivery."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from calendarsync.cli import listening
from calendarsync.cli.listening import MAX_BODY_BYTES, Receiver, describe, receiving
from calendarsync.client import CalendarSync, Event
from calendarsync.webhooks.formats import body_of
from calendarsync.webhooks.signing import headers, new_secret
from tests.cli.processes import PATIENCE_SECONDS, end, environment, read_until, running, wait_for

SECRET = new_secret()


@dataclass
class Server:
    """A running `serve`, and settings with which commands reach it."""

    url: str
    settings: dict[str, str]
    client: CalendarSync


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a test key, and the loopback allowed."""
    folder = tmp_path_factory.mktemp("server")
    settings = environment(
        folder,
        CALENDARSYNC_DATABASE_URL=f"sqlite:///{folder / 'db.sqlite3'}",
        CALENDARSYNC_ALLOWED_PRIVATE_NETWORKS="127.0.0.0/8",
    )

    def output(*arguments: str) -> str:
        with running(folder, settings, *arguments) as process:
            found, errors = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, errors
        return found.strip()

    account = output("accounts", "create", "--email", "you@example.com")
    key = output("keys", "create", "--account", account, "--mode", "test")
    with running(folder, settings, "serve", "--port", "0") as process:
        url = read_until(process, "Listening on").split()[2].rstrip(",")
        with CalendarSync(key, base_url=url) as client:
            yield Server(url, settings | {"CALENDARSYNC_API_KEY": key, "CALENDARSYNC_URL": url}, client)


def lines_of(stream: Any, wanted: str) -> str:
    line = stream.readline()
    while line and wanted not in line:
        line = stream.readline()
    assert line, f"ended before {wanted!r}"
    return str(line)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_events_are_received_and_the_endpoint_is_removed(
    tmp_path: Path, server: Server, number: signal.Signals
) -> None:
    command = "webhooks", "listen", "--events", "connection.expired, sync.failed"
    with running(tmp_path, server.settings, *command) as process:
        greeting = lines_of(process.stderr, " delivers to ")
        (endpoint,) = server.client.webhooks.list()
        assert greeting == (
            f"{endpoint.id} delivers to {endpoint.url} in test mode: sync.failed, connection.expired.\n"
        )
        assert endpoint.events == ("sync.failed", "connection.expired")
        sent = server.client.webhooks.test(endpoint.id)
        line = lines_of(process.stdout, "webhook.test")
        assert sent.event_id in line
        assert "Your endpoint receives the events of CalendarSync." in line
        wait_for(
            lambda: server.client.webhooks.delivery(endpoint.id, sent.id).status == "succeeded",
            "the delivery",
        )
        (attempt,) = server.client.webhooks.delivery(endpoint.id, sent.id).attempts
        assert (attempt.status_code, attempt.error) == (204, None)
        junk = httpx.post(endpoint.url, content=b"junk", trust_env=False)
        assert junk.status_code == 400
        server.client.webhooks.redeliver(endpoint.id, sent.id)
        assert lines_of(process.stdout, sent.event_id).endswith("once more\n")
        status, _, errors = end(process, number)
    assert (status, list(server.client.webhooks.list())) == (0, [])
    assert "Refused with 400: " in errors
    assert f"{endpoint.id} is removed." in errors


def test_json_is_one_event_a_line_and_nothing_else(tmp_path: Path, server: Server) -> None:
    with running(tmp_path, server.settings, "webhooks", "listen", "--json") as process:
        lines_of(process.stderr, " delivers to ")
        (endpoint,) = server.client.webhooks.list()
        ids = [server.client.webhooks.test(endpoint.id).event_id for _ in range(3)]
        assert process.stdout is not None
        events = [json.loads(process.stdout.readline()) for _ in ids]
        server.client.webhooks.delete(endpoint.id)
        status, rest, errors = end(process, signal.SIGINT)
    assert sorted(event["id"] for event in events) == sorted(ids)
    assert {event["type"] for event in events} == {"webhook.test"}
    assert (status, rest) == (0, "")
    assert "was removed already" in errors


def test_a_server_that_may_not_reach_this_machine_says_so(tmp_path: Path, server: Server) -> None:
    with running(
        tmp_path, server.settings, "webhooks", "listen", "--address", "http://10.0.0.1:1/"
    ) as process:
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, output) == (1, "")
    assert "Error: url: Requests to 10.0.0.1 are not allowed." in errors
    assert "CALENDARSYNC_ALLOWED_PRIVATE_NETWORKS=127.0.0.0/8" in errors


def test_a_secret_alone_is_enough_and_needs_no_server(tmp_path: Path) -> None:
    body = body_of("event", event("webhook.test", {"message": "Hello."}))
    settings = environment(tmp_path, CALENDARSYNC_WEBHOOK_SECRET=SECRET)
    with running(tmp_path, settings, "webhooks", "listen") as process:
        greeting = lines_of(process.stderr, "Listening on")
        url = greeting.split()[2].rstrip(".")
        sent = headers([SECRET], "evt_1", int(time.time()), body)
        assert (
            httpx.post(url + "any/path?x=1", content=body, headers=sent, trust_env=False).status_code == 204
        )
        assert "Hello.  evt_1\n" in lines_of(process.stdout, "webhook.test")
        assert end(process, signal.SIGTERM)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        ([], {}, "an API key is needed"),
        (["--key-file", "nowhere"], {}, "the key cannot be read: No such file or directory"),
        (["--secret", "password"], {}, "a webhook secret is whsec_ and base64"),
        (
            ["--events", "sync.begun"],
            {"CALENDARSYNC_API_KEY": "x"},
            "there is no event 'sync.begun'; there are",
        ),
        (["--host", "0.0.0.0"], {"CALENDARSYNC_API_KEY": "x"}, "with --address"),
        (["--url", "ftp://x"], {"CALENDARSYNC_API_KEY": "x"}, "must be an address"),
    ],
)
def test_what_cannot_be_used(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], words: str
) -> None:
    with running(tmp_path, environment(tmp_path, **variables), "webhooks", "listen", *arguments) as process:
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, output) == (2, "")
    assert words in errors
    assert "Traceback" not in errors


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        settings = environment(tmp_path, CALENDARSYNC_WEBHOOK_SECRET=SECRET)
        with running(tmp_path, settings, "webhooks", "listen", "--port", port) as process:
            _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert errors == f"Error: cannot listen on 127.0.0.1, port {port}: Address already in use\n"


@dataclass
class Heard:
    """Output that is kept. `closed`: nobody reads it."""

    closed: bool = False
    events: list[tuple[str, bool]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    complained: asyncio.Event = field(default_factory=asyncio.Event)

    def event(self, event: Event, body: bytes, *, again: bool) -> None:
        if self.closed:
            raise BrokenPipeError
        self.events.append((event.id, again))

    def complaint(self, text: str) -> None:
        self.complaints.append(text)
        self.complained.set()


def event(kind: str, data: dict[str, Any], event_id: str = "evt_1") -> dict[str, Any]:
    return {"id": event_id, "type": kind, "created_at": "2026-03-28T10:00:00Z", "data": data}


def signed(body: bytes, at: float = 0) -> dict[str, str]:
    return headers([SECRET], "evt_1", int(time.time() + at), body)


async def ask(receiver: Receiver, method: str, body: Any = b"", **options: Any) -> httpx.Response:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    async with receiving(receiver, listener), httpx.AsyncClient(trust_env=False) as client:
        return await client.request(method, url, content=body, **options)


async def test_the_same_event_is_known_again() -> None:
    heard, body = Heard(), body_of("event", event("webhook.test", {}))
    receiver = Receiver(heard, SECRET)
    for _ in range(2):
        assert (await ask(receiver, "POST", body, headers=signed(body))).status_code == 204
    assert heard.events == [("evt_1", False), ("evt_1", True)]


async def test_deliveries_before_the_secret_is_known_are_put_off() -> None:
    heard, body = Heard(), body_of("event", event("webhook.test", {}))
    assert (await ask(Receiver(heard), "POST", body, headers=signed(body))).status_code == 503
    assert (heard.events, heard.complaints) == ([], [])


async def test_it_ends_when_nobody_reads() -> None:
    receiver, body = Receiver(Heard(closed=True), SECRET), body_of("event", event("webhook.test", {}))
    assert (await ask(receiver, "POST", body, headers=signed(body))).status_code == 503
    assert receiver.stop.is_set()


BODY = body_of("event", event("webhook.test", {}))


def junk() -> dict[str, tuple[int, str, bytes, dict[str, str]]]:
    """Signed when it is asked for: a signature is good for five minutes."""
    return {
        "no signature": (400, "POST", BODY, {}),
        "a time that is none": (400, "POST", BODY, {**signed(BODY), "webhook-timestamp": "soon"}),
        "signed, but no event": (400, "POST", b"[]", signed(b"[]")),
        "signed, but no JSON": (400, "POST", b"\xff", signed(b"\xff")),
        "another body": (401, "POST", BODY + b" ", signed(BODY)),
        "another secret": (401, "POST", BODY, headers([new_secret()], "evt_1", int(time.time()), BODY)),
        "an old delivery": (401, "POST", BODY, signed(BODY, -4000)),
        "one of the future": (401, "POST", BODY, signed(BODY, 4000)),
        "a GET": (405, "GET", b"", {}),
        "a strange method": (405, "PROPFIND", b"", {}),
        "a large body": (413, "POST", b"x" * (MAX_BODY_BYTES + 1), {}),
        "what unpacks to a large one": (400, "POST", BODY, {"content-encoding": "gzip"}),
    }


@pytest.mark.parametrize("name", junk())
async def test_junk_is_refused_and_told(name: str) -> None:
    status, method, body, sent = junk()[name]
    heard = Heard()
    answer = await ask(Receiver(heard, SECRET), method, body, headers=sent)
    assert answer.status_code == status
    assert heard.events == []
    (complaint,) = heard.complaints
    assert complaint.startswith(f"Refused with {status}: ")
    assert complaint.isprintable()


async def test_a_body_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "BODY_SECONDS", 0.05)
    heard, hold = Heard(), asyncio.Event()

    async def endless() -> Any:
        yield b"x"
        await hold.wait()

    asking = asyncio.ensure_future(ask(Receiver(heard, SECRET), "POST", endless()))
    await heard.complained.wait()
    hold.set()
    await asyncio.gather(asking, return_exceptions=True)
    assert heard.complaints == ["Refused with 408: a body that did not arrive in time"]


LOG = {
    "id": "log_1",
    "pair_id": "pair_1",
    "status": "success",
    "events_synced": 3,
    "duration_ms": 5,
    "created_at": "2026-03-28T10:00:00Z",
    "sync_id": "sync_run_1",
    "trigger": "api",
    **{f"events_{name}": 1 for name in ("created", "updated", "deleted", "skipped")},
    "provider_requests": 1,
    "error": None,
}
CONNECTION = {
    "id": "conn_1",
    "provider": "caldav",
    "email": None,
    "calendar_name": "Work\x1b[31m",
    "status": "expired",
    "last_synced_at": None,
    "calendar_id": "https://dav.example.com/",
    "read_only": False,
    "mode": "live",
    "created_at": "2026-03-28T10:00:00Z",
    "last_error": None,
}


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("sync.completed", LOG, "pair_1: 1 created, 1 updated, 1 deleted (log_1)"),
        (
            "sync.completed",
            {**LOG, "status": "partial"},
            "pair_1: 1 created, 1 updated, 1 deleted, not everything (log_1)",
        ),
        (
            "sync.failed",
            {**LOG, "status": "failed", "error": {"code": "timeout", "message": "It took too long."}},
            "pair_1: It took too long. [timeout] (log_1)",
        ),
        ("connection.expired", CONNECTION, "Work�[31m (caldav, conn_1) needs consent again"),
        ("webhook.test", {"message": "Hello."}, "Hello."),
        ("webhook.test", {}, "{}"),
        ("sync.failed", {"id": "log_1"}, '{"id": "log_1"}'),
        ("pair.renamed", {"to": "Büro"}, '{"to": "Büro"}'),
    ],
)
def test_events_in_words(kind: str, data: dict[str, Any], expected: str) -> None:
    created_at = datetime(2026, 3, 28, 10, tzinfo=UTC)
    assert describe(Event(id="evt_1", type=kind, created_at=created_at, data=data)) == expected
