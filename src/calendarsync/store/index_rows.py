"""The rows of a resource in the index, and the entry that planning makes of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row

from calendarsync.domain.entry import Entry, meaning
from calendarsync.domain.event import Component, Content, Problem, Resource
from calendarsync.domain.filters import TextFilter, verdicts
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.origin import looks_marked, read_mark
from calendarsync.store.shapes import component_of, shape_of

# PostgreSQL indexes no longer rows, and takes no U+0000; what goes past it counts as unreadable on SQLite too.
_LONGEST_ID = 1000
_LONGEST_UID = 1000  # bytes of UTF-8
_LONGEST_VERSION = 500
_LONGEST_MARK = 400
_LONGEST_ORIGINAL = 100


def is_id(resource_id: str) -> bool:
    """Whether the index can hold a resource of this id."""
    return len(resource_id) <= _LONGEST_ID and "\0" not in resource_id


def rows_of(
    connection_id: str,
    resource: Resource,
    fingerprinter: Fingerprinter,
    version: int,
    filters: Collection[TextFilter],
) -> list[dict[str, Any]]:
    """One row for each component; one without a shape for a resource that cannot be read, or has none."""
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
        content = content_of(resource, component)
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


def content_of(resource: Resource, component: Component) -> Content:
    """The texts of one component; empty ones where the resource came without."""
    return resource.contents.get(component.original, Content())


def meaning_of(resource: Resource, fingerprinter: Fingerprinter) -> str:
    """The meaning of the entry that a resource becomes once it is in the index."""
    texts = {
        component.original: fingerprinter.of_content(content_of(resource, component))
        for component in resource.components
    }
    return meaning(resource.components, texts, fingerprinter)


def entry_of(rows: Sequence[Row[Any]], calendar_key: str, mark_keys: Sequence[bytes]) -> Entry:
    """The inverse of `rows_of`: all rows of one resource. Its mark is verified with `mark_keys`."""
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
