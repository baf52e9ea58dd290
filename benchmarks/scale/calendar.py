"""Calendars in memory that no process has to remember: what happened so far stands in their sync token."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.scale.mix import CHANGED, Kind, kind_of
from calendarsync.domain.amendment import Change
from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Component, Content, EventTime, Resource
from calendarsync.providers.base import Batch, Known, NotAuthorized, RateLimited, Reading
from calendarsync.providers.icalendar import read_resource, write_copy

RETRY_SECONDS = 60.0

_AT_ONE_END = CHANGED / 2
_STEPS = 3
"""An event is added, changed, removed; and then the next one is."""


@dataclass(slots=True)
class ScaleCalendar:
    """`number` names it among all; a token is how many changes it has seen. Its copies are remembered by nobody."""

    number: str
    kind: Kind
    now: Callable[[], datetime]
    requests: int = 0
    batch_size: int = 1

    async def read(
        self,
        cursor: str | None,
        known: Known,
        on_batch: Callable[[Batch], Awaitable[None]],
        *,
        full: bool = False,
    ) -> Reading:
        self.requests += 1
        if self.kind is Kind.THROTTLED:
            raise RateLimited("The server asked to slow down.", retry_after=RETRY_SECONDS)
        if self.kind is Kind.EXPIRED:
            raise NotAuthorized("The grant has ended.")
        if cursor is None or full:
            raise NotImplementedError("nothing makes the engine read all of it here")
        seen = int(cursor)
        if random.random() >= _AT_ONE_END:
            return Reading(cursor, None)
        await on_batch(self._change(seen))
        return Reading(str(seen + 1), None)

    def _change(self, seen: int) -> Batch:
        event, step = divmod(seen, _STEPS)
        resource_id = f"{self.number}-{event}.ics"
        if step == _STEPS - 1:
            return Batch(removed=[resource_id])
        day = self.now().replace(minute=0, second=0, microsecond=0, tzinfo=None) + timedelta(days=1)
        start = day + timedelta(hours=event % 12 + step)
        uid = resource_id.removesuffix(".ics")
        component = Component(uid, EventTime(start, "UTC"), EventTime(start + timedelta(hours=1), "UTC"))
        contents = {component.original: Content(title="Meeting")}
        return Batch(
            changed=[Resource(resource_id, str(seen), uid, (component,), contents, modified=self.now())]
        )

    async def fetch(self, ids: Sequence[str]) -> list[Resource]:
        raise NotImplementedError

    async def create(self, copy: Copy) -> Resource:
        return self._written(f"{copy.id}.ics", copy)

    async def update(self, resource_id: str, version: str | None, copy: Copy) -> Resource:
        return self._written(resource_id, copy)

    def _written(self, resource_id: str, copy: Copy) -> Resource:
        self.requests += 1
        now = self.now()
        return read_resource(resource_id, str(now.timestamp()), write_copy(copy, now=now), owner=frozenset())

    async def delete(self, resource_id: str, version: str | None) -> None:
        self.requests += 1

    async def unmark(self, resource_id: str, version: str | None) -> Resource | None:
        raise NotImplementedError

    async def amend(self, resource_id: str, version: str | None, changes: Sequence[Change]) -> Resource:
        raise NotImplementedError


def open_calendar(_provider: str, calendar_id: str, _secret: object, **_others: Any) -> ScaleCalendar:
    """In the place of `providers.opening.open_calendar`."""
    number = calendar_id.rstrip("/").rpartition("/")[2]
    return ScaleCalendar(number, kind_of(calendar_id), lambda: datetime.now(UTC))
