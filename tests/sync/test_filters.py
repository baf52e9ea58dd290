"""Rule 8: filters by hours, words, categories and length, through whole runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select, update

from calendarsync.domain.event import Resource
from calendarsync.providers.base import Calendar, Refused, Unavailable
from calendarsync.store.schedule import ConnectionRecord
from calendarsync.store.tables import index
from calendarsync.sync.report import RunReport
from tests.sync.helpers import WEEKLY, delete_instance, done, only, starts, sync_anew
from tests.testbed.events import event, vcalendar, vevent
from tests.testbed.memory import MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk

pytestmark = pytest.mark.rule(8)

OFFICE = {"weekdays": ["MO", "TU", "WE", "TH", "FR"], "from": "09:00", "to": "17:00"}
ON_WEDNESDAYS = ["03-04 08:00", "03-11 08:00", "03-18 08:00", "03-25 08:00"]


def put(
    at: MemoryDesk, name: str, title: str = "Planning", start: str = "20260304T090000", extra: str = ""
) -> None:
    end = f"{start[:9]}{int(start[9:11]) + 1:02}0000"
    at.store("a").put(f"{name}.ics", event(name, start, end, title=title, extra=extra))


def instance(original: str, start: str, **given: str) -> str:
    end = f"{start[:9]}{int(start[9:11]) + 1:02}0000"
    return vevent("s", start, end, extra=f"RECURRENCE-ID;TZID=Europe/Berlin:{original}", **given)


def put_series(at: MemoryDesk, *instances: str, extra: str = WEEKLY, **given: str) -> None:
    at.store("a").put("s.ics", vcalendar(vevent("s", extra=extra, **given), *instances))


async def paired(at: MemoryDesk, **options: Any) -> str:
    pair = await at.pair(direction="a_to_b", **options)
    await at.app.sync(pair)
    return pair


async def change(at: MemoryDesk, pair: str, **options: Any) -> RunReport:
    await at.app.change_pair(pair, options=options)
    return await at.app.sync(pair)


async def nothing_is_left_to_do(at: MemoryDesk, pair: str) -> None:
    """Rule 15."""
    report = await sync_anew(at, pair)
    assert (report.operations, report.status) == ((), "success")


def in_bundles(at: MemoryDesk, size: int = 2) -> None:
    """The calendars are asked for events one by one, and take several questions in a request."""
    wrap = at.app.wrap

    def bundling(connection: ConnectionRecord, calendar: Calendar) -> Calendar:
        made = wrap(connection, calendar)
        made.batch_size = size  # type: ignore[misc]
        return made

    at.app.wrap = bundling


async def verdicts(at: MemoryDesk) -> dict[str, Any]:
    """What the index holds of the source's events."""
    async with at.app.db.read() as db:
        rows = await db.execute(
            select(index.c.resource_id, index.c.verdicts).where(
                index.c.connection_id == at.connections["a"], index.c.mark.is_(None)
            )
        )
        return {row.resource_id: row.verdicts for row in rows}


@pytest.mark.rule(13)
async def test_a_weekly_meeting_outside_the_hours_in_one_week_only(at_memory: MemoryDesk) -> None:
    at = at_memory
    put_series(at, instance("20260311T090000", "20260311T190000"))
    pair = await paired(at, only_between=OFFICE)
    assert starts(at) == ["03-04 08:00", "03-18 08:00", "03-25 08:00"]
    assert len(at.store("b").resources) == 1
    await nothing_is_left_to_do(at, pair)
    put_series(at, instance("20260311T090000", "20260311T130000"))
    assert done(await at.app.sync(pair)) == [("update", "source_changed")]
    assert starts(at)[1] == "03-11 12:00"
    put_series(at, instance("20260311T090000", "20260314T130000"))
    assert ("skip", "outside_hours") in done(await at.app.sync(pair))
    assert len(starts(at)) == 3, "a Saturday"


@pytest.mark.rule(12)
async def test_the_only_instance_within_the_hours_is_copied_singly(at_memory: MemoryDesk) -> None:
    at = at_memory
    put_series(at, instance("20260311T090000", "20260311T190000"))
    pair = await paired(at, only_between={"from": "18:00", "to": "23:00"})
    assert starts(at) == ["03-11 18:00"]
    await nothing_is_left_to_do(at, pair)


async def test_what_overlaps_by_a_minute_is_copied_whole(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("long.ics", event("long", "20260304T165900", "20260304T200000"))
    at.store("a").put("late.ics", event("late", "20260305T170000", "20260305T200000"))
    at.store("a").put("day.ics", event("day", "20260306", "20260307"))
    at.store("a").put("saturday.ics", event("saturday", "20260307", "20260308"))
    report = await at.app.sync(await at.pair(direction="a_to_b", only_between=OFFICE))
    assert starts(at) == ["03-04 15:59", "03-05 23:00"]
    assert done(report).count(("skip", "outside_hours")) == 2


async def test_what_is_too_short(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("short.ics", event("short", "20260304T090000", "20260304T091400"))
    at.store("a").put("long.ics", event("long", "20260305T090000", "20260305T091500"))
    at.store("a").put("day.ics", event("day", "20260307", "20260308"))
    put_series(
        at,
        vevent(
            "s",
            "20260311T090000",
            "20260311T090500",
            extra="RECURRENCE-ID;TZID=Europe/Berlin:20260311T090000",
        ),
    )
    report = await at.app.sync(await at.pair(direction="a_to_b", min_minutes=15))
    assert starts(at) == ["03-04 08:00", "03-05 08:00", "03-06 23:00", "03-18 08:00", "03-25 08:00"]
    assert done(report).count(("skip", "too_short")) == 2


NEW_YORK = vevent(
    "s", "20260225T113000", "20260225T120000", zone="America/New_York", extra="RRULE:FREQ=WEEKLY"
)
"""At 17:30 in Berlin, but at 16:30 between the changes of the two clocks: from 8 to 28 March 2026."""


@pytest.mark.rule(12)
@pytest.mark.rule(14)
async def test_a_meeting_in_another_zone_drifts_into_the_hours_while_the_window_slides(
    at_memory: MemoryDesk,
) -> None:
    at = at_memory
    at.store("a").put("s.ics", vcalendar(NEW_YORK))
    pair = await paired(at, only_between=OFFICE, future_days=20)
    seen: set[tuple[str, str]] = set()
    for _ in range(12):
        at.app.clock.advance(days=3)
        seen |= set(done(await sync_anew(at, pair)))
    assert starts(at) == ["03-11 15:30", "03-18 15:30", "03-25 15:30"]
    assert seen == {("create", "new")}, "no copy went, or was written twice"


@pytest.mark.rule(12)
async def test_a_meeting_that_drifts_out_of_the_hours_is_copied_singly_all_year(
    at_memory: MemoryDesk,
) -> None:
    """As soon as it is known, so that no change of form comes with the clocks."""
    at = at_memory
    at.store("a").put(
        "s.ics", vcalendar(NEW_YORK.replace("T113000", "T103000").replace("T120000", "T110000"))
    )
    pair = await paired(at, only_between={"from": "16:00", "to": "18:00"}, future_days=20)
    assert b"RRULE:FREQ=WEEKLY" not in only(at)[1]
    seen: set[tuple[str, str]] = set()
    for _ in range(20):
        at.app.clock.advance(days=5)
        seen |= set(done(await sync_anew(at, pair)))
    assert seen == {("create", "new")}
    assert starts(at)[:4] == ["03-04 15:30", "04-01 14:30", "04-08 14:30", "04-15 14:30"]


@pytest.mark.rule(12)
async def test_the_new_form_is_complete_before_the_old_one_goes(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    put_series(at, extra="RRULE:FREQ=WEEKLY;BYDAY=WE,SA;COUNT=4")
    pair = await paired(at)
    every = ["03-04 08:00", "03-07 08:00", "03-11 08:00", "03-14 08:00"]
    assert starts(at) == every
    await at.app.change_pair(pair, options={"only_between": OFFICE})
    with monkeypatch.context() as refusing:
        refusing.setattr(MemoryCalendar, "create", _refuse)
        assert (await at.app.run(pair)).status == "partial"
        assert starts(at) == every
    at.app.clock.advance(days=1, hours=1)
    report = await at.app.sync(pair)
    assert [action for action, _ in done(report) if action != "skip"] == ["create", "create", "delete"]
    assert starts(at) == ["03-04 08:00", "03-11 08:00"]
    await nothing_is_left_to_do(at, pair)
    assert done(await change(at, pair)) == [("create", "new"), *[("delete", "form_changed")] * 2]
    assert starts(at) == every
    assert len(at.store("b").resources) == 1
    await nothing_is_left_to_do(at, pair)


async def _refuse(calendar: MemoryCalendar, copy: object) -> Resource:
    raise Refused("not this one")


@pytest.mark.rule(17)
async def test_a_deleted_instance_stays_away_in_the_form_that_a_filter_asks_for(
    at_memory: MemoryDesk,
) -> None:
    at = at_memory
    put_series(at)
    pair = await paired(at)
    resource, data = only(at)
    at.store("b").put(resource, delete_instance(data, "20260311T090000"))
    await at.app.sync(pair)
    put_series(at, instance("20260318T090000", "20260318T190000"))
    await change(at, pair, only_between=OFFICE)
    assert starts(at) == ["03-04 08:00", "03-25 08:00"]
    await change(at, pair, only_between={"weekdays": ["WE"], "from": "18:00", "to": "20:00"})
    assert starts(at) == ["03-18 18:00"]
    await change(at, pair)
    assert starts(at) == ["03-04 08:00", "03-18 18:00", "03-25 08:00"]
    await nothing_is_left_to_do(at, pair)


@pytest.mark.rule(5)
async def test_a_meeting_that_stands_there_needs_no_copy_whatever_the_filter(at_memory: MemoryDesk) -> None:
    at = at_memory
    put_series(at, instance("20260311T090000", "20260311T190000"))
    alone = vevent(
        "s", "20260318T090000", "20260318T100000", extra="RECURRENCE-ID;TZID=Europe/Berlin:20260318T090000"
    )
    at.store("b").put("s.ics", vcalendar(alone))
    pair = await paired(at, only_between=OFFICE)
    assert starts(at) == ["03-04 08:00", "03-25 08:00"]
    await nothing_is_left_to_do(at, pair)


async def test_a_title_that_is_edited_comes_and_goes(at_memory: MemoryDesk) -> None:
    """Rule 16."""
    at = at_memory
    put(at, "one", "Stand-up")
    put(at, "two", "Lunch", "20260305T120000")
    pair = await paired(at, title_contains=["STAND", "retro"], title_excludes=["private"])
    assert starts(at) == ["03-04 08:00"]
    put(at, "one", "Lunch")
    put(at, "two", "Sprint Retro", "20260305T120000")
    report = await at.app.sync(pair)
    assert done(report)[:2] == [("create", "new"), ("delete", "title_not_matching")]
    assert starts(at) == ["03-05 11:00"]
    put(at, "two", "Retro (Private)", "20260305T120000")
    assert ("delete", "title_excluded") in done(await at.app.sync(pair))
    assert starts(at) == []


async def test_categories(at_memory: MemoryDesk) -> None:
    at = at_memory
    put(at, "one", extra="CATEGORIES:Private,Client\\, North")
    put(at, "two", "Client", "20260305T090000", extra="CATEGORIES:Clients")
    put(at, "three", "Client", "20260306T090000")
    pair = await at.pair(direction="a_to_b", categories=["client, north"])
    report = await at.app.sync(pair)
    assert starts(at) == ["03-04 08:00"]
    assert done(report).count(("skip", "category_not_matching")) == 2
    put(at, "three", "Client", "20260306T090000", extra="CATEGORIES:CLIENT\\, NORTH")
    await at.app.sync(pair)
    assert starts(at) == ["03-04 08:00", "03-06 08:00"]


@pytest.mark.rule(13)
async def test_an_instance_is_judged_by_its_own_title(at_memory: MemoryDesk) -> None:
    at = at_memory
    put_series(at, instance("20260311T090000", "20260311T090000", title="Lunch"), title="Stand-up")
    pair = await paired(at, title_excludes=["lunch"])
    assert starts(at) == ["03-04 08:00", "03-18 08:00", "03-25 08:00"]
    await change(at, pair, title_contains=["lunch"])
    assert starts(at) == ["03-11 08:00"]
    await change(at, pair)
    assert starts(at) == ON_WEDNESDAYS
    await nothing_is_left_to_do(at, pair)


def put_many(at: MemoryDesk, count: int = 40) -> None:
    for number in range(count):
        put(
            at,
            f"{number}",
            "Lunch" if number % 4 else "Stand-up",
            f"202603{3 + number % 25:02}T{8 + number // 25:02}0000",
        )


@pytest.mark.rule(15)
@pytest.mark.rule(18)
@pytest.mark.rule(21)
@pytest.mark.parametrize("bundles", [False, True])
async def test_a_change_of_filter_costs_one_listing_and_its_deletions_no_second_reading(
    at_memory: MemoryDesk, bundles: bool
) -> None:
    """30 of 40 copies go, which is more than a run deletes on the word of one reading, were it not the owner's."""
    at = at_memory
    if bundles:
        in_bundles(at)
    put_many(at)
    pair = await paired(at)
    await at.app.sync(pair)
    cost = (await at.app.sync(pair)).provider_requests
    assert cost == 2
    report = await change(at, pair, title_contains=["stand"])
    listing = 1 + 14 if bundles else 1  # of three events at a time
    assert (report.events_deleted, report.provider_requests) == (30, cost + listing + 30)
    assert len(starts(at)) == 10
    await at.app.sync(pair)
    assert (await sync_anew(at, pair)).provider_requests == cost, "all verdicts are at hand"
    report = await change(at, pair, title_contains=["STAND"])
    assert (report.operations, report.provider_requests) == ((), cost), "it says the same as before"
    report = await change(at, pair)
    assert (report.events_created, report.provider_requests) == (30, cost + 30), "it is judged by nothing now"
    assert len(starts(at)) == 40


async def test_what_a_listing_shows_to_have_changed_meanwhile_is_planned_as_it_is(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 23: between the reading of a run and the listing for its new filter."""
    at = at_memory
    in_bundles(at)
    put_many(at, 12)
    pair = await paired(at)
    read = MemoryCalendar.read

    async def edit_then_read(calendar: MemoryCalendar, *args: Any, full: bool = False, **given: Any) -> Any:
        if full:
            put(at, "0", "Lunch", "20260303T180000")
            put(at, "1", "Stand-up", "20260304T180000")
            at.store("a").delete("4.ics")
        return await read(calendar, *args, full=full, **given)

    monkeypatch.setattr(MemoryCalendar, "read", edit_then_read)
    await change(at, pair, title_contains=["stand"])
    monkeypatch.undo()
    assert starts(at) == ["03-04 17:00", "03-11 07:00"]
    await nothing_is_left_to_do(at, pair)


async def test_two_pairs_filter_one_calendar_differently(at_memory: MemoryDesk) -> None:
    at = at_memory
    await at.add("c")
    put(at, "one", "Stand-up")
    put(at, "two", "Lunch", "20260305T090000")
    to_b = await at.pair("a", "b", direction="a_to_b", title_contains=["stand"])
    to_c = await at.pair("a", "c", direction="a_to_b", title_contains=["lunch"], title_excludes=["stand"])
    await at.app.sync(to_b)
    first = await at.app.sync(to_c)
    assert first.provider_requests == 3, "each calendar, and the copy"
    assert (starts(at, "b"), starts(at, "c")) == (["03-04 08:00"], ["03-05 08:00"])
    assert [len(each) for each in (await verdicts(at)).values()] == [2, 2], "stand is one filter"
    put(at, "one", "Lunch")
    put(at, "two", "Stand-up", "20260305T090000")
    await at.app.sync(to_b)
    quiet = await at.app.sync(to_c)
    assert (starts(at, "b"), starts(at, "c")) == (["03-05 08:00"], ["03-04 08:00"])
    assert quiet.provider_requests == 4, "the reading of the other run has judged for both"


async def test_verdicts_of_filters_that_nobody_uses_go_with_the_next_write(at_memory: MemoryDesk) -> None:
    at = at_memory
    put(at, "one", "Stand-up")
    put(at, "two", "Lunch", "20260305T090000")
    pair = await paired(at, title_contains=["stand"])
    (signature,) = (await verdicts(at))["one.ics"]
    await change(at, pair)
    put(at, "one", "Stand-up at ten", "20260304T100000")
    await at.app.sync(pair)
    assert await verdicts(at) == {"one.ics": None, "two.ics": {signature: False}}


async def lose_verdicts(at: MemoryDesk, resource: str) -> None:
    async with at.app.db.write() as db:
        await db.execute(update(index).where(index.c.resource_id == resource).values(verdicts=None))


@pytest.mark.parametrize("sync_mode", ["blocker", "full"])
async def test_a_lost_verdict_is_found_by_one_request(at_memory: MemoryDesk, sync_mode: str) -> None:
    at = at_memory
    in_bundles(at)
    put(at, "one", "Stand-up")
    put(at, "two", "Lunch", "20260305T090000")
    pair = await paired(at, title_contains=["stand"], sync_mode=sync_mode)
    await at.app.sync(pair)
    await lose_verdicts(at, "one.ics")
    report = await sync_anew(at, pair)
    assert (report.operations, report.events_processed, report.provider_requests) == ((), 0, 3)
    assert all((await verdicts(at)).values())
    assert (await sync_anew(at, pair)).provider_requests == 2


async def test_what_cannot_be_judged_now_keeps_its_copy(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    put(at, "one", "Stand-up")
    put(at, "two", "Lunch", "20260305T090000")
    pair = await paired(at)
    fetch = MemoryCalendar.fetch

    async def fetch_one(calendar: MemoryCalendar, ids: Sequence[str]) -> list[Resource]:
        return await fetch(calendar, [each for each in ids if each != "two.ics"])

    with monkeypatch.context() as failing:
        failing.setattr(MemoryCalendar, "fetch", fetch_one)
        await at.app.change_pair(pair, options={"title_excludes": ["stand", "lunch"]})
        report = await at.app.run(pair)
    assert done(report) == [
        ("delete", "title_excluded"),
        ("skip", "texts_unknown"),
    ]
    assert (report.status, starts(at)) == ("partial", ["03-05 08:00"])
    assert ("delete", "title_excluded") in done(await at.app.sync(pair))
    assert starts(at) == []


async def test_a_fault_while_texts_are_read_changes_no_copy(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    put_many(at, 12)
    pair = await paired(at)
    before = starts(at)

    async def fail(calendar: MemoryCalendar, ids: Sequence[str]) -> list[Resource]:
        raise Unavailable("not now")

    with monkeypatch.context() as failing:
        failing.setattr(MemoryCalendar, "fetch", fail)
        await at.app.change_pair(pair, options={"title_contains": ["stand"]})
        report = await at.app.run(pair)
    assert (report.status, report.error and report.error.code) == ("failed", "provider_unavailable")
    assert starts(at) == before
    await at.app.sync(pair)
    assert len(starts(at)) == 3


async def test_a_dry_run_tells_what_a_filter_would_do(at_memory: MemoryDesk) -> None:
    at = at_memory
    put(at, "one", "Stand-up")
    put(at, "two", "Lunch", "20260305T090000")
    pair = await paired(at)
    await at.app.change_pair(pair, options={"title_contains": ["stand"]})
    report = await at.app.run(pair, dry_run=True)
    assert ("delete", "title_not_matching") in done(report)
    assert starts(at) == ["03-04 08:00", "03-05 08:00"]


async def test_both_directions_are_filtered(at_memory: MemoryDesk) -> None:
    at = at_memory
    put(at, "one", "Stand-up")
    at.store("b").put("two.ics", event("two", "20260305T090000", "20260305T100000", title="Stand-up"))
    at.store("b").put("three.ics", event("three", "20260306T090000", "20260306T100000", title="Lunch"))
    pair = await at.pair(title_contains=["stand"])
    await at.app.sync(pair)
    assert (starts(at, "b"), starts(at, "a")) == (["03-04 08:00"], ["03-05 08:00"])
    await nothing_is_left_to_do(at, pair)


@pytest.mark.rule(2)
async def test_a_copy_that_travels_on_is_judged_by_what_it_shows(at_memory: MemoryDesk) -> None:
    at = at_memory
    await at.add("c")
    put(at, "one", "Stand-up")
    put(at, "two", "Lunch", "20260305T090000")
    to_b = await at.pair("a", "b", direction="a_to_b", sync_mode="full", title="[A] {title}")
    to_c = await at.pair("b", "c", direction="a_to_b", relay=True, title_contains=["[a] stand"])
    await at.app.sync(to_b)
    await at.app.sync(to_c)
    assert starts(at, "c") == ["03-04 08:00"]
    await at.app.change_pair(to_c, options={"relay": True, "title_contains": ["lunch"]})
    await at.app.sync(to_c)
    assert starts(at, "c") == ["03-05 08:00"]
    put(at, "two", "Dinner", "20260305T090000")
    await at.app.sync(to_b)
    await at.app.sync(to_c)
    assert starts(at, "c") == []
