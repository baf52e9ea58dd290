"""The index: one row for each component of a connection's calendar. No contents, only their fingerprints."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.domain.entry import Entry, meaning
from calendarsync.domain.event import (
    Component,
    Content,
    Duration,
    EventTime,
    EventType,
    Problem,
    Recurrence,
    RecurrenceDate,
    Resource,
    Response,
    Status,
    Visibility,
)
from calendarsync.domain.filters import TextFilter, verdicts
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.origin import looks_marked, read_mark
from calendarsync.domain.recurrence import may_touch
from calendarsync.domain.rules import Window
from calendarsync.store.tables import connections, index

_CHUNK = 500
# PostgreSQL indexes no longer rows, and takes no U+0000; what goes past it counts as unreadable on SQLite too.
_LONGEST_ID = 1000
_LONGEST_UID = 1000  # bytes of UTF-8
_LONGEST_VERSION = 500
_LONGEST_MARK = 400
_LONGEST_ORIGINAL = 100
_BREATH = 200  # rows are built between other tasks' turns


def is_id(resource_id: str) -> bool:
    """Whether the index can hold a resource of this id."""
    return len(resource_id) <= _LONGEST_ID and "\0" not in resource_id


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
        entries[resource_id] = _entry(list(group), calendar_key, mark_keys)
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
        for row in _rows(connection_id, resource, fingerprinter, version, filters)
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
            "verdicts": verdicts(_content(resource, component), filters, fingerprinter),
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


def _rows(
    connection_id: str,
    resource: Resource,
    fingerprinter: Fingerprinter,
    version: int,
    filters: Collection[TextFilter],
) -> list[dict[str, Any]]:
    problem = resource.problem if _fits(resource) else Problem.UNREADABLE
    mark = resource.mark
    common = {
        "connection_id": connection_id,
        "resource_id": resource.id,
        "version": resource.version if len(resource.version or "") <= _LONGEST_VERSION else None,
        "uid": resource.uid if problem is None else _cut(resource.uid),
        "problem": problem.value if problem else None,
        # One that is not ours may hold anything.
        "mark": mark[:_LONGEST_MARK] if mark and "\0" not in mark else None,
        "changed_in": version,
        "modified_at": resource.modified,
    }
    if problem is not None or not resource.components:
        nothing: dict[str, Any] = {"original": "", "shape": {}, "content_hash": "", "people_hash": ""}
        return [common | nothing | {"verdicts": None}]
    rows = []
    for component in resource.components:
        content = _content(resource, component)
        rows.append(
            common
            | {
                "original": component.original,
                "shape": shape_of(component),
                "content_hash": fingerprinter.of_content(content),
                "people_hash": fingerprinter.of_people(content),
                "verdicts": verdicts(content, filters, fingerprinter) or None,
            }
        )
    return rows


def _content(resource: Resource, component: Component) -> Content:
    return resource.contents.get(component.original, Content())


def _fits(resource: Resource) -> bool:
    return (
        _cut(resource.uid) == resource.uid
        and len(resource.version or "") <= _LONGEST_VERSION
        # It holds the name of a zone, which may be of the sender's making.
        and all(
            len(component.original) <= _LONGEST_ORIGINAL and "\0" not in component.original
            for component in resource.components
        )
    )


def _cut(uid: str) -> str:
    return uid.replace("\0", "").encode()[:_LONGEST_UID].decode(errors="ignore")


def meaning_of(resource: Resource, fingerprinter: Fingerprinter) -> str:
    """The meaning of the entry that a resource becomes once it is in the index."""
    texts = {
        component.original: fingerprinter.of_content(_content(resource, component))
        for component in resource.components
    }
    return meaning(resource.components, texts, fingerprinter)


def _entry(rows: Sequence[Row[Any]], calendar_key: str, mark_keys: Sequence[bytes]) -> Entry:
    first = rows[0]
    mark = read_mark(first.mark, first.uid, calendar_key, mark_keys) if first.mark else None
    return Entry(
        id=first.resource_id,
        version=first.version,
        uid=first.uid,
        components=tuple(component_of(first.uid, row.shape) for row in rows if row.shape),
        content_hashes={row.original: row.content_hash for row in rows},
        people_hashes={row.original: row.people_hash for row in rows},
        mark=mark,
        problem=Problem(first.problem) if first.problem else None,
        changed_in=first.changed_in,
        stray=mark is None and looks_marked(first.mark),
        seen=first.seen_at,
        modified=first.modified_at,
        verdicts={row.original: row.verdicts for row in rows if row.verdicts},
    )


_TEXT_FIELDS = {
    "start": EventTime.parse,
    "end": EventTime.parse,
    "duration": Duration.parse,
    "recurrence_id": EventTime.parse,
    "status": Status,
    "response": Response,
    "event_type": EventType,
    "visibility": Visibility,
}
_DEFAULTS = {field.name: field.default for field in fields(Component)}


def shape_of(component: Component) -> dict[str, Any]:
    """A component as JSON: what differs from the defaults, without its UID, which has its own column."""
    shape: dict[str, Any] = {}
    for name, default in _DEFAULTS.items():
        value = getattr(component, name)
        if name == "uid" or value == default:
            continue
        if name == "recurrence":
            shape[name] = _recurrence_shape(value)
        else:
            shape[name] = str(value) if name in _TEXT_FIELDS else value
    return shape


def component_of(uid: str, shape: dict[str, Any]) -> Component:
    """The inverse of `shape_of`."""
    values: dict[str, Any] = {}
    for name, value in shape.items():
        if name == "recurrence":
            values[name] = _recurrence_of(value)
        else:
            values[name] = _TEXT_FIELDS[name](value) if name in _TEXT_FIELDS else value
    return Component(uid=uid, **values)


def _recurrence_shape(recurrence: Recurrence) -> dict[str, Any]:
    return {
        "rrules": list(recurrence.rrules),
        "exrules": list(recurrence.exrules),
        "exdates": [str(exdate) for exdate in recurrence.exdates],
        "rdates": [
            [
                str(rdate.start),
                None if rdate.end is None else str(rdate.end),
                None if rdate.duration is None else str(rdate.duration),
            ]
            for rdate in recurrence.rdates
        ],
    }


def _recurrence_of(shape: dict[str, Any]) -> Recurrence:
    return Recurrence(
        rrules=tuple(shape["rrules"]),
        exrules=tuple(shape["exrules"]),
        exdates=tuple(map(EventTime.parse, shape["exdates"])),
        rdates=tuple(
            RecurrenceDate(
                EventTime.parse(start),
                None if end is None else EventTime.parse(end),
                None if duration is None else Duration.parse(duration),
            )
            for start, end, duration in shape["rdates"]
        ),
    )
