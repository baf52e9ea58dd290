"""GET /sync-pairs with 20 pairs, authenticated and counted, beside a bare FastAPI route."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import uvloop
from sqlalchemy import insert, update

from benchmarks.report import Row
from benchmarks.served import PLAN, hash_of
from benchmarks.workers import LASTING, fill
from calendarsync.accounts.installation import open_installation
from calendarsync.accounts.keys import Mode, create_key
from calendarsync.settings import Settings
from calendarsync.store.database import Database
from calendarsync.store.ids import new_id
from calendarsync.store.tables import accounts, api_keys
from tests.testbed.postgresql import run_postgresql
from tests.testbed.process import free_port, running

PAIRS = 20
AT_ONCE = 32
"""Connections of the load, each with one request in flight."""

ROUNDS = 3
SECONDS = 5.0
_WARM_UP_SECONDS = 1.0
_SECRET = "a secret that only measurements know and nobody else"


@dataclass(frozen=True)
class Speed:
    """Requests a second, and the milliseconds within which 99 of 100 were answered."""

    rate: float
    p99: float


@dataclass(frozen=True)
class Target:
    port: int
    path: str
    key: str

    def request(self) -> bytes:
        return (
            f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.key}\r\n\r\n"
        ).encode()


async def load(target: Target, seconds: float) -> Speed:
    """Ask again and again, over as many connections as `AT_ONCE`. Every answer has to be a 200."""
    request, taken = target.request(), []
    ends = perf_counter() + seconds

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        while (started := perf_counter()) < ends:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            _, _, rest = head.lower().partition(b"content-length:")
            await reader.readexactly(int(rest.partition(b"\r\n")[0]))
            taken.append(perf_counter() - started)
        writer.close()

    started = perf_counter()
    await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
    rate = len(taken) / (perf_counter() - started)
    return Speed(rate, sorted(taken)[int(len(taken) * 0.99)] * 1000)


def measure(url: str, folder: Path) -> dict[str, Speed]:
    """Ours, the bare route's and that of constant bytes: the medians of rounds in turn."""
    os.environ |= {"CALENDARSYNC_DATABASE_URL": url, "CALENDARSYNC_SECRET_KEY": _SECRET}
    ours_key, bare_key = asyncio.run(_prepare(url))
    with _served("ours", folder) as ours, _served("bare", folder) as bare:
        targets = {
            "ours": Target(ours, "/api/v1/sync-pairs", ours_key),
            "bare": Target(bare, "/bare", bare_key),
            "constant": Target(bare, "/constant", bare_key),
        }
        found: dict[str, list[Speed]] = {name: [] for name in targets}
        for target in targets.values():
            _run(target, _WARM_UP_SECONDS)
        for _ in range(ROUNDS):
            for name, target in targets.items():
                found[name].append(_run(target, SECONDS))
    return {name: sorted(speeds, key=lambda speed: speed.rate)[ROUNDS // 2] for name, speeds in found.items()}


def _run(target: Target, seconds: float) -> Speed:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        return loop.run(load(target, seconds))


async def _prepare(url: str) -> tuple[str, str]:
    """An account with its pairs; a key for ours, and one for the bare application, which has a hash of its own."""
    db = Database(url)
    await db.migrate()
    keyring = await open_installation(Settings.load(), db)
    await fill(db, PAIRS)
    bare_key = secrets.token_urlsafe()
    async with db.write() as connection:
        changed = update(accounts).values(plan=PLAN).returning(accounts.c.id)
        account_id = (await connection.execute(changed)).scalar_one()
        await connection.execute(
            insert(api_keys).values(
                id=new_id("key"),
                account_id=account_id,
                mode="live",
                key_hash=hash_of(bare_key),
                display="",
                scopes=[],
                created_at=datetime.now(UTC),
            )
        )
    ours_key = await create_key(db, keyring, account_id, Mode.LIVE, now=datetime.now(UTC))
    await db.close()
    return ours_key, bare_key


@contextmanager
def _served(what: str, folder: Path) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.served", what, str(port)]
    with running(command, port, folder / f"{what}.log"):
        yield port


def run() -> list[Row]:
    """All that is told of requests, on both databases, with their data on disk."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="calendarsync-bench-") as name:
        folder = Path(name)
        rows += _rows("SQLite", measure(f"sqlite:///{folder / 'requests.sqlite3'}", folder))
        with run_postgresql(None, LASTING) as server:
            rows += _rows("PostgreSQL", measure(server.make_database(migrated=False), folder))
    return rows


def _rows(database: str, found: dict[str, Speed]) -> Iterator[Row]:
    ours, bare, constant = found["ours"], found["bare"], found["constant"]
    yield Row(
        f"GET /sync-pairs with {PAIRS} pairs, {AT_ONCE} at once, {database}",
        f"{ours.rate:,.0f}/s, 99% within {ours.p99:.0f} ms",
        f"{bare.rate:,.0f}/s, 99% within {bare.p99:.0f} ms, bare FastAPI route with the same statements; "
        f"{constant.rate:,.0f}/s where it returns constant bytes",
        goal="at least 50% of the bare route",
        met=ours.rate >= bare.rate / 2,
    )
