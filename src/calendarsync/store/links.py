"""Links between sources and copies, the failures beside them, and copies that a removed pair left behind."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, bindparam, case, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.domain.link import Direction, Link, LinkState
from calendarsync.domain.origin import read_mark
from calendarsync.domain.relay import Upstream
from calendarsync.store.columns import AT_ONCE
from calendarsync.store.dialects import upsert
from calendarsync.store.tables import failures, index, kept_copies, links, pairs

_CHUNK = 500
_STORED = [each.name for each in fields(Link) if each.name != "id"]


async def load_links(db: AsyncConnection, pair_id: str) -> list[Link]:
    return [_link(row) for row in await db.execute(_OF_PAIR, {"of_pair": pair_id})]


# Built once: SQLAlchemy takes longer to build a statement than PostgreSQL to find that there is nothing.
_OF_PAIR = select(links).where(links.c.pair_id == bindparam("of_pair")).order_by(links.c.id)


async def save_links(db: AsyncConnection, pair_id: str, changed: Sequence[Link]) -> None:
    """Store links by their pair, direction and source, new ones and known ones alike."""
    if not changed:
        return
    statement = upsert(db, links)
    key = ("pair_id", "direction", "source_resource", "source_original")
    taken = {column.name: column for column in statement.excluded if column.name not in {*key, "id"}}
    await db.execute(
        statement.on_conflict_do_update(index_elements=key, set_=taken),
        [_values(pair_id, link) for link in changed],
    )


async def delete_links(db: AsyncConnection, pair_id: str, gone: Sequence[Link]) -> None:
    if not gone:
        return
    statement = delete(links).where(
        links.c.pair_id == pair_id,
        links.c.direction == bindparam("of_direction"),
        links.c.source_resource == bindparam("of_resource"),
        links.c.source_original == bindparam("of_original"),
    )
    await db.execute(
        statement,
        [
            {
                "of_direction": link.direction.value,
                "of_resource": link.source_resource,
                "of_original": link.source_original,
            }
            for link in gone
        ],
    )


async def settle_rules_version(db: AsyncConnection, pair_id: str, version: str) -> None:
    """Note on every live link that it was judged by these rules; what goes now is no change of rules."""
    await db.execute(
        update(links)
        .where(links.c.pair_id == pair_id, links.c.rules_version != version)
        .values(rules_version=version)
    )


@dataclass(frozen=True, slots=True)
class OtherCopy:
    """A copy that another pair's link names, in any account. `older`: that pair is older than ours.

    `times_hash` is the link's: a respected one without it asks for nothing, and only remembers.
    """

    copy_id: str
    origin: str
    source_uid: str
    source_original: str
    state: LinkState
    times_hash: str | None
    hops: int
    older: bool

    @property
    def has_a_place(self) -> bool:
        """Whether it is that pair's to say what stands there, be it that nothing does."""
        return self.state is LinkState.LIVE or (
            self.state is LinkState.RESPECTED and self.times_hash is not None
        )


async def copies_of_others(db: AsyncConnection, target_calendar: str, pair_id: str) -> list[OtherCopy]:
    """What links of other pairs say of the same calendar."""
    rows = await db.execute(_OF_OTHERS, {"target_calendar": target_calendar, "of_pair": pair_id})
    return [_other_copy(row) for row in rows]


def _other_copy(row: Any) -> OtherCopy:
    values = {name: getattr(row, name) for name in _TOLD}
    return OtherCopy(**values | {"state": LinkState(row.state), "older": bool(row.older)})


@dataclass(slots=True)
class Copies:
    """What links say of one calendar: the ids of all copies in it, and those that are other pairs'."""

    linked: set[str] = field(default_factory=set)
    others: list[OtherCopy] = field(default_factory=list)


async def copies_in(db: AsyncConnection, calendar_keys: Collection[str], pair_id: str) -> dict[str, Copies]:
    """What all links, in any account, say of these calendars, by the calendar's key. `pair_id` is ours."""
    found = {each: Copies() for each in calendar_keys}
    for row in await db.execute(_IN_THESE, {"calendar_keys": list(found), "of_pair": pair_id}):
        copies = found[row.target_calendar]
        copies.linked.add(row.copy_id)
        if row.pair_id != pair_id:
            copies.others.append(_other_copy(row))
    return found


async def is_written_by_others(db: AsyncConnection, calendar_key: str, pair_id: str) -> bool:
    """Whether any other pair, in any account, writes copies into this calendar."""
    into = or_(
        and_(pairs.c.calendar_b == calendar_key, pairs.c.direction != Direction.B_TO_A.value),
        and_(pairs.c.calendar_a == calendar_key, pairs.c.direction != Direction.A_TO_B.value),
    )
    others = await db.execute(select(pairs.c.id).where(into, pairs.c.id != pair_id).limit(1))
    return others.first() is not None


_TOLD = [each.name for each in fields(OtherCopy) if each.name != "older"]

_mine = select(pairs.c.created_at).where(pairs.c.id == bindparam("of_pair")).scalar_subquery()
_older = (pairs.c.created_at < _mine) | ((pairs.c.created_at == _mine) & (pairs.c.id < bindparam("of_pair")))
_TO_BE_TOLD = select(
    links.c.pair_id, links.c.target_calendar, *(links.c[name] for name in _TOLD), _older.label("older")
).join(pairs, pairs.c.id == links.c.pair_id)
_OF_OTHERS = _TO_BE_TOLD.where(
    links.c.target_calendar == bindparam("target_calendar"), links.c.pair_id != bindparam("of_pair")
)
_IN_THESE = _TO_BE_TOLD.where(links.c.target_calendar.in_(bindparam("calendar_keys", expanding=True)))

_forth = links.c.direction == Direction.A_TO_B.value
_source_connection = case((_forth, pairs.c.connection_a_id), else_=pairs.c.connection_b_id)
_source_calendar = case((_forth, pairs.c.calendar_a), else_=pairs.c.calendar_b)
_UPSTREAMS = (
    select(
        links.c.id,
        links.c.copy_id,
        links.c.origin,
        links.c.source_original,
        _source_calendar.label("source_calendar"),
        index.c.resource_id,
        index.c.uid,
        index.c.mark,
        kept_copies.c.copy_id.label("kept"),
    )
    .distinct()
    .join(pairs, pairs.c.id == links.c.pair_id)
    .outerjoin(
        index,
        and_(index.c.connection_id == _source_connection, index.c.resource_id == links.c.source_resource),
    )
    .outerjoin(
        kept_copies,
        and_(kept_copies.c.calendar_key == _source_calendar, kept_copies.c.copy_id == index.c.uid),
    )
    .where(links.c.target_calendar == bindparam("calendar_key"), links.c.state == LinkState.LIVE.value)
    .order_by(links.c.id)
)
_UPSTREAMS_OF = _UPSTREAMS.where(links.c.copy_id.in_(bindparam("copy_ids", expanding=True)))


async def upstreams(
    db: AsyncConnection, calendar_key: str, mark_keys: Sequence[bytes], ids: Collection[str] | None = None
) -> list[Upstream]:
    """Where the copies in a calendar come from, in any account: all that live links hold, or those of `ids`."""
    rows: list[Row[Any]] = []
    if ids is None:
        rows += await db.execute(_UPSTREAMS, {"calendar_key": calendar_key})
    else:
        wanted = sorted(ids)
        for start in range(0, len(wanted), _CHUNK):
            chunk = {"calendar_key": calendar_key, "copy_ids": wanted[start : start + _CHUNK]}
            rows += await db.execute(_UPSTREAMS_OF, chunk)
    return [_upstream(calendar_key, row, mark_keys) for row in rows]


def _upstream(calendar_key: str, row: Row[Any], mark_keys: Sequence[bytes]) -> Upstream:
    # Where a UID cannot be read, a copy is known by its name.
    uid = None if row.resource_id is None else row.uid or row.resource_id.removesuffix(".ics")
    return Upstream(
        calendar=calendar_key,
        copy_id=row.copy_id,
        origin=row.origin,
        source_calendar=row.source_calendar,
        source_original=row.source_original,
        source_id=uid,
        marked=uid is not None and read_mark(row.mark, uid, row.source_calendar, mark_keys) is not None,
        kept=row.kept is not None,
    )


async def linked_copies(db: AsyncConnection, calendar_key: str) -> set[str]:
    """The ids of all copies in a calendar that any link knows."""
    return set((await db.execute(_LINKED, {"calendar_key": calendar_key})).scalars())


async def load_kept(db: AsyncConnection, calendar_key: str) -> frozenset[str]:
    return frozenset((await db.execute(_KEPT, {"calendar_key": calendar_key})).scalars())


_LINKED = select(links.c.copy_id).where(links.c.target_calendar == bindparam("calendar_key"))
_KEPT = select(kept_copies.c.copy_id).where(kept_copies.c.calendar_key == bindparam("calendar_key"))
_FAILED = select(failures).where(failures.c.pair_id == bindparam("of_pair"))


async def keep_copy(db: AsyncConnection, calendar_key: str, copy_id: str) -> None:
    """Remember that this event of ours is an ordinary one from now on (rule 20).

    Where one of this id was left behind before, and is about to be forgotten, it is another one: looked at anew.
    """
    anew = {"seen_in": None, "seen_at": None, "look_at": AT_ONCE}
    statement = upsert(db, kept_copies).on_conflict_do_update(
        index_elements=[kept_copies.c.calendar_key, kept_copies.c.copy_id], set_=anew
    )
    await db.execute(statement, {"calendar_key": calendar_key, "copy_id": copy_id})


async def load_failures(db: AsyncConnection, pair_id: str) -> list[Row[Any]]:
    return list(await db.execute(_FAILED, {"of_pair": pair_id}))


async def replace_failures(
    db: AsyncConnection,
    pair_id: str,
    direction: Direction,
    failed: Mapping[tuple[str, str], tuple[str, str, datetime]],
) -> None:
    """The failures that stand after a run: (code, tried hash, retry at) by source resource and original."""
    await db.execute(
        delete(failures).where(failures.c.pair_id == pair_id, failures.c.direction == direction.value)
    )
    rows = [
        {
            "pair_id": pair_id,
            "direction": direction.value,
            "source_resource": resource,
            "source_original": original,
            "code": code,
            "tried_hash": tried,
            "retry_at": retry_at,
        }
        for (resource, original), (code, tried, retry_at) in failed.items()
    ]
    if rows:
        await db.execute(insert(failures), rows)


def _values(pair_id: str, link: Link) -> dict[str, Any]:
    return {name: getattr(link, name) for name in _STORED} | {"pair_id": pair_id}


def _link(row: Row[Any]) -> Link:
    values = row._asdict()
    del values["pair_id"]
    values["direction"], values["state"] = Direction(row.direction), LinkState(row.state)
    values["holes"], values["respected"] = tuple(row.holes), tuple(row.respected)
    return Link(**values)
