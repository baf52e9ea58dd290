"""Endpoints, events and those who deliver them, on a database of a test's own."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

from sqlalchemy import func, insert, select, update
from standardwebhooks import Webhook

from calendarsync.jobs.deliveries import Deliverer, Pace, client_for_receivers
from calendarsync.net import HttpClient
from calendarsync.secrets import Keyring
from calendarsync.store import tables
from calendarsync.store.database import Database
from calendarsync.store.ids import new_id
from calendarsync.store.outbox import Event, emit
from calendarsync.store.tenancy import Tenant
from calendarsync.store.webhooks import seal
from calendarsync.webhooks import signing
from calendarsync.webhooks.catalogue import SUBSCRIBABLE
from calendarsync.webhooks.delivery import Sender
from tests.webhooks.receiver import SOON, Got

LOOPBACK = ip_network("127.0.0.0/8")
QUICKLY = Pace(delays=(timedelta(seconds=0.05),) * 40, lease=timedelta(seconds=1))
"""Retries that a test can wait for, and a lease that lapses while it does."""


@dataclass
class Post:
    db: Database
    keyring: Keyring
    http: HttpClient
    account: str

    @property
    def tenant(self) -> Tenant:
        return Tenant(self.account, "live")

    async def endpoint(self, url: str, secret: str | None = None, **values: Any) -> str:
        webhook_id = new_id("whk")
        row = {
            "id": webhook_id,
            "account_id": self.account,
            "mode": "live",
            "url_encrypted": seal(self.keyring, webhook_id, url),
            "events": list(SUBSCRIBABLE),
            "format": "event",
            "only_changed": False,
            "status": "enabled",
            "secret_encrypted": seal(self.keyring, webhook_id, secret or signing.new_secret()),
            "created_at": self.db.now(),
        }
        async with self.db.write() as db:
            await db.execute(insert(tables.webhooks), row | values)
        return webhook_id

    async def change(self, webhook_id: str, **values: Any) -> None:
        async with self.db.write() as db:
            of_it = tables.webhooks.c.id == webhook_id
            await db.execute(update(tables.webhooks).where(of_it).values(**values))

    async def emit(self, count: int = 1, **values: Any) -> None:
        """So many events in one transaction, as if runs had ended."""
        told = [
            Event(
                **{"account_id": self.account, "mode": "live", "type": "sync.failed"} | values, data={"n": n}
            )
            for n in range(count)
        ]
        async with self.db.write() as db:
            await emit(db, told, self.db.now())

    def deliverer(self, pace: Pace = QUICKLY, *, timeout: float = 10.0) -> Deliverer:
        return Deliverer(self.db, Sender(self.keyring, self.http, self.db.now, timeout), pace=pace)

    async def row(self, webhook_id: str) -> Any:
        async with self.db.read() as db:
            of_it = tables.webhooks.c.id == webhook_id
            return (await db.execute(select(tables.webhooks).where(of_it))).one()

    async def deliveries(self, webhook_id: str | None = None) -> Sequence[Any]:
        """The oldest first."""
        table = tables.deliveries
        query = select(table).order_by(table.c.created_at, table.c.id)
        async with self.db.read() as db:
            return (
                await db.execute(query.where(table.c.webhook_id == webhook_id) if webhook_id else query)
            ).all()

    async def count(self, status: str) -> int:
        statement = select(func.count()).select_from(tables.deliveries)
        async with self.db.read() as db:
            found = await db.execute(statement.where(tables.deliveries.c.status == status))
            return int(found.scalar_one())

    async def until_done(self, seconds: float = SOON) -> None:
        """Until no delivery is pending; its end is written after the receiver has answered."""
        async with asyncio.timeout(seconds):
            while await self.count("pending"):  # noqa: ASYNC110 - the database has no event
                await asyncio.sleep(0.02)


@asynccontextmanager
async def post_at(url: str, secret: bytes | None = None) -> AsyncIterator[Post]:
    """On a database with a schema; with an account of its own."""
    db = Database(url)
    account = new_id("acct")
    row = {"id": account, "email": f"{account}@example.com", "plan": "free", "created_at": datetime.now(UTC)}
    try:
        async with db.write() as connection:
            await connection.execute(insert(tables.accounts), row)
        async with client_for_receivers([LOOPBACK]) as http:
            yield Post(db, Keyring([secret or secrets.token_bytes(32)]), http, account)
    finally:
        await db.close()


@asynccontextmanager
async def at_work(deliverer: Deliverer) -> AsyncIterator[Deliverer]:
    """As in a worker, but that it looks more often."""

    over = False

    async def loop() -> None:
        while not over:
            deliverer.woken.clear()
            await deliverer.look()
            with suppress(TimeoutError):
                await asyncio.wait_for(deliverer.woken.wait(), 0.05)

    task = asyncio.create_task(loop())
    try:
        yield deliverer
    finally:
        over = True
        deliverer.wake()
        await task
        await deliverer.drain(0.0)
        await deliverer.give_back_all()


def check_signatures(got: Got, secret: str) -> None:
    """With the library of Standard Webhooks, and by hand from what the reference says."""
    Webhook(secret).verify(got.body, got.headers)
    by_hand = hmac.new(secret.encode(), got.body, hashlib.sha256).hexdigest()
    assert got.headers["x-calsync-signature"] == by_hand
