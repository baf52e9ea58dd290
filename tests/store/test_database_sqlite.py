"""What is particular to the embedded database: its file, its driver, and other processes beside it."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import OperationalError

from calendarsync.store.database import Database
from calendarsync.store.tables import kept_copies
from tests.store.kept import count, row


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/deep/er/test.sqlite3")
    await database.migrate()
    yield database
    await database.close()


async def test_many_writers_queue(database: Database) -> None:
    async def write(number: int) -> None:
        async with database.write() as connection:
            before = (await connection.execute(select(func.count()).select_from(kept_copies))).scalar_one()
            await asyncio.sleep(0)
            await connection.execute(insert(kept_copies).values(row(before)))

    await asyncio.gather(*(write(number) for number in range(50)))
    assert await count(database) == 50


_OTHER_PROCESS = """
import asyncio, sys
from sqlalchemy import insert, select
from calendarsync.store.database import Database
from calendarsync.store.tables import kept_copies

async def main():
    database = Database(sys.argv[1])
    for number in range(100):
        async with database.write() as connection:
            (await connection.execute(select(kept_copies))).all()
            await connection.execute(insert(kept_copies).values(calendar_key="other", copy_id=str(number)))
    await database.close()

asyncio.run(main())
"""


async def test_another_process_may_write_at_the_same_time(database: Database, tmp_path: Path) -> None:
    """Both read first: a transaction that turns into a writing one late is refused at once."""
    url = f"sqlite:///{tmp_path}/deep/er/test.sqlite3"
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _OTHER_PROCESS, url, stderr=subprocess.PIPE
    )
    number = 0
    while other.returncode is None:
        async with database.write() as connection:
            (await connection.execute(select(kept_copies))).all()
            await connection.execute(insert(kept_copies).values(row(number)))
        number += 1
        await asyncio.sleep(0.001)
    assert other.returncode == 0, (await other.communicate())[1]
    assert await count(database) == 100 + number


async def test_a_statement_makes_one_trip_to_the_thread(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.write() as connection:
        await connection.execute(insert(kept_copies), [row(number) for number in range(3)])
    trips = 0
    execute = aiosqlite.Connection._execute

    async def counted(*given: Any, **named: Any) -> Any:
        nonlocal trips
        trips += 1
        return await execute(*given, **named)

    monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
    async with database.write() as connection:
        found = await connection.execute(select(kept_copies.c.copy_id).order_by(kept_copies.c.copy_id))
        assert list(found.scalars()) == ["0", "1", "2"]
        gone = await connection.execute(delete(kept_copies).where(kept_copies.c.copy_id != "1"))
        assert gone.rowcount == 2
    assert trips == 3  # with COMMIT
    assert await count(database) == 1


async def test_only_the_owner_may_read_the_files(database: Database, tmp_path: Path) -> None:
    async with database.write() as connection:
        await connection.execute(insert(kept_copies).values(row(1)))
        folder = tmp_path / "deep" / "er"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        assert names == dict.fromkeys(names, 384)
        assert set(names) >= {"test.sqlite3", "test.sqlite3-wal"}


async def test_settings_of_the_file(database: Database, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "deep" / "er" / "test.sqlite3")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    async with database.write() as writer:
        for pragma, value in (("foreign_keys", 1), ("synchronous", 1), ("busy_timeout", 30_000)):
            assert (await writer.exec_driver_sql(f"PRAGMA {pragma}")).scalar_one() == value


async def test_nothing_runs_outside_a_transaction_where_its_begin_failed(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who catches the error and goes on must not write in autocommit."""
    monkeypatch.setattr("calendarsync.store.sqlite._BUSY_SECONDS", 0)
    impatient = Database(f"sqlite:///{tmp_path}/deep/er/test.sqlite3")
    path = tmp_path / "deep" / "er" / "test.sqlite3"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def go_on_after_an_error() -> None:
        async with impatient.write() as connection:
            with suppress(OperationalError):
                await connection.execute(insert(kept_copies).values(row(1)))
            other.close()
            await connection.execute(insert(kept_copies).values(row(2)))
            raise LookupError

    with pytest.raises(LookupError):
        await go_on_after_an_error()
    assert await count(database) == 0
    await impatient.close()
