"""What every provider's calendar must do. A provider's test module subclasses `CalendarContract`.

The subclass has two fixtures: `calendar`, an open and empty calendar, and `person`, somebody who edits the same
calendar by other means. What a provider cannot hold it says in class attributes: `holds_floating`,
`holds_extra_dates`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import ClassVar, Protocol

import pytest

from calendarsync.domain.copy import Copy, CopyComponent
from calendarsync.domain.event import (
    Duration,
    EventTime,
    Recurrence,
    RecurrenceDate,
    Resource,
    Visibility,
    master_of,
)
from calendarsync.domain.origin import copy_id
from calendarsync.domain.recurrence import expand
from calendarsync.providers.base import Batch, Calendar, Changed, IdTaken, Reading, ResourceGone


def id_of(name: str) -> str:
    """An id as those of copies are; Google takes no others."""
    return copy_id(name, "contract", 0)


COPY_ID = id_of("copy")
MARK = "1;" + "0123456789" * 4 + ";0;" + "ab" * 20 + ";" + "cd" * 20


class Person(Protocol):
    """Somebody with another program. Ids are those of the provider under test."""

    async def add(self, title: str) -> str: ...

    async def fill(self, count: int) -> None:
        """Add that many events."""

    async def edit(self, resource_id: str, title: str) -> None: ...

    async def remove(self, resource_id: str) -> None: ...


@dataclass
class Mirror:
    """What a refresh keeps of a calendar: the index of the tests."""

    calendar: Calendar
    cursor: str | None = None
    resources: dict[str, Resource] = field(default_factory=dict)

    async def known(self) -> dict[str, str | None]:
        return {name: resource.version for name, resource in self.resources.items()}

    @property
    def titles(self) -> set[str]:
        return {title_of(resource) for resource in self.resources.values()}

    def note(self, resource: Resource) -> None:
        """Enter what a write returned."""
        self.resources[resource.id] = resource

    async def refresh(self, *, full: bool = False) -> Round:
        """Read once, and keep what was read. What is in doubt after that is looked up, and not counted."""
        before = self.calendar.requests
        batches: list[Batch] = []

        async def on_batch(batch: Batch) -> None:
            batches.append(batch)

        reading = await self.calendar.read(self.cursor, self.known, on_batch, full=full)
        requests = self.calendar.requests - before
        self.cursor = reading.cursor
        changed = {resource.id: resource for batch in batches for resource in batch.changed}
        removed = {name for batch in batches for name in batch.removed}
        missing = self.resources.keys() & reading.doubted
        if reading.listed is not None:
            missing |= self.resources.keys() - reading.listed
        if missing and reading.covered is not None:
            missing -= {resource.id for resource in await self.calendar.fetch(sorted(missing))}
        removed |= missing
        self.resources = {
            name: resource for name, resource in (self.resources | changed).items() if name not in removed
        }
        return Round(reading, batches, changed, removed, requests)


@dataclass
class Round:
    reading: Reading
    batches: list[Batch]
    changed: dict[str, Resource]
    removed: set[str]
    requests: int

    @property
    def nothing(self) -> bool:
        return not self.changed and not self.removed


def title_of(resource: Resource) -> str:
    return resource.contents[""].title


def component(title: str = "Busy", *, hour: int = 9, **fields: object) -> CopyComponent:
    start = EventTime(datetime(2026, 3, 2, hour), "Europe/Berlin")
    end = EventTime(datetime(2026, 3, 2, hour + 1), "Europe/Berlin")
    return replace(CopyComponent(start=start, end=end, title=title), **fields)  # type: ignore[arg-type]


def copy_of(identifier: str = COPY_ID, title: str = "Busy", **fields: object) -> Copy:
    return Copy(id=identifier, mark=MARK, master=component(title, **fields))


def series_of(*, extra_dates: bool = True) -> Copy:
    """Weekly, with an exception date, one moved instance and, where they are held, an extra date."""
    zone = "Europe/Berlin"
    original = EventTime(datetime(2026, 3, 9, 9), zone)
    moved = component(
        "Moved",
        start=EventTime(datetime(2026, 3, 10, 14), zone),
        end=EventTime(datetime(2026, 3, 10, 15), zone),
        recurrence_id=original,
    )
    extra = RecurrenceDate(EventTime(datetime(2026, 3, 5, 9), zone))
    recurrence = Recurrence(
        rrules=("FREQ=WEEKLY;COUNT=5",),
        rdates=(extra,) if extra_dates else (),
        exdates=(EventTime(datetime(2026, 3, 16, 9), zone),),
    )
    return Copy(id_of("series"), MARK, component("Weekly", recurrence=recurrence), (moved,))


def slots_of(resource: Resource) -> list[str]:
    """When the instances of March and April 2026 start, in UTC, to the minute."""
    first, last = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)
    instances = expand(resource.components, first, last, "Europe/Berlin")
    return sorted(f"{instance.start.instant('UTC'):%m-%dT%H:%M}" for instance in instances)


class ReadingContract:
    """What holds for calendars that can only be read, too. Give the fixtures `calendar` and `person`."""

    @pytest.fixture
    def mirror(self, calendar: Calendar) -> Mirror:
        return Mirror(calendar)

    async def test_an_empty_calendar_reads_empty(self, mirror: Mirror) -> None:
        first = await mirror.refresh()
        assert first.nothing
        assert first.reading.listed == frozenset()

    async def test_what_a_person_adds_edits_and_removes_is_read(self, mirror: Mirror, person: Person) -> None:
        ids = [await person.add(title) for title in ("Standup", "Lunch", "Retro")]
        first = await mirror.refresh()
        assert mirror.titles == {"Standup", "Lunch", "Retro"}
        assert first.reading.listed == frozenset(ids)

        await person.edit(ids[0], "Standup, moved")
        await person.remove(ids[1])
        added = await person.add("Review")
        second = await mirror.refresh()
        assert set(second.changed) == {ids[0], added}
        assert second.removed == {ids[1]}
        assert mirror.titles == {"Standup, moved", "Review", "Retro"}

    async def test_a_calendar_in_which_nothing_changed_costs_one_request(
        self, mirror: Mirror, person: Person
    ) -> None:
        for number in range(3):
            await person.add(f"Event {number}")
        await mirror.refresh()
        for _ in range(3):
            again = await mirror.refresh()
            assert again.nothing
            assert again.batches == []
            assert again.requests == 1

    async def test_the_last_event_removed_is_noticed(self, mirror: Mirror, person: Person) -> None:
        only = await person.add("Only one")
        await mirror.refresh()
        await person.remove(only)
        assert (await mirror.refresh()).removed == {only}

    async def test_fetch_leaves_out_what_is_gone(self, calendar: Calendar, person: Person) -> None:
        there, gone = await person.add("Standup"), await person.add("Lunch")
        await person.remove(gone)
        fetched = await calendar.fetch([gone, there, there])
        assert [resource.id for resource in fetched] == [there]
        assert await calendar.fetch([]) == []

    async def test_many_are_read_in_batches_and_each_once(self, mirror: Mirror, person: Person) -> None:
        """300 events: memory follows the batch, and the requests stay few."""
        await person.fill(300)
        first = await mirror.refresh()
        ids = [resource.id for batch in first.batches for resource in batch.changed]
        assert len(ids) == len(set(ids)) == 300
        assert first.reading.listed == set(ids)
        assert max(len(batch.changed) for batch in first.batches) <= 100
        assert first.requests <= 8
        again = await mirror.refresh()
        assert again.nothing
        assert again.requests == 1

    async def test_a_cursor_of_no_use_leads_to_a_full_reading(self, mirror: Mirror, person: Person) -> None:
        kept, gone = await person.add("Standup"), await person.add("Lunch")
        await mirror.refresh()
        await person.remove(gone)
        mirror.cursor = "not a cursor"
        again = await mirror.refresh()
        assert again.reading.listed == {kept}
        assert again.changed == {}
        assert again.removed == {gone}

    async def test_a_full_reading_compares_everything_and_finds_nothing_new(
        self, mirror: Mirror, person: Person
    ) -> None:
        added = {await person.add("Standup"), await person.add("Lunch")}
        await mirror.refresh()
        full = await mirror.refresh(full=True)
        assert full.reading.listed == added
        assert full.nothing

    async def test_an_empty_index_reads_everything_again(self, mirror: Mirror, person: Person) -> None:
        added = await person.add("Standup")
        await mirror.refresh()
        other = Mirror(mirror.calendar)
        assert set((await other.refresh()).changed) == {added}


class CalendarContract(ReadingContract):
    """Subclass, and give the fixtures `calendar` and `person`."""

    holds_floating: ClassVar[bool] = True
    holds_extra_dates: ClassVar[bool] = True

    @pytest.fixture
    def series(self) -> Copy:
        return series_of(extra_dates=self.holds_extra_dates)

    async def test_a_created_copy_is_returned_as_a_reading_shows_it(self, calendar: Calendar) -> None:
        written = await calendar.create(copy_of(title="Béla's café ☕, \\ ; \n two lines"))
        mirror = Mirror(calendar)
        await mirror.refresh()
        read = mirror.resources[written.id]
        assert read == written
        assert read.problem is None
        assert read.mark == MARK
        assert title_of(read) == "Béla's café ☕, \\ ; \n two lines"
        master = master_of(read.components)
        assert master is not None
        assert master.start == EventTime(datetime(2026, 3, 2, 9), "Europe/Berlin")
        assert master.visibility is Visibility.PRIVATE

    @pytest.mark.parametrize(
        "fields",
        [
            {"start": EventTime(date(2026, 3, 2)), "end": EventTime(date(2026, 3, 4))},
            {"start": EventTime(datetime(2026, 3, 2, 9), "UTC"), "end": EventTime(datetime(2026, 3, 2, 10), "UTC")},
            {"start": EventTime(datetime(2026, 3, 2, 9)), "end": EventTime(datetime(2026, 3, 2, 10))},
            {"end": None, "duration": Duration(days=1, seconds=3600)},
            {"transparent": True},
            {"tentative": True},
            {"visibility": Visibility.PUBLIC},
        ],
    )  # fmt: skip
    async def test_times_and_flags_survive(self, mirror: Mirror, fields: dict[str, object]) -> None:
        copy = copy_of(**fields)
        if not (copy.master.start.all_day or copy.master.start.zone or self.holds_floating):
            return  # whoever plans a copy for this provider gives its times a zone
        written = await mirror.calendar.create(copy)
        await mirror.refresh()
        assert mirror.resources == {written.id: written}
        read = master_of(written.components)
        assert read is not None
        assert read.start == copy.master.start
        if copy.master.end is not None:
            assert read.end == copy.master.end
        assert read.transparent is copy.master.transparent
        assert (read.status == "tentative") is copy.master.tentative
        assert read.visibility is copy.master.visibility

    async def test_an_event_that_takes_no_time_is_written(self, mirror: Mirror) -> None:
        """Where that is refused, it may last a second or, at Google, a minute."""
        start = EventTime(datetime(2026, 3, 2, 9), "Europe/Berlin")
        written = await mirror.calendar.create(copy_of(end=start))
        moved = EventTime(datetime(2026, 3, 2, 11), "Europe/Berlin")
        written = await mirror.calendar.update(written.id, written.version, copy_of(start=moved, end=moved))
        await mirror.refresh()
        assert mirror.resources == {written.id: written}
        read = master_of(written.components)
        assert read is not None
        assert (read.start, read.end) in [
            (moved, moved),
            (moved, EventTime(moved.local.replace(second=1), moved.zone)),
            (moved, EventTime(moved.local.replace(minute=1), moved.zone)),
        ]

    async def test_a_series_with_its_exceptions_survives(self, mirror: Mirror, series: Copy) -> None:
        written = await mirror.calendar.create(series)
        await mirror.refresh()
        assert mirror.resources == {written.id: written}
        master = master_of(written.components)
        assert master is not None
        assert master.recurrence == series.master.recurrence
        moved = next(part for part in written.components if part.recurrence_id is not None)
        assert moved.start == EventTime(datetime(2026, 3, 10, 14), "Europe/Berlin")
        assert moved.recurrence_id == EventTime(datetime(2026, 3, 9, 9), "Europe/Berlin")
        assert {content.title for content in written.contents.values()} == {"Weekly", "Moved"}

    async def test_an_update_replaces_a_series_with_its_exceptions(
        self, mirror: Mirror, series: Copy
    ) -> None:
        """One instance goes back to its place, another leaves it, a third is taken out, a fourth is put back."""
        mirror.note(await mirror.calendar.create(series))
        (written,) = mirror.resources.values()
        zone = "Europe/Berlin"
        recurrence = Recurrence(("FREQ=WEEKLY;COUNT=5",), (), (EventTime(datetime(2026, 3, 23, 9), zone),))
        late = component(
            "Late",
            start=EventTime(datetime(2026, 3, 30, 18), zone),
            end=EventTime(datetime(2026, 3, 30, 19), zone),
            recurrence_id=EventTime(datetime(2026, 3, 30, 9), zone),
        )
        changed = replace(series, master=component("Weekly", recurrence=recurrence), overrides=(late,))
        updated = await mirror.calendar.update(written.id, written.version, changed)
        await mirror.refresh()
        assert mirror.resources == {updated.id: updated}
        # Summer time begins on 29 March.
        assert slots_of(updated) == ["03-02T08:00", "03-09T08:00", "03-16T08:00", "03-30T16:00"]
        assert {content.title for content in updated.contents.values()} == {"Weekly", "Late"}
        with pytest.raises(Changed):
            await mirror.calendar.update(written.id, written.version, series)

    async def test_a_series_becomes_a_single_event_and_a_series_again(
        self, mirror: Mirror, series: Copy
    ) -> None:
        written = await mirror.calendar.create(series)
        single = await mirror.calendar.update(
            written.id, written.version, replace(series, master=component("Once"), overrides=())
        )
        await mirror.refresh()
        assert mirror.resources == {single.id: single}
        assert slots_of(single) == ["03-02T08:00"]
        again = await mirror.calendar.update(single.id, single.version, series)
        await mirror.refresh()
        assert mirror.resources == {again.id: again}
        assert slots_of(again) == slots_of(written)
        await mirror.calendar.delete(again.id, again.version)
        assert (await mirror.refresh()).removed == {again.id}

    async def test_own_writes_are_not_fetched_again(self, mirror: Mirror, person: Person) -> None:
        await person.add("Standup")
        await mirror.refresh()
        for number in range(3):
            mirror.note(await mirror.calendar.create(copy_of(id_of(f"copy{number}"))))
        again = await mirror.refresh()
        assert again.nothing
        assert (await mirror.refresh()).requests == 1

    async def test_what_a_person_does_to_own_writes_at_once_is_read(
        self, mirror: Mirror, person: Person
    ) -> None:
        """The calendar is then as it was at the last reading, or would be but for the other copy."""
        await mirror.refresh()
        for number in range(2):
            mirror.note(await mirror.calendar.create(copy_of(id_of(f"copy{number}"))))
        first, second = mirror.resources
        await person.remove(first)
        assert (await mirror.refresh()).removed == {first}
        await person.edit(second, "Mine")
        await mirror.refresh()
        theirs = mirror.resources[second]
        mirror.note(await mirror.calendar.update(second, theirs.version, copy_of(id_of("copy1"))))
        await person.edit(second, "Mine")
        await mirror.refresh()
        assert mirror.titles == {"Mine"}

    async def test_many_writes_at_once(self, calendar: Calendar) -> None:
        made = await asyncio.gather(
            *(calendar.create(copy_of(id_of(f"copy{number}"))) for number in range(20))
        )
        changes = [
            calendar.update(copy.id, copy.version, copy_of(copy.uid, hour=11))
            if number % 2
            else calendar.delete(copy.id, copy.version)
            for number, copy in enumerate(made)
        ]
        await asyncio.gather(*changes)
        left = await calendar.fetch([copy.id for copy in made])
        assert {copy.id for copy in left} == {copy.id for copy in made[1::2]}

    async def test_a_create_that_is_repeated_finds_the_first(self, mirror: Mirror) -> None:
        written = await mirror.calendar.create(copy_of(title="First"))
        with pytest.raises(IdTaken):
            await mirror.calendar.create(copy_of(title="Second"))
        assert await mirror.calendar.fetch([written.id]) == [written]
        await mirror.refresh()
        assert mirror.titles == {"First"}

    async def test_an_update_replaces_the_copy(self, mirror: Mirror) -> None:
        first = await mirror.calendar.create(copy_of(title="First"))
        second = await mirror.calendar.update(first.id, first.version, copy_of(title="Second", hour=11))
        assert second.id == first.id
        assert second.version != first.version
        assert second.mark == MARK
        await mirror.refresh()
        assert mirror.resources == {second.id: second}
        assert mirror.titles == {"Second"}

    async def test_an_update_of_another_version_is_refused(self, mirror: Mirror, person: Person) -> None:
        written = await mirror.calendar.create(copy_of())
        await person.edit(written.id, "Mine now")
        with pytest.raises(Changed):
            await mirror.calendar.update(written.id, written.version, copy_of(title="Ours"))
        await mirror.refresh()
        assert mirror.titles == {"Mine now"}

    async def test_an_update_of_what_is_gone_says_so(self, calendar: Calendar, person: Person) -> None:
        written = await calendar.create(copy_of())
        await person.remove(written.id)
        with pytest.raises(ResourceGone):
            await calendar.update(written.id, written.version, copy_of(title="Again"))
        assert await calendar.fetch([written.id]) == []

    async def test_a_delete_removes_the_copy_and_may_be_repeated(
        self, mirror: Mirror, person: Person
    ) -> None:
        written = await mirror.calendar.create(copy_of())
        other = await person.add("Standup")
        await mirror.refresh()
        await mirror.calendar.delete(written.id, written.version)
        await mirror.calendar.delete(written.id, written.version)
        assert (await mirror.refresh()).removed == {written.id}
        assert set(mirror.resources) == {other}

    async def test_a_delete_of_another_version_is_refused(self, mirror: Mirror, person: Person) -> None:
        written = await mirror.calendar.create(copy_of())
        await person.edit(written.id, "Mine now")
        with pytest.raises(Changed):
            await mirror.calendar.delete(written.id, written.version)
        await mirror.refresh()
        assert mirror.titles == {"Mine now"}

    async def test_unmark_takes_the_mark_and_leaves_the_rest(self, mirror: Mirror, series: Copy) -> None:
        written = await mirror.calendar.create(series)
        unmarked = await mirror.calendar.unmark(written.id, written.version)
        assert unmarked is not None
        assert unmarked.mark is None
        assert unmarked.components == written.components
        assert unmarked.contents == written.contents
        await mirror.refresh()
        assert mirror.resources == {unmarked.id: unmarked}

    async def test_unmark_minds_versions_too(self, calendar: Calendar, person: Person) -> None:
        written = await calendar.create(copy_of())
        await person.edit(written.id, "Mine now")
        with pytest.raises(Changed):
            await calendar.unmark(written.id, written.version)
        await person.remove(written.id)
        assert await calendar.unmark(written.id, written.version) is None
