"""`calendarsync secrets …`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import typer
from sqlalchemy import RowMapping, Table
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.cli.common import FAILED, with_database
from calendarsync.secrets import Keyring, SecretError
from calendarsync.settings import Settings
from calendarsync.store.database import Database

app = typer.Typer(help="The installation's secret.", no_args_is_help=True)

_AT_ONCE = 100  # rows: with SQLite nobody else writes meanwhile


@app.callback()
def secrets() -> None:
    pass


@app.command()
def rotate() -> None:
    """Encrypt all that is stored with the newest secret, so that an older one is not needed for it.

    Put the new secret before the old one, with a comma between, and restart; then run this. Interrupted, it goes on
    where it stood when it is run again. Others may work meanwhile.
    """

    async def work(database: Database, settings: Settings) -> Mapping[str, Count]:
        from calendarsync.accounts.installation import open_installation

        keyring = await open_installation(settings, database)
        return await reencrypt(database, keyring)

    counts = with_database(work)
    for name, count in counts.items():
        typer.echo(f"{name}: {count.renewed} encrypted anew, {count.current} with the newest secret before")
    unreadable = {name: count.unreadable for name, count in counts.items() if count.unreadable}
    for name, number in unreadable.items():
        typer.echo(
            f"Error: {name}: {number} cannot be read with any secret that is set, and are left", err=True
        )
    typer.echo(
        "Keep the older secrets set: API keys, sessions and copies that were made with them are known by them."
    )
    if unreadable:
        raise typer.Exit(FAILED)


@dataclass(slots=True)
class Count:
    """Values of one table."""

    renewed: int = 0
    current: int = 0
    unreadable: int = 0


async def reencrypt(database: Database, keyring: Keyring) -> Mapping[str, Count]:
    """By table, what was done to its encrypted values."""
    from calendarsync.store.reencryption import encrypted_tables, key_of, sealed_rows

    counts = {table.name: Count() for table in encrypted_tables()}
    for table in encrypted_tables():
        after = ""
        while True:
            async with database.write() as connection:
                rows = await sealed_rows(connection, table, after=after, limit=_AT_ONCE)
                for row in rows:
                    await _renew(connection, keyring, table, row, counts[table.name])
            if not rows:
                break
            after = rows[-1][key_of(table).name]
    return counts


async def _renew(
    connection: AsyncConnection, keyring: Keyring, table: Table, row: RowMapping, count: Count
) -> None:
    from calendarsync.store.reencryption import encrypted, key_of, reseal

    key = row[key_of(table).name]
    for column in encrypted(table):
        was = row[column.name]
        if was is None:
            continue
        if keyring.is_current(was):
            count.current += 1
            continue
        try:
            sealed = keyring.encrypt(keyring.decrypt(was, key), key)
        except SecretError:
            count.unreadable += 1
            continue
        count.renewed += await reseal(connection, column, key, was=was, sealed=sealed)
