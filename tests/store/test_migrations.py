"""The migrations lead to the schema that the code is written for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from shutil import copytree

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from calendarsync.store import postgresql, postgresql_migration, schema
from calendarsync.store.database import Database, SchemaOutdated
from calendarsync.store.errors import MigrationBlocked
from calendarsync.store.schema import revisions
from calendarsync.store.tables import metadata
from tests.store.migration_rules import violations
from tests.testbed.postgresql import PostgresqlServer


def is_ours(_object: object, name: str | None, kind: str, *_: object) -> bool:
    return kind != "table" or not (name or "").startswith("pgqueuer")


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(
        connection,
        opts={"compare_type": True, "compare_server_default": True, "include_object": is_ours},
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


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a database without a schema."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.sqlite3"
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    url = await asyncio.to_thread(server.make_database, migrated=False)
    yield url
    await asyncio.to_thread(server.drop_database, url)


async def test_upgrade_from_nothing_gives_the_tables_of_the_code(empty_url: str) -> None:
    database = Database(empty_url)
    async with database.write() as connection:
        await connection.run_sync(metadata.create_all)
        expected = await connection.run_sync(keys_of_tables)
        await connection.run_sync(metadata.drop_all)
    await database.migrate()
    async with database.write() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(keys_of_tables) == expected
        await connection.exec_driver_sql("ALTER TABLE pairs DROP COLUMN removal")
        assert await connection.run_sync(differences) != []
    await database.close()


async def test_a_second_upgrade_keeps_everything(database_url: str) -> None:
    database = Database(database_url)
    await database.migrate()
    async with database.write() as connection:
        await connection.execute(
            text("INSERT INTO kept_copies (calendar_key, copy_id) VALUES ('calendar', 'copy')")
        )
    await database.migrate()
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT copy_id FROM kept_copies"))).scalar_one() == "copy"
    await database.close()


async def test_whether_the_schema_is_current(empty_url: str) -> None:
    database = Database(empty_url)
    assert not await database.schema_is_current()
    with pytest.raises(SchemaOutdated, match="run: calendarsync migrate"):
        await database.ensure_schema()
    await database.migrate()
    await database.ensure_schema()
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.ensure_schema()  # a newer program has migrated; it has only added
    await database.close()


async def test_processes_that_start_together_migrate_once(empty_url: str) -> None:
    script = (
        "import asyncio, sys; from calendarsync.store.database import Database;"
        "asyncio.run(Database(sys.argv[1]).migrate())"
    )
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", script, empty_url, stderr=subprocess.PIPE)
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


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(postgresql._MIGRATION, "lock_timeout", "100ms")
    monkeypatch.setattr(postgresql_migration, "_PAUSES", (0.1, 0.1))


@pytest.mark.usefixtures("impatient")
async def test_a_migration_that_cannot_have_a_lock(
    postgresql_server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives up each time soon, so that nobody waits behind it, and says so in the end."""
    url = await asyncio.to_thread(postgresql_server.make_database)
    attempts = 0

    def change(connection: Connection) -> None:
        nonlocal attempts
        attempts += 1
        connection.exec_driver_sql("ALTER TABLE pairs ADD COLUMN x INTEGER")
        connection.commit()

    monkeypatch.setattr(postgresql_migration, "upgrade", change)
    database = Database(url)
    async with database.write() as connection:
        await connection.execute(text("LOCK TABLE pairs IN ACCESS SHARE MODE"))
        with pytest.raises(MigrationBlocked, match="run calendarsync migrate again"):
            await database.migrate()
    assert attempts == 3
    await database.migrate()
    await database.close()
    await asyncio.to_thread(postgresql_server.drop_database, url)


_INDEX_IN_USE = """
from contextlib import nullcontext

from alembic import op

revision = "9000"
down_revision = "NEWEST"


def upgrade():
    context = op.get_context()
    with context.autocommit_block() if context.dialect.name == "postgresql" else nullcontext():
        op.drop_index("ix_slow", "kept_copies", if_exists=True, postgresql_concurrently=True)
        op.create_index("ix_slow", "kept_copies", ["copy_id"], postgresql_concurrently=True)
"""


async def test_an_index_is_built_while_the_table_is_in_use(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the way that docs/decisions/migrations.md shows."""
    assert violations(_INDEX_IN_USE) == []
    copy = tmp_path / "migrations"
    copytree(schema.FOLDER, copy)
    (copy / "versions" / "v9000_index.py").write_text(_INDEX_IN_USE.replace("NEWEST", revisions()[0]))
    monkeypatch.setattr(schema, "FOLDER", copy)
    schema.revisions.cache_clear()
    database = Database(database_url)
    try:
        assert not await database.schema_is_current()
        await database.migrate()
        assert await database.schema_is_current()
    finally:
        monkeypatch.undo()
        schema.revisions.cache_clear()
    assert await database.schema_is_current()  # for the version before as well
    async with database.read() as connection:
        indexes = await connection.run_sync(lambda sync: inspect(sync).get_indexes("kept_copies"))
    assert {index["name"] for index in indexes} == {"ix_kept_copies_look_at", "ix_slow"}
    await database.close()


async def test_the_queues_own_tables_are_there(postgresql_database: str) -> None:
    database = Database(postgresql_database)
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM pgqueuer"))).scalar_one() == 0
    await database.close()


_QUEUES_TABLES = {"1e5896acb7fcc9a7": "0001"}
"""The digests of PgQueuer's tables, the newest last, and the revision of ours that each came with."""


def test_a_change_of_the_queues_tables_has_a_revision_of_ours() -> None:
    """Programs tell by our revision whether `migrate` has to be run.

    Where this fails after an update of PgQueuer: add a revision, an empty one if need be, and note both above.
    """
    from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment

    query = QueryBuilderEnvironment().build_install_query(create_schema=True)
    assert sha256(query.encode()).hexdigest()[:16] == list(_QUEUES_TABLES)[-1]
    each_with_its_own = [known for known in reversed(revisions()) if known in _QUEUES_TABLES.values()]
    assert list(_QUEUES_TABLES.values()) == each_with_its_own


def test_a_wheel_brings_the_migrations(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "calendarsync/store/migrations/env.py" in names
    assert "calendarsync/store/migrations/versions/v0001_first_schema.py" in names
    assert "calendarsync/api/docs.css" in names
