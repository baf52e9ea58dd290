"""An installation whose people grant access at an authorization server of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import insert, select, update

from calendarsync.accounts.accounts import create_account
from calendarsync.grants import Granted, Grants, Identity, store_grant
from calendarsync.grants.storing import open_tokens
from calendarsync.net import HttpClient
from calendarsync.providers.tokens import Tokens
from calendarsync.secrets import Keyring
from calendarsync.settings import Settings
from calendarsync.store.connections import seal_credentials
from calendarsync.store.database import Database
from calendarsync.store.tables import connections, grants, pairs
from calendarsync.store.tenancy import Tenant
from tests.testbed.oauth import CLIENT_ID, CLIENT_SECRET, OAuthServer

SECRET = "a secret that only tests know and nobody else"
GOOGLE_SCOPE = (
    "openid https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/calendar.events "
    "https://www.googleapis.com/auth/calendar.calendarlist.readonly"
)
MICROSOFT_SCOPE = "Calendars.ReadWrite User.Read profile openid email"
SCOPES = {"google": GOOGLE_SCOPE, "microsoft": MICROSOFT_SCOPE}


class Clock:
    """The time of every worker of a database."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass
class Place:
    """`worker()` makes another process's part: a database of its own, and grants of its own."""

    server: OAuthServer
    settings: Settings
    tenant: Tenant
    clock: Clock
    db: Database
    http: HttpClient
    keyring: Keyring
    grants: Grants
    others: list[Database] = field(default_factory=list)

    def worker(self) -> Grants:
        db = Database(self.settings.database_url, clock=self.clock)
        self.others.append(db)
        return Grants(db, self.keyring, self.http, self.settings)

    async def granted(self, provider: str = "google", email: str = "ann@example.com") -> str:
        """A stored grant whose access token has run out; its id."""
        granted = Granted(
            provider,
            Identity(f"subject of {email}", email),
            tuple(SCOPES[provider].split()),
            "canary-access-first",
            self.clock() - timedelta(seconds=1),
            self.server.family(email, SCOPES[provider]),
        )
        async with self.db.write_as(self.tenant) as db:
            return await store_grant(db, self.tenant, self.keyring, granted, now=self.clock())

    def tokens(self, grant_id: str) -> Tokens:
        return self.grants.tokens(grant_id)

    async def row(self, grant_id: str) -> dict[str, object]:
        async with self.db.read() as db:
            found = (await db.execute(select(grants).where(grants.c.id == grant_id))).mappings().one()
        return dict(found)

    async def refresh_token(self, grant_id: str) -> str | None:
        sealed = (await self.row(grant_id))["credentials_encrypted"]
        assert isinstance(sealed, bytes)
        return open_tokens(self.keyring, grant_id, sealed).refresh_token

    async def change(self, grant_id: str, **values: object) -> None:
        async with self.db.write() as db:
            await db.execute(update(grants).where(grants.c.id == grant_id).values(**values))

    async def connect(self, grant_id: str | None, connection_id: str, **values: object) -> str:
        """A connection that is read with a grant."""
        row = connection_row(self, grant_id, connection_id, **values)
        async with self.db.write() as db:
            await db.execute(insert(connections).values(**row))
        return connection_id

    async def pair(self, pair_id: str, a: str, b: str, **values: object) -> str:
        row = {
            "id": pair_id,
            "connection_a_id": a,
            "connection_b_id": b,
            "calendar_a": a,
            "calendar_b": b,
            "sync_mode": "full",
            "direction": "bidirectional",
            "options": {},
            "status": "active",
            "created_at": self.clock(),
            "due_at": self.clock() + timedelta(hours=1),
            "generation": 1,
            **self.tenant.values(),
            **values,
        }
        async with self.db.write() as db:
            await db.execute(insert(pairs).values(**row))
        return pair_id


def connection_row(
    at: Place, grant_id: str | None, connection_id: str, **values: object
) -> dict[str, object]:
    return {
        "id": connection_id,
        "provider": "google",
        "calendar_id": connection_id,
        "calendar_key": connection_id,
        "grant_hash": "grant",
        "calendar_name": connection_id,
        "owner_addresses": [],
        "read_only": False,
        "credentials_encrypted": seal_credentials(at.keyring, connection_id, {}),
        "status": "active",
        "created_at": at.clock(),
        "grant_id": grant_id,
        **at.tenant.values(),
        **values,
    }


def settings_for(server_url: str, database_url: str) -> Settings:
    return Settings(
        database_url=database_url,
        secret_key=SecretStr(SECRET),
        allowed_private_networks="127.0.0.0/8",  # type: ignore[arg-type] - parsed like the variable
        google_client_id=CLIENT_ID,
        google_client_secret=SecretStr(CLIENT_SECRET),
        google_auth_url=server_url,
        google_token_url=server_url,
        microsoft_client_id=CLIENT_ID,
        microsoft_client_secret=SecretStr(CLIENT_SECRET),
        microsoft_auth_url=server_url,
    )


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().running() as running:
        yield running


@pytest.fixture
async def at(server: OAuthServer, database_url: str) -> AsyncIterator[Place]:
    """On each kind of database."""
    async with place(server, database_url) as made:
        yield made


@pytest.fixture
async def here(server: OAuthServer, quick_folder: Path) -> AsyncIterator[Place]:
    """On SQLite alone, for what the database has no part in."""
    async with place(server, f"sqlite:///{quick_folder}/calendarsync.sqlite3") as made:
        yield made


@asynccontextmanager
async def place(server: OAuthServer, database_url: str) -> AsyncIterator[Place]:
    settings = settings_for(server.url, database_url)
    clock = Clock()
    server.now = clock
    db = Database(database_url, clock=clock)
    keyring = Keyring([SECRET.encode()])
    async with HttpClient(allowed_private_networks=[ip_network("127.0.0.0/8")]) as http:
        account = await create_account(db, "you@example.com", now=clock())
        grants = Grants(db, keyring, http, settings)
        made = Place(server, settings, Tenant(account, "live"), clock, db, http, keyring, grants)
        try:
            yield made
        finally:
            await grants.close()
            for each in (db, *made.others):
                await each.close()
