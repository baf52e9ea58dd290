"""Series at Google: exceptions, holes, and what is left where writing breaks off half-way."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from calendarsync.domain.copy import Copy
from calendarsync.domain.event import EventTime, Recurrence, Visibility, master_of
from calendarsync.providers.base import Changed, Refused, Unavailable
from tests.providers.contract import MARK, Mirror, component, id_of, slots_of
from tests.providers.google.helpers import GooglePerson, timed
from tests.testbed.google import Model

ZONE = "Europe/Berlin"
DRAFT = MARK.replace("abab", "0000")
OTHER_MARK = MARK.replace("cdcd", "0000")
WEEKLY = ["RRULE:FREQ=WEEKLY;COUNT=5"]


def at(day: int, hour: int = 9) -> EventTime:
    return EventTime(datetime(2026, 3, day, hour), ZONE)


def moved(original: int, day: int, hour: int = 14, title: str = "Moved") -> Any:
    return component(title, start=at(day, hour), end=at(day, hour + 1), recurrence_id=at(original))


def weekly(*overrides: Any, title: str = "Weekly", hour: int = 9, **recurrence: Any) -> Copy:
    """Mondays, 2 to 30 March."""
    rule = Recurrence(("FREQ=WEEKLY;COUNT=5",), **recurrence)
    return Copy(id_of("series"), MARK, component(title, hour=hour, recurrence=rule), overrides, draft=DRAFT)


class TestHoles:
    """An EXDATE line and a cancelled exception read alike."""

    async def test_both_kinds(self, mirror: Mirror, person: GooglePerson) -> None:
        lines = [*WEEKLY, f"EXDATE;TZID={ZONE}:20260309T090000"]
        by_line = person.put(summary="Lines", recurrence=lines)
        by_deletion = person.put(summary="Deleted", recurrence=WEEKLY)
        await person.remove(f"{by_deletion}_20260309T080000Z")
        await mirror.refresh()
        first, second = (master_of(mirror.resources[name].components) for name in (by_line, by_deletion))
        assert first is not None
        assert second is not None
        assert first.recurrence == second.recurrence == Recurrence(("FREQ=WEEKLY;COUNT=5",), (), (at(9),))

    async def test_an_instance_that_a_person_deletes_is_read_as_a_hole(
        self, mirror: Mirror, person: GooglePerson
    ) -> None:
        written = await mirror.calendar.create(weekly())
        mirror.note(written)
        await mirror.refresh()
        await person.remove(f"{written.id}_20260316T080000Z")
        changed = await mirror.refresh()
        assert set(changed.changed) == {written.id}
        assert slots_of(mirror.resources[written.id]) == [
            "03-02T08:00", "03-09T08:00", "03-23T08:00", "03-30T07:00",
        ]  # fmt: skip
        assert mirror.resources[written.id].mark == MARK

    async def test_it_comes_back_where_that_is_wanted(self, mirror: Mirror, person: GooglePerson) -> None:
        written = await mirror.calendar.create(weekly())
        await person.remove(f"{written.id}_20260316T080000Z")
        await mirror.refresh()
        holed = mirror.resources[written.id]
        restored = await mirror.calendar.update(holed.id, holed.version, weekly())
        assert slots_of(restored) == slots_of(written)

    async def test_where_google_brings_nothing_back_all_else_is_written(
        self, google_model: Model, mirror: Mirror, person: GooglePerson
    ) -> None:
        google_model.habits.revival = "refuse"
        written = await mirror.calendar.create(weekly())
        await person.remove(f"{written.id}_20260316T080000Z")
        await mirror.refresh()
        holed = mirror.resources[written.id]
        with pytest.raises(Refused):
            await mirror.calendar.update(holed.id, holed.version, weekly(title="New"))
        await mirror.refresh()
        assert mirror.titles == {"New"}
        assert slots_of(mirror.resources[written.id]) == slots_of(holed)


class TestExceptions:
    async def test_an_instance_that_a_person_moves_changes_the_version(
        self, mirror: Mirror, person: GooglePerson
    ) -> None:
        written = await mirror.calendar.create(weekly())
        mirror.note(written)
        await mirror.refresh()
        person.change(f"{written.id}_20260316T080000Z", **timed(17, 15))
        with pytest.raises(Changed):
            await mirror.calendar.update(written.id, written.version, weekly(title="Ours"))
        with pytest.raises(Changed):
            await mirror.calendar.delete(written.id, written.version)
        with pytest.raises(Changed):
            await mirror.calendar.unmark(written.id, written.version)
        changed = await mirror.refresh()
        assert set(changed.changed) == {written.id}
        assert slots_of(mirror.resources[written.id])[2] == "03-17T14:00"

    async def test_it_is_put_back_where_that_is_wanted(self, mirror: Mirror, person: GooglePerson) -> None:
        written = await mirror.calendar.create(weekly())
        person.change(f"{written.id}_20260316T080000Z", summary="Theirs", **timed(17, 15))
        await mirror.refresh()
        theirs = mirror.resources[written.id]
        restored = await mirror.calendar.update(theirs.id, theirs.version, weekly())
        assert slots_of(restored) == slots_of(written)
        assert {content.title for content in restored.contents.values()} == {"Weekly"}

    async def test_what_a_person_did_already_is_made_ours(self, mirror: Mirror, person: GooglePerson) -> None:
        """Else nothing would say that the copy is whole."""
        written = await mirror.calendar.create(weekly())
        person.change(f"{written.id}_20260309T080000Z", summary="Moved", **timed(10, 14))
        await mirror.refresh()
        theirs = mirror.resources[written.id]
        updated = await mirror.calendar.update(theirs.id, theirs.version, weekly(moved(9, 10)))
        assert updated.mark == MARK

    async def test_a_single_event_that_a_person_changed_becomes_no_series(
        self, mirror: Mirror, person: GooglePerson
    ) -> None:
        single = await mirror.calendar.create(replace(weekly(), master=component("Once")))
        await person.edit(single.id, "Mine")
        with pytest.raises(Changed):
            await mirror.calendar.update(single.id, single.version, weekly(moved(9, 10)))

    async def test_a_series_with_a_uid_from_elsewhere(self, mirror: Mirror, person: GooglePerson) -> None:
        series = person.put(summary="Weekly", recurrence=WEEKLY, iCalUID="theirs@example.org")
        person.change(f"{series}_20260309T080000Z", **timed(10, 14))
        await mirror.refresh()
        read = mirror.resources[series]
        assert read.uid == "theirs@example.org"
        await mirror.calendar.delete(series, read.version)
        assert (await mirror.refresh()).removed == {series}

    async def test_an_override_that_matches_no_instance_stands_alone(self, mirror: Mirror) -> None:
        """Google has no instance that no line gives: it gets a line of its own."""
        copy = weekly(moved(12, 13))
        written = await mirror.calendar.create(copy)
        await mirror.refresh()
        assert mirror.resources == {written.id: written}
        assert "03-13T13:00" in slots_of(written)
        assert len(slots_of(written)) == 6

    async def test_an_override_wins_over_a_hole_at_its_place(self, mirror: Mirror) -> None:
        written = await mirror.calendar.create(weekly(moved(9, 10), exdates=(at(9), at(16))))
        assert slots_of(written) == ["03-02T08:00", "03-10T13:00", "03-23T08:00", "03-30T07:00"]
        master = master_of(written.components)
        assert master is not None
        assert master.recurrence is not None
        assert master.recurrence.exdates == (at(16),)

    async def test_an_exception_keeps_what_the_series_said_before(
        self, google_model: Model, mirror: Mirror
    ) -> None:
        """Exceptions may follow their series in what they had in common with it."""
        first = await mirror.calendar.create(weekly(moved(9, 10, title="Weekly")))
        second = await mirror.calendar.update(
            first.id, first.version, weekly(moved(9, 10, title="Weekly"), title="Renamed")
        )
        assert {key: content.title for key, content in second.contents.items()} == {
            "": "Renamed",
            str(at(9)): "Weekly",
        }

    @pytest.mark.parametrize("hour", [9, 11])
    async def test_all_day_and_timed_series_become_one_another(self, mirror: Mirror, hour: int) -> None:
        days = component(
            "Days",
            start=EventTime(datetime(2026, 3, 2).date()),
            end=EventTime(datetime(2026, 3, 3).date()),
            recurrence=Recurrence(("FREQ=WEEKLY;COUNT=5",)),
        )
        first = await mirror.calendar.create(weekly(moved(9, 10)))
        second = await mirror.calendar.update(
            first.id, first.version, Copy(first.id, MARK, days, draft=DRAFT)
        )
        assert slots_of(second)[0] == "03-02T00:00"
        assert len(slots_of(second)) == 5
        third = await mirror.calendar.update(second.id, second.version, weekly(moved(9, 10), hour=hour))
        await mirror.refresh()
        assert mirror.resources == {third.id: third}
        assert "03-10T13:00" in slots_of(third)

    async def test_the_most_private_part_counts_for_the_whole_series(self, mirror: Mirror) -> None:
        """ "If the new setting is more restrictive, it is applied to all instances" (Event.visibility)."""
        master = replace(weekly().master, visibility=Visibility.PUBLIC)
        override = replace(moved(9, 10), visibility=Visibility.PRIVATE)
        written = await mirror.calendar.create(replace(weekly(override), master=master))
        assert {part.visibility for part in written.components} == {Visibility.PRIVATE}

    async def test_instances_whose_ids_are_not_what_we_think(
        self, google_model: Model, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """That they end in the original start is seen everywhere and documented nowhere."""
        monkeypatch.setattr(
            "calendarsync.providers.google.exceptions.instance_id", lambda series, _: f"{series}0"
        )
        written = await mirror.calendar.create(weekly(moved(9, 10)))
        assert "03-10T13:00" in slots_of(written)
        assert [call.method for call in google_model.seen].count("calendar.events.instances") == 1


class TestAlone:
    """Instances without their series: somebody was invited to them alone."""

    def invited(self, person: GooglePerson, day: int) -> str:
        original = timed(day)["start"]
        return person.put(
            id=f"theirs_202603{day:02}T080000Z",
            summary=f"Guest on the {day}",
            recurringEventId="theirs",
            originalStartTime=original,
            organizer={"email": "boss@example.com"},
            attendees=[{"email": person.calendar_id, "responseStatus": "accepted"}],
            **timed(day, 10),
        )

    async def test_they_are_one_resource(self, mirror: Mirror, person: GooglePerson) -> None:
        for day in (2, 9):
            self.invited(person, day)
        await mirror.refresh()
        (read,) = mirror.resources.values()
        assert read.id == "theirs"
        assert [str(part.recurrence_id) for part in read.components] == [str(at(2)), str(at(9))]
        assert slots_of(read) == ["03-02T09:00", "03-09T09:00"]
        assert await mirror.calendar.fetch(["theirs"]) == [read]

    async def test_they_come_and_go(self, mirror: Mirror, person: GooglePerson) -> None:
        self.invited(person, 2)
        await mirror.refresh()
        second = self.invited(person, 9)
        assert set((await mirror.refresh()).changed) == {"theirs"}
        assert len(mirror.resources["theirs"].components) == 2
        await person.remove(second)
        assert set((await mirror.refresh()).changed) == {"theirs"}
        assert len(mirror.resources["theirs"].components) == 1
        await person.remove("theirs_20260302T080000Z")
        assert (await mirror.refresh()).removed == {"theirs"}


class TestHalfWay:
    """A copy that was left half-way never says that it is whole."""

    @pytest.mark.parametrize("after", [False, True])
    async def test_a_create(self, google_model: Model, mirror: Mirror, after: bool) -> None:
        google_model.fail(503, method="events.patch", after=after)
        copy = weekly(moved(9, 10))
        with pytest.raises(Unavailable):
            await mirror.calendar.create(copy)
        await mirror.refresh()
        found = mirror.resources[copy.id]
        assert found.mark == (MARK if after else DRAFT)
        whole = await mirror.calendar.update(found.id, found.version, copy)
        await mirror.refresh()
        assert mirror.resources == {whole.id: whole}
        assert whole.mark == MARK
        assert "03-10T13:00" in slots_of(whole)

    @pytest.mark.parametrize(
        "wanted",
        [
            weekly(moved(9, 12)),
            weekly(moved(9, 10, title="New"), title="New"),
            weekly(replace(moved(9, 12), recurrence_id=at(9, 11)), hour=11),
            weekly(moved(9, 10), moved(16, 17)),
            weekly(moved(16, 17)),
            weekly(),
        ],
        ids=["moved on", "renamed", "all moved", "one more", "another", "put back"],
    )
    async def test_an_update(self, google_model: Model, mirror: Mirror, wanted: Copy) -> None:
        """The series itself is written, what differs from it is not."""
        before = await mirror.calendar.create(replace(weekly(moved(9, 10)), mark=OTHER_MARK))
        google_model.fail(method="events.patch")  # this one comes out well
        for method in ("events.patch", "events.delete"):
            google_model.fail(503, method=method, times=5)
        with pytest.raises(Unavailable):
            await mirror.calendar.update(before.id, before.version, wanted)
        google_model.faults.clear()
        await mirror.refresh()
        half = mirror.resources[before.id]
        assert half.mark == DRAFT
        whole = await mirror.calendar.update(half.id, half.version, wanted)
        assert whole.mark == MARK
        await mirror.refresh()
        assert mirror.resources == {whole.id: whole}
        assert len(slots_of(whole)) == 5

    async def test_what_people_do_to_exceptions_leaves_the_copy_whole(
        self, mirror: Mirror, person: GooglePerson
    ) -> None:
        written = await mirror.calendar.create(weekly(moved(9, 10), moved(16, 17)))
        person.change(f"{written.id}_20260309T080000Z", summary="Theirs", **timed(11, 15))
        person.change(f"{written.id}_20260323T080000Z", **timed(24, 15))
        await person.remove(f"{written.id}_20260316T080000Z")
        await mirror.refresh()
        assert slots_of(mirror.resources[written.id])[1:3] == ["03-11T14:00", "03-24T14:00"]
        assert mirror.resources[written.id].mark == MARK

    async def test_many_exceptions(self, mirror: Mirror, person: GooglePerson) -> None:
        """What a series says of them takes several properties, of which none may be left over."""
        daily = Recurrence(("FREQ=DAILY;COUNT=200",))
        master = component("Daily", recurrence=daily)
        days = [datetime(2026, 3, 2, 9) + timedelta(days=number) for number in range(100)]
        overrides = tuple(
            component(
                "Later",
                start=EventTime(day.replace(hour=12), ZONE),
                end=EventTime(day.replace(hour=13), ZONE),
                recurrence_id=EventTime(day, ZONE),
            )
            for day in days
        )
        many = Copy(id_of("daily"), MARK, master, overrides, draft=DRAFT)
        written = await mirror.calendar.create(many)
        assert written.mark == MARK
        assert len(written.components) == 101
        fewer = await mirror.calendar.update(
            written.id, written.version, replace(many, overrides=overrides[:3])
        )
        assert fewer.mark == MARK
        private = person.events()[written.id]["extendedProperties"]["private"]
        assert sorted(private) == [
            "calendarsync",
            "calendarsyncCopy",
            "calendarsyncDraft",
            "calendarsyncParts0",
        ]
        await mirror.refresh()
        assert mirror.resources == {fewer.id: fewer}


class TestOwnWrites:
    async def test_a_series_that_was_just_written_is_not_read_again(self, mirror: Mirror) -> None:
        await mirror.refresh()
        mirror.note(await mirror.calendar.create(weekly(moved(9, 10), exdates=(at(16),))))
        again = await mirror.refresh()
        assert again.nothing
        assert again.requests == 1

    async def test_unmark_leaves_nothing_of_ours_in_any_part(
        self, mirror: Mirror, person: GooglePerson
    ) -> None:
        written = await mirror.calendar.create(weekly(moved(9, 10), moved(16, 17)))
        assert await mirror.calendar.unmark(written.id, written.version) is not None
        assert len(person.events()) == 3
        assert "calendarsync" not in repr(person.events())

    async def test_a_series_that_takes_several_pages(self, google_model: Model, mirror: Mirror) -> None:
        google_model.habits.page_limit = 2
        written = await mirror.calendar.create(weekly(moved(9, 10), moved(16, 17), moved(23, 24)))
        assert len(written.components) == 4
