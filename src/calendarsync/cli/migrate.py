"""`calendarsync migrate`."""

from __future__ import annotations

import typer

from calendarsync.cli.common import with_database
from calendarsync.settings import Settings, sqlite_path
from calendarsync.store.database import Database


def migrate() -> None:
    """Bring the database's schema up to date. `serve` does it by itself."""

    async def work(database: Database, settings: Settings) -> None:
        typer.echo(f"The schema is up to date: {sqlite_path(settings.database_url)}")

    with_database(work)
