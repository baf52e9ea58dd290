"""Everything that a database holds, to be searched for what has no place in it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import text

from calendarsync.store.database import Database


def files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def stored(db: Database, url: str) -> bytes:
    """SQLite: its files. PostgreSQL: every row of every table, PgQueuer's too, binary columns as they are."""
    if db.backend == "sqlite":
        return files(Path(urlsplit(url).path).parent)
    found = []
    async with db.read() as connection:
        tables = await connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        for table in tables.scalars().all():
            rows = await connection.execute(text(f'SELECT * FROM "{table}"'))
            found += [table.encode(), *(_bytes(value) for row in rows for value in row)]
    assert b"pgqueuer" in found
    return b"\n".join(found)


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
