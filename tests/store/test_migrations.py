"""The migrations lead to the schema that the code is written for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from calendarsync.store.database import Database
from calendarsync.store.tables import metadata


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": True}
    )
    return list(compare_metadata(context, metadata))


def keys_of_tables(connection: Connection) -> dict[str, object]:
    """What Alembic does not compare: primary keys, and what happens to rows whose parent goes."""
    inspector = inspect(connection)
    return {
        name: (
            inspector.get_pk_constraint(name)["constrained_columns"],
            sorted(
                (key["constrained_columns"], key["referred_table"], key["options"])
                for key in inspector.get_foreign_keys(name)
            ),
        )
        for name in metadata.tables
    }


async def test_upgrade_from_nothing_gives_the_tables_of_the_code(tmp_path: Path) -> None:
    migrated, made = Database(f"sqlite:///{tmp_path}/a.sqlite3"), Database(f"sqlite:///{tmp_path}/b.sqlite3")
    await migrated.migrate()
    async with made.write() as connection:
        await connection.run_sync(metadata.create_all)
        expected = await connection.run_sync(keys_of_tables)
    async with migrated.write() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(keys_of_tables) == expected
        await connection.exec_driver_sql("ALTER TABLE pairs DROP COLUMN removal")
        assert await connection.run_sync(differences) != []
    await migrated.close()
    await made.close()


async def test_a_second_upgrade_keeps_everything(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/test.sqlite3")
    await database.migrate()
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO kept_copies VALUES ('calendar', 'copy')"))
    await database.migrate()
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT copy_id FROM kept_copies"))).scalar_one() == "copy"
    await database.close()


async def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys; from calendarsync.store.database import Database;"
        "asyncio.run(Database(sys.argv[1]).migrate())"
    )
    url = f"sqlite:///{tmp_path}/new/test.sqlite3"
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", script, url, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in processes:
        _, errors = await process.communicate()
        assert process.returncode == 0, errors


async def test_a_failed_upgrade_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_late(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE half (id INTEGER)")
        raise RuntimeError("on purpose")

    database = Database(f"sqlite:///{tmp_path}/test.sqlite3")
    monkeypatch.setattr("calendarsync.store.sqlite.upgrade", fail_late)
    with pytest.raises(RuntimeError, match="on purpose"):
        await database.migrate()
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM sqlite_master"))).scalar_one() == 0
    await database.close()


def test_a_wheel_brings_the_migrations(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "calendarsync/store/migrations/env.py" in names
    assert "calendarsync/store/migrations/versions/v0001_first_schema.py" in names
    assert "calendarsync/api/docs.css" in names
