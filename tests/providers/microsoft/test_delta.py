"""Reading by rounds of delta: the window, what is in doubt, and what the rows of a round leave unsaid."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from calendarsync.domain.event import EventTime, Problem, master_of
from calendarsync.domain.rules import Window
from calendarsync.net import HttpClient
from calendarsync.providers.base import CalendarNotFound, Unavailable
from calendarsync.providers.microsoft import MicrosoftCalendar
from calendarsync.providers.microsoft.delta import AHEAD, LONGEST, Cursor, span_for
from tests.providers.contract import MARK, Mirror, copy_of, slots_of
from tests.providers.microsoft.helpers import BERLIN, NOW, GraphPerson, opened, timed, weekly
from tests.testbed.microsoft import Account, Fault, Model

DAY = timedelta(days=1)


def window(first: int, last: int) -> Window:
    """By days from now."""
    return Window(NOW + first * DAY, NOW + last * DAY)


def on(day: str) -> dict[str, Any]:
    """From 9 to 10 in Berlin."""
    hours = {"start": "09", "end": "10"}
    return {name: {"dateTime": f"{day}T{hour}:00:00", "timeZone": BERLIN} for name, hour in hours.items()}


class TestSpan:
    def test_more_is_read_than_is_needed(self) -> None:
        assert span_for(window(-1, 365), NOW) == window(-2, 400)

    def test_what_is_too_much_is_cut_off_the_past(self) -> None:
        span = span_for(window(-3000, 365), NOW)
        assert span.last == NOW + 400 * DAY
        assert span.last - span.first == LONGEST

    def test_a_window_far_ahead_loses_its_end_and_not_the_present(self) -> None:
        span = span_for(window(-1, 3650), NOW)
        assert span.first <= NOW - DAY
        assert span.last - span.first == LONGEST

    @pytest.mark.parametrize("needed", [(-1, 365), (-3000, 365), (-1, 3650), (-3000, 3650), (-1, 1800)])
    def test_it_reaches_for_a_month_of_sliding_and_then_no_longer(self, needed: tuple[int, int]) -> None:
        cursor = Cursor("link", span_for(window(*needed), NOW))
        for days in range(45):
            then = NOW + days * DAY
            slid = Window(then + needed[0] * DAY, then + needed[1] * DAY)
            assert cursor.reaches(slid, then) is (days <= AHEAD.days), days

    def test_it_does_not_reach_where_more_is_needed_than_before(self) -> None:
        cursor = Cursor("link", span_for(window(-1, 365), NOW))
        assert cursor.reaches(window(-1, 400), NOW)
        assert not cursor.reaches(window(-1, 401), NOW)
        assert not cursor.reaches(window(-30, 365), NOW)

    def test_where_nothing_is_said_to_be_needed(self) -> None:
        cursor = Cursor("link", span_for(None, NOW))
        assert cursor.reaches(None, NOW)
        assert cursor.reaches(window(-1, 365), NOW)

    @pytest.mark.parametrize("text", [None, "", "not a cursor", "7", "{}", '{"v":2}', '{"v":1,"link":7}'])
    def test_what_is_no_cursor_is_none(self, text: str | None) -> None:
        assert Cursor.load(text) is None

    def test_a_cursor_comes_back(self) -> None:
        cursor = Cursor("https://graph.microsoft.com/v1.0/me", window(-2, 400))
        assert Cursor.load(cursor.dump()) == cursor


class TestWindow:
    async def test_what_lies_outside_is_not_read(self, mirror: Mirror, person: GraphPerson) -> None:
        inside = await person.add("Standup")
        person.put(subject="Far off", **on("2029-03-05"))
        first = await mirror.refresh()
        assert first.reading.listed == {inside}
        assert first.reading.covered == span_for(None, NOW)

    async def test_it_is_read_anew_when_the_window_has_slid_too_far(
        self,
        client: HttpClient,
        microsoft_model: Model,
        account: Account,
        calendar_id: str,
        person: GraphPerson,
    ) -> None:
        known = await person.add("Standup")
        now = [NOW]
        calendar = opened(client, microsoft_model, account, calendar_id, now=lambda: now[0])
        mirror = Mirror(calendar)
        await mirror.refresh()
        for days in (10, 34):
            now[0] = NOW + days * DAY
            assert (await mirror.refresh()).reading.listed is None
        now[0] = NOW + 40 * DAY
        again = await mirror.refresh()
        # The event lies behind the new span: it is not listed, and not deleted either.
        assert again.reading.listed == frozenset()
        assert again.reading.covered == span_for(None, now[0])
        assert again.removed == set()
        assert set(mirror.resources) == {known}

    async def test_a_series_that_began_long_ago_is_read_whole(
        self, mirror: Mirror, person: GraphPerson
    ) -> None:
        series = weekly()
        series["recurrence"]["range"] = {"type": "noEnd", "startDate": "2020-01-06"}
        name = person.put(subject="Weekly", **on("2020-01-06"), **series)
        await mirror.refresh()
        master = master_of(mirror.resources[name].components)
        assert master is not None
        assert master.start == EventTime(datetime(2020, 1, 6, 9), "Europe/Berlin")
        assert "03-09T08:00" in slots_of(mirror.resources[name])


class TestDoubt:
    async def test_a_deleted_event_is_doubted_and_not_found(
        self, mirror: Mirror, person: GraphPerson
    ) -> None:
        name = await person.add("Standup")
        await mirror.refresh()
        await person.remove(name)
        again = await mirror.refresh()
        assert again.reading.doubted == {name}
        assert again.removed == {name}

    async def test_an_event_that_left_the_window_is_doubted_and_found(
        self, mirror: Mirror, person: GraphPerson
    ) -> None:
        name = await person.add("Standup")
        await mirror.refresh()
        await person.call("PATCH", f"/me/events/{name}", on("2029-03-05"))
        again = await mirror.refresh()
        assert again.reading.doubted == {name}
        assert again.removed == set()

    async def test_an_event_that_went_to_another_calendar_is_not_found_here(
        self, microsoft_model: Model, account: Account, mirror: Mirror, person: GraphPerson
    ) -> None:
        """Its id stays the same, and any path leads to it."""
        name = await person.add("Standup")
        await mirror.refresh()
        microsoft_model.move(name, microsoft_model.make_calendar(account, "Other"))
        assert (await mirror.refresh()).removed == {name}
        assert await mirror.calendar.fetch([name]) == []

    async def test_a_deleted_series_is_doubted_once(self, mirror: Mirror, person: GraphPerson) -> None:
        name = person.put(subject="Weekly", **weekly())
        await mirror.refresh()
        await person.remove(name)
        assert (await mirror.refresh()).removed == {name}

    async def test_fetching_from_a_calendar_that_is_gone_says_so(
        self, microsoft_model: Model, account: Account, calendar_id: str, mirror: Mirror, person: GraphPerson
    ) -> None:
        name = await person.add("Standup")
        await mirror.refresh()
        microsoft_model.remove_calendar(calendar_id)
        with pytest.raises(CalendarNotFound):
            await mirror.calendar.fetch([name])
        with pytest.raises(CalendarNotFound):
            await mirror.refresh()


class TestSeries:
    async def test_an_instance_that_was_moved_or_taken_out_is_noticed(
        self, mirror: Mirror, person: GraphPerson
    ) -> None:
        name = person.put(subject="Weekly", **weekly())
        await mirror.refresh()
        assert len(slots_of(mirror.resources[name])) == 5
        rows = await person.instances(name)
        await person.call("PATCH", f"/me/events/{rows[1]['id']}", timed(10, 14))
        await person.remove(rows[2]["id"])
        again = await mirror.refresh()
        assert set(again.changed) == {name}
        assert slots_of(mirror.resources[name]) == [
            "03-02T08:00",
            "03-10T13:00",
            "03-23T08:00",
            "03-30T07:00",
        ]
        assert (await mirror.refresh()).nothing

    async def test_a_single_event_that_becomes_a_series_stays_one_resource(
        self, mirror: Mirror, person: GraphPerson
    ) -> None:
        name = await person.add("Standup")
        await mirror.refresh()
        await person.call("PATCH", f"/me/events/{name}", weekly())
        again = await mirror.refresh()
        assert set(again.changed) == {name}
        assert len(slots_of(mirror.resources[name])) == 5

    async def test_an_invitation_to_one_instance_is_a_resource(
        self, mirror: Mirror, person: GraphPerson
    ) -> None:
        name = person.model.place(
            person.calendar_id,
            {"subject": "Guest", **timed()},
            type="exception",
            seriesMasterId="AAkALgBnb25l",
            originalStart="2026-03-02T07:00:00Z",
        )
        await mirror.refresh()
        (component,) = mirror.resources[name].components
        assert component.recurrence_id == EventTime(datetime(2026, 3, 2, 8), "Europe/Berlin")
        assert [each.id for each in await mirror.calendar.fetch([name])] == [name]

    async def test_a_series_that_graph_does_not_show_holds_up_no_other(
        self, microsoft_model: Model, mirror: Mirror, person: GraphPerson
    ) -> None:
        name = person.put(subject="Weekly", **weekly())
        other = person.put(subject="Other", **weekly())
        microsoft_model.faults.order(Fault(400, method="GET", path=f"/events/{name}"))
        await mirror.refresh()
        assert mirror.resources[name].problem is Problem.UNREADABLE
        assert mirror.resources[other].problem is None


class TestLostTokens:
    @pytest.mark.parametrize("answer", ["gone", "syncStateNotFound", "syncStateInvalid"])
    async def test_all_is_read_again(
        self, microsoft_model: Model, mirror: Mirror, person: GraphPerson, answer: str
    ) -> None:
        kept, gone = await person.add("Standup"), await person.add("Lunch")
        await mirror.refresh()
        microsoft_model.habits.lost_token = answer  # type: ignore[assignment]
        microsoft_model.forget_delta_tokens()
        await person.remove(gone)
        again = await mirror.refresh()
        assert again.reading.listed == {kept}
        assert again.changed == {}
        assert again.removed == {gone}

    async def test_a_link_to_somewhere_else_is_never_followed(
        self, mirror: Mirror, person: GraphPerson
    ) -> None:
        await person.add("Standup")
        await mirror.refresh()
        assert mirror.cursor is not None
        cursor = json.loads(mirror.cursor)
        mirror.cursor = json.dumps({**cursor, "link": "https://graph.example.com/v1.0/me/calendarView/delta"})
        again = await mirror.refresh()
        assert again.reading.listed is not None

    async def test_a_service_that_forgets_what_it_just_said_is_out_of_order(
        self, microsoft_model: Model, mirror: Mirror
    ) -> None:
        microsoft_model.faults.order(Fault(410, path="calendarView/delta"))
        with pytest.raises(Unavailable):
            await mirror.refresh()


class TestRows:
    async def test_rows_that_come_twice_are_one_event(
        self, microsoft_model: Model, mirror: Mirror, person: GraphPerson
    ) -> None:
        microsoft_model.habits.repeats = 50
        microsoft_model.habits.page_limit = 7
        ids = {await person.add(f"Event {number}") for number in range(20)}
        ids.add(person.put(subject="Weekly", **weekly()))
        first = await mirror.refresh()
        listed = [each.id for batch in first.batches for each in batch.changed]
        assert sorted(listed) == sorted(ids)
        assert first.reading.listed == ids

    async def test_a_page_that_breaks_off_is_asked_for_again(
        self, microsoft_model: Model, mirror: Mirror, person: GraphPerson
    ) -> None:
        microsoft_model.habits.page_limit = 5
        ids = {await person.add(f"Event {number}") for number in range(12)}
        microsoft_model.faults.order(Fault(path="calendarView/delta", torn=200))
        with pytest.raises(Unavailable):
            await mirror.refresh()
        assert (await mirror.refresh()).reading.listed == ids

    async def test_a_change_that_delta_shows_late_is_not_lost(
        self, microsoft_model: Model, mirror: Mirror, person: GraphPerson
    ) -> None:
        await mirror.refresh()
        microsoft_model.habits.lag = 1
        name = await person.add("Standup")
        assert (await mirror.refresh()).nothing
        assert set((await mirror.refresh()).changed) == {name}

    async def test_a_version_that_moves_on_by_itself_is_read_again(
        self, microsoft_model: Model, mirror: Mirror, calendar: MicrosoftCalendar
    ) -> None:
        """Exchange works on a new event for a while."""
        microsoft_model.habits.churn = 2
        written = await calendar.create(copy_of())
        mirror.note(written)
        again = await mirror.refresh()
        assert set(again.changed) == {written.id}
        assert again.changed[written.id].mark == MARK
        assert (await mirror.refresh()).nothing

    async def test_a_copy_that_somebody_pasted_has_another_uid(
        self, mirror: Mirror, person: GraphPerson, calendar: MicrosoftCalendar
    ) -> None:
        """Outlook's copy carries the property on, and no transactionId."""
        written = await calendar.create(copy_of())
        await mirror.refresh()
        pasted = await person.call(
            "POST", f"/me/calendars/{person.calendar_id}/events", {"subject": "Busy", **timed()}
        )
        await mirror.refresh()
        assert mirror.resources[written.id].uid == copy_of().id
        assert mirror.resources[pasted["id"]].uid != copy_of().id
