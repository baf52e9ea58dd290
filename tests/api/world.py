"""An application on an empty database, with a stand-in for the engine, and two accounts."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from fastapi import FastAPI
from pydantic import SecretStr

from calendarsync.accounts.accounts import create_account
from calendarsync.accounts.installation import open_installation
from calendarsync.accounts.keys import Mode, create_key
from calendarsync.accounts.scopes import DEFAULT_SCOPES, Scope
from calendarsync.api.app import create_app
from calendarsync.api.services import Services
from calendarsync.grants import Grants
from calendarsync.jobs.bursts import Bursts
from calendarsync.jobs.channels import Channels
from calendarsync.jobs.notices import Notices
from calendarsync.jobs.outbox import Outbox
from calendarsync.jobs.pushing import push_of
from calendarsync.jobs.wakeups import Wakeups
from calendarsync.net import HttpClient
from calendarsync.settings import Settings
from calendarsync.store import connections, neighbours, schedule
from calendarsync.store.database import Database
from calendarsync.store.ids import new_id
from calendarsync.store.tenancy import Tenant
from calendarsync.sync.report import Operation, RunReport, RunStatus, Ticket
from tests.api.client import Client
from tests.testbed.installation import tls

PASSWORD = "canary-password-5c1d"


@dataclass
class FakeRunner:
    """Answers with `report` at once, or never where `stuck`. `remove` deletes the row unless `cannot_remove`."""

    db: Database
    report: RunReport = field(default_factory=lambda: RunReport("", RunStatus.SUCCESS, 12, 2, 0, 1))
    stuck: bool = False
    cannot_remove: bool = False
    late: float | None = 0.0
    woken: int = 0
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def trigger(self, tenant: Tenant, pair_id: str, **options: Any) -> Ticket:
        ticket = self._ticket()
        async with self.db.write() as connection:
            pair = await schedule.load_pair(connection, pair_id)
            assert pair is not None
            assert Tenant(pair.account_id, pair.mode) == tenant
            self.asked.append((pair_id, {"remove": pair.removal} if pair.removal else options))
            if pair.removal and not (self.stuck or self.cannot_remove):
                await neighbours.delete_pair(connection, pair, self.db.now())
        if not self.stuck:
            failed = pair.removal and self.cannot_remove
            report = replace(self.report, status=RunStatus.FAILED) if failed else self.report
            ticket.done.set_result(replace(report, sync_id=ticket.sync_id))
        return ticket

    async def undo(self, tenant: Tenant, pair_id: str, **options: Any) -> Ticket:
        return await self.trigger(tenant, pair_id, undo=True, **options)

    def wake(self) -> None:
        self.woken += 1

    async def lateness(self) -> float | None:
        return self.late

    @staticmethod
    def _ticket() -> Ticket:
        return Ticket(new_id("sync_run"), asyncio.get_running_loop().create_future())


@dataclass
class World:
    app: FastAPI
    services: Services
    runner: FakeRunner
    account_id: str
    clock: list[datetime]

    @property
    def db(self) -> Database:
        return self.services.db

    async def client(
        self,
        *,
        mode: Mode = Mode.LIVE,
        account_id: str | None = None,
        scopes: tuple[Scope, ...] = DEFAULT_SCOPES,
    ) -> Client:
        """A client with a new key."""
        owner = account_id or self.account_id
        now = self.clock[0]
        return Client(
            self.app,
            await create_key(self.db, self.services.keyring, owner, mode, now=now, scopes=scopes),
        )

    async def other_account(self) -> str:
        return await create_account(self.db, f"{new_id('other')}@example.com", now=self.clock[0])

    async def connection(
        self, name: str = "a", *, account_id: str | None = None, mode: str = "live", **values: Any
    ) -> str:
        """A connection straight in the database, to a calendar that is nowhere."""
        connection_id = new_id("conn")
        sealed = connections.seal_credentials(
            self.services.keyring, connection_id, {"username": "alice", "password": PASSWORD}
        )
        row = {
            "id": connection_id,
            "provider": "caldav",
            "calendar_id": f"https://dav.example.com/alice/{name}/",
            "calendar_key": f"key-{name}",
            "grant_hash": "grant",
            "calendar_name": name.title(),
            "email": "alice@example.com",
            "owner_addresses": ["alice@example.com"],
            "read_only": False,
            "credentials_encrypted": sealed,
            "status": "active",
            "created_at": self.tick(),
            "index_version": 0,
            **values,
        }
        async with self.db.write() as connection:
            owner = Tenant(account_id or self.account_id, mode)
            await connections.insert_connection(connection, owner, row)
        return connection_id

    async def pair(self, client: Client, a: str, b: str, **values: Any) -> dict[str, Any]:
        body = {
            "connection_a_id": a,
            "connection_b_id": b,
            "sync_mode": "blocker",
            "direction": "bidirectional",
            **values,
        }
        answer = await client.post("/api/v1/sync-pairs", body)
        assert answer.status == 201, answer
        created: dict[str, Any] = answer.json
        return created

    def tick(self, seconds: float = 1) -> datetime:
        self.clock[0] += timedelta(seconds=seconds)
        return self.clock[0]


class NoNames(AbstractResolver):
    """No host has an address: tests name servers by their own."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        raise socket.gaierror(socket.EAI_NONAME, "no address")

    async def close(self) -> None:
        pass


def operation() -> Operation:
    return Operation("a_to_b", "event-1", "", "create", "new", "copy-1")


async def build(database_url: str, networks: str = "127.0.0.0/8", **more: Any) -> World:
    """On a database with a schema, and nothing in it. `more` are other settings."""
    settings = Settings(
        database_url=database_url,
        secret_key=SecretStr("a secret that only tests know and nobody else"),
        allowed_private_networks=networks,  # type: ignore[arg-type] - parsed like the variable
        **more,
    )
    db = Database(settings.database_url)
    keyring = await open_installation(settings, db)
    clock = [datetime(2026, 3, 28, 10, tzinfo=UTC)]
    runner = FakeRunner(db)
    http = HttpClient(
        allowed_private_networks=settings.allowed_private_networks, ssl_context=tls(), resolver=NoNames()
    )
    outbox = Outbox(db, Wakeups(db))
    grants = Grants(db, keyring, http, settings, now=lambda: clock[0])
    bursts = Bursts(db, Wakeups(db))
    channels = Channels(db, keyring, push_of(settings, http, grants, now=db.now), on_gap=bursts.add)
    built = Services(
        *(db, keyring, settings, http, runner, runner.wake, lambda: clock[0], outbox, grants),
        notices=Notices(db, keyring, bursts),
        channels=channels,
        wait_seconds=0.1,
    )
    account_id = await create_account(db, "you@example.com", now=clock[0])
    return World(_app(built), built, runner, account_id, clock)


_apps: list[FastAPI] = []


def _app(services: Services) -> FastAPI:
    """One application serves every test, each time with other services: making it takes a while."""
    if not _apps:
        _apps.append(create_app(services))
    _apps[0].state.services = services
    return _apps[0]


async def close(world: World) -> None:
    await world.services.http.close()
    await world.db.close()
