"""A database of the schema before, filled with N pairs as if they had been kept in step for long; and migrated."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import asyncpg
from alembic import command
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.scale import mix
from benchmarks.scale.figures import snapshot
from benchmarks.scale.mix import SIDES, Account
from calendarsync import __version__
from calendarsync.accounts.installation import open_installation
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.secrets import Keyring
from calendarsync.settings import Settings
from calendarsync.store import schema
from calendarsync.store.connections import seal_credentials
from calendarsync.store.database import Database
from calendarsync.store.ids import new_id
from calendarsync.sync.inputs import Looked, Tools
from tests.testbed.postgresql import PostgresqlServer

BEFORE = "0006"
"""The revision that is filled and migrated from."""

LOGS = 10
LOGGED = 0.05
"""So many logs have the pairs of this share."""

SYNC_MODE, DIRECTION = "blocker", "bidirectional"
_CREDENTIALS = {"username": "somebody@example.com", "password": "a password of some length"}


@dataclass(frozen=True, slots=True)
class Filled:
    """Seconds that it took: to fill, to migrate what was filled, and to migrate an empty database.

    `bytes_a_pair` by table, of those that have rows for each pair.
    """

    url: str
    keyring: Keyring
    quiet_until: datetime
    logs: int
    fill_seconds: float
    migrate_seconds: float
    migrate_empty_seconds: float
    bytes_a_pair: Mapping[str, float]


async def fill(server: PostgresqlServer, settings: Settings, url: str, pairs: int) -> Filled:
    """Fill the empty database at `url`, which the settings name too."""
    empty = server.make_database(migrated=False)
    migrate_empty_seconds = await _migrate(empty)
    server.drop_database(empty)
    await _migrate_to_before(url)
    assert settings.secret_key is not None
    keyring = Keyring([settings.secret_key.get_secret_value().encode()])
    started = perf_counter()
    administrator = await asyncpg.connect(server.as_administrator(url))
    rows = _Rows(keyring, datetime.now(UTC), list(mix.accounts(pairs)))
    logs = await _copy_all(administrator, rows)
    await administrator.execute("ANALYZE")
    await administrator.close()
    fill_seconds = perf_counter() - started
    migrate_seconds = await _migrate(url)
    administrator = await asyncpg.connect(server.as_administrator(url))
    await administrator.execute("VACUUM ANALYZE")
    tables = (await snapshot(administrator)).tables
    await administrator.close()
    db = Database(url)
    await open_installation(settings, db)  # raises where it is not the secret that was sealed with
    await db.close()
    return Filled(
        url,
        keyring,
        rows.quiet_until,
        logs,
        fill_seconds,
        migrate_seconds,
        migrate_empty_seconds,
        {name: tables[name].total_bytes / pairs for name in ("accounts", "connections", "grants", "pairs")},
    )


async def _migrate(url: str) -> float:
    """As `calendarsync migrate` does; the seconds that it took."""
    db, started = Database(url), perf_counter()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(db.close)
        await db.migrate()
        return perf_counter() - started


async def _migrate_to_before(url: str) -> None:
    def upgrade(connection: Connection) -> None:
        config = schema._config()  # noqa: SLF001 - the program itself goes to the newest revision alone
        config.attributes["connection"] = connection
        command.upgrade(config, BEFORE)

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url), isolation_level="AUTOCOMMIT"
    )
    async with engine.connect() as connection:
        await connection.run_sync(upgrade)
    await engine.dispose()


async def _copy_all(connection: asyncpg.Connection[Any], rows: _Rows) -> int:
    # Foreign keys hold as the rows are made; to check each of them would take as long as all the rest.
    await connection.execute("SET session_replication_role = replica")
    for table, made in (
        ("accounts", rows.accounts()),
        ("connections", rows.connections()),
        ("grants", rows.grants()),
        ("pairs", rows.pairs()),
        ("runs", rows.logs()),
    ):
        await _copy(connection, table, made)
    return int(await connection.fetchval("SELECT count(*) FROM runs"))


async def _copy(connection: asyncpg.Connection[Any], table: str, rows: Iterable[dict[str, Any]]) -> None:
    made = iter(rows)
    first = next(made)
    columns = list(first)

    def records() -> Iterator[tuple[Any, ...]]:
        yield tuple(first.values())
        for row in made:
            yield tuple(row.values())

    await connection.copy_records_to_table(table, records=records(), columns=columns)


class _Rows:
    """Rows by column, the same columns in each of a table."""

    def __init__(self, keyring: Keyring, now: datetime, accounts: list[Account]) -> None:
        self._keyring, self._now, self._accounts = keyring, now, accounts
        fingerprinter = Fingerprinter(keyring.fingerprint_key)
        tools = Tools(keyring.mark_keys, fingerprinter, __version__)
        pair: Any = SimpleNamespace(sync_mode=SYNC_MODE, direction=DIRECTION, options={})
        self._looked = str(Looked(0, 0, tools.setting(pair), __version__))
        self._cursor = json.dumps({"program": __version__, "retried_at": now.timestamp(), "cursor": "0"})
        self.quiet_until = now + timedelta(hours=20)  # never further off than the program puts it
        self._long_ago = now - timedelta(days=100)

    def accounts(self) -> Iterator[dict[str, Any]]:
        for account in self._accounts:
            yield {
                "id": account.id,
                "email": f"account{account.number}@example.com",
                "plan": "pro",
                "created_at": self._long_ago,
            }

    def _ends(self) -> Iterator[tuple[Account, int, mix.End]]:
        for account in self._accounts:
            for place in range(account.pairs):
                for side in SIDES:
                    yield account, place, mix.end(account, place, side)

    def connections(self) -> Iterator[dict[str, Any]]:
        for account, _, end in self._ends():
            yield {
                "id": end.id,
                "account_id": account.id,
                "mode": "live",
                "provider": end.provider,
                "calendar_id": end.calendar_id,
                "calendar_key": end.calendar_key,
                "grant_hash": mix.hash_of(end.grant),
                "calendar_name": "Calendar",
                "timezone": "Europe/Berlin",
                "owner_addresses": "[]",
                "read_only": False,
                "credentials_encrypted": seal_credentials(self._keyring, end.id, _CREDENTIALS),
                "status": "active",
                "created_at": self._long_ago,
                "index_version": 0,
                "cursor": self._cursor,
                "grant_id": None if end.provider == "caldav" else mix.id_of("grant", end.grant),
            }

    def grants(self) -> Iterator[dict[str, Any]]:
        for account, place, end in self._ends():
            if place % mix.CALENDARS_OF_GRANT or end.provider == "caldav":
                continue
            yield {
                "id": mix.id_of("grant", end.grant),
                "account_id": account.id,
                "mode": "live",
                "provider": end.provider,
                "subject_hash": mix.hash_of(end.grant),
                "email": "somebody@example.com",
                "scopes": "[]",
                "credentials_encrypted": secrets.token_bytes(300),
                "status": "active",
                "generation": 0,
                "created_at": self._long_ago,
            }

    def pairs(self) -> Iterator[dict[str, Any]]:
        for account in self._accounts:
            for place in range(account.pairs):
                a, b = (mix.end(account, place, side) for side in SIDES)
                yield {
                    "id": mix.id_of("pair", account.first + place),
                    "account_id": account.id,
                    "mode": "live",
                    "connection_a_id": a.id,
                    "connection_b_id": b.id,
                    "calendar_a": a.calendar_key,
                    "calendar_b": b.calendar_key,
                    "sync_mode": SYNC_MODE,
                    "direction": DIRECTION,
                    "options": "{}",
                    "status": "active",
                    "created_at": self._long_ago,
                    "last_synced_at": self._now,
                    "generation": 0,
                    "due_at": self._now - timedelta(seconds=random.uniform(1, 86_000)),
                    "quiet_state": self._looked,
                    "quiet_until": self.quiet_until,
                }

    def logs(self) -> Iterator[dict[str, Any]]:
        for account in self._accounts:
            for place in range(account.pairs):
                number = account.first + place
                if mix.share(f"logs {number}") >= LOGGED and number:
                    continue
                for back in range(LOGS, 0, -1):
                    yield {
                        "id": new_id("log"),
                        "sync_id": new_id("sync_run"),
                        "account_id": account.id,
                        "mode": "live",
                        "pair_id": mix.id_of("pair", number),
                        "status": "success",
                        "trigger": "schedule",
                        **dict.fromkeys(
                            ("events_processed", "events_created", "events_updated", "events_deleted"), 0
                        ),
                        "events_skipped": 0,
                        "provider_requests": 2,
                        "duration_ms": 400,
                        "created_at": self._now - timedelta(minutes=5 * back),
                    }
