"""The index: one row for each component of a connection's calendar. No contents, only their fingerprints."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import groupby

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.domain.entry import Entry
from calendarsync.domain.event import Component, Resource
from calendarsync.domain.filters import TextFilter, verdicts
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.recurrence import may_touch
from calendarsync.domain.rules import Window
from calendarsync.store.index_rows import content_of, entry_of, rows_of
from calendarsync.store.shapes import component_of
from calendarsync.store.tables import connections, index

_CHUNK = 500
_BREATH = 200  # rows are built between other tasks' turns


async def known_versions(db: AsyncConnection, connection_id: str) -> dict[str, str | None]:
    """The version of every resource in the index, by its id."""
    rows = await db.execute(
        select(index.c.resource_id, index.c.version).where(index.c.connection_id == connection_id).distinct()
    )
    return {row.resource_id: row.version for row in rows}


async def unreadable_ids(db: AsyncConnection, connection_id: str) -> list[str]:
    """Resources that stand in the index with a problem."""
    rows = await db.execute(
        select(index.c.resource_id).where(
            index.c.connection_id == connection_id, index.c.problem.is_not(None)
        )
    )
    return list(rows.scalars())


async def ids_within(
    db: AsyncConnection, connection_id: str, ids: Collection[str], window: Window, floating: str | None
) -> list[str]:
    """Those of `ids` whose last known times touch the window, and those whose times are not known, sorted.

    `floating` is the zone of the calendar's floating times.
    """
    shapes: dict[str, list[Component]] = {}
    listed = sorted(ids)
    for start in range(0, len(listed), _CHUNK):
        chunk = listed[start : start + _CHUNK]
        rows = await db.execute(
            select(index.c.resource_id, index.c.uid, index.c.shape).where(
                index.c.connection_id == connection_id, index.c.resource_id.in_(chunk)
            )
        )
        for row in rows:
            known = shapes.setdefault(row.resource_id, [])
            known += [component_of(row.uid, row.shape)] if row.shape else []
    zone = floating or "UTC"
    return [each for each in listed if may_touch(shapes.get(each, ()), window.first, window.last, zone)]


async def load_entries(
    db: AsyncConnection, connection_id: str, calendar_key: str, mark_keys: Sequence[bytes]
) -> dict[str, Entry]:
    """The whole index of one connection, by resource id; marks are verified on the way."""
    rows = await db.execute(_ROWS, {"of_connection": connection_id})
    entries: dict[str, Entry] = {}
    for resource_id, group in groupby(rows, key=lambda row: str(row.resource_id)):
        entries[resource_id] = entry_of(list(group), calendar_key, mark_keys)
        if len(entries) % _BREATH == 0:
            await asyncio.sleep(0)
    return entries


_ROWS = select(index).where(index.c.connection_id == bindparam("of_connection")).order_by(index.c.resource_id)


async def next_version(db: AsyncConnection, connection_id: str) -> int:
    """Move the connection's `index_version` on, because rows are about to change."""
    result = await db.execute(
        update(connections)
        .where(connections.c.id == connection_id)
        .values(index_version=connections.c.index_version + 1)
        .returning(connections.c.index_version)
    )
    return int(result.scalar_one())


async def store_resources(
    db: AsyncConnection,
    connection_id: str,
    resources: Iterable[Resource],
    fingerprinter: Fingerprinter,
    version: int,
    *,
    now: datetime,
    filters: Collection[TextFilter] = (),
) -> None:
    """Replace the rows of these resources. `version` is what `next_version` gave.

    `filters` are the text filters of the connection's pairs, whose verdicts are kept in the rows (rule 8).
    One that was there already is seen since it was first seen, where that is known.
    """
    latest = {resource.id: resource for resource in resources}
    seen = await _delete_rows(db, connection_id, list(latest))
    rows = [
        row | {"seen_at": seen.get(resource.id, now)}
        for resource in latest.values()
        for row in rows_of(connection_id, resource, fingerprinter, version, filters)
    ]
    for start in range(0, len(rows), _CHUNK):
        await db.execute(insert(index), rows[start : start + _CHUNK])


async def store_verdicts(
    db: AsyncConnection,
    connection_id: str,
    resources: Iterable[Resource],
    fingerprinter: Fingerprinter,
    filters: Collection[TextFilter],
) -> None:
    """Note what the filters say of resources that stand in the index at this very version: nothing else is new."""
    rows = [
        {
            "of_connection": connection_id,
            "of_resource": resource.id,
            "of_original": component.original,
            "of_version": resource.version,
            "verdicts": verdicts(content_of(resource, component), filters, fingerprinter),
        }
        for resource in resources
        for component in resource.components
    ]
    for start in range(0, len(rows), _CHUNK):
        await db.execute(_VERDICTS, rows[start : start + _CHUNK])


_VERDICTS = (
    update(index)
    .where(
        index.c.connection_id == bindparam("of_connection"),
        index.c.resource_id == bindparam("of_resource"),
        index.c.original == bindparam("of_original"),
        index.c.version == bindparam("of_version"),
    )
    .values(verdicts=bindparam("verdicts"))
)


async def remove_resources(db: AsyncConnection, connection_id: str, ids: Collection[str]) -> int:
    """Remove the rows of these resources; the number of resources that were there."""
    gone = 0
    listed = list(ids)
    for start in range(0, len(listed), _CHUNK):
        chunk = listed[start : start + _CHUNK]
        where = (index.c.connection_id == connection_id, index.c.resource_id.in_(chunk))
        count = select(func.count(index.c.resource_id.distinct())).where(*where)
        gone += int((await db.execute(count)).scalar_one())
        await db.execute(delete(index).where(*where))
    return gone


async def _delete_rows(
    db: AsyncConnection, connection_id: str, ids: Sequence[str]
) -> dict[str, datetime | None]:
    """The resources that were there, and since when."""
    seen: dict[str, datetime | None] = {}
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        gone = await db.execute(
            delete(index)
            .where(index.c.connection_id == connection_id, index.c.resource_id.in_(chunk))
            .returning(index.c.resource_id, index.c.seen_at)
        )
        seen.update((row.resource_id, row.seen_at) for row in gone)
    return seen
