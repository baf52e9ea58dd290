"""Every query of the store is bound to a tenant, or to an id that the engine has."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from sqlalchemy.exc import NoResultFound
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync import store
from calendarsync.store.claims import ClaimLost
from calendarsync.store.database import Database
from calendarsync.store.tables import (
    metadata,
)
from calendarsync.store.tenancy import (
    ACCOUNT,
    MODE,
    OF_ACCOUNT,
    OF_INSTALLATION,
    OF_PARENT,
    OWNED,
)
from tests.store.binding import AT_LARGE, CALLER, ENGINE, unbound
from tests.store.made_up import TENANT, calls, fill
from tests.store.watching import Seen, unexcused, watching

FOLDER = Path(store.__path__[0])
OF_NEITHER = {
    "dialects": "its statements name no table of ours",
    "postgresql": "it executes nothing",
    "postgresql_migration": "it makes the tables",
    "reencryption": "it goes through all rows, and shows nobody what is in them",
}
"""Modules that take a connection, and serve neither callers nor the engine."""

Function = Callable[..., Coroutine[Any, Any, object]]


def functions() -> Iterator[tuple[str, Function]]:
    """All that take a connection, by `module.function`."""
    for found in pkgutil.iter_modules([str(FOLDER)]):
        module = importlib.import_module(f"calendarsync.store.{found.name}")
        for name, each in vars(module).items():
            mine = inspect.iscoroutinefunction(each) and each.__module__ == module.__name__
            if mine and not name.startswith("_") and AsyncConnection in get_type_hints(each).values():
                yield f"{found.name}.{name}", each


class _UndoneError(Exception):
    pass


@pytest.fixture
async def walked(database_url: str) -> list[Seen]:
    return await walk(database_url)


async def walk(url: str) -> list[Seen]:
    """What is executed when every function is called once, or as often as it takes to reach its statements."""
    database = Database(url)
    try:
        async with database.write() as db:
            await fill(db)
        with watching() as seen:
            for name, function in functions():
                before = len(seen)
                if name.split(".")[0] not in OF_NEITHER:
                    for arguments in calls(name, function):
                        await call(database, function, arguments)
                    assert len(seen) > before, f"{name} executed nothing"
        return seen
    finally:
        await database.close()


async def call(database: Database, function: Function, arguments: dict[str, Any]) -> None:
    """And undo it."""
    with suppress(_UndoneError):
        async with database.write() as db:
            with suppress(ClaimLost, NoResultFound):
                await function(db, **arguments)
            raise _UndoneError


async def test_every_query_is_bound(walked: list[Seen]) -> None:
    assert [problem for each in walked for problem in unexcused(each)] == []


async def test_what_is_bound_is_bound_to_the_tenant_of_the_call(walked: list[Seen]) -> None:
    expected = {
        ACCOUNT: TENANT.account_id,
        "account_id": TENANT.account_id,
        MODE: TENANT.mode,
        "mode": TENANT.mode,
    }
    checked = 0
    for each in walked:
        if each.module in CALLER:
            bound = each.all_parameters()
            for name in bound.keys() & expected.keys():
                assert bound[name] == expected[name], each
                checked += 1
    assert checked > 40


async def test_the_walk_reaches_every_statement(quick_folder: Path, postgresql_database: str) -> None:
    sqlite = f"sqlite:///{quick_folder / 'calendarsync.sqlite3'}"
    reached = {each.place for url in (sqlite, postgresql_database) for each in await walk(url)}
    missed = [
        f"{module}:{call.lineno}"
        for module in CALLER | ENGINE
        for call in executions((FOLDER / f"{module}.py").read_text())
        if not any((module, line) in reached for line in range(call.lineno, call.end_lineno + 1))
    ]
    assert missed == []


async def test_nothing_is_excused_that_need_not_be(walked: list[Seen]) -> None:
    needed = {
        (function, table)
        for each in walked
        for table in unbound(each.statement, each.parameters, caller=each.module in CALLER)
        for function in each.functions
    }
    assert AT_LARGE.keys() - needed == set()


def executions(source: str) -> Iterator[Any]:
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "execute"
        ):
            yield node


def test_every_module_that_takes_a_connection_has_a_rule() -> None:
    assert {name.split(".")[0] for name, _ in functions()} == CALLER | ENGINE | OF_NEITHER.keys()


def test_statements_are_executed_in_the_store_alone() -> None:
    files = [path for path in FOLDER.parent.rglob("*.py") if path.parent != FOLDER]
    outside = [path.name for path in files if any(executions(path.read_text()))]
    assert [name for name in outside if name != "policies.py"] == []


def test_every_table_says_whose_its_rows_are() -> None:
    kinds = (OWNED, OF_ACCOUNT, frozenset(OF_PARENT), OF_INSTALLATION)
    assert sorted(table.name for kind in kinds for table in kind) == sorted(metadata.tables)
    for table in metadata.tables.values():
        assert ("account_id" in table.c) == (table in OWNED | OF_ACCOUNT)
    for table, column in OF_PARENT.items():
        assert column in table.c
