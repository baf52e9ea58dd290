"""Following copies back, from calendar to calendar, over the links of all pairs (rule 2, option `relay`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.domain.entry import Entry
from calendarsync.domain.origin import MarkKind, looks_derived
from calendarsync.domain.relay import MAX_HOPS, NotRelayed, Root, Upstream, Upstreams
from calendarsync.store import links


async def trace(
    db: AsyncConnection, calendar: str, copies: Iterable[Entry], target: str, mark_keys: Sequence[bytes]
) -> dict[str, Root | NotRelayed]:
    """What the copies in a calendar stand for, by resource id, or why they do not travel on to `target`.

    Both calendars are given by their keys. One query for each calendar on the way.
    """
    listed = list(copies)
    known = await _follow(db, calendar, target, mark_keys) if listed else Upstreams(())
    found: dict[str, Root | NotRelayed] = {}
    for entry in listed:
        foreign = entry.mark is not None and entry.mark.kind is MarkKind.FOREIGN
        found[entry.id] = NotRelayed.NOT_KNOWN if foreign else known.trace(calendar, entry.uid, target)
    return found


async def _follow(db: AsyncConnection, calendar: str, target: str, mark_keys: Sequence[bytes]) -> Upstreams:
    known = await links.upstreams(db, calendar, mark_keys)
    asked = {calendar, target}
    seen: defaultdict[str, set[str]] = defaultdict(set)
    sources = _copies_behind(known, asked)
    for _ in range(MAX_HOPS):
        sources = {each: ids - seen[each] for each, ids in sources.items()}
        if not any(sources.values()):
            break
        behind: list[Upstream] = []
        for each, ids in sources.items():
            seen[each] |= ids
            behind += await links.upstreams(db, each, mark_keys, ids) if ids else []
        known += behind
        sources = _copies_behind(behind, asked)
    return Upstreams(known)


def _copies_behind(known: Iterable[Upstream], asked: Container[str]) -> dict[str, set[str]]:
    """Ids of sources that may be copies themselves, by their calendars: but for those where all ends anyway."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for each in known:
        if each.source_id is not None and each.source_calendar not in asked and looks_derived(each.source_id):
            found[each.source_calendar].add(each.source_id)
    return dict(found)
