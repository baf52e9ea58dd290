"""How every provider's calendar changes what is somebody's own (rule 17): what is named, and nothing beside it.

Subclass `AmendContract` as `CalendarContract`, with the same fixtures and attributes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import ClassVar

import pytest

from calendarsync.domain.amendment import Change, Times
from calendarsync.domain.copy import Copy
from calendarsync.domain.event import EventTime, Resource, master_of
from calendarsync.providers.base import Calendar, Changed, ResourceGone
from tests.providers.contract import Mirror, Person, copy_of, id_of, series_of, slots_of, title_of

pytestmark = pytest.mark.rule(17)

ZONE = "Europe/Berlin"


def at(day: int, hour: int, minute: int = 0) -> EventTime:
    return EventTime(datetime(2026, 3, day, hour, minute), ZONE)


def times(day: int, hour: int) -> Times:
    """An hour of March 2026."""
    return Times(at(day, hour), at(day, hour + 1))


async def somebodys(calendar: Calendar, copy: Copy) -> Resource:
    """An event of that kind that is not ours."""
    written = await calendar.create(copy)
    unmarked = await calendar.unmark(written.id, written.version)
    assert unmarked is not None
    return unmarked


class AmendContract:
    holds_floating: ClassVar[bool] = True
    holds_extra_dates: ClassVar[bool] = True

    @pytest.fixture
    def mirror(self, calendar: Calendar) -> Mirror:
        return Mirror(calendar)

    async def test_rule_17_only_what_is_named_changes(self, mirror: Mirror) -> None:
        there = await somebodys(mirror.calendar, copy_of(description="Old\ntext", location="Here, there"))
        (before,) = there.components
        changed = await mirror.calendar.amend(there.id, there.version, [Change(title="Béla's; ☕, new")])
        (after,) = changed.components
        assert after == before
        assert changed.contents[""] == replace(there.contents[""], title="Béla's; ☕, new")
        assert changed.version != there.version
        moved = Times(at(3, 15), at(3, 16, 30))
        change = Change(times=moved, description="", location="Elsewhere")
        again = await mirror.calendar.amend(changed.id, changed.version, [change])
        (placed,) = again.components
        assert (placed.start, placed.end) == (moved.start, moved.end)
        assert replace(placed, start=before.start, end=before.end) == before
        assert again.contents[""] == replace(changed.contents[""], description="", location="Elsewhere")
        await mirror.refresh()
        assert mirror.resources == {again.id: again}

    async def test_rule_17_an_event_becomes_one_of_whole_days_and_back(self, calendar: Calendar) -> None:
        there = await somebodys(calendar, copy_of())
        days = Times(EventTime(date(2026, 3, 4)), EventTime(date(2026, 3, 6)))
        whole = await calendar.amend(there.id, there.version, [Change(times=days)])
        (component,) = whole.components
        assert (component.start, component.end) == (days.start, days.end)
        back = await calendar.amend(whole.id, whole.version, [Change(times=times(4, 9))])
        (component,) = back.components
        assert (component.start, component.end) == (at(4, 9), at(4, 10))

    async def test_rule_17_another_version_is_not_written_over(self, mirror: Mirror, person: Person) -> None:
        there = await somebodys(mirror.calendar, copy_of())
        await person.edit(there.id, "Theirs")
        with pytest.raises(Changed):
            await mirror.calendar.amend(there.id, there.version, [Change(title="Ours")])
        await mirror.refresh()
        assert mirror.titles == {"Theirs"}
        await person.remove(there.id)
        with pytest.raises(ResourceGone):
            await mirror.calendar.amend(there.id, there.version, [Change(title="Ours")])

    async def test_rule_17_instances_of_a_series_and_the_series(self, mirror: Mirror) -> None:
        """One that has a component, one that gets one, and what the series says of all the others."""
        there = await somebodys(mirror.calendar, series_of(extra_dates=self.holds_extra_dates))
        changes = [
            Change(title="Every week"),
            Change(original=at(9, 9), usual=times(9, 9), title="Moved, and renamed"),
            Change(original=at(23, 9), usual=times(23, 9), times=times(24, 18)),
        ]
        changed = await mirror.calendar.amend(there.id, there.version, changes)
        await mirror.refresh()
        assert mirror.resources == {changed.id: changed}
        extra = ["03-05T08:00"] if self.holds_extra_dates else []
        # Summer time begins on 29 March.
        moved = ["03-02T08:00", *extra, "03-10T13:00", "03-24T17:00", "03-30T07:00"]
        assert slots_of(changed) == moved
        assert title_of(changed) == "Every week"
        titles = {each.recurrence_id: changed.contents[each.original].title for each in changed.components}
        assert titles[at(9, 9)] == "Moved, and renamed"
        master, unmoved = master_of(changed.components), master_of(there.components)
        assert master == unmoved

    async def test_rule_17_a_series_moves_to_another_time_of_day(self, mirror: Mirror) -> None:
        weekly = series_of(extra_dates=False).master.recurrence
        assert weekly is not None
        plain = replace(weekly, exdates=())
        copy = copy_of(id_of("weekly"), "Weekly", recurrence=plain)
        there = await somebodys(mirror.calendar, copy)
        changed = await mirror.calendar.amend(there.id, there.version, [Change(times=times(2, 11))])
        await mirror.refresh()
        assert mirror.resources == {changed.id: changed}
        assert slots_of(changed) == [
            f"{day}T{hour}:00"
            for day, hour in (("03-02", 10), ("03-09", 10), ("03-16", 10), ("03-23", 10), ("03-30", "09"))
        ]
