"""Reading what changed in a calendar into the index (DESIGN: refresh)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from calendarsync.domain.event import Content, Resource
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.providers.base import Batch, Calendar, Reading
from calendarsync.store import index
from calendarsync.store.database import Database
from calendarsync.store.schedule import ConnectionRecord, carries_full_pair, update_connection
from calendarsync.sync.guards import EMPTIED
from calendarsync.sync.hold import Hold

_log = structlog.get_logger(__name__)

RETRY_SECONDS = 86_400.0
"""How often a resource that could not be read is fetched again though it did not change (rule 22)."""


CONTENTS_MAX_CHARACTERS = 16 * 1024 * 1024
"""How much text of one calendar a round keeps; a character takes 1 to 4 bytes. The rest is fetched once more."""


@dataclass(slots=True)
class Contents:
    """Texts that a round has read: by resource, with the version that they belong to. Memory only."""

    _by_resource: dict[str, tuple[str | None, Mapping[str, Content]]] = field(
        default_factory=dict, repr=False
    )
    _characters: int = 0

    def remember(self, resource: Resource) -> None:
        """Keep the texts, if there is room for them."""
        _, outdated = self._by_resource.pop(resource.id, (None, {}))
        self._characters += _length(resource.contents) - _length(outdated)
        if self._characters <= CONTENTS_MAX_CHARACTERS:
            self._by_resource[resource.id] = (resource.version, resource.contents)
        else:
            self._characters -= _length(resource.contents)

    def of(self, resource_id: str, version: str | None) -> Mapping[str, Content] | None:
        """The texts of exactly this version; None where they are not at hand."""
        held = self._by_resource.get(resource_id)
        return held[1] if held is not None and held[0] == version else None


def _length(contents: Mapping[str, Content]) -> int:
    return sum(
        len(content.title)
        + len(content.description)
        + len(content.location)
        + sum(map(len, (*content.categories, *content.attendees)))
        for content in contents.values()
    )


@dataclass(frozen=True, slots=True)
class Refresher:
    """Reads connections into the index. `program` is our version: a new one reads again what none could read."""

    db: Database
    fingerprinter: Fingerprinter
    program: str

    async def refresh(
        self,
        connection: ConnectionRecord,
        calendar: Calendar,
        hold: Hold,
        *,
        full: bool,
        contents: Contents,
        now: datetime,
    ) -> tuple[str, bool]:
        """Bring the index up to date; `full` compares every resource. Raises ProviderError, ClaimLost.

        The index is written batch by batch. Returned is what is to be noted as the connection's cursor at the
        end, and whether the index was written: a reading that breaks off is done again from the old cursor,
        and finds by their versions what it has already.
        """
        last = _Memory.load(connection.cursor)
        retry = (
            full or last.program != self.program or not 0 <= now.timestamp() - last.retried_at < RETRY_SECONDS
        )
        unread: list[str] = []
        if retry:
            async with self.db.read() as db:
                unread = await index.unreadable_ids(db, connection.id)
        known = _Known(self.db, connection.id)
        writer = _IndexWriter(self.fingerprinter, connection.id, contents, hold, now)
        reading = await calendar.read(last.cursor, known, writer.write, full=full)
        if unread:
            await writer.write(Batch(changed=await calendar.fetch(unread)))
        if reading.listed is not None or reading.doubted:
            versions = await known()
            gone = await self._gone(connection, calendar, reading, versions, writer)
            emptied = bool(gone) and reading.listed == frozenset() and len(versions) >= EMPTIED
            await writer.write(Batch(removed=gone), emptied_at=now if emptied else None)
        memory = _Memory(self.program, now.timestamp() if retry else last.retried_at, reading.cursor)
        if connection.cursor is not None and memory == last:
            return connection.cursor, writer.wrote
        return memory.dump(), writer.wrote

    async def _gone(
        self,
        connection: ConnectionRecord,
        calendar: Calendar,
        reading: Reading,
        versions: Mapping[str, str | None],
        writer: _IndexWriter,
    ) -> list[str]:
        """The known ids that this reading proves deleted (rule 26).

        Where it covered a span of time alone, what has left that span is looked at by its id, and found again.
        """
        listed = reading.listed if reading.listed is not None else versions.keys()
        missing = (versions.keys() - listed) | (reading.doubted & versions.keys())
        if reading.covered is None or not missing:
            return sorted(missing)
        async with self.db.read() as db:
            inside = await index.ids_within(db, connection.id, missing, reading.covered, connection.timezone)
        found = await calendar.fetch(inside) if inside else []
        await writer.write(Batch(changed=[each for each in found if each.version != versions.get(each.id)]))
        return sorted(set(inside) - {each.id for each in found})


@dataclass(slots=True)
class _Known:
    """The index as it stood before a reading, loaded when it is first asked for."""

    db: Database
    connection_id: str
    versions: Mapping[str, str | None] | None = None

    async def __call__(self) -> Mapping[str, str | None]:
        if self.versions is None:
            async with self.db.read() as db:
                self.versions = await index.known_versions(db, self.connection_id)
        return self.versions


class _IndexWriter:
    """Writes batches. `contents` remembers their texts if a pair in `full` mode has a use for them."""

    def __init__(
        self, fingerprinter: Fingerprinter, connection_id: str, contents: Contents, hold: Hold, now: datetime
    ) -> None:
        self._fingerprinter = fingerprinter
        self._connection_id = connection_id
        self._contents = contents
        self._hold = hold
        self._now = now
        self._keeps: bool | None = None
        self.wrote = False

    async def write(self, batch: Batch, *, emptied_at: datetime | None = None) -> None:
        """`emptied_at` is noted together with the removals that it casts doubt on (rule 21)."""
        changed = [resource for resource in batch.changed if self._can_be_kept(resource)]
        if not changed and not batch.removed:
            return
        self.wrote = True
        async with self._hold.write() as db:
            if emptied_at is not None:
                await update_connection(db, self._connection_id, emptied_at=emptied_at)
            version = await index.next_version(db, self._connection_id)
            await index.store_resources(
                db, self._connection_id, changed, self._fingerprinter, version, now=self._now
            )
            await index.remove_resources(db, self._connection_id, batch.removed)
            if self._keeps is None:
                self._keeps = await carries_full_pair(db, self._connection_id)
        if self._keeps:
            for resource in changed:
                self._contents.remember(resource)

    def _can_be_kept(self, resource: Resource) -> bool:
        """An id that no column holds is nothing that a server gives in earnest."""
        fits = index.is_id(resource.id)
        if not fits:
            _log.warning("resource_left_out", connection_id=self._connection_id, id_length=len(resource.id))
        return fits


@dataclass(frozen=True, slots=True)
class _Memory:
    """What a connection's `cursor` column holds: the provider's cursor, and when the unreadable was retried."""

    program: str | None = None
    retried_at: float = 0.0
    cursor: str | None = None

    @classmethod
    def load(cls, text: str | None) -> _Memory:
        return cls(**json.loads(text)) if text else cls()

    def dump(self) -> str:
        return json.dumps({"program": self.program, "retried_at": self.retried_at, "cursor": self.cursor})
