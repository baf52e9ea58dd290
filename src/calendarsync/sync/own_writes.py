"""What we wrote into a calendar stands in its index at once, before the calendar tells of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.domain.event import Resource
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.store import index
from calendarsync.store.schedule import load_uses


async def index_own(
    db: AsyncConnection,
    connection_id: str,
    written: Iterable[Resource],
    fingerprinter: Fingerprinter,
    now: datetime,
    *,
    removed: Collection[str] = (),
) -> None:
    """Store what was `written`, and forget what was `removed`, by its ids; the caller notes the links with it."""
    version = await index.next_version(db, connection_id)
    uses = await load_uses(db, connection_id)
    await index.store_resources(
        db, connection_id, written, fingerprinter, version, now=now, filters=uses.filters
    )
    await index.remove_resources(db, connection_id, removed)
