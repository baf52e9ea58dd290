"""A calendar in memory that is as difficult as the real ones, and not more than the protocol of providers permits.

What `Calendar` in `calendarsync.providers.base` permits, each by a trait of `Temper`:

- A version may change without a change of the event (`etags="flaky"`), come late (`"late"`: a write does not say
  it, as where a server gives no strong ETag), or never (`"none"`). Two contents of one event with one version are
  not permitted, for "a resource whose version equals the known one is not fetched": a server whose ETags are that
  weak has to be read as one that gives none, which `"none"` stands for. A new version shows in the next changes.
- What changed may be told late (`lag` readings): a cursor then stands for an older state, and what is told of it is
  fetched as it is now. A full listing may be behind only where it has `covered`, for what is missing from it is
  looked up by its id then; without that "`listed` holds every id that the calendar has".
- A resource may come twice, a removal too, and of ids that nobody knows (`repeats`); batches come in any order
  (`backwards`), but never an older state of one resource after a newer: nobody could tell.
- A cursor may be rejected: then all is listed, and no deletion named.
- A reading may cover a span of time alone (`windowed`), and call removed what has left it.
- An id may be used up for good (`dead_ids`), and ids may be the server's own (provider `microsoft`).
- What is given may be rewritten, at once or later (`rewrites`).
- Any call may fail before it has any effect or after it (`Fault`), and the process may end at any (`Process`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal, TypeVar

from calendarsync.domain.amendment import Change
from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Resource
from calendarsync.domain.recurrence import may_touch
from calendarsync.domain.rules import Window
from calendarsync.providers.base import (
    Batch,
    Changed,
    Forbidden,
    IdDead,
    IdTaken,
    Known,
    NotAuthorized,
    ProviderError,
    RateLimited,
    Reading,
    Refused,
    ResourceGone,
    Unavailable,
)
from calendarsync.providers.icalendar import (
    MARK_PROPERTY,
    NotAmendable,
    amend,
    read_resource,
    without_mark,
    write_copy,
)

T = TypeVar("T")
ZONE = "Europe/Berlin"
SLACK = timedelta(days=5)
"""How much more than what is needed a windowed reading covers, at either end."""


class Killed(Exception):  # noqa: N818 - it tells what happened
    """The process has ended. Whoever catches it finds that nothing has any effect any more."""


@dataclass
class Process:
    """What one process of ours does to the world is a row of effects: requests that arrive, answers that are heard,
    transactions that are committed. To be killed at any of its awaits is to have had so many of them, and no more.

    `left`: how many are to come before it is killed.
    """

    left: int | None = None
    dead: bool = False

    def step(self) -> None:
        if self.left is not None:
            self.left -= 1
            self.dead = self.dead or self.left < 0
        if self.dead:
            raise Killed


class Fault(StrEnum):
    """What becomes of one call."""

    def __repr__(self) -> str:
        return f"Fault.{self.name}"

    LOST = "lost"
    """It does not arrive."""
    UNHEARD = "unheard"
    """It is carried out, and answered with a 5xx or not at all."""
    CUT = "cut"
    """A reading breaks off after its first batch; another call is lost."""
    SLOW_DOWN = "slow down"
    SLOW_DOWN_FOR = "slow down for 30 s"
    BUSY_FOR = "busy for 20 s"
    REFUSED = "refused"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"


_ERRORS: Mapping[Fault, Callable[[], ProviderError]] = {
    Fault.LOST: lambda: Unavailable("the request did not arrive"),
    Fault.UNHEARD: lambda: Unavailable("the answer was not heard"),
    Fault.CUT: lambda: Unavailable("the connection was cut"),
    Fault.SLOW_DOWN: lambda: RateLimited("slow down"),
    Fault.SLOW_DOWN_FOR: lambda: RateLimited("slow down", retry_after=30.0),
    Fault.BUSY_FOR: lambda: Unavailable("busy", retry_after=20.0),
    Fault.REFUSED: lambda: Refused("refused"),
    Fault.UNAUTHORIZED: lambda: NotAuthorized("the grant is dead"),
    Fault.FORBIDDEN: lambda: Forbidden("not allowed"),
}


@dataclass(frozen=True, repr=False)
class Temper:
    """In which ways a calendar is difficult."""

    provider: Literal["caldav", "google", "microsoft"] = "caldav"
    batch_size: int = 1
    page: int = 3
    etags: Literal["strong", "flaky", "late", "none"] = "strong"
    lag: int = 0
    windowed: bool = False
    dead_ids: bool = False
    repeats: bool = False
    backwards: bool = False
    rewrites: Literal["never", "at once", "once", "always"] = "never"

    def __repr__(self) -> str:
        """What is difficult about it."""
        told = ((each.name, getattr(self, each.name), each.default) for each in fields(self))
        return (
            f"Temper({', '.join(f'{name}={value!r}' for name, value, default in told if value != default)})"
        )


@dataclass
class DifficultStore:
    """What a server holds of one calendar. `ours` are the ids of what was written through the protocol,
    and `origins` what their marks said.

    `calls` counts those of a run, and `faults` says what becomes of which, counted from 1. While `calm`, there is
    no lag. `on_unmark` is told of each event whose mark is taken off.
    """

    temper: Temper
    owner: frozenset[str]
    clock: Callable[[], datetime]
    process: Process = field(default_factory=Process)
    resources: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    ours: set[str] = field(default_factory=set)
    origins: dict[str, str] = field(default_factory=dict)
    journal: list[str] = field(default_factory=list)
    writes: int = 0
    calls: int = 0
    faults: dict[int, Fault] = field(default_factory=dict)
    calm: bool = False
    on_unmark: Callable[[str, bytes], None] = lambda name, data: None
    _oldest_token: int = 0
    _versions: int = 0
    _lengths: list[int] = field(default_factory=lambda: [0])
    _used: set[str] = field(default_factory=set)
    _restless: dict[str, int] = field(default_factory=dict)

    def put(self, name: str, data: bytes) -> None:
        self.journal.append(name)
        self._versions += 1
        self.resources[name] = (f'"{self._versions}"', data)

    def delete(self, name: str) -> None:
        self.journal.append(name)
        del self.resources[name]
        self.ours.discard(name)

    def touch(self, name: str) -> None:
        """Another version of the same."""
        self.put(name, self.resources[name][1])

    def forget_tokens(self) -> None:
        self._oldest_token = len(self.journal) + 1

    def resource(self, name: str) -> Resource:
        etag, data = self.resources[name]
        version = None if self.temper.etags == "none" else etag
        return read_resource(name, version, data, owner=self.owner)

    def written(self, name: str) -> Resource:
        """What a write returns."""
        resource = self.resource(name)
        if self.temper.etags != "late":
            return resource
        return read_resource(name, None, self.resources[name][1], owner=self.owner)

    def write(self, name: str, copy: Copy) -> None:
        """One of our own, as the server takes it."""
        data = write_copy(copy, now=self.clock())
        self.writes += 1
        self.ours.add(name)
        self.origins[name] = copy.mark.split(";")[1]
        rewrites = self.temper.rewrites
        self.put(name, _rewritten(data) if rewrites == "at once" else data)
        late = rewrites == "always" or (rewrites == "once" and name not in self._restless)
        self._restless[name] = 2 if late else 1 if self.temper.etags == "flaky" else 0

    def come_to_mind(self) -> None:
        """What the server does to our writes some time later."""
        for name, what in self._restless.items():
            if what and name in self.ours:
                data = self.resources[name][1]
                self.put(name, _rewritten(data) if what == 2 else data)
            self._restless[name] = 0

    def position(self) -> int:
        """How far the state that a reading shows has come; each reading moves it on."""
        self._lengths.append(len(self.journal))
        lag = 0 if self.calm else self.temper.lag
        return self._lengths[max(-1 - lag, -len(self._lengths))]

    def since(self, cursor: str | None, upto: int) -> list[str] | None:
        """The ids that changed between a cursor and `upto`; None where the cursor is of no use."""
        if cursor is None or not cursor.isdigit() or int(cursor) < self._oldest_token:
            return None
        return list(dict.fromkeys(self.journal[int(cursor) : upto]))

    def holds(self, uid: str) -> bool:
        folded = f"UID:{uid}\r\n".encode()
        return any(folded in data for _, data in self.resources.values())

    def new_name(self, copy: Copy) -> str:
        """Where the copy will stand. Raises IdTaken, IdDead."""
        names = {"caldav": f"{copy.id}.ics", "google": copy.id, "microsoft": f"AAMk{self._versions}="}
        name = names[self.temper.provider]
        if name in self.resources or self.holds(copy.id):
            raise IdTaken("taken")
        if self.temper.dead_ids and copy.id in self._used:
            raise IdDead("used up")
        self._used.add(copy.id)
        return name


def _rewritten(data: bytes) -> bytes:
    return re.sub(rb"(?m)^SUMMARY:", b"SUMMARY:(!) ", data)


@dataclass
class DifficultCalendar:
    """`window` is what the pairs of the connection need."""

    store: DifficultStore
    window: Window
    requests: int = 0

    @property
    def batch_size(self) -> int:
        return self.store.temper.batch_size

    async def _call(self, action: Callable[[], T], *, write: bool = True) -> T:
        fault = self._count()
        await asyncio.sleep(0)
        self.store.process.step()
        if fault is Fault.REFUSED and not write:
            fault = None
        if fault is not None and fault is not Fault.UNHEARD:
            raise _ERRORS[fault]()
        result = action()
        await asyncio.sleep(0)
        self.store.process.step()
        if fault is Fault.UNHEARD:
            raise _ERRORS[fault]()
        return result

    def _count(self) -> Fault | None:
        self.requests += 1
        self.store.calls += 1
        return self.store.faults.get(self.store.calls)

    # Reading

    async def read(
        self,
        cursor: str | None,
        known: Known,
        on_batch: Callable[[Batch], Awaitable[None]],
        *,
        full: bool = False,
    ) -> Reading:
        store, temper = self.store, self.store.temper
        cut = store.faults.get(store.calls + 1) is Fault.CUT
        if cut:
            self._count()
            store.process.step()
        else:
            await self._call(lambda: None, write=False)
        store.come_to_mind()
        covered, token = self._covered(cursor)
        upto = store.position()
        names = None if full or covered is None else store.since(token, upto)
        covered = covered or Window(self.window.first - SLACK, self.window.last + SLACK)
        whole = names is None
        if names is None:
            upto = upto if temper.windowed else len(store.journal)
            behind = set(store.journal[upto:]) - set(store.journal[:upto])
            names = [name for name in store.resources if name not in behind]
        versions = await known()
        there = [name for name in names if name in store.resources and self._shows(name, covered)]
        changed = [name for name in there if versions.get(name) != self._version(name)]
        gone = [] if whole else [name for name in names if name not in there]
        for number, batch in enumerate(self._batches(changed, [] if temper.windowed else gone)):
            if cut and number:
                raise _ERRORS[Fault.CUT]()
            # What has gone since it was listed is left out.
            await on_batch(batch)
            store.process.step()
        if cut:
            raise _ERRORS[Fault.CUT]()
        listed = frozenset(there) if whole else None
        if not temper.windowed:
            return Reading(f"{upto}", listed)
        stamp = f"{upto} {covered.first.isoformat()} {covered.last.isoformat()}"
        return Reading(stamp, listed, covered, frozenset(gone))

    def _covered(self, cursor: str | None) -> tuple[Window | None, str | None]:
        """The span that a cursor stands for, and its token; None where it does not reach what is needed."""
        if not self.store.temper.windowed:
            return self.window, cursor
        parts = (cursor or "").split(" ")
        if len(parts) != 3:
            return None, None
        first, last = map(datetime.fromisoformat, parts[1:])
        if first > self.window.first or last < self.window.last:
            return None, None
        return Window(first, last), parts[0]

    def _shows(self, name: str, covered: Window) -> bool:
        if not self.store.temper.windowed:
            return True
        return may_touch(self.store.resource(name).components, covered.first, covered.last, ZONE)

    def _version(self, name: str) -> object:
        """Where there are none, no known one is equal."""
        return object() if self.store.temper.etags == "none" else self.store.resources[name][0]

    def _batches(self, changed: Sequence[str], gone: Sequence[str]) -> Iterator[Batch]:
        store, temper = self.store, self.store.temper
        parts = [changed[start : start + temper.page] for start in range(0, len(changed), temper.page)]
        batches: list[tuple[Sequence[str], Sequence[str]]] = [(part, ()) for part in parts]
        batches += [((), gone)] if gone else []
        if temper.repeats:
            batches += [(part, ()) for part in parts[:1]]
            batches.append(((), [*gone[:1], "nobody-knows-it"]))
        if temper.backwards:
            batches.reverse()
        for names, removed in batches:
            there = [store.resource(name) for name in names if name in store.resources]
            yield Batch(there, [name for name in removed if name not in store.resources or name in gone])

    async def fetch(self, ids: Sequence[str]) -> list[Resource]:
        def found() -> list[Resource]:
            return [self.store.resource(name) for name in dict.fromkeys(ids) if name in self.store.resources]

        return await self._call(found, write=False)

    # Writing

    async def create(self, copy: Copy) -> Resource:
        def create() -> str:
            name = self.store.new_name(copy)
            self.store.write(name, copy)
            return name

        return self.store.written(await self._call(create))

    async def update(self, resource_id: str, version: str | None, copy: Copy) -> Resource:
        def update() -> None:
            if resource_id not in self.store.resources:
                raise ResourceGone("gone")
            self._compare(resource_id, version)
            self.store.write(resource_id, copy)

        await self._call(update)
        return self.store.written(resource_id)

    async def delete(self, resource_id: str, version: str | None) -> None:
        def delete() -> None:
            if resource_id in self.store.resources:
                self._compare(resource_id, version)
                self.store.writes += 1
                self.store.delete(resource_id)

        await self._call(delete)

    async def unmark(self, resource_id: str, version: str | None) -> Resource | None:
        def unmark() -> bool:
            if resource_id not in self.store.resources:
                return False
            data = self.store.resources[resource_id][1]
            if resource_id not in self.store.ours and MARK_PROPERTY.encode() not in data:
                return True
            self._compare(resource_id, version)
            self.store.writes += 1
            self.store.put(resource_id, without_mark(data))
            self.store.ours.discard(resource_id)
            self.store.on_unmark(resource_id, data)
            return True

        return self.store.written(resource_id) if await self._call(unmark) else None

    async def amend(self, resource_id: str, version: str | None, changes: Sequence[Change]) -> Resource:
        """The one write of ours into what is a person's."""

        def change() -> None:
            if resource_id not in self.store.resources:
                raise ResourceGone("gone")
            current, data = self.store.resources[resource_id]
            if version is not None and version != current:
                raise Changed("changed")
            try:
                self.store.put(resource_id, amend(data, changes, now=self.store.clock()))
            except NotAmendable:
                raise Refused("of another form") from None

        await self._call(change)
        return self.store.written(resource_id)

    def _compare(self, resource_id: str, version: str | None) -> None:
        if version is not None and version != self.store.resources[resource_id][0]:
            raise Changed("changed")
        if resource_id not in self.store.ours:
            raise AssertionError(f"{resource_id} is a person's, and about to be overwritten")
