"""Reading what changed in a calendar into the index (DESIGN: refresh)."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from calendarsync.domain.event import Content, Resource
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.providers.base import Batch, Calendar, Reading
from calendarsync.store import index
from calendarsync.store.database import Database
from calendarsync.store.index_rows import is_id
from calendarsync.store.schedule import ConnectionRecord, Uses, load_uses, update_connection
from calendarsync.sync.guards import EMPTIED
from calendarsync.sync.hold import Hold

_log = structlog.get_logger(__name__)

RETRY_SECONDS = 86_400.0
"""How often a resource that could not be read is fetched again though it did not change (rule 22)."""

_FEW = 10
"""Where one of so many resources is wanted, it is asked for by its id rather than in a listing of all."""

_AT_ONCE = 128
"""How many resources are held in memory at once that are asked for by their ids."""

_NO_VERSION = "\0"
"""What no provider gives as a version."""

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
        await self._take_away(connection, calendar, reading, known, writer)
        memory = _Memory(self.program, now.timestamp() if retry else last.retried_at, reading.cursor)
        if connection.cursor is not None and memory == last:
            return connection.cursor, writer.wrote
        return memory.dump(), writer.wrote

    async def read_texts(
        self,
        connection: ConnectionRecord,
        calendar: Calendar,
        hold: Hold,
        ids: Collection[str],
        *,
        contents: Contents,
        now: datetime,
    ) -> str | None:
        """Read resources once more, changed or not, and note what the text filters say of them (rule 8).

        By their ids or, where a provider would be asked for many of them one by one, in one listing of all.
        Returned is what is to be noted as the connection's cursor. Raises ProviderError, ClaimLost.
        """
        known = _Known(self.db, connection.id)
        versions = await known()
        asked = {each: versions[each] for each in ids if each in versions}
        writer = _IndexWriter(self.fingerprinter, connection.id, contents, hold, now, asked=asked)
        if calendar.batch_size == 1 or len(asked) <= max(calendar.batch_size, len(versions) // _FEW):
            listed = sorted(asked)
            for start in range(0, len(listed), _AT_ONCE):
                found = await calendar.fetch(listed[start : start + _AT_ONCE])
                await writer.write(Batch(changed=found))
            return connection.cursor

        async def as_if_new() -> Mapping[str, str | None]:
            return {**versions, **dict.fromkeys(asked, _NO_VERSION)}

        last = _Memory.load(connection.cursor)
        reading = await calendar.read(last.cursor, as_if_new, writer.write, full=True)
        await self._take_away(connection, calendar, reading, known, writer)
        return replace(last, cursor=reading.cursor).dump()

    async def _take_away(
        self,
        connection: ConnectionRecord,
        calendar: Calendar,
        reading: Reading,
        known: _Known,
        writer: _IndexWriter,
    ) -> None:
        """Remove what a reading shows to be gone; a calendar that seems emptied is noted as such (rule 21)."""
        if reading.listed is None and not reading.doubted:
            return
        versions = await known()
        gone = await self._gone(connection, calendar, reading, versions, writer)
        emptied = bool(gone) and reading.listed == frozenset() and len(versions) >= EMPTIED
        await writer.write(Batch(removed=gone), emptied=emptied)

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
    """Writes batches. `contents` remembers their texts if a pair in `full` mode has a use for them.

    `asked` are the versions of resources that are read for the sake of the text filters alone.
    """

    def __init__(
        self,
        fingerprinter: Fingerprinter,
        connection_id: str,
        contents: Contents,
        hold: Hold,
        now: datetime,
        *,
        asked: Mapping[str, str | None] | None = None,
    ) -> None:
        self._fingerprinter = fingerprinter
        self._connection_id = connection_id
        self._contents = contents
        self._hold = hold
        self._now = now
        self._asked = asked or {}
        self._uses: Uses | None = None
        self.wrote = False

    async def write(self, batch: Batch, *, emptied: bool = False) -> None:
        """That it seems `emptied` is noted together with the removals that this casts doubt on (rule 21)."""
        read = [resource for resource in batch.changed if self._can_be_kept(resource)]
        if not read and not batch.removed:
            return
        same = [resource for resource in read if self._is_as_it_was(resource)]
        changed = [resource for resource in read if not self._is_as_it_was(resource)]
        async with self._hold.write() as db:
            if self._uses is None:
                self._uses = await load_uses(db, self._connection_id)
            filters = self._uses.filters
            await index.store_verdicts(db, self._connection_id, same, self._fingerprinter, filters)
            if emptied:
                await update_connection(db, self._connection_id, emptied_at=self._now)
            if changed or batch.removed:
                self.wrote = True
                version = await index.next_version(db, self._connection_id)
                await index.store_resources(
                    db,
                    self._connection_id,
                    changed,
                    self._fingerprinter,
                    version,
                    now=self._now,
                    filters=filters,
                )
                await index.remove_resources(db, self._connection_id, batch.removed)
        if self._uses.copies_texts:
            for resource in read:
                self._contents.remember(resource)

    def _is_as_it_was(self, resource: Resource) -> bool:
        version = self._asked.get(resource.id)
        return version is not None and version == resource.version

    def _can_be_kept(self, resource: Resource) -> bool:
        """An id that no column holds is nothing that a server gives in earnest."""
        fits = is_id(resource.id)
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
