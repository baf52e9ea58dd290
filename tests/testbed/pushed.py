"""A served CalendarSync whose Google and Microsoft are models on this machine that call it back."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import SecretStr
from sqlalchemy import Row, Select

from calendarsync.accounts.accounts import create_account
from calendarsync.accounts.installation import open_installation
from calendarsync.api.v1.found import Found, row_of
from calendarsync.grants.flow import Granted
from calendarsync.grants.identity import Identity
from calendarsync.grants.storing import store_grant
from calendarsync.providers.base import DiscoveredCalendar
from calendarsync.secrets import Keyring
from calendarsync.settings import Settings
from calendarsync.store import pairs as pair_store
from calendarsync.store.connections import get_connections, insert_connection
from calendarsync.store.database import Database
from calendarsync.store.ids import new_id
from calendarsync.store.tenancy import Tenant
from tests.testbed.process import free_port, running

Result = TypeVar("Result")

SECRET = "a secret that only the test bed knows and nobody else"


class Person(Protocol):
    """Of either model's `Account` what is needed here."""

    @property
    def email(self) -> str: ...

    @property
    def token(self) -> str: ...


@dataclass(frozen=True)
class Pushed:
    """`database_url`: what the served installation works on; others may look into it."""

    url: str
    database_url: str
    keyring: Keyring
    tenant: Tenant

    def connect(self, provider: str, person: Person, calendar_id: str) -> str:
        """The id of a new connection, read with a grant of that person."""
        return work_on(self.database_url, lambda db: self._connect(db, provider, person, calendar_id))

    def pair(self, a: str, b: str, **values: Any) -> str:
        """The id of a new pair of connections, which is due at once."""
        return work_on(self.database_url, lambda db: self._pair(db, a, b, values))

    def rows(self, query: Select[Any]) -> list[Row[Any]]:
        async def read(db: Database) -> list[Row[Any]]:
            async with db.read() as connection:
                return list((await connection.execute(query)).all())

        return work_on(self.database_url, read)

    def switch(self, pair_id: str, status: str) -> None:
        """Pause a pair, or make it active."""

        async def write(db: Database) -> None:
            async with db.write_as(self.tenant) as connection:
                await pair_store.update_pair(connection, self.tenant, pair_id, {"status": status})

        work_on(self.database_url, write)

    async def _connect(self, db: Database, provider: str, person: Person, calendar_id: str) -> str:
        now = datetime.now(UTC)
        granted = Granted(
            provider, Identity(person.email, person.email), (), person.token, now + timedelta(days=1), "none"
        )
        calendar = DiscoveredCalendar(
            calendar_id,
            "A calendar",
            read_only=False,
            timezone="Europe/Berlin",
            owner_addresses=(person.email,),
        )
        key = sha256(f"{provider}\n{calendar_id}".encode()).hexdigest()
        connection_id = new_id("conn")
        async with db.write_as(self.tenant) as connection:
            grant_id = await store_grant(connection, self.tenant, self.keyring, granted, now=now)
            found = Found(provider, calendar, key, granted.subject_hashes(self.keyring)[0], {}, grant_id)
            row = row_of(self.keyring, connection_id, found, email=person.email, now=now)
            await insert_connection(connection, self.tenant, row)
        return connection_id

    async def _pair(self, db: Database, a: str, b: str, values: Mapping[str, Any]) -> str:
        now = datetime.now(UTC)
        row = {
            "id": new_id("pair"),
            "connection_a_id": a,
            "connection_b_id": b,
            "sync_mode": "full",
            "direction": "bidirectional",
            "options": {},
            "status": "active",
            "created_at": now,
            "due_at": now,
            "generation": 0,
            **values,
        }
        async with db.write_as(self.tenant) as connection:
            found = await get_connections(connection, self.tenant, (a, b))
            row |= {"calendar_a": found[a]["calendar_key"], "calendar_b": found[b]["calendar_key"]}
            await pair_store.insert_pairs(connection, self.tenant, [row])
        return str(row["id"])


@contextmanager
def pushed(
    folder: Path, database_url: str, api_urls: Mapping[str, str], *, poll_seconds: int = 86_400
) -> Iterator[Pushed]:
    """`api_urls`: where each provider's model is, by `google` and `microsoft`."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        "DATABASE_URL": database_url,
        "SECRET_KEY": SECRET,
        "PUBLIC_URL": url,
        "ALLOWED_PRIVATE_NETWORKS": "127.0.0.0/8",
        "POLL_INTERVAL_SECONDS": str(poll_seconds),
        **{f"{provider.upper()}_API_URL": api_url for provider, api_url in api_urls.items()},
    }
    given = [f"CALENDARSYNC_{name}={value}" for name, value in environment.items()]
    keyring, account_id = asyncio.run(_prepare(database_url))
    command = ["env", *given, sys.executable, "-m", "calendarsync", "serve", "--port", str(port)]
    with running(command, port, folder / "serve.log"):
        yield Pushed(url, database_url, keyring, Tenant(account_id, "live"))


async def _prepare(database_url: str) -> tuple[Keyring, str]:
    db = Database(database_url)
    try:
        await db.migrate()
        settings = Settings(database_url=database_url, secret_key=SecretStr(SECRET))
        keyring = await open_installation(settings, db)
        return keyring, await create_account(db, "you@example.com", now=datetime.now(UTC))
    finally:
        await db.close()


def work_on(database_url: str, work: Callable[[Database], Coroutine[Any, Any, Result]]) -> Result:
    """What `work` gives of the database, which is opened for it alone."""

    async def opened() -> Result:
        db = Database(database_url)
        try:
            return await work(db)
        finally:
            await db.close()

    return asyncio.run(opened())
