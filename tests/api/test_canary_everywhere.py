"""Words in a thousand events, and errors forced in every layer that hold them too: they are told nowhere.

Not in a table, a log line, a webhook, an answer of the API, an error or the metrics. The calendars are in memory;
all else is what `calendarsync serve` is made of.
"""

from __future__ import annotations

import asyncio
import inspect
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError

from calendarsync.accounts.accounts import create_account
from calendarsync.accounts.keys import Mode, create_key
from calendarsync.api.app import create_app
from calendarsync.api.services import services_for
from calendarsync.jobs import runs, wiring, worker
from calendarsync.jobs.process import Process, running
from calendarsync.settings import Settings
from calendarsync.store import connections
from calendarsync.store.ids import new_id
from calendarsync.store.tenancy import Tenant
from tests.api.client import Answer, Client
from tests.sync.test_canary import CANARIES, RICH, found_words
from tests.testbed.events import event
from tests.testbed.memory import MemoryCalendar, MemoryStore
from tests.testbed.stored import stored
from tests.webhooks.receiver import Receiver, receiver

EVENTS = 1_000
TIMES = 2
TEXT = " ".join(CANARIES)
METRICS_TOKEN = "a token that only this test knows"
API = "/api/v1"

LAYERS = {
    "reading a calendar": "tests.testbed.memory.MemoryCalendar.read",
    "writing the index": "calendarsync.sync.refresh.index.store_resources",
    "loading for a plan": "calendarsync.sync.flows.load_flows",
    "planning": "calendarsync.sync.run.plan",
    "guarding": "calendarsync.sync.guards.judge",
    "rendering a copy": "calendarsync.sync.copy_writer.render",
    "writing a copy": "tests.testbed.memory.MemoryCalendar.update",
    "noting links": "calendarsync.sync.apply.links.save_links",
    "writing the log": "calendarsync.sync.run_log.save_run",
    "writing the outbox": "calendarsync.sync.run_log.emit",
    "signing a webhook": "calendarsync.webhooks.delivery.body_of",
    "ordering a run": "calendarsync.api.v1.pairing.store.get_pair",
    "answering": "calendarsync.api.v1.pairs._result",
}
"""Functions that have the events' words in their hands, or serve the request, and fail while they do."""


def _raise(kind: str) -> None:
    if kind == "database":
        raise IntegrityError(f"INSERT INTO x VALUES ('{TEXT}')", {"title": TEXT}, ValueError(TEXT))
    raise RuntimeError(TEXT)


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, place: str, kind: str) -> Iterator[list[int]]:
    """The function at `place` fails twice, with the words in its error; the list grows with its calls.

    Twice, so that what writes a failure down fails too.
    """
    path, _, name = place.rpartition(".")
    owner = _resolve(path)
    original, calls = getattr(owner, name), list[int]()

    async def fail_later(*given: Any, **options: Any) -> Any:
        calls.append(1)
        return await original(*given, **options) if len(calls) > TIMES else _raise(kind)

    def fail(*given: Any, **options: Any) -> Any:
        calls.append(1)
        return original(*given, **options) if len(calls) > TIMES else _raise(kind)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fail_later if inspect.iscoroutinefunction(original) else fail)
        yield calls


def _resolve(path: str) -> Any:
    """A module, or what stands in one: a class, or a module that it has imported."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            found = getattr(found, name)
        return found
    raise LookupError(path)


@dataclass
class Whole:
    process: Process
    client: Client
    stores: dict[str, MemoryStore]
    hooks: Receiver
    database_url: str
    pair: str = ""
    moved: int = 0
    told: list[bytes] = field(default_factory=list)

    async def ask(self, method: str, url: str, body: object = None, **given: Any) -> Answer:
        answer = await self.client.request(method, url, body, **given)
        self.told.append(str(answer.headers).encode() + answer.body)
        return answer

    def move_one(self) -> None:
        """Something for a run to do: the words pass through its hands again."""
        self.moved += 1
        name = f"e{self.moved}"
        self.stores["a"].put(f"{name}.ics", source(self.moved, name, minutes=30))

    async def trigger(self) -> Answer:
        return await self.ask("POST", f"{API}/sync-pairs/{self.pair}/trigger")


def source(number: int, uid: str, *, minutes: int = 0) -> str:
    start = datetime.now(UTC).replace(minute=0) + timedelta(hours=number % 700 + 1, minutes=minutes)
    times = [f"{moment:%Y%m%dT%H%M%SZ}" for moment in (start, start + timedelta(minutes=20))]
    return event(uid, *times, title="tixtitle", extra=RICH)


@asynccontextmanager
async def whole(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Whole]:
    stores = {"a": MemoryStore(), "b": MemoryStore()}
    # A run whose end cannot be written lapses with its claim: that is not to take its time here.
    for module in (worker, runs):
        monkeypatch.setattr(module, "LEASE", timedelta(seconds=3))
    monkeypatch.setattr(worker, "BEAT_SECONDS", 0.5)
    monkeypatch.setattr(
        wiring, "open_calendar", lambda _provider, calendar_id, *_, **__: MemoryCalendar(stores[calendar_id])
    )
    settings = Settings(
        database_url=database_url,
        secret_key=SecretStr("a secret that only tests know and nobody else"),
        allowed_private_networks="127.0.0.0/8",  # type: ignore[arg-type] - parsed like the variable
        metrics_token=SecretStr(METRICS_TOKEN),
        poll_interval_seconds=86_400,
    )
    async with running(settings, schedule=True) as process, receiver() as hooks:
        db, keyring = process.db, process.keyring
        services = replace(services_for(process, settings), wait_seconds=60.0)
        account = await create_account(db, "you@example.com", now=datetime.now(UTC), plan="pro")
        key = await create_key(db, keyring, account, Mode.LIVE, now=db.now())
        made = Whole(process, Client(create_app(services), key), stores, hooks, database_url)
        ids = [await _connect(process, Tenant(account, "live"), name) for name in stores]
        await made.ask("POST", f"{API}/webhooks", {"url": hooks.url})
        body = {"connection_a_id": ids[0], "connection_b_id": ids[1], "sync_mode": "full"}
        for number in range(EVENTS):
            stores["a"].put(f"e{number}.ics", source(number, f"e{number}"))
        options = {"attendees_in_description": True}
        answer = await made.ask(
            "POST", f"{API}/sync-pairs", {**body, "direction": "a_to_b", "options": options}
        )
        assert answer.status == 201, answer.body
        made.pair = answer.json["id"]
        yield made


async def _connect(process: Process, tenant: Tenant, name: str) -> str:
    connection_id = new_id("conn")
    secret = {"username": "you", "password": "password"}
    row = {
        "id": connection_id,
        "provider": "caldav",
        "calendar_id": name,
        "calendar_key": f"key-{name}",
        "grant_hash": f"grant-{name}",
        "calendar_name": name,
        "timezone": "UTC",
        "owner_addresses": [],
        "read_only": False,
        "credentials_encrypted": connections.seal_credentials(process.keyring, connection_id, secret),
        "status": "active",
        "created_at": process.db.now(),
        "index_version": 0,
    }
    async with process.db.write() as db:
        await connections.insert_connection(db, tenant, row)
    return connection_id


async def test_a_thousand_events_and_an_error_in_every_layer(
    database_url: str, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    async with whole(database_url, monkeypatch) as at:
        first = await at.trigger()
        assert first.json["success"] is True, first.body
        assert len(at.stores["b"].resources) == EVENTS
        for place in LAYERS.values():
            for kind in ("defect", "database"):
                at.move_one()
                with failing(monkeypatch, place, kind) as calls:
                    await at.trigger()
                    await _until(calls, place)
        assert (await at.trigger()).json["success"] is True
        await at.hooks.until_taken(3)
        await _look_everywhere(at)
        copies = b"".join(data for _, data in at.stores["b"].resources.values())
        assert {"tixtitle", "dexdescription", "loxlocation"} <= set(found_words(copies)), "copies in full"
        kinds = {got.body.split(b'"type":"')[1].split(b'"')[0] for got in at.hooks.taken}
        assert {b"sync.completed", b"sync.failed"} <= kinds
        kept = await stored(at.process.db, database_url)
    assert at.pair.encode() in kept
    assert found_words(kept) == []
    assert found_words(b"".join(at.told)) == []
    assert found_words(b"".join(got.body + str(got.headers).encode() for got in at.hooks.got)) == []
    logged = log.getvalue()
    assert "run_failed" in logged
    leaks = [line for line in logged.splitlines() if found_words(line.encode())]
    assert leaks == []


async def _until(calls: list[int], place: str) -> None:
    """Webhooks are sent a moment after the run."""
    for _ in range(200):
        if calls:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{place} was not reached")


async def _look_everywhere(at: Whole) -> None:
    """Ask for all that the API tells of it."""
    for url in (
        *(
            f"{API}/{name}"
            for name in ("connections", "sync-pairs", "logs?per_page=100", "webhooks", "account")
        ),
        f"{API}/sync-pairs/{at.pair}",
        f"{API}/availability?from={_day(0)}&to={_day(30)}",
    ):
        assert (await at.ask("GET", url)).status == 200, url
    for row in (await at.ask("GET", f"{API}/logs?per_page=100")).json["logs"]:
        assert (await at.ask("GET", f"{API}/logs/{row['id']}")).status == 200
    (hook,) = (await at.ask("GET", f"{API}/webhooks")).json["webhooks"]
    assert (await at.ask("GET", f"{API}/webhooks/{hook['id']}/deliveries")).status == 200
    for body in (TEXT, {"title": TEXT}, {"options": {TEXT: TEXT}}, [TEXT], TEXT.encode()):
        answer = await at.client.request("PATCH", f"{API}/sync-pairs/{at.pair}", body)
        assert answer.status in (400, 422)
    metrics = await at.ask("GET", "/metrics", headers=[("authorization", f"Bearer {METRICS_TOKEN}")])
    assert b"calendarsync_" in metrics.body


def _day(days: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"
