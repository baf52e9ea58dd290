"""`calendarsync migrate`."""

from __future__ import annotations

import asyncio

import typer

from calendarsync.cli.common import load_settings, readable_failures
from calendarsync.settings import Settings
from calendarsync.store.database import Database


def migrate() -> None:
    """Bring the database's schema up to date. An embedded database is, whenever it is used."""
    settings = load_settings()
    with readable_failures():
        asyncio.run(_migrate(settings))
    typer.echo(f"The schema is up to date: {settings.database_label}")


async def _migrate(settings: Settings) -> None:
    database = Database(settings.database_url)
    try:
        await database.migrate()
    finally:
        await database.close()
