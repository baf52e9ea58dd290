"""The second lock, on PostgreSQL: SQL that forgot whom it serves reaches nothing of anybody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from sqlalchemy import DateTime, String, Table, TypeDecorator, delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from calendarsync.store import postgresql, tables
from calendarsync.store.database import Database
from calendarsync.store.postgresql_tenancy import SpeakingConnection
from calendarsync.store.tenancy import OF_ACCOUNT, OF_PARENT, OWNED, Tenant
from tests.testbed.postgresql import PostgresqlServer

TENANTS = [Tenant(account, mode) for account in "ab" for mode in ("live", "test")]
A, *OTHERS = TENANTS
UNLOCKED = {
    "installation": "one row, which is nobody's",
    "operations": "only its run tells whose one is, and to look there for every row is not cheap",
}
LOCKED = [table for table in tables.metadata.sorted_tables if table.name not in UNLOCKED]
SEEN_BY_CALLERS = {*OWNED, *OF_ACCOUNT, tables.accounts}

every_table = pytest.mark.parametrize("table", LOCKED, ids=str)


def name_of(tenant: Tenant) -> str:
    return f"{tenant.account_id}_{tenant.mode}"


def key(table: Table) -> Any:
    """The column that tells in these tests whose a row is."""
    name = OF_PARENT.get(table)
    if name:
        return table.c[name]
    texts = (column for column in table.primary_key if isinstance(column.type, String))
    return next(column for column in texts if column.name not in {"account_id", "mode"})


def row(table: Table, tenant: Tenant, **given: object) -> dict[str, object]:
    """Whatever is required; each text is the name of the tenant, and so are the ids."""
    made: dict[str, object] = {}
    for column in table.c:
        if column.name in {"account_id", "mode"}:
            made[column.name] = getattr(tenant, column.name)
        elif not column.nullable and column is not table.autoincrement_column:
            kind: Any = column.type.impl if isinstance(column.type, TypeDecorator) else column.type
            made[column.name] = (
                datetime(2026, 3, 2, tzinfo=UTC) if isinstance(kind, DateTime) else _plain(kind, tenant)
            )
    if table is tables.accounts:
        made["id"] = tenant.account_id
    return made | given


def _plain(kind: Any, tenant: Tenant) -> object:
    values = {str: name_of(tenant), bytes: b"sealed", int: 0, bool: False, object: {}}
    return values[kind.python_type]


@pytest.fixture
async def database(postgresql_database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """A row of everything for each tenant, and a pool of one connection, which all transactions share."""
    monkeypatch.setattr(postgresql, "CONNECTIONS", 1)
    database = Database(postgresql_database)
    async with database.write() as db:
        for table in LOCKED:
            for tenant in TENANTS:
                if table is not tables.accounts or tenant.mode == "live":
                    await db.execute(insert(table), row(table, tenant))
            if table is tables.connections:
                more = {"id": "a_second", "calendar_key": "second", "account_id": "a", "mode": "live"}
                await db.execute(insert(table), row(table, A, **more))
    yield database
    await database.close()


def owners(table: Table) -> set[str]:
    """Whose rows there are, by `key`."""
    if table is tables.accounts:
        return {"a", "b"}
    return {name_of(tenant) for tenant in TENANTS} | ({"a_second"} if table is tables.connections else set())


def own(table: Table) -> set[str]:
    """What of them A may see."""
    if table not in SEEN_BY_CALLERS:
        return set()
    if table in OF_ACCOUNT:
        return {"a_live", "a_test"}
    return owners(table) & {"a", "a_live", "a_second"}


async def seen(db: Any, table: Table) -> set[str]:
    return set((await db.execute(select(key(table)))).scalars())


class _UndoneError(Exception):
    pass


@every_table
async def test_statements_without_a_condition(database: Database, table: Table) -> None:
    async with database.read() as db:
        assert await seen(db, table) == owners(table)
    async with database.read_as(A) as db:
        assert await seen(db, table) == own(table)
    column = key(table)
    for statement in (update(table).values({column: column}), delete(table)):
        with suppress(_UndoneError):
            async with database.write_as(A) as db:
                touched = await db.execute(statement.returning(column))
                assert set(touched.scalars()) == own(table)
                raise _UndoneError


@every_table
@pytest.mark.parametrize("other", OTHERS, ids=name_of)
async def test_rows_of_others_are_not_written(database: Database, table: Table, other: Tenant) -> None:
    if table in OF_ACCOUNT | {tables.accounts} and other.account_id == A.account_id:
        return  # an account's rows are those of both its modes
    async with database.write() as db:
        await db.execute(delete(table).where(key(table).in_({name_of(other), other.account_id})))
    async with database.write_as(A) as db:
        with pytest.raises(DBAPIError, match="violates row-level security policy"):
            await db.execute(insert(table), row(table, other))
    if table in OWNED | OF_ACCOUNT:
        theirs = {"account_id": other.account_id, "mode": other.mode}
        given = {name: value for name, value in theirs.items() if name in table.c}
        async with database.write_as(A) as db:
            with pytest.raises(DBAPIError, match="violates row-level security policy"):
                await db.execute(update(table).values(given))


async def test_no_pair_of_ones_own_has_a_connection_of_others(database: Database) -> None:
    async with database.write_as(A) as db:
        await db.execute(update(tables.pairs).values(connection_b_id="a_second"))
        for side in ("connection_a_id", "connection_b_id"):
            for other in OTHERS:
                stolen = {"id": "stolen", "connection_b_id": "a_second", side: name_of(other)}
                savepoint = await db.begin_nested()
                with pytest.raises(DBAPIError, match="violates row-level security policy"):
                    await db.execute(insert(tables.pairs), row(tables.pairs, A, **stolen))
                await savepoint.rollback()


@every_table
async def test_a_transaction_that_speaks_for_nobody(database: Database, table: Table) -> None:
    raw = await database.connect_raw()
    for transaction in ("BEGIN", "BEGIN; SET LOCAL calendarsync.mode = 'live'"):
        await raw.execute(transaction)
        assert await raw.fetch(f'SELECT FROM "{table.name}"') == []
        for change in (f'DELETE FROM "{table.name}"', f'UPDATE "{table.name}" SET {key(table).name} = NULL'):
            assert (await raw.execute(change)).endswith(" 0")
        await raw.execute("ROLLBACK")
    await raw.close()


async def alone(database: Database) -> tuple[set[str], str | None]:
    """What the connection of the pool sees, and whom it knows, when nothing says whom it speaks for."""
    engine = database._engine
    assert isinstance(engine, postgresql.Postgresql)
    async with engine._engine.connect() as db:
        known = await db.execute(select(func.current_setting("calendarsync.account", True)))
        return await seen(db, tables.pairs), known.scalar_one()


async def test_nothing_is_left_for_the_next_transaction(database: Database) -> None:
    async def fail(tenant: Tenant, statement: str) -> None:
        async with database.write_as(tenant) as db:
            await seen(db, tables.pairs)
            await db.execute(text(statement))

    assert await alone(database) == (set(), "")
    for tenant in (A, OTHERS[-1]):
        async with database.read_as(tenant) as db:
            assert await seen(db, tables.pairs) == {name_of(tenant)}
        assert await alone(database) == (set(), "")
        with pytest.raises(DBAPIError):
            await fail(tenant, "SELECT 1 / 0")
        assert await alone(database) == (set(), "")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fail(tenant, "SELECT pg_sleep(60)"), 0.2)
        assert (await alone(database))[0] == set()
        async with database.read() as db:
            assert len(await seen(db, tables.pairs)) == len(TENANTS)
        assert await alone(database) == (set(), "")


async def test_a_setting_of_the_session_does_not_make_a_tenant_the_engine(database: Database) -> None:
    async with database.write() as db:
        await db.execute(text("SELECT set_config('calendarsync.account', '*', false)"))
    assert len((await alone(database))[0]) == len(TENANTS)
    async with database.read_as(A) as db:
        assert await seen(db, tables.pairs) == {"a_live"}


async def test_it_travels_with_begin(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    execute = asyncpg.Connection.execute

    async def note(self: Any, query: str, *given: Any, **options: Any) -> Any:
        sent.append(query)
        return await execute(self, query, *given, **options)

    monkeypatch.setattr(asyncpg.Connection, "execute", note)
    async with database.read_as(A) as db:
        for name, value in {
            "transaction_isolation": "repeatable read",
            "transaction_read_only": "on",
            "calendarsync.account": "a",
            "calendarsync.mode": "live",
        }.items():
            assert (await db.execute(select(func.current_setting(name)))).scalar_one() == value
        assert sent == [
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
            "SET LOCAL calendarsync.account = 'a'; SET LOCAL calendarsync.mode = 'live'"
        ]


async def test_a_begin_that_fails_half_way_leaves_no_transaction(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "settings_of", lambda _: "SELECT 1 / 0")
    async with database.read() as db:
        with pytest.raises(DBAPIError, match="division by zero"):
            await seen(db, tables.pairs)
    monkeypatch.undo()
    async with database.read_as(A) as db:
        assert await seen(db, tables.pairs) == {"a_live"}


@pytest.mark.parametrize("wrong", ["*", "", "a'", "a; b", "a b", "ä", "a\n", "a\\", "a" * 65])
async def test_what_is_no_id_is_refused(database: Database, wrong: str) -> None:
    for tenant in (Tenant(wrong, "live"), Tenant("a", wrong)):
        for transaction in (database.read_as, database.write_as):
            with pytest.raises(ValueError, match="letters, digits"):
                async with transaction(tenant):
                    pass


async def test_every_table_is_locked_for_its_owner_too(
    database: Database, postgresql_server: PostgresqlServer, postgresql_database: str
) -> None:
    query = "SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity"
    async with database.read() as db:
        assert set((await db.execute(text(query))).scalars()) == {table.name for table in LOCKED}
    assert not await database.role_passes_policies()
    superuser = Database(postgresql_server.as_administrator(postgresql_database))
    assert await superuser.role_passes_policies()
    await superuser.close()


def test_a_connection_speaks_for_nobody_by_itself() -> None:
    assert SpeakingConnection.speaks == ""
