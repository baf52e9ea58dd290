"""Calendars that show a span of time alone (rule 26), that use ids up (rule 3), and that take writes in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Resource
from calendarsync.domain.link import Link
from calendarsync.domain.rules import Rules, Window
from calendarsync.providers.base import Batch, Calendar, IdDead, Known, RateLimited, Reading, Unavailable
from calendarsync.providers.icalendar import without_mark
from calendarsync.store import links as links_store
from calendarsync.store.claims import ClaimLost
from calendarsync.store.errors import DatabaseUnavailable
from calendarsync.store.schedule import ConnectionRecord
from calendarsync.store.tables import links
from calendarsync.sync import round as rounds
from tests.sync.helpers import done, fill, only, sync_anew
from tests.testbed.events import event
from tests.testbed.memory import MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk, memory_desk

MARCH = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))


@dataclass
class MarchCalendar(MemoryCalendar):
    """It lists what begins in March alone, and calls removed what has left it, as Graph's delta does."""

    async def read(
        self,
        cursor: str | None,
        known: Known,
        on_batch: Callable[[Batch], Awaitable[None]],
        *,
        full: bool = False,
    ) -> Reading:
        removed: set[str] = set()

        async def within(batch: Batch) -> None:
            outside = [each.id for each in batch.changed if not self._begins_in_march(each)]
            removed.update(batch.removed, outside)
            await on_batch(Batch(changed=[each for each in batch.changed if each.id not in outside]))

        reading = await super().read(cursor, known, within, full=full)
        listed = reading.listed
        if listed is not None:
            listed = frozenset(name for name in listed if self._begins_in_march(self._resource(name)))
        return replace(reading, listed=listed, covered=MARCH, doubted=frozenset(removed))

    @staticmethod
    def _begins_in_march(resource: Resource) -> bool:
        return MARCH.first <= resource.components[0].start.instant("Europe/Berlin") < MARCH.last


@dataclass
class ShuttingCalendar(MemoryCalendar):
    """It never gives an id twice, as Google does not."""

    used: set[str] = field(default_factory=set)

    async def create(self, copy: Copy) -> Resource:
        name = f"{copy.id}.ics"
        if name in self.used and name not in self.store.resources:
            raise IdDead("used up")
        self.used.add(name)
        return await super().create(copy)


def _opening(
    at: MemoryDesk, kind: type[MemoryCalendar], name: str, made: list[MemoryCalendar] | None = None
) -> Callable[[ConnectionRecord, Calendar], Calendar]:
    """Open calendar `name` as a `kind`; as one for the whole test where `made` is given to keep it."""
    plain = at.app.wrap

    def open_(connection: ConnectionRecord, calendar: Calendar) -> Calendar:
        opened = plain(connection, calendar)
        assert isinstance(opened, MemoryCalendar)
        if connection.id != at.connections[name]:
            return opened
        again = kind(opened.store, opened.owner, opened.faults)
        if made is None:
            return again
        if not made:
            made.append(again)
        return made[0]

    return open_


@pytest.fixture
async def march(at_memory: MemoryDesk) -> MemoryDesk:
    """Calendar a shows March alone; the pair copies the whole year."""
    at_memory.app.wrap = _opening(at_memory, MarchCalendar, "a")
    return at_memory


@pytest.mark.parametrize("full", [False, True])
async def test_rule_26_an_event_that_left_the_span_is_found_by_its_id(march: MemoryDesk, full: bool) -> None:
    at = march
    at.store("a").put("moves.ics", event("moves", "20260310T090000", "20260310T100000"))
    at.store("a").put("goes.ics", event("goes", "20260311T090000", "20260311T100000"))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    at.store("a").put("moves.ics", event("moves", "20260610T090000", "20260610T100000"))
    at.store("a").delete("goes.ics")
    report = await at.app.run(pair, full=full)
    assert sorted(done(report)) == [("delete", "source_deleted"), ("update", "source_changed")]
    (slot,) = at.busy("b", MARCH.first, datetime(2027, 1, 1, tzinfo=UTC))
    assert slot[0] == datetime(2026, 6, 10, 7, tzinfo=UTC)


@pytest.mark.parametrize("full", [False, True])
async def test_rule_26_what_is_outside_the_span_is_not_even_asked_for(march: MemoryDesk, full: bool) -> None:
    """It was there, it is known, and no reading of March says anything of it, though it is gone."""
    at = march
    at.store("a").put("far.ics", event("far", "20260310T090000", "20260310T100000"))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    at.store("a").put("far.ics", event("far", "20260610T090000", "20260610T100000"))
    await at.app.sync(pair)
    at.store("a").delete("far.ics")
    report = await at.app.run(pair, full=full)
    assert (report.status, done(report)) == ("success", [])
    assert report.provider_requests == 2


async def test_rule_3_an_id_that_is_used_up_moves_the_generation_on(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.app.wrap = _opening(at, ShuttingCalendar, "b", [])
    at.store("a").put("one.ics", event("one"))
    pair = await at.pair(direction="a_to_b")
    names = []
    for generation in range(3):
        await at.app.sync(pair)
        names += list(at.store("b").resources)
        async with at.app.db.read() as db:
            link = (await db.execute(select(links))).one()
        assert (link.generation, f"{link.copy_id}.ics", link.state) == (generation, names[-1], "live")
        at.store("a").delete("one.ics")
        await at.app.sync(pair)
        assert at.store("b").resources == {}
        at.store("a").put("one.ics", event("one"))
    assert len(set(names)) == 3


async def test_rule_3_a_generation_is_stored_before_anything_is_written_under_it(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    stored: list[tuple[str, bool]] = []

    async def create(self: MemoryCalendar, copy: Copy) -> Resource:
        async with at.app.db.read() as db:
            link = (await db.execute(select(links))).one()
        stored.append((link.state, link.copy_id == copy.id))
        if len(stored) < 3:
            raise IdDead("used up")
        raise Unavailable("cut off", retry_after=1)

    monkeypatch.setattr(MemoryCalendar, "create", create)
    at.store("a").put("one.ics", event("one"))
    pair = await at.pair(direction="a_to_b")
    assert (await at.app.run(pair)).status == "failed"
    assert stored == [("pending", True)] * 3


@pytest.mark.parametrize(
    "error", [ClaimLost(), DatabaseUnavailable("it went away")], ids=["claim", "database"]
)
async def test_what_ends_a_run_while_a_generation_is_stored_is_not_told_as_a_defect_of_its_event(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    at = at_memory
    save = links_store.save_links

    async def used_up(self: MemoryCalendar, copy: Copy) -> Resource:
        raise IdDead("used up")

    async def fail_later(db: AsyncConnection, pair_id: str, saved: Sequence[Link]) -> None:
        if any(link.generation for link in saved):
            raise error
        await save(db, pair_id, saved)

    monkeypatch.setattr(MemoryCalendar, "create", used_up)
    monkeypatch.setattr(links_store, "save_links", fail_later)
    at.store("a").put("one.ics", event("one"))
    pair = await at.pair(direction="a_to_b")
    with pytest.raises(type(error)):
        await at.app.run(pair)


async def test_an_id_that_is_never_free_fails_its_event_alone(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    create = MemoryCalendar.create

    async def refusing(self: MemoryCalendar, copy: Copy) -> Resource:
        if copy.master.start.local.day == 3:
            raise IdDead("used up")
        return await create(self, copy)

    monkeypatch.setattr(MemoryCalendar, "create", refusing)
    fill(at, 3)
    report = await at.app.run(await at.pair(direction="a_to_b"))
    assert (report.status, report.events_created) == ("partial", 2)
    assert ("skip", "id_dead") in done(report)


@dataclass
class BatchingCalendar(MemoryCalendar):
    """It notes how many writes are handed over at the same moment."""

    batch_size: int = 20
    together: list[int] = field(default_factory=list)
    _waiting: int = 0

    refuses: Callable[[Copy], Exception | None] = lambda copy: None

    async def create(self, copy: Copy) -> Resource:
        self._waiting += 1
        if self._waiting == 1:
            asyncio.get_running_loop().call_soon(self._note)
        await asyncio.sleep(0)
        error = self.refuses(copy)
        if error is not None:
            raise error
        return await super().create(copy)

    def _note(self) -> None:
        self.together.append(self._waiting)
        self._waiting = 0


async def test_writes_are_handed_over_in_groups(at_memory: MemoryDesk, tmp_path: Path) -> None:
    at = at_memory
    made: list[MemoryCalendar] = []
    at.app.wrap = _opening(at, BatchingCalendar, "b", made)
    for number in range(250):
        at.store("a").put(f"{number}.ics", event(f"uid-{number}", title=f"Event {number}"))
    report = await at.app.sync(await at.pair(direction="a_to_b", sync_mode="full"))
    assert report.events_created == 250
    (calendar,) = made
    assert isinstance(calendar, BatchingCalendar)
    assert sum(calendar.together) == 250
    assert len(at.store("b").resources) == 250
    assert len(calendar.together) <= 13, calendar.together


async def test_a_group_whose_ids_are_all_used_up_is_written_as_a_group_again(at_memory: MemoryDesk) -> None:
    """As after a pair that was deleted and made anew: a request for each would be what Google calls a hurry."""
    at = at_memory
    made: list[MemoryCalendar] = []
    at.app.wrap = _opening(at, BatchingCalendar, "b", made)
    fill(at, 1)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    (calendar,) = made
    assert isinstance(calendar, BatchingCalendar)
    calendar.together.clear()
    calendar.refuses = lambda copy: IdDead("used up") if copy.mark.split(";")[2] < "2" else None
    fill(at, 41)
    assert (await at.app.sync(pair)).events_created == 40
    assert calendar.together == [40, 40, 40]


async def test_rule_24_what_was_answered_of_a_group_is_done(at_memory: MemoryDesk) -> None:
    at = at_memory
    made: list[MemoryCalendar] = []
    at.app.wrap = _opening(at, BatchingCalendar, "b", made)
    fill(at, 1)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    (calendar,) = made
    assert isinstance(calendar, BatchingCalendar)
    calendar.refuses = lambda copy: RateLimited("slow down") if copy.master.start.local.day == 7 else None
    fill(at, 20)
    report = await at.app.run(pair)
    assert (report.status, report.events_created) == ("failed", 18)
    async with at.app.db.read() as db:
        states = list((await db.execute(select(links.c.state))).scalars())
    assert sorted(states) == ["live"] * 19 + ["pending"]
    calendar.refuses = lambda copy: None
    at.app.clock.advance(hours=1)
    assert done(await at.app.sync(pair)) == [("create", "unanswered_write")]


async def test_rule_20_copies_are_taken_away_in_groups(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction for each of hundreds at once would keep every other run from the database."""
    at = at_memory
    at.app.wrap = _opening(at, BatchingCalendar, "b")
    fill(at, 45)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    forgotten: list[int] = []
    delete_links = links_store.delete_links

    async def noting(db: AsyncConnection, pair_id: str, gone: Sequence[Link]) -> None:
        forgotten.append(len(gone))
        await delete_links(db, pair_id, gone)

    monkeypatch.setattr(links_store, "delete_links", noting)
    await at.app.change_pair(pair, removal="remove")
    await at.app.sync(pair)
    assert at.store("b").resources == {}
    assert sorted(forgotten) == [5, 20, 20]


async def test_rule_1_a_stripped_copy_of_a_later_generation_is_no_source_either(
    quick_folder: Path, tmp_path: Path
) -> None:
    """Its id alone tells, after the database was lost."""
    async with memory_desk(quick_folder) as at:
        made: list[MemoryCalendar] = []
        at.app.wrap = _opening(at, BatchingCalendar, "b", made)
        pair = await at.pair()
        await at.app.sync(pair)
        (calendar,) = made
        assert isinstance(calendar, BatchingCalendar)
        calendar.refuses = lambda copy: IdDead("used up") if copy.mark.split(";")[2] < "3" else None
        at.store("a").put("one.ics", event("one"))
        await at.app.sync(pair)
        name, data = only(at)
    async with memory_desk(tmp_path, secret=b"0" * 32) as at:
        at.store("a").put("one.ics", event("one"))
        at.store("b").put(name, without_mark(data))
        await at.app.run(await at.pair(direction="b_to_a"))
        assert list(at.store("a").resources) == ["one.ics"]


async def test_rule_17_a_mark_that_does_not_stick_is_written_twice_and_then_accepted(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a series whose parts the provider never shows as they were written: its draft counts."""
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    update = MemoryCalendar.update

    async def as_draft(self: MemoryCalendar, name: str, version: str | None, copy: Copy) -> Resource:
        return await update(self, name, version, replace(copy, mark=copy.draft))

    monkeypatch.setattr(MemoryCalendar, "update", as_draft)
    at.store("a").put("one.ics", event("one", "20260306T090000", "20260306T100000"))
    reports = [done(await sync_anew(at, pair)) for _ in range(6)]
    assert reports == [[("update", "source_changed")], *[[("update", "unanswered_write")]] * 2, [], [], []]


async def test_a_calendar_whose_pairs_went_meanwhile_is_opened_all_the_same(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its account may be deleted while a run begins: that is no defect."""

    async def none_left(*_: object) -> list[Rules]:
        return []

    monkeypatch.setattr(rounds, "READ_BY_WINDOW", frozenset({"caldav"}))
    monkeypatch.setattr(rounds, "load_rules", none_left)
    at_memory.store("a").put("one.ics", event("one"))
    report = await at_memory.app.run(await at_memory.pair(direction="a_to_b"))
    assert report.error is None
