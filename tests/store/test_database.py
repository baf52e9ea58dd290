"""Transactions: one writer, many readers, nobody turned away."""

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
from sqlalchemy.exc import IntegrityError, OperationalError

from calendarsync.store.database import Database
from calendarsync.store.tables import installation, kept_copies, links


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/deep/er/test.sqlite3")
    await database.migrate()
    yield database
    await database.close()


async def count(database: Database) -> int:
    async with database.read() as connection:
        found: int = (await connection.execute(select(func.count()).select_from(kept_copies))).scalar_one()
        return found


def row(number: int) -> dict[str, str]:
    return {"calendar_key": "calendar", "copy_id": str(number)}


async def test_a_write_is_committed_or_undone_whole(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(insert(kept_copies).values(row(1)))
    with suppress(ZeroDivisionError):
        async with database.write() as connection:
            await connection.execute(insert(kept_copies).values(row(2)))
            _ = 1 / 0
    assert await count(database) == 1


async def test_a_cancelled_write_is_undone_and_holds_up_nobody(database: Database) -> None:
    started = asyncio.Event()

    async def write_forever() -> None:
        async with database.write() as connection:
            await connection.execute(insert(kept_copies).values(row(1)))
            started.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(write_forever())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5), database.write() as connection:
        await connection.execute(insert(kept_copies).values(row(2)))
    assert await count(database) == 1


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


async def test_a_reader_sees_one_state(database: Database) -> None:
    query = select(func.count()).select_from(kept_copies)
    async with database.read() as connection:
        assert (await connection.execute(query)).scalar_one() == 0
        async with database.write() as writer:
            await writer.execute(insert(kept_copies).values(row(1)))
        assert (await connection.execute(query)).scalar_one() == 0
    assert await count(database) == 1


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


async def test_a_reader_cannot_write(database: Database) -> None:
    async with database.read() as connection:
        with pytest.raises(OperationalError, match="readonly"):
            await connection.execute(insert(kept_copies).values(row(1)))


async def test_a_second_write_within_the_first_is_an_error_not_a_deadlock(database: Database) -> None:
    async with database.write():
        with pytest.raises(RuntimeError, match="already"):
            async with database.write():
                pass
    async with database.write():
        pass


async def test_references_are_kept(database: Database) -> None:
    values = {column.name: "x" for column in links.c if column.name not in ("id", "respected")}
    values |= {"generation": 0, "restores": 0, "pair_id": "pair_nothere"}
    async with database.write() as connection:
        with pytest.raises(IntegrityError, match="FOREIGN KEY"):
            await connection.execute(insert(links).values(**values, respected=[]))


async def test_what_was_bound_is_not_in_the_message(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(insert(installation).values(id=1, secret_check="canary"))
        with pytest.raises(IntegrityError) as caught:
            await connection.execute(insert(installation).values(id=1, secret_check="canary"))
    assert "canary" not in str(caught.value)


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


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql+asyncpg://user:canary@localhost/db", "names no driver"),
        ("mysql://user:canary@localhost/db", "not supported"),
        ("sqlite://", "sqlite:///path"),
        ("sqlite:///:memory:", "sqlite:///path"),
        ("sqlite:///file:x?mode=memory", "sqlite:///path"),
        ("sqlite://host/path", "sqlite:///path"),
        ("/just/a/path", "not a database address"),
        ("", "not a database address"),
    ],
)
def test_addresses_that_cannot_be_used(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Database(url)
    assert "canary" not in str(caught.value)


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
