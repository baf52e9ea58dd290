"""Loading what planning looks at: one `FlowInput` for each direction of a pair."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.domain.entry import Entry, by_copy_id, ordinary
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.holding import Holder
from calendarsync.domain.link import Direction
from calendarsync.domain.origin import copy_id, looks_derived, origin_of
from calendarsync.domain.relay import NotRelayed, Root
from calendarsync.domain.rules import Rules
from calendarsync.store import index, links
from calendarsync.store.links import Copies, OtherCopy
from calendarsync.store.schedule import ConnectionRecord, PairRecord
from calendarsync.sync.actions import Failure, FlowInput
from calendarsync.sync.chains import trace
from calendarsync.sync.meetings import Meetings, Standing
from calendarsync.sync.shape import Scene

_GENERATIONS = 16
"""How many ids of one origin are known again where no mark says which it is: seldom are more used up."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What every plan is made with: keys, fingerprints, and our version."""

    mark_keys: Sequence[bytes]
    fingerprinter: Fingerprinter
    program: str

    def rules_version(self, pair: PairRecord) -> str:
        return Rules.from_options(pair.sync_mode, pair.options).version(self.fingerprinter)

    def setting(self, pair: PairRecord) -> str:
        """Equal for pairs that are planned by the same rules in the same directions."""
        return f"{self.rules_version(pair)} {pair.direction}"


@dataclass(frozen=True, slots=True)
class Looked:
    """Up to where a pair has been planned: both index versions, and what they were planned with."""

    a: int
    b: int
    setting: str
    program: str

    def __str__(self) -> str:
        return json.dumps([self.a, self.b, self.setting, self.program])

    @classmethod
    def parse(cls, text: str | None) -> Looked:
        return cls(*json.loads(text)) if text else cls(-1, -1, "", "")


@dataclass(frozen=True, slots=True)
class _Calendar:
    record: ConnectionRecord
    entries: Mapping[str, Entry]
    floating: str
    linked: set[str]
    others: Sequence[OtherCopy]
    kept: frozenset[str]

    def own_events(self) -> Iterable[Entry]:
        """Its events that are nobody's copies."""
        return ordinary(self.entries.values(), self.linked, self.kept)

    def copies(self) -> Iterable[Entry]:
        """The others."""
        own = {entry.id for entry in self.own_events()}
        return (entry for entry in self.entries.values() if entry.id not in own)


def directions(pair: PairRecord) -> list[Direction]:
    if pair.direction == "bidirectional":
        return [Direction.A_TO_B, Direction.B_TO_A]
    return [Direction(pair.direction)]


async def load_flows(
    db: AsyncConnection,
    pair: PairRecord,
    sides: tuple[ConnectionRecord, ConnectionRecord],
    tools: Tools,
    *,
    now: datetime,
    adopt_foreign: bool,
    beside: Collection[Direction] = (),
) -> list[FlowInput]:
    """The flows of a pair as the database shows them now. `beside`: directions that it need not go in any more."""
    rules = Rules.from_options(pair.sync_mode, pair.options)
    copies = await links.copies_in(db, {record.calendar_key for record in sides}, pair.id)
    a, b = [await _load_calendar(db, record, rules, tools, copies[record.calendar_key]) for record in sides]
    looked = Looked.parse(pair.quiet_state)
    pair_links = await links.load_links(db, pair.id)
    failed = await links.load_failures(db, pair.id)
    flows = []
    asked = directions(pair)
    for direction in Direction:
        mine = tuple(link for link in pair_links if link.direction is direction)
        if direction not in asked and direction not in beside and not mine:
            continue
        source, target = (a, b) if direction is Direction.A_TO_B else (b, a)
        source_key, target_key = source.record.calendar_key, target.record.calendar_key
        traced: dict[str, Root | NotRelayed] = {}
        if rules.relay and (direction in asked or direction in beside):
            traced = await trace(db, source_key, source.copies(), target_key, tools.mark_keys)
        roots = {each: end for each, end in traced.items() if isinstance(end, Root)}
        belonging = _belonging(target, target.others)
        scene = Scene(
            source_calendar=source_key,
            rules=rules,
            window=rules.window(now),
            floating=source.floating,
            fingerprinter=tools.fingerprinter,
            meetings=_meetings(target, target.others, relays=bool(roots)),
            holder=Holder.of(target.record.provider),
            roots=roots,
        )
        flows.append(
            FlowInput(
                direction=direction,
                scene=scene,
                target_calendar=target_key,
                target_floating=target.floating,
                source={**source.entries, **_as_events(source, roots)},
                target=target.entries,
                links=mine,
                other_links=frozenset(other.copy_id for other in belonging),
                other_origins=frozenset(other.origin for other in belonging),
                source_copies=frozenset(source.linked | _stripped(source, target)),
                kept=source.kept,
                failures=_failures(failed, direction),
                looked_at_version=looked.a if source is a else looked.b,
                now=now,
                program=tools.program,
                adopt_foreign=adopt_foreign,
                withdrawn=direction not in asked,
                amendable=source.record.provider != "ics" and not source.record.read_only,
                not_relayed={each: end for each, end in traced.items() if isinstance(end, NotRelayed)},
            )
        )
    return flows


async def _load_calendar(
    db: AsyncConnection, record: ConnectionRecord, rules: Rules, tools: Tools, copies: Copies
) -> _Calendar:
    return _Calendar(
        record=record,
        entries=await index.load_entries(db, record.id, record.calendar_key, tools.mark_keys),
        floating=record.timezone or rules.timezone or "UTC",
        linked=copies.linked,
        others=copies.others,
        kept=await links.load_kept(db, record.calendar_key),
    )


def _as_events(source: _Calendar, roots: Mapping[str, Root]) -> dict[str, Entry]:
    """Copies that travel on, with the UID of the meeting that they stand for (rule 5)."""
    return {each: replace(source.entries[each], uid=root.uid) for each, root in roots.items()}


def _belonging(target: _Calendar, others: Iterable[OtherCopy]) -> list[OtherCopy]:
    """What is another pair's: where a copy was only meant, or given up, nothing is but what stands."""
    standing = by_copy_id(target.entries.values())
    return [other for other in others if other.has_a_place or other.copy_id in standing]


def _meetings(target: _Calendar, others: Iterable[OtherCopy], *, relays: bool) -> Meetings:
    """The target's own events, and the copies that other pairs keep there, by the meeting's UID (rule 5).

    Without `relays`, those of newer pairs give way whatever they are.
    """
    by_uid = {entry.uid: entry for entry in target.entries.values()}
    own = [Standing(entry.uid, entry) for entry in target.own_events()]
    copied = [
        Standing(
            other.source_uid,
            by_uid[other.copy_id],
            other.source_original,
            copied=True,
            origin=other.origin,
            hops=other.hops,
            older=other.older,
        )
        for other in others
        if other.copy_id in by_uid and (relays or (other.older and other.hops == 1))
    ]
    return Meetings([*own, *copied], target.floating, relayed=relays)


def _stripped(source: _Calendar, target: _Calendar) -> set[str]:
    """Events that stand at the id which a copy of one of the target's events would have (rule 1).

    Their mark was stripped, and after the loss of the database no link knows them.
    """
    suspects = {entry.uid for entry in source.own_events() if looks_derived(entry.uid)} - source.kept
    if not suspects:
        return set()
    origins = [origin_of(target.record.calendar_key, entry.id) for entry in target.own_events()]
    return suspects.intersection(
        copy_id(origin, source.record.calendar_key, generation)
        for origin in origins
        for generation in range(_GENERATIONS)
    )


def _failures(rows: Iterable[Any], direction: Direction) -> dict[tuple[str, str], Failure]:
    return {
        (row.source_resource, row.source_original): Failure(row.code, row.tried_hash, row.retry_at)
        for row in rows
        if row.direction == direction.value
    }
