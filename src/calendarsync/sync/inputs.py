"""Loading what planning looks at: one `FlowInput` for each direction of a pair."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.domain.entry import Entry, by_copy_id, ordinary
from calendarsync.domain.event import ORIGINAL_OF_MASTER
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.holding import Holder
from calendarsync.domain.link import Direction, LinkState
from calendarsync.domain.origin import copy_id, looks_derived, origin_of
from calendarsync.domain.rules import Rules
from calendarsync.store import index, links
from calendarsync.store.links import OtherCopy
from calendarsync.store.schedule import ConnectionRecord, PairRecord
from calendarsync.sync.actions import Failure, FlowInput
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
    kept: frozenset[str]

    def own_events(self) -> Iterable[Entry]:
        """Its events that are nobody's copies."""
        return ordinary(self.entries.values(), self.linked, self.kept)


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
) -> list[FlowInput]:
    """The flows of a pair as the database shows them now."""
    rules = Rules.from_options(pair.sync_mode, pair.options)
    a, b = [await _load_calendar(db, record, rules, tools) for record in sides]
    looked = Looked.parse(pair.quiet_state)
    pair_links = await links.load_links(db, pair.id)
    failed = await links.load_failures(db, pair.id)
    flows = []
    asked = directions(pair)
    for direction in Direction:
        mine = tuple(link for link in pair_links if link.direction is direction)
        if direction not in asked and not mine:
            continue
        source, target = (a, b) if direction is Direction.A_TO_B else (b, a)
        others = await links.copies_of_others(db, target.record.calendar_key, pair.id)
        scene = Scene(
            source_calendar=source.record.calendar_key,
            rules=rules,
            window=rules.window(now),
            floating=source.floating,
            fingerprinter=tools.fingerprinter,
            meetings=_meetings(target, others),
            holder=Holder.of(target.record.provider),
        )
        flows.append(
            FlowInput(
                direction=direction,
                scene=scene,
                target_calendar=target.record.calendar_key,
                target_floating=target.floating,
                source=source.entries,
                target=target.entries,
                links=mine,
                other_links=_belonging(target, others),
                source_copies=frozenset(source.linked | _stripped(source, target)),
                kept=source.kept,
                failures=_failures(failed, direction),
                looked_at_version=looked.a if source is a else looked.b,
                now=now,
                program=tools.program,
                adopt_foreign=adopt_foreign,
                withdrawn=direction not in asked,
                amendable=source.record.provider != "ics" and not source.record.read_only,
            )
        )
    return flows


async def _load_calendar(
    db: AsyncConnection, record: ConnectionRecord, rules: Rules, tools: Tools
) -> _Calendar:
    return _Calendar(
        record=record,
        entries=await index.load_entries(db, record.id, record.calendar_key, tools.mark_keys),
        floating=record.timezone or rules.timezone or "UTC",
        linked=await links.linked_copies(db, record.calendar_key),
        kept=await links.load_kept(db, record.calendar_key),
    )


def _belonging(target: _Calendar, others: Iterable[OtherCopy]) -> frozenset[str]:
    """Ids that are another pair's: one that it only meant to write is not, unless something stands there."""
    standing = by_copy_id(target.entries.values())
    return frozenset(
        other.copy_id for other in others if other.state is not LinkState.PENDING or other.copy_id in standing
    )


def _meetings(target: _Calendar, others: Iterable[OtherCopy]) -> Meetings:
    """The target's own events, and the copies that older pairs keep there, by the meeting's UID (rule 5)."""
    by_uid = {entry.uid: entry for entry in target.entries.values()}
    own = [Standing(entry.uid, entry) for entry in target.own_events()]
    older = [
        Standing(other.source_uid, by_uid[other.copy_id], other.source_original, copied=True)
        for other in others
        if other.older and other.copy_id in by_uid
    ]
    return Meetings([*own, *older], target.floating)


def _stripped(source: _Calendar, target: _Calendar) -> set[str]:
    """Events that stand at the id which a copy of one of the target's events would have (rule 1).

    Their mark was stripped, and after the loss of the database no link knows them.
    """
    suspects = {entry.uid for entry in source.own_events() if looks_derived(entry.uid)} - source.kept
    if not suspects:
        return set()
    origins = [
        origin_of(target.record.calendar_key, entry.id, ORIGINAL_OF_MASTER) for entry in target.own_events()
    ]
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
