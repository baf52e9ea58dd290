"""A CalendarSync of a test's own: a database, the engine, and a clock that the test moves."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path
from ssl import SSLContext
from typing import Any

from sqlalchemy import insert, select, update

from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.rules import Window
from calendarsync.jobs.wiring import owner_of
from calendarsync.net import HttpClient
from calendarsync.net.connector import default_ssl_context
from calendarsync.providers.base import Calendar
from calendarsync.providers.caldav import canonical_url
from calendarsync.providers.ics import FeedAddress
from calendarsync.providers.opening import open_calendar
from calendarsync.providers.tokens import Access
from calendarsync.secrets import Keyring
from calendarsync.store import tables
from calendarsync.store.claims import Claim
from calendarsync.store.connections import open_credentials, seal_credentials
from calendarsync.store.database import Database
from calendarsync.store.ids import new_id
from calendarsync.store.schedule import ConnectionRecord, load_pair
from calendarsync.store.tenancy import Tenant
from calendarsync.sync.hold import Hold
from calendarsync.sync.inputs import Tools
from calendarsync.sync.refresh import Refresher
from calendarsync.sync.report import Order, RunError, RunReport, RunStatus
from calendarsync.sync.round import Reader, Round
from calendarsync.sync.run import Engine, Work
from tests.testbed.dav import DavServer

LOOPBACK = ip_network("127.0.0.0/8")
START = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass
class FixedToken:
    """The tokens of a grant that a test has got from a model: one, which is good as long as the model says so."""

    token: str
    user: str | None = None

    @property
    def grant(self) -> str:
        return self.token

    async def access_token(self, *, rejected: str | None = None) -> str:
        return self.token

    def sent(self, calls: int) -> None:
        pass


@dataclass
class Installation:
    db: Database
    keyring: Keyring
    http: HttpClient
    clock: Clock
    program: str = "1"
    wrap: Callable[[ConnectionRecord, Calendar], Calendar] = lambda _, calendar: calendar
    grants: dict[str, Access] = field(default_factory=dict)
    """How connections at Google and Microsoft are opened, by their ids."""
    engine: Engine = field(init=False)
    fingerprinter: Fingerprinter = field(init=False)

    def __post_init__(self) -> None:
        self.fingerprinter = fingerprinter = Fingerprinter(self.keyring.fingerprint_key)
        reader = Reader(
            db=self.db,
            refresher=Refresher(self.db, fingerprinter, self.program),
            open_calendar=self._open,
            now=self.clock,
            jitter=lambda: 0.0,
            poll_seconds=300,
        )
        self.engine = Engine(reader, Tools(self.keyring.mark_keys, fingerprinter, self.program))

    def _open(self, connection: ConnectionRecord, window: Window | None) -> Calendar:
        secret = open_credentials(self.keyring, connection.id, connection.credentials_encrypted)
        calendar = open_calendar(
            connection.provider,
            connection.calendar_id,
            secret,
            owner=owner_of(connection),
            db=self.db,
            tenant=Tenant(connection.account_id, connection.mode),
            client=self.http,
            fingerprinter=self.fingerprinter,
            now=self.clock,
            confined=False,
            access=self.grants.get(connection.id),
            window=window,
        )
        return self.wrap(connection, calendar)

    async def account(self) -> str:
        account_id = new_id("acct")
        async with self.db.write() as db:
            await db.execute(
                insert(tables.accounts).values(
                    id=account_id, email=f"{account_id}@example.com", plan="free", created_at=self.clock()
                )
            )
        return account_id

    async def connect(
        self,
        account_id: str,
        server: DavServer,
        calendar_url: str,
        *,
        email: str | None = None,
        **values: Any,
    ) -> str:
        secret = {"username": server.username, "password": server.password}
        return await self._insert(
            secret,
            account_id=account_id,
            provider="caldav",
            calendar_id=calendar_url,
            calendar_key=sha256(canonical_url(calendar_url).encode()).hexdigest(),
            grant_hash=self.keyring.grant_hash(f"{server.url} {server.username}"),
            **{"email": email, "read_only": False, "timezone": "Europe/Berlin", **values},
        )

    async def connect_feed(
        self, account_id: str, url: str, *, calendar_key: str | None = None, **values: Any
    ) -> str:
        """`calendar_key` spares the tenth of a second that it takes to make one."""
        address = FeedAddress.parse(url)
        return await self._insert(
            {"url": address.text},
            account_id=account_id,
            provider="ics",
            calendar_id=address.masked,
            calendar_key=calendar_key or address.make_key(),
            grant_hash=self.keyring.grant_hash(address.url),
            **{"read_only": True, "timezone": "Europe/Berlin", **values},
        )

    async def connect_sandbox(self, account_id: str, calendar_id: str, **values: Any) -> str:
        """In test mode, as all that has to do with the sandbox."""
        return await self._insert(
            {},
            account_id=account_id,
            mode="test",
            provider="sandbox",
            calendar_id=calendar_id,
            calendar_key=sha256(calendar_id.encode()).hexdigest(),
            grant_hash=self.keyring.grant_hash(calendar_id),
            **{"read_only": False, "timezone": "Europe/Berlin", **values},
        )

    async def connect_granted(
        self, account_id: str, provider: str, calendar_id: str, access: Access, **values: Any
    ) -> str:
        """A calendar at Google or Microsoft, as if somebody had granted access to it."""
        connection_id = await self._insert(
            {},
            account_id=account_id,
            provider=provider,
            calendar_id=calendar_id,
            calendar_key=sha256(f"{provider}\n{calendar_id}".encode()).hexdigest(),
            grant_hash=self.keyring.grant_hash(access.tokens.grant),
            **{"read_only": False, "timezone": "Europe/Berlin", **values},
        )
        self.grants[connection_id] = access
        return connection_id

    async def _insert(self, secret: dict[str, str], **values: Any) -> str:
        connection_id = new_id("conn")
        row = {
            "id": connection_id,
            "mode": "live",
            "calendar_name": "A calendar",
            "owner_addresses": [],
            "credentials_encrypted": seal_credentials(self.keyring, connection_id, secret),
            "status": "active",
            "created_at": self.clock(),
            "index_version": 0,
        }
        async with self.db.write() as db:
            await db.execute(insert(tables.connections).values(row | values))
        return connection_id

    async def pair(
        self,
        a: str,
        b: str,
        *,
        sync_mode: str = "blocker",
        direction: str = "bidirectional",
        **options: Any,
    ) -> str:
        pair_id = new_id("pair")
        async with self.db.write() as db:
            ends = {
                row.id: row
                for row in await db.execute(
                    select(tables.connections).where(tables.connections.c.id.in_((a, b)))
                )
            }
            await db.execute(
                insert(tables.pairs).values(
                    id=pair_id,
                    account_id=ends[a].account_id,
                    mode=ends[a].mode,
                    connection_a_id=a,
                    connection_b_id=b,
                    sync_mode=sync_mode,
                    direction=direction,
                    options=options,
                    status="active",
                    created_at=self.clock(),
                    due_at=self.clock(),
                    generation=0,
                    calendar_a=ends[a].calendar_key,
                    calendar_b=ends[b].calendar_key,
                )
            )
        self.clock.advance(seconds=1)
        return pair_id

    async def change_pair(self, pair_id: str, **values: Any) -> None:
        async with self.db.write() as db:
            await db.execute(update(tables.pairs).where(tables.pairs.c.id == pair_id).values(**values))

    async def row(self, table: Any, row_id: str) -> Any:
        async with self.db.read() as db:
            return (await db.execute(select(table).where(table.c.id == row_id))).one_or_none()

    async def run(
        self,
        pair_id: str,
        *,
        full: bool = False,
        confirm: bool = False,
        dry_run: bool = False,
        undo: str | None = None,
        round_: Round | None = None,
        trigger: str = "",
    ) -> RunReport:
        """A poll, unless it is of a kind that somebody asks for, or `trigger` says something else."""
        asked = full or confirm or dry_run or undo is not None
        trigger = trigger or ("api" if asked else "schedule")
        order = Order(new_id("sync_run"), trigger, full=full, confirm=confirm, dry_run=dry_run, undo=undo)
        work = await self._claim(pair_id, order)
        if work is None:
            return RunReport(order.sync_id, RunStatus.FAILED, error=RunError("not_found", "no such pair"))
        await self.engine.work_off(work, round_ or self.engine.new_round())
        (report,) = work.reports
        return report

    async def sync(self, pair_id: str, **given: Any) -> RunReport:
        """A run that has to succeed."""
        report = await self.run(pair_id, **given)
        assert report.status == "success", report
        return report

    async def _claim(self, pair_id: str, order: Order) -> Work | None:
        try:
            hold = await self.hold(pair_id)
        except LookupError:
            return None
        async with self.db.read() as db:
            pair = await load_pair(db, pair_id)
        return Work(hold, pair, [order]) if pair else None

    async def hold(self, pair_id: str) -> Hold:
        """A claim on a pair, due or not; who held it before, such as a run that a test broke off, has lost it."""
        statement = (
            update(tables.pairs)
            .where(tables.pairs.c.id == pair_id)
            .values(generation=tables.pairs.c.generation + 1, leased_until=self.clock() + timedelta(hours=1))
            .returning(tables.pairs.c.generation, tables.pairs.c.due_at)
        )
        async with self.db.write() as db:
            row = (await db.execute(statement)).one_or_none()
        if row is None:
            raise LookupError(pair_id)
        return Hold(self.db, Claim(pair_id, row.generation, row.due_at, due=True))


@cache
def tls() -> SSLContext:
    """For all clients of a process: to read the authorities that a system trusts takes longer than most tests."""
    return default_ssl_context()


@asynccontextmanager
async def installation(
    where: Path | str, *, secret: bytes | None = None, clock: Clock | None = None, **given: Any
) -> AsyncIterator[Installation]:
    """`where` is a database's URL, or the folder of an SQLite."""
    clock = clock or Clock()
    url = where if isinstance(where, str) else f"sqlite:///{where / 'calendarsync.sqlite3'}"
    db = Database(url, clock=clock)
    try:
        await db.migrate()
        async with HttpClient(allowed_private_networks=[LOOPBACK], ssl_context=tls()) as http:
            keyring = Keyring([secret or secrets.token_bytes(32)])
            yield Installation(db, keyring, http, clock, **given)
    finally:
        await db.close()
