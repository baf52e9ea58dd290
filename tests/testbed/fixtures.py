"""Fixtures around the real servers. Each server runs once a session; a test makes its own calendars."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from calendarsync.store.database import Database
from tests.testbed.cyrus import cyrus_server, missing
from tests.testbed.dav import DavServer
from tests.testbed.google import Model as GoogleModel
from tests.testbed.google import running as running_google
from tests.testbed.microsoft import Model as MicrosoftModel
from tests.testbed.postgresql import OwnServer, PostgresqlServer, postgresql_missing, run_postgresql
from tests.testbed.radicale import radicale_server
from tests.testbed.xandikos import xandikos_server

SERVERS = ("radicale", "xandikos", "cyrus")

# Servers and databases wait for the disk at every write; where there is a file system in memory, tests need not.
_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture(scope="session")
def radicale() -> Iterator[DavServer]:
    """A Radicale seen as alice; `radicale.make_calendar()` returns a fresh calendar's URL."""
    with own_server("radicale") as server:
        yield server


@pytest.fixture(scope="session")
def xandikos() -> Iterator[DavServer]:
    """A Xandikos seen as alice; `xandikos.make_calendar()` returns a fresh calendar's URL."""
    with own_server("xandikos") as server:
        yield server


@pytest.fixture(scope="session")
def cyrus() -> Iterator[DavServer]:
    """A Cyrus seen as alice; `cyrus.make_calendar()` returns a fresh calendar's URL."""
    with own_server("cyrus") as server:
        yield server


@contextmanager
def own_server(name: str) -> Iterator[DavServer]:
    """One of `SERVERS`, seen as alice, for one test alone; the test is skipped where it cannot run here."""
    with ExitStack() as stack:
        if name == "cyrus":
            reason = missing()
            if reason is not None:
                pytest.skip(reason)
            yield stack.enter_context(cyrus_server())
            return
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=_MEMORY)))
        start = radicale_server if name == "radicale" else xandikos_server
        yield stack.enter_context(start(folder / name))


@pytest.fixture(scope="session")
def google_server() -> Iterator[GoogleModel]:
    """A model of Google Calendar that all tests of this process share; tests take `google_model`."""
    with running_google() as model:
        yield model


@pytest.fixture
def google_model(google_server: GoogleModel) -> Iterator[GoogleModel]:
    """A model of Google Calendar; a request or answer that is not as Google describes it fails the test.

    Each test makes an account of its own: `google_model.account()`.
    """
    google_server.forget()
    yield google_server
    violations = list(google_server.violations)
    google_server.forget()
    assert not violations, "\n".join(violations)


def server_named(request: pytest.FixtureRequest, name: str) -> DavServer:
    """One of `SERVERS`, started if it does not run yet; the test is skipped where it cannot run here."""
    server = request.getfixturevalue(name)
    assert isinstance(server, DavServer)
    return server


@pytest.fixture(scope="session")
def empty_installation() -> Iterator[Path]:
    """The database of an installation in which nothing happened yet."""

    async def migrate(path: Path) -> None:
        db = Database(f"sqlite:///{path}")
        await db.migrate()
        await db.close()

    with tempfile.TemporaryDirectory(dir=_MEMORY) as folder:
        path = Path(folder) / "calendarsync.sqlite3"
        # In a thread: an asynchronous fixture that asks for this one by its name has a loop of its own running.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, migrate(path)).result()
        yield path


@pytest.fixture
def quick_folder(empty_installation: Path) -> Iterator[Path]:
    """A folder in memory with the database of a fresh installation: creating one takes longer than most tests."""
    with tempfile.TemporaryDirectory(dir=_MEMORY) as folder:
        shutil.copy(empty_installation, folder)
        yield Path(folder)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """A PostgreSQL of this test process, or the one that was given."""
    reason = postgresql_missing()
    if reason is not None:
        pytest.skip(reason)
    with run_postgresql(_MEMORY) as server:
        yield server


@pytest.fixture
def own_postgresql(postgresql_server: PostgresqlServer) -> OwnServer:
    """The process of the server, for tests that stop it; they are left out where a server was given."""
    assert postgresql_server.own is not None
    return postgresql_server.own


@pytest.fixture
def postgresql_database(postgresql_server: PostgresqlServer) -> Iterator[str]:
    """The URL of a database of PostgreSQL that is migrated and empty."""
    url = postgresql_server.make_database()
    yield url
    postgresql_server.drop_database(url)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database that is migrated and empty, on either backend."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgresql_database")
        return url
    return f"sqlite:///{request.getfixturevalue('quick_folder') / 'calendarsync.sqlite3'}"


@pytest.fixture(scope="session")
def microsoft_server() -> Iterator[MicrosoftModel]:
    """A model of Microsoft Graph, for all tests of the session; a test makes its own accounts."""
    model = MicrosoftModel().start()
    yield model
    model.stop()


@pytest.fixture
def microsoft_model(microsoft_server: MicrosoftModel) -> Iterator[MicrosoftModel]:
    """The model of Microsoft Graph; a request or answer that breaks Graph's own description fails the test."""
    microsoft_server.reset()
    yield microsoft_server
    violations = list(microsoft_server.violations)
    microsoft_server.reset()
    assert not violations, "\n".join(violations)
