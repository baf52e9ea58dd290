"""Series with exceptions, written to Outlook and changed there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta

import pytest

from calendarsync.domain.copy import Copy, CopyComponent
from calendarsync.domain.event import EventTime, Recurrence, RecurrenceDate, master_of
from calendarsync.providers.base import Changed, IdTaken, RateLimited, Refused, Unavailable
from calendarsync.providers.microsoft import MicrosoftCalendar
from tests.providers.contract import MARK, Mirror, component, id_of, slots_of
from tests.providers.microsoft.helpers import GraphPerson
from tests.testbed.microsoft import Fault, Model

ZONE = "Europe/Berlin"
DRAFT = MARK.replace("ab" * 20, "00" * 20)


def at(day: int, hour: int = 9) -> EventTime:
    return EventTime(datetime(2026, 3, day, hour), ZONE)


def moved(original: int, day: int, hour: int, title: str = "Moved") -> CopyComponent:
    """The instance of the day `original` at another time."""
    return component(title, start=at(day, hour), end=at(day, hour + 1), recurrence_id=at(original))


def series(
    *overrides: CopyComponent, rule: str = "FREQ=WEEKLY;COUNT=5", holes: Sequence[int] = (), hour: int = 9
) -> Copy:
    recurrence = Recurrence((rule,), exdates=tuple(at(day, hour) for day in holes))
    master = component("Weekly", hour=hour, recurrence=recurrence)
    return Copy(id_of("series"), MARK, master, overrides, draft=DRAFT)


class TestWriting:
    async def test_exceptions_are_moved_renamed_and_taken_out(self, mirror: Mirror) -> None:
        renamed = component("Renamed", start=at(23), end=at(23, 10), recurrence_id=at(23))
        copy = series(moved(9, 10, 14), renamed, holes=[16])
        written = await mirror.calendar.create(copy)
        await mirror.refresh()
        assert mirror.resources == {written.id: written}
        assert slots_of(written) == ["03-02T08:00", "03-10T13:00", "03-23T08:00", "03-30T07:00"]
        titles = {key: content.title for key, content in written.contents.items()}
        assert titles == {"": "Weekly", str(at(9)): "Moved", str(at(23)): "Renamed"}

    async def test_all_day_series(self, mirror: Mirror) -> None:
        def day(number: int) -> EventTime:
            return EventTime(date(2026, 3, number))

        recurrence = Recurrence(("FREQ=WEEKLY;COUNT=4",), exdates=(day(16),))
        master = component("Off", start=day(2), end=day(3), recurrence=recurrence)
        longer = component("Longer", start=day(10), end=day(12), recurrence_id=day(9))
        written = await mirror.calendar.create(Copy(id_of("series"), MARK, master, (longer,)))
        await mirror.refresh()
        assert mirror.resources == {written.id: written}
        first, second = written.components
        assert first.recurrence == recurrence
        assert (second.start, second.end, second.recurrence_id) == (day(10), day(12), day(9))

    async def test_a_hole_that_the_rule_has_no_instance_for_is_left_alone(self, mirror: Mirror) -> None:
        written = await mirror.calendar.create(series(holes=[3, 16]))
        assert len(slots_of(written)) == 4

    @pytest.mark.parametrize(
        "recurrence",
        [
            Recurrence(("FREQ=MONTHLY;BYMONTHDAY=2,16",)),
            Recurrence(("FREQ=WEEKLY", "FREQ=DAILY;COUNT=2")),
            Recurrence(("FREQ=WEEKLY",), rdates=(RecurrenceDate(at(5)),)),
            Recurrence(("FREQ=WEEKLY",), exrules=("FREQ=MONTHLY",)),
            Recurrence(),
        ],
    )
    async def test_what_outlook_cannot_hold_is_refused_before_anything_is_sent(
        self, calendar: MicrosoftCalendar, recurrence: Recurrence
    ) -> None:
        with pytest.raises(Refused):
            await calendar.create(Copy(id_of("series"), MARK, component(recurrence=recurrence)))
        assert calendar.requests == 0

    async def test_an_instance_that_would_cross_its_neighbour_leaves_nothing_behind(
        self, calendar: MicrosoftCalendar, mirror: Mirror
    ) -> None:
        with pytest.raises(Refused, match="neighbour"):
            await calendar.create(series(moved(9, 17, 14)))
        assert (await mirror.refresh()).reading.listed == frozenset()

    async def test_an_override_of_no_instance_is_refused(
        self, calendar: MicrosoftCalendar, mirror: Mirror
    ) -> None:
        with pytest.raises(Refused):
            await calendar.create(series(moved(11, 12, 14)))
        assert (await mirror.refresh()).reading.listed == frozenset()


class TestHalfDone:
    """Our mark is written last, so that a copy that is not whole is seen to be none."""

    async def test_a_series_without_its_exceptions_is_a_draft(
        self, microsoft_model: Model, calendar: MicrosoftCalendar, mirror: Mirror
    ) -> None:
        microsoft_model.faults.order(Fault(503, method="PATCH", path="/events/"))
        with pytest.raises(Unavailable):
            await calendar.create(series(moved(9, 10, 14)))
        await mirror.refresh()
        (half,) = mirror.resources.values()
        assert (half.uid, half.mark) == (id_of("series"), DRAFT)
        assert len(slots_of(half)) == 5

        whole = await calendar.create(series(moved(9, 10, 14)))
        assert (whole.id, whole.mark) == (half.id, MARK)
        await mirror.refresh()
        assert mirror.resources == {whole.id: whole}
        with pytest.raises(IdTaken):
            await calendar.create(series(moved(9, 10, 14)))
        assert await calendar.fetch([whole.id]) == [whole]

    async def test_an_update_that_breaks_off_keeps_the_old_mark(
        self, microsoft_model: Model, calendar: MicrosoftCalendar, mirror: Mirror
    ) -> None:
        written = await calendar.create(series(moved(9, 10, 14)))
        newer = replace(series(moved(9, 10, 16), moved(23, 24, 8)), mark=MARK.replace(";0;", ";1;"))
        microsoft_model.faults.order(Fault(429, method="PATCH", path="/events/", retry_after=7))
        with pytest.raises(RateLimited) as error:
            await calendar.update(written.id, written.version, newer)
        assert error.value.retry_after == 7
        await mirror.refresh()
        half = mirror.resources[written.id]
        assert half.mark == MARK  # of what it was before
        whole = await calendar.update(half.id, half.version, newer)
        assert whole.mark == newer.mark
        assert slots_of(whole) == ["03-02T08:00", "03-10T15:00", "03-16T08:00", "03-24T07:00", "03-30T07:00"]

    async def test_a_series_that_was_moved_without_its_exceptions_is_a_draft(
        self, microsoft_model: Model, calendar: MicrosoftCalendar, mirror: Mirror
    ) -> None:
        written = await calendar.create(series(moved(9, 10, 14)))
        later = series(replace(moved(9, 10, 14), recurrence_id=at(9, 11)), hour=11)
        for status in (503, 429):
            # The master's own change goes through, those of its instances do not.
            microsoft_model.faults.order(Fault(status, method="GET", path="/instances"))
            with pytest.raises((Unavailable, RateLimited)):
                await calendar.update(written.id, written.version, later)
            await mirror.refresh()
            written = mirror.resources[written.id]
            assert written.mark == DRAFT
        whole = await calendar.update(written.id, written.version, later)
        assert whole.mark == MARK
        assert slots_of(whole)[:2] == ["03-02T10:00", "03-10T13:00"]

    async def test_a_write_that_took_effect_though_it_failed_is_completed(
        self, microsoft_model: Model, calendar: MicrosoftCalendar, mirror: Mirror
    ) -> None:
        microsoft_model.faults.order(Fault(504, method="POST", path="/events", after=True))
        with pytest.raises(Unavailable):
            await calendar.create(series(moved(9, 10, 14)))
        whole = await calendar.create(series(moved(9, 10, 14)))
        await mirror.refresh()
        assert mirror.resources == {whole.id: whole}


class TestChanging:
    async def test_the_times_of_all_and_the_exceptions_put_right(self, mirror: Mirror) -> None:
        """Graph drops the exceptions of a series whose times change."""
        written = await mirror.calendar.create(series(moved(9, 10, 14), holes=[16]))
        override = replace(moved(9, 10, 14), recurrence_id=at(9, 11))
        later = series(override, holes=[16], hour=11)
        updated = await mirror.calendar.update(written.id, written.version, later)
        await mirror.refresh()
        assert mirror.resources == {updated.id: updated}
        assert slots_of(updated) == ["03-02T10:00", "03-10T13:00", "03-23T10:00", "03-30T09:00"]

    @pytest.mark.parametrize(
        ("after", "slots"),
        [
            (series(), ["03-02T08:00", "03-09T08:00", "03-16T08:00", "03-23T08:00", "03-30T07:00"]),
            (
                series(moved(9, 10, 14)),
                ["03-02T08:00", "03-10T13:00", "03-16T08:00", "03-23T08:00", "03-30T07:00"],
            ),
            (series(holes=[9, 16]), ["03-02T08:00", "03-23T08:00", "03-30T07:00"]),
            (series(rule="FREQ=WEEKLY;COUNT=2"), ["03-02T08:00", "03-09T08:00"]),
            (
                series(moved(9, 11, 8), holes=[16], rule="FREQ=WEEKLY;COUNT=3"),
                ["03-02T08:00", "03-11T07:00"],
            ),
            (series(rule="FREQ=WEEKLY;COUNT=1"), ["03-02T08:00"]),
        ],
        ids=["nothing left", "hole filled", "more holes", "shorter", "shorter, moved on", "once"],
    )
    async def test_exceptions_and_holes_follow(self, mirror: Mirror, after: Copy, slots: list[str]) -> None:
        written = await mirror.calendar.create(series(moved(9, 10, 14), holes=[16]))
        updated = await mirror.calendar.update(written.id, written.version, after)
        await mirror.refresh()
        assert mirror.resources == {updated.id: updated}
        assert slots_of(updated) == slots
        assert updated.mark == MARK

    async def test_the_zone_of_a_series(self, mirror: Mirror) -> None:
        written = await mirror.calendar.create(series())
        master = component(
            "Weekly",
            start=EventTime(datetime(2026, 3, 2, 8), "UTC"),
            end=EventTime(datetime(2026, 3, 2, 9), "UTC"),
            recurrence=Recurrence(("FREQ=WEEKLY;COUNT=5",)),
        )
        updated = await mirror.calendar.update(written.id, written.version, replace(series(), master=master))
        await mirror.refresh()
        assert mirror.resources == {updated.id: updated}
        assert slots_of(updated)[-1] == "03-30T08:00"

    async def test_a_change_by_somebody_in_one_instance_is_seen_first(
        self, mirror: Mirror, person: GraphPerson
    ) -> None:
        written = await mirror.calendar.create(series(moved(9, 10, 14)))
        rows = await person.instances(written.id)
        await person.edit(rows[1]["id"], "Mine")
        for write in (
            mirror.calendar.update(written.id, written.version, series()),
            mirror.calendar.delete(written.id, written.version),
            mirror.calendar.unmark(written.id, written.version),
        ):
            with pytest.raises(Changed):
                await write

    async def test_a_copy_with_guests_is_left_alone(
        self, microsoft_model: Model, mirror: Mirror, person: GraphPerson
    ) -> None:
        """Whatever we write to it would be mailed to them."""
        written = await mirror.calendar.create(series())
        mirror.note(written)
        guest = {"emailAddress": {"address": "guest@example.com"}, "type": "required"}
        await person.call("PATCH", f"/me/events/{written.id}", {"attendees": [guest]})
        await mirror.refresh()
        microsoft_model.mails.clear()
        theirs = mirror.resources[written.id]
        for write in (
            mirror.calendar.update(theirs.id, theirs.version, series(hour=11)),
            mirror.calendar.delete(theirs.id, theirs.version),
            mirror.calendar.unmark(theirs.id, theirs.version),
        ):
            with pytest.raises(Refused, match="invited"):
                await write
        assert microsoft_model.mails == []

    async def test_nobody_is_mailed_by_anything_of_ours(
        self, microsoft_model: Model, calendar: MicrosoftCalendar
    ) -> None:
        written = await calendar.create(series(moved(9, 10, 14), holes=[16]))
        updated = await calendar.update(written.id, written.version, series(hour=11))
        await calendar.delete(updated.id, updated.version)
        assert microsoft_model.mails == []

    async def test_many_holes_go_in_batches_of_twenty(self, mirror: Mirror) -> None:
        days = [date(2026, 3, 2) + timedelta(days=number) for number in range(1, 90, 2)]
        holes = tuple(EventTime(datetime.combine(day, time(9)), ZONE) for day in days)
        recurrence = Recurrence(("FREQ=DAILY;COUNT=90",), exdates=holes)
        master = component("Daily", recurrence=recurrence)
        before = mirror.calendar.requests
        written = await mirror.calendar.create(Copy(id_of("series"), MARK, master))
        assert mirror.calendar.requests - before == 1 + 3 + 3 + 1  # made, looked into, cut and marked, read
        await mirror.refresh()
        assert mirror.resources == {written.id: written}
        read = master_of(written.components)
        assert read is not None
        assert read.recurrence == recurrence
