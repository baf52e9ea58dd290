"""`calendarsync secrets rotate`: whatever is encrypted, in whatever table, is encrypted with the newest secret."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import LargeBinary, insert, select

from calendarsync.cli.secrets import Count, reencrypt
from calendarsync.secrets import Keyring, SecretError
from calendarsync.store import reencryption
from calendarsync.store.database import Database
from calendarsync.store.tables import connections, metadata, webhooks
from tests.store.made_up import TENANT, fill

OLD, NEW = b"the secret that this was made with at first", b"the secret that came after it and is newer"
BEFORE, BETWEEN, AFTER = Keyring([OLD]), Keyring([NEW, OLD]), Keyring([NEW])


@pytest.fixture
async def db(database_url: str) -> Any:
    made = Database(database_url)
    yield made
    await made.close()


async def write(db: Database, keyring: Keyring) -> None:
    """One row of everything, with something in each encrypted column."""
    async with db.write() as connection:
        await fill(connection)
        for table in reencryption.encrypted_tables():
            key = reencryption.key_of(table)
            for found in (await connection.execute(select(key))).scalars().all():
                sealed = {
                    column: keyring.encrypt(f"{column} of {found}".encode(), found)
                    for column in reencryption.encrypted(table)
                }
                await connection.execute(table.update().where(key == found).values(sealed))


async def read(db: Database, keyring: Keyring) -> Mapping[str, bytes]:
    """What is encrypted, in the clear, by what it says itself to be. Raises SecretError."""
    found = {}
    async with db.read() as connection:
        for table in reencryption.encrypted_tables():
            key = reencryption.key_of(table)
            for row in (await connection.execute(select(table))).mappings():
                for column in reencryption.encrypted(table):
                    found[f"{column} of {row[key]}"] = keyring.decrypt(row[column], row[key])
    return found


def columns() -> set[str]:
    tables = reencryption.encrypted_tables()
    return {str(column) for table in tables for column in reencryption.encrypted(table)}


def in_all(counts: Mapping[str, Count], name: str) -> int:
    return sum(getattr(count, name) for count in counts.values())


async def test_no_column_is_left_with_an_older_secret(db: Database) -> None:
    await write(db, BEFORE)
    there = await read(db, BEFORE)
    assert {name.partition(" of ")[0] for name in there} == columns(), "fill() knows a row of each table"
    counts = await reencrypt(db, BETWEEN)
    assert {name.encode() for name in there} == set(there.values())
    assert await read(db, AFTER) == there
    with pytest.raises(SecretError):
        await read(db, BEFORE)
    assert in_all(counts, "renewed") == len(there)
    assert (in_all(counts, "current"), in_all(counts, "unreadable")) == (0, 0)
    again = await reencrypt(db, BETWEEN)
    assert (in_all(again, "renewed"), in_all(again, "current")) == (0, len(there))


def test_every_column_of_bytes_is_one_that_is_found() -> None:
    """What is stored as bytes is encrypted, and is found by its name; each such table has a key of one column."""
    everything = [column for table in metadata.tables.values() for column in table.c]
    assert {str(column) for column in everything if isinstance(column.type, LargeBinary)} == columns()
    for table in reencryption.encrypted_tables():
        reencryption.key_of(table)


async def test_many_rows_go_in_small_batches_and_an_interrupted_one_goes_on(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(db, BEFORE)
    async with db.write() as connection:
        row = (await connection.execute(select(webhooks))).mappings().first()
        assert row is not None
        for number in range(250):
            key = f"whk_more{number:03}"
            sealed = {name: BEFORE.encrypt(b"x", key) for name in row if name.endswith("_encrypted")}
            await connection.execute(insert(webhooks).values({**row, "id": key, **sealed}))
    pages = []
    sealed_rows = reencryption.sealed_rows

    async def stop_after_the_fourth(*given: Any, **more: Any) -> Any:
        pages.append(given[1].name)
        if pages.count("webhooks") == 3:
            raise KeyboardInterrupt
        return await sealed_rows(*given, **more)

    monkeypatch.setattr(reencryption, "sealed_rows", stop_after_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        await reencrypt(db, BETWEEN)
    monkeypatch.undo()
    counts = await reencrypt(db, BETWEEN)
    assert counts["webhooks"].current == 200 * 3
    assert counts["webhooks"].renewed == 51 * 3
    assert len(await read(db, AFTER)) > 700


async def test_who_writes_meanwhile_has_the_last_word(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await write(db, BEFORE)
    newer = BEFORE.encrypt(b"newer", "conn_a")
    sealed_rows = reencryption.sealed_rows

    async def then_changed(connection: Any, table: Any, **more: Any) -> Any:
        found = await sealed_rows(connection, table, **more)
        if table is connections:
            mine = connections.c.id == "conn_a"
            await connection.execute(connections.update().where(mine).values(credentials_encrypted=newer))
        return found

    monkeypatch.setattr(reencryption, "sealed_rows", then_changed)
    counts = await reencrypt(db, BETWEEN)
    monkeypatch.undo()
    assert (await read(db, BETWEEN))["connections.credentials_encrypted of conn_a"] == b"newer"
    assert counts["connections"].renewed == 1, "the other one"


async def test_what_cannot_be_read_is_counted_and_left(db: Database) -> None:
    await write(db, Keyring([b"a secret that has been lost in the meantime"]))
    counts = await reencrypt(db, BETWEEN)
    assert in_all(counts, "unreadable") >= len(columns())
    assert in_all(counts, "renewed") == 0


@pytest.fixture
def installation(quick_folder: Path) -> Mapping[str, str]:
    return {
        "CALENDARSYNC_DATABASE_URL": f"sqlite:///{quick_folder}/calendarsync.sqlite3",
        "PATH": str(Path(sys.executable).parent),
    }


def run(environment: Mapping[str, str], secrets: bytes) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "calendarsync", "secrets", "rotate"],
        env={**environment, "CALENDARSYNC_SECRET_KEY": secrets.decode()},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_tells_what_it_did(installation: Mapping[str, str]) -> None:
    first = run(installation, OLD)
    assert first.returncode == 0, first.stderr
    done = run(installation, NEW + b"," + OLD)
    assert done.returncode == 0, done.stderr
    assert "grants: 0 encrypted anew" in done.stdout
    assert "Keep the older secrets set" in done.stdout
    alone = run(installation, b"a secret that nobody has ever heard of before")
    assert alone.returncode == 2
    assert "another secret" in alone.stderr


async def test_the_command_fails_where_something_cannot_be_read(
    installation: Mapping[str, str], quick_folder: Path
) -> None:
    db = Database(installation["CALENDARSYNC_DATABASE_URL"])
    await write(db, Keyring([b"a secret that has been lost in the meantime"]))
    async with db.write() as connection:
        await connection.execute(metadata.tables["installation"].delete())
    await db.close()
    failed = run(installation, NEW)
    assert failed.returncode == 1
    assert "Error: grants: 2 cannot be read with any secret that is set" in failed.stderr
    assert TENANT.account_id not in failed.stdout
