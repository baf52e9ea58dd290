"""A calendar in memory, quick enough for thousands of examples. It stores what the real codec writes.

It behaves as a CalDAV server with sync tokens does, and can fail where a network can: before a request
arrives, or after it was carried out and before the answer is heard.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from calendarsync.domain.amendment import Change
from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Resource
from calendarsync.providers.base import (
    Batch,
    Changed,
    IdTaken,
    Known,
    Reading,
    Refused,
    ResourceGone,
    Unavailable,
)
from calendarsync.providers.icalendar import NotAmendable, amend, read_resource, without_mark, write_copy

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


@dataclass
class Faults:
    """Which of the coming calls fail. `before` and `after` hold the numbers of calls, counted from 1."""

    before: set[int] = field(default_factory=set)
    after: set[int] = field(default_factory=set)
    calls: int = 0

    async def around(self, action: Callable[[], object]) -> object:
        self.calls += 1
        number = self.calls
        if number in self.before:
            raise Unavailable("the request did not arrive")
        result = action()
        if number in self.after:
            raise Unavailable("the answer was not heard")
        return result


@dataclass
class MemoryStore:
    """What a server holds of one calendar. `forget_tokens()` makes it reject every token given so far."""

    resources: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    journal: list[str] = field(default_factory=list)
    oldest_token: int = 0

    def put(self, name: str, data: bytes | str) -> str:
        self.journal.append(name)
        etag = f'"{len(self.journal)}"'
        self.resources[name] = (etag, data.encode() if isinstance(data, str) else data)
        return etag

    def delete(self, name: str) -> None:
        self.journal.append(name)
        del self.resources[name]

    def forget_tokens(self) -> None:
        self.oldest_token = len(self.journal)


@dataclass
class MemoryCalendar:
    store: MemoryStore
    owner: frozenset[str] = frozenset()
    faults: Faults = field(default_factory=Faults)
    requests: int = 0
    batch_size: int = 1
    read_at_once: int = 3

    async def _call(self, action: Callable[[], object]) -> object:
        self.requests += 1
        return await self.faults.around(action)

    def _resource(self, name: str) -> Resource:
        etag, data = self.store.resources[name]
        return read_resource(name, etag, data, owner=self.owner)

    async def read(
        self,
        cursor: str | None,
        known: Known,
        on_batch: Callable[[Batch], Awaitable[None]],
        *,
        full: bool = False,
    ) -> Reading:
        given = int(cursor) if cursor is not None and cursor.isdigit() and not full else -1
        token = given if given >= self.store.oldest_token else None
        names = self.store.resources if token is None else dict.fromkeys(self.store.journal[token:])
        await self._call(lambda: None)
        there = [name for name in names if name in self.store.resources]
        versions = await known() if there else {}
        changed = [name for name in there if versions.get(name) != self.store.resources[name][0]]
        new_token = str(len(self.store.journal))
        removed = [name for name in names if name not in self.store.resources]
        for start in range(0, len(changed), self.read_at_once):
            await on_batch(Batch(changed=await self.fetch(changed[start : start + self.read_at_once])))
        if removed:
            await on_batch(Batch(removed=removed))
        return Reading(new_token, frozenset(there) if token is None else None)

    async def fetch(self, ids: Sequence[str]) -> list[Resource]:
        found = [self._resource(name) for name in dict.fromkeys(ids) if name in self.store.resources]
        await self._call(lambda: None)
        return found

    async def create(self, copy: Copy) -> Resource:
        name = f"{copy.id}.ics"

        def write() -> None:
            uid = f"UID:{copy.id}\r\n".encode()
            if name in self.store.resources or any(uid in data for _, data in self.store.resources.values()):
                raise IdTaken("taken")
            self.store.put(name, write_copy(copy, now=NOW))

        await self._call(write)
        return self._resource(name)

    async def update(self, resource_id: str, version: str | None, copy: Copy) -> Resource:
        def write() -> None:
            if resource_id not in self.store.resources:
                raise ResourceGone("gone")
            if self.store.resources[resource_id][0] != version:
                raise Changed("changed")
            self.store.put(resource_id, write_copy(copy, now=NOW))

        await self._call(write)
        return self._resource(resource_id)

    async def delete(self, resource_id: str, version: str | None) -> None:
        def write() -> None:
            if resource_id not in self.store.resources:
                return
            if self.store.resources[resource_id][0] != version:
                raise Changed("changed")
            self.store.delete(resource_id)

        await self._call(write)

    async def unmark(self, resource_id: str, version: str | None) -> Resource | None:
        def write() -> None:
            etag, data = self.store.resources[resource_id]
            if etag != version:
                raise Changed("changed")
            self.store.put(resource_id, without_mark(data))

        if resource_id not in self.store.resources:
            return None
        await self._call(write)
        return self._resource(resource_id)

    async def amend(self, resource_id: str, version: str | None, changes: Sequence[Change]) -> Resource:
        def write() -> None:
            if resource_id not in self.store.resources:
                raise ResourceGone("gone")
            etag, data = self.store.resources[resource_id]
            if etag != version:
                raise Changed("changed")
            try:
                self.store.put(resource_id, amend(data, changes, now=NOW))
            except NotAmendable:
                raise Refused("of another form") from None

        await self._call(write)
        return self._resource(resource_id)
