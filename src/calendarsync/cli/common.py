"""What the commands share: readable failures, an opened database, lists as table or JSON."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn, TypeVar

import typer
from sqlalchemy.exc import SQLAlchemyError

from calendarsync.secrets import SecretError
from calendarsync.settings import Settings, SettingsError
from calendarsync.store.database import Database
from calendarsync.store.errors import DatabaseUnavailable, SchemaError

Result = TypeVar("Result")

FAILED = 1
USAGE = 2


def fail(message: object, code: int = FAILED) -> NoReturn:
    """End the command with a message for people; scripts have the exit status."""
    for line in str(message).splitlines():
        typer.echo(f"Error: {line}", err=True)
    raise typer.Exit(code)


def printable(text: str) -> str:
    """Without what a terminal would act on."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


def load_settings() -> Settings:
    try:
        return Settings.load()
    except SettingsError as error:
        fail(error, USAGE)


def with_database(work: Callable[[Database, Settings], Awaitable[Result]]) -> Result:
    """Run `work` on the database of the settings. An embedded one is brought up to date first."""
    settings = load_settings()

    async def run() -> Result:
        database = Database(settings.database_url)
        try:
            await (database.migrate() if database.backend == "sqlite" else database.ensure_schema())
            return await work(database, settings)
        finally:
            await database.close()

    with readable_failures():
        return asyncio.run(run())


def read_key(file: Path | None) -> str | None:
    """The API key in a file; None where the environment has it."""
    try:
        return None if file is None else file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"the key cannot be read: {getattr(error, 'strerror', None) or 'not text in UTF-8'}", USAGE)


async def find_account(database: Database, email_or_id: str) -> str:
    """The id of an account that there has to be."""
    from calendarsync.accounts.accounts import find_account_id

    return await find_account_id(database, email_or_id) or fail(f"there is no account {email_or_id!r}")


def configure_logs() -> None:
    """Ours, and of libraries only what we do not tell ourselves."""
    from calendarsync.observability import configure_logging

    configure_logging()
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it announces its plugins at every start
    logging.getLogger("pgqueuer").setLevel(logging.CRITICAL)  # a connection that is cut is an error to it


async def warn_of_role(database: Database) -> None:
    """Say where the second lock between accounts is not there (docs/decisions/row-level-security.md)."""
    from calendarsync.observability import get_logger

    if await database.role_passes_policies():
        get_logger(__name__).warning(
            "row-level security does not hold",
            reason="the role of the database's address is a superuser or has BYPASSRLS; use an ordinary one",
        )


@contextmanager
def readable_failures() -> Iterator[None]:
    """What keeps a database from being used becomes one line, not a traceback."""
    try:
        yield
    except (SecretError, DatabaseUnavailable, SchemaError) as error:
        fail(error, USAGE)
    except (SQLAlchemyError, OSError) as error:
        fail(f"the database cannot be used: {reason_of(error)}", USAGE)


def listen_on(host: str, port: int, *, backlog: int | None = None) -> socket.socket:
    """A socket that listens there; port 0 picks a free one."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=backlog)
    except OSError as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        fail(f"cannot listen on {host}, port {port}: {reason}")


def reason_of(error: Exception) -> str:
    """The cause in one line, without the statement that SQLAlchemy adds."""
    cause = getattr(error, "orig", None) or error
    return getattr(cause, "strerror", None) or str(cause).splitlines()[0]


def show(
    rows: Sequence[Mapping[str, object]], columns: Sequence[str], *, as_json: bool, nothing: str
) -> None:
    """Print rows: whole as JSON, or `columns` of them as a table for people."""
    plain = [{name: _plain(value) for name, value in row.items()} for row in rows]
    if as_json:
        typer.echo(json.dumps(plain, indent=2))
        return
    if not plain:
        typer.echo(nothing)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name.removesuffix("_at"), overflow="fold", no_wrap=name == "id")
    for row in plain:
        table.add_row(*("" if row[name] is None else str(row[name]) for name in columns))
    Console(highlight=False).print(table)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return value


def keep_what_is_there() -> None:
    """Spare the garbage collector what a process has loaded, which stays as long as it runs.

    A look through all of it stops every run for a tenth of a second and more, every few seconds under full load.
    """
    gc.collect()
    gc.freeze()
