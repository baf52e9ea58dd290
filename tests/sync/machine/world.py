"""The world of the convergence machine: calendars, the people at them, an installation, and what has to hold."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.domain.origin import instance_origin, origin_of
from calendarsync.domain.recurrence import RecurrenceError, expand
from calendarsync.domain.rules import Rules, Window
from calendarsync.domain.times import moment_key
from calendarsync.providers.base import Calendar
from calendarsync.providers.icalendar import read_resource
from calendarsync.providers.tokens import Access
from calendarsync.store import tables
from calendarsync.store.pairs import CHANGED
from calendarsync.store.schedule import ConnectionRecord
from calendarsync.sync.inputs import Tools
from calendarsync.sync.refresh import Refresher
from calendarsync.sync.report import RunReport
from calendarsync.sync.round import Reader
from calendarsync.sync.run import Engine
from tests.sync.machine.oracle import Occurrence, Slot, covered, eligible, occurrences, passes, point
from tests.sync.machine.people import OWNER, Draft, stripped, without_instance
from tests.testbed.difficult import ZONE, DifficultCalendar, DifficultStore, Fault, Process, Temper
from tests.testbed.installation import START, FixedToken, Installation

WIDE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
ROUNDS = 12  # of runs, at most, until all is at rest


@dataclass
class Pair:
    id: str
    a: str
    b: str
    mode: str
    direction: str
    options: dict[str, Any]
    paused: bool = False
    removal: str | None = None

    @property
    def flows(self) -> Iterator[tuple[str, str]]:
        if self.direction != "b_to_a":
            yield self.a, self.b
        if self.direction != "a_to_b":
            yield self.b, self.a

    def window(self, now: datetime) -> Window:
        return Rules.from_options(self.mode, self.options).window(now)


Unit = tuple[str, str, str, str]
"""A copy that a person deleted: its calendar, the calendar and id of its source, and the original start."""


@dataclass
class World:
    app: Installation
    process: Process = field(default_factory=Process)
    stores: dict[str, DifficultStore] = field(default_factory=dict)
    connections: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    pairs: list[Pair] = field(default_factory=list)
    account: str = ""
    drafts: dict[tuple[str, str], Draft] = field(default_factory=dict)
    written: dict[tuple[str, str], bytes] = field(default_factory=dict)
    away: dict[Unit, str] = field(default_factory=dict)
    lax: set[tuple[str, str, str]] = field(default_factory=set)
    sources_of: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    edited: set[tuple[str, str]] = field(default_factory=set)
    still: bool = False
    """Whether all was at rest, and nothing but copies was touched since."""
    _rested_as: object = None

    # The installation

    async def begin(self, tempers: Mapping[str, Temper]) -> None:
        async with self.app.db.write() as db:
            for table in reversed(tables.metadata.sorted_tables):
                await db.execute(delete(table))
        self.app.clock.now = START
        engine: Any = self.app.db._engine
        engine.write = self._committing(type(engine).write.__get__(engine))
        self.process = Process()
        self.account = await self.app.account()
        for name, temper in tempers.items():
            store = DifficultStore(temper, frozenset({OWNER}), self.app.clock, self.process)
            store.on_unmark = lambda resource, data, name=name: self._kept(name, resource)  # type: ignore[misc]
            self.stores[name] = store
            self.connections[name] = connection = await self.app.connect_granted(
                self.account,
                temper.provider,
                name,
                Access(FixedToken(name), "http://127.0.0.1:1"),
                email=OWNER,
            )
            self.keys[name] = (await self.app.row(tables.connections, connection)).calendar_key
        self.start_process()

    def _committing(self, write: Callable[[object], AbstractAsyncContextManager[AsyncConnection]]) -> object:
        """Transactions of which each is an effect of the process."""

        @asynccontextmanager
        async def committing(tenant: object) -> AsyncIterator[AsyncConnection]:
            async with write(tenant) as connection:
                yield connection
                self.process.step()

        return committing

    def start_process(self) -> None:
        """A new process at the same database."""
        self.process = Process()
        for store in self.stores.values():
            store.process = self.process
        app = self.app
        reader = Reader(
            db=app.db,
            refresher=Refresher(app.db, app.fingerprinter, app.program),
            open_calendar=self._open,
            now=app.clock,
            jitter=lambda: 0.0,
            poll_seconds=300,
        )
        app.engine = Engine(reader, Tools(app.keyring.mark_keys, app.fingerprinter, app.program))

    def _open(self, connection: ConnectionRecord, _: Window | None) -> Calendar:
        name = next(name for name, each in self.connections.items() if each == connection.id)
        windows = [pair.window(self.app.clock()) for pair in self.pairs if name in (pair.a, pair.b)]
        need = Window(min(each.first for each in windows), max(each.last for each in windows))
        return DifficultCalendar(self.stores[name], need)

    async def make_pair(self, a: str, b: str, mode: str, direction: str, options: dict[str, Any]) -> Pair:
        pair_id = await self.app.pair(
            self.connections[a], self.connections[b], sync_mode=mode, direction=direction, **options
        )
        pair = Pair(pair_id, a, b, mode, direction, options)
        self.pairs.append(pair)
        self.still = False
        return pair

    async def change(self, pair: Pair, **values: Any) -> None:
        """As the API writes it."""
        self.still = False
        self._let_edits_stay()
        await self.app.change_pair(pair.id, **values, **CHANGED)

    async def reauthorize(self) -> None:
        async with self.app.db.write() as db:
            await db.execute(update(tables.connections).values(status="active"))

    # Runs

    async def run(
        self,
        pair: Pair,
        faults: Mapping[str, Mapping[int, Fault]] | None = None,
        kill_after: int | None = None,
        **given: Any,
    ) -> RunReport | None:
        """One run; None of one that was killed. `faults` are by calendar and number of the call.

        A pair that is being removed is told at once of what it wrote: where the answer to a create was lost, and no
        listing shows the copy yet, there is nothing that could be taken away, and the pair does not wait for it.
        """
        calm = all(store.calm for store in self.stores.values())
        for name, store in self.stores.items():
            store.calls, store.faults = 0, dict((faults or {}).get(name, {}))
            store.calm = store.calm or (pair.removal is not None and name in (pair.a, pair.b))
        self.process.left = kill_after
        report = None
        try:
            report = await self.app.run(pair.id, **given)
        except Exception:
            if not self.process.dead:
                raise
        finally:
            for store in self.stores.values():
                store.faults, store.calm = {}, calm
        if self.process.dead:
            await self._bury()
            report = None
        else:
            self.process.left = None
        if report is not None:
            self._check_report(report)
        if pair.removal is not None and await self.app.row(tables.pairs, pair.id) is None:
            self.pairs.remove(pair)
        self.check_always()
        return report

    async def _bury(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        self.start_process()

    @staticmethod
    def _check_report(report: RunReport) -> None:
        defects = [each for each in report.operations if each.reason == "defect"]
        assert not defects, f"a defect of ours: {defects}"
        assert report.error is None or report.error.code != "server_error", "a run failed by a defect of ours"

    # People

    def put(self, name: str, resource: str, data: bytes, draft: Draft | None) -> None:
        """A person writes an event."""
        before = self.drafts.get((name, resource))
        moved = draft is not None and before is not None and before.when != draft.when
        self._touched(name, resource, moved=moved)
        self.stores[name].put(resource, data)
        self.written[name, resource] = data
        if draft is not None:
            self.drafts[name, resource] = draft
        self._know(name, resource, data)

    def remove(self, name: str, resource: str) -> None:
        """A person deletes an event of theirs."""
        self._touched(name, resource)
        self.stores[name].delete(resource)
        self.written.pop((name, resource))
        self.drafts.pop((name, resource), None)

    def _touched(self, name: str, resource: str, *, moved: bool = False) -> None:
        self.still = False
        for unit, state in list(self.away.items()):
            if unit[1:3] == (name, resource):
                if moved and state == "known" and not unit[3]:
                    del self.away[unit]
                else:
                    self.away[unit] = "unsure"

    def _know(self, name: str, resource: str, data: bytes) -> None:
        """Which origins copies of this have."""

        origin = origin_of(self.keys[name], resource)
        self.sources_of[origin] = (name, resource, "")
        read = read_resource(resource, None, data, owner=frozenset({OWNER}))
        try:
            instances = expand(read.components, *WIDE, ZONE) if read.problem is None else []
        except RecurrenceError:
            instances = []
        for instance in instances:
            if instance.original is not None:
                of_instance = instance_origin(origin, moment_key(instance.original, ZONE))
                self.sources_of[of_instance] = (name, resource, point(instance.original))

    def source_of(self, name: str, copy: str) -> tuple[str, str, str]:
        return self.sources_of.get(self.stores[name].origins[copy], ("?", "?", "?"))

    def edit(self, name: str, copy: str, data: bytes) -> None:
        """A person changes a copy. With `on_copy_edited: keep` it may show anything from then on."""
        self.stores[name].put(copy, data)
        self.edited.add((name, copy))
        self._let_edits_stay()

    def _let_edits_stay(self) -> None:
        for name, copy in self.edited:
            keeping = any(
                pair.options.get("on_copy_edited") == "keep"
                for pair in self.pairs
                if name in (pair.a, pair.b)
            )
            if keeping:
                self.lax.add((name, *self.source_of(name, copy)[:2]))

    def delete_copy(self, name: str, copy: str) -> None:
        self.note_away((name, *self.source_of(name, copy)))
        self.stores[name].delete(copy)

    def delete_instance(self, name: str, copy: str, number: int, *, cancel: bool) -> None:
        """A person takes one of the next instances out of a copied series."""
        data = self.stores[name].resources[copy][1]
        read = read_resource(copy, None, data)
        master = next((each for each in read.components if each.recurrence_id is None), None)
        if master is None or master.recurrence is None:
            return
        now = self.app.clock()
        instances = expand(read.components, now, now + timedelta(days=40), ZONE)
        if not instances:
            return
        original = instances[number % len(instances)].original
        assert original is not None
        self.note_away((name, *self.source_of(name, copy)[:2], point(original)))
        parameters = ";VALUE=DATE" if original.all_day else f";TZID={original.zone}"
        form = "%Y%m%d" if original.all_day else "%Y%m%dT%H%M%S"
        zulu = "Z" if original.zone == "UTC" else ""
        named = f"{'' if zulu else parameters}:{original.value.strftime(form)}{zulu}"
        self.stores[name].put(copy, without_instance(data, named, cancel=cancel))

    def strip(self, name: str, copy: str) -> None:
        """A person's program drops our property. Where no answer to a write of the copy was heard yet, nothing
        shows any more whose it is: its id counts as taken then (rule 3).
        """
        data = self.stores[name].resources[copy][1]
        self.stores[name].put(copy, stripped(data))
        if not self.still:
            self.lax.add((name, *self.source_of(name, copy)[:2]))

    def note_away(self, unit: Unit) -> None:
        self.away[unit] = "sure" if self.still and unit not in self.away else "unsure"

    def doubt(self, *names: str) -> None:
        """What was respected between these calendars need not be any more."""
        for unit in self.away:
            if unit[0] in names and unit[1] in names:
                self.away[unit] = "unsure"

    def _kept(self, name: str, resource: str) -> None:
        """A copy has become an ordinary event. Its id is taken, so its source gets no other here."""
        store = self.stores[name]
        data = store.resources[resource][1]
        self.written[name, resource] = data
        self.lax.add((name, *self.source_of(name, resource)[:2]))
        self._know(name, resource, data)

    # What has to hold

    def check_always(self) -> None:
        """No source is touched, no origin has two copies in a calendar, and no copy invites anybody."""
        for (name, resource), data in self.written.items():
            there = self.stores[name].resources.get(resource)
            assert there is not None, f"{resource} in {name} is a person's, and was deleted"
            assert there[1] == data, f"{resource} in {name} is a person's, and was changed"
        for name, store in self.stores.items():
            doubles = Counter(store.origins[resource] for resource in store.ours)
            assert max(doubles.values(), default=1) == 1, f"an origin has two copies in {name}"
            for resource in store.ours:
                data = store.resources[resource][1]
                assert b"\nATTENDEE" not in data, f"{resource} in {name} invites somebody"
                assert b"\nORGANIZER" not in data, f"{resource} in {name} invites somebody"

    async def come_to_rest(self) -> None:
        """No more faults; runs until none writes anything, and another one of each pair.

        That last one is for what a provider always rewrites: we have given way then, and who edits such a copy
        before we have seen it at rest cannot be told from the provider.
        """
        for store in self.stores.values():
            store.calm = True
        for pair in self.pairs:
            if pair.paused:
                pair.paused = False
                await self.change(pair, status="active")
        await self.reauthorize()
        self.app.clock.advance(hours=1)
        waited = rested = False
        for _ in range(ROUNDS):
            before = sum(store.writes for store in self.stores.values())
            reports = [await self.run(pair, confirm=True) for pair in list(self.pairs)]
            at_rest = before == sum(store.writes for store in self.stores.values())
            failed = any(report is not None and report.status != "success" for report in reports)
            if at_rest and failed and not waited:
                self.app.clock.advance(hours=25)  # what was refused is tried again once a day
                waited = True
            elif at_rest and rested:
                break
            rested = at_rest
        else:
            raise AssertionError("it does not come to rest")
        assert not any(pair.removal for pair in self.pairs), "a pair is not removed"
        for store in self.stores.values():
            store.calm = False

    async def settle(self) -> None:
        await self.come_to_rest()
        for name in self.stores:
            self._check_copies(name)
        self.still = True
        self.edited.clear()
        self._rested_as = self._state_of_all()

    @property
    def stirred(self) -> bool:
        """Whether anything happened since all was at rest."""
        return self._rested_as != self._state_of_all()

    def _state_of_all(self) -> object:
        return [len(each.journal) for each in self.stores.values()], self.app.clock(), repr(self.pairs)

    def _check_copies(self, target: str) -> None:
        """Rule 14, less rules 5, 17 and 22."""
        into = [(source, pair) for pair in self.pairs for source, there in pair.flows if there == target]
        if not into:
            self._check_left(target)
            return
        windows = [pair.window(self.app.clock()) for _, pair in into]
        span = max(each.first for each in windows), min(each.last for each in windows)
        must: Counter[Slot] = Counter()
        may: Counter[Slot] = Counter()
        instances: dict[tuple[str, str], set[str]] = {}
        standing = [
            each for resource in self._own(target) for each in self._occurrences(target, resource, span) or ()
        ]
        maybe: list[Occurrence] = []
        spared = {(source, resource) for there, source, resource in self.lax if there == target}
        for source, pair in into:
            mine: list[Occurrence] = []
            for resource in self._own(source):
                found = self._occurrences(source, resource, span)
                if found is None:
                    spared.add((source, resource))
                for each in found or ():
                    asked = eligible(each.component, pair.mode, pair.options) and passes(each, pair.options)
                    if not asked or covered(each, standing):
                        continue
                    state = self._state(target, source, resource, each.key)
                    if pair.options.get("on_copy_deleted") == "restore":
                        state = None
                    if (source, resource) in spared:
                        maybe.append(each)
                        continue
                    instances.setdefault((source, resource), set()).add(each.key)
                    if state in ("sure", "known"):
                        continue
                    if state == "unsure" or covered(each, maybe):
                        may[each.slot] += 1
                        maybe.append(each)
                    else:
                        must[each.slot] += 1
                        mine.append(each)
            standing += mine
        actual = self._actual(target, span, spared)
        missing, extra = must - actual, actual - must - may
        assert not missing, f"not copied to {target}: {sorted(missing)}; there is {sorted(actual)}"
        assert not extra, (
            f"copies in {target} that nothing asks for: {sorted(extra)}; expected {sorted(must)}"
        )
        self._learn(target, span, instances)

    def _check_left(self, target: str) -> None:
        """Where no pair writes any more, history stays until the pair goes (rules 20 and 26)."""
        on_it = [pair for pair in self.pairs if target in (pair.a, pair.b)]
        assert on_it or not self.stores[target].ours, f"copies are left in {target}, where there is no pair"
        for pair in on_it:
            window = pair.window(self.app.clock())
            left = self._actual(target, (window.first, window.last), set())
            assert not left, f"copies are left in {target}, where no pair writes: {sorted(left)}"

    def _own(self, name: str) -> list[str]:
        store = self.stores[name]
        return [resource for resource in store.resources if resource not in store.ours]

    def _occurrences(
        self, name: str, resource: str, span: tuple[datetime, datetime]
    ) -> list[Occurrence] | None:
        return occurrences(self.stores[name].resources[resource][1], *span)

    def _state(self, target: str, source: str, resource: str, key: str) -> str | None:
        states = [self.away.get((target, source, resource, each)) for each in ("", key)]
        return "unsure" if "unsure" in states else next(filter(None, states), None)

    def _actual(
        self, target: str, span: tuple[datetime, datetime], spared: set[tuple[str, str]]
    ) -> Counter[Slot]:
        """What the copies show, but for those whose sources cannot be read or whose ids are taken."""
        actual: Counter[Slot] = Counter()
        for copy in sorted(self.stores[target].ours):
            source, resource, _ = self.source_of(target, copy)
            if (source, resource) in spared:
                continue
            found = self._occurrences(target, copy, span)
            assert found is not None, f"the copy {copy} in {target} cannot be read"
            actual.update(each.slot for each in found)
        return actual

    def _learn(
        self, target: str, span: tuple[datetime, datetime], instances: Mapping[tuple[str, str], set[str]]
    ) -> None:
        """Which of the copies that people deleted stay away, and which are there again.

        `instances` are the keys of what would be copied if nobody had deleted anything.
        """
        there: dict[tuple[str, str], set[str]] = {}
        for copy in self.stores[target].ours:
            source, resource, key = self.source_of(target, copy)
            keys = there.setdefault((source, resource), set())
            keys.update([key] if key else (each.key for each in self._occurrences(target, copy, span) or ()))
        for unit in [unit for unit in self.away if unit[0] == target]:
            _, source, resource, key = unit
            wanted = instances.get((source, resource), set())
            wanted = wanted & {key} if key else wanted
            shown = there.get((source, resource), set()) & wanted
            if wanted and not shown:
                self.away[unit] = "known"
            elif wanted and shown == wanted:
                del self.away[unit]
            else:
                self.away[unit] = "unsure"
