"""What becomes of series while people and their programs change them: rules 11 to 14, step by step.

After each step the copies are busy as their sources are, the next run writes nothing, and one edit of a series has
cost one write or two, whoever's calendar the target is. How programs write a 'this and following' is told at each.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from calendarsync.domain.holding import Holder
from calendarsync.sync.report import RunReport
from tests.sync.helpers import delete_instance, only, starts, sync_anew
from tests.sync.recurrence_steps import START, STORIES, THIRD, WEEKLY, Step, instance, master, series
from tests.testbed.events import vcalendar
from tests.testbed.memory_desk import MemoryDesk, memory_desk, utc

FIRST, LAST = utc("2026-03-01"), utc("2026-06-01")
AHEAD = 90
"""Days that the windows of the pairs reach ahead: to 31 May."""

# 'This and following', as it comes to stand in calendars.

UNTIL = "RRULE:FREQ=WEEKLY;UNTIL"
LATER = instance("20260401T090000", "20260401T140000")
RELATED = "RELATED-TO;RELTYPE=X-CALENDARSERVER-RECURRENCE-SET:E3B9D6D4"

SPLITS = {
    # Google ends the old series the day before, at 23:59:59 on its clock, and calls the new one by its start; what
    # was changed singly behind the split goes with it, or is made anew.
    "split by Google": [
        series(master(), LATER),
        Step(
            {
                "s": (master(f"{UNTIL}=20260317T225959Z"),),
                "s_R20260318T080000": (
                    master(start="20260318T110000", uid="s_R20260318T080000@google.com"),
                    instance("20260401T110000", "20260401T140000", uid="s_R20260318T080000@google.com"),
                ),
            },
            writes=2,
        ),
        # Split once more: the name keeps its root.
        Step(
            {
                "s": (master(f"{UNTIL}=20260317T225959Z"),),
                "s_R20260318T080000": (
                    master(f"{UNTIL}=20260324T225959Z", "20260318T110000", "s_R20260318T080000@google.com"),
                ),
                "s_R20260325T080000": (master(start="20260325T120000", uid="s_R20260325T080000@google.com"),),
            },
            writes=2,
        ),
    ],
    # Seen by two readings: the new series first, then the end of the old one; and the other way round.
    "split by Google, the new series first": [
        START,
        Step({"s": (master(),), "t": (master(start="20260318T110000", uid="t"),)}),
        Step({"s": (master(f"{UNTIL}=20260317T225959Z"),), "t": (master(start="20260318T110000", uid="t"),)}),
    ],
    "split by Google, the end of the old series first": [
        START,
        series(master(f"{UNTIL}=20260317T225959Z")),
        Step({"s": (master(f"{UNTIL}=20260317T225959Z"),), "t": (master(start="20260318T110000", uid="t"),)}),
    ],
    # Outlook ends the old series by its last day and makes another one with an id of its own; single changes
    # behind the split are lost.
    "split by Exchange": [
        series(master(), LATER),
        Step(
            {
                "s": (master(f"{UNTIL}=20260311T080000Z"),),
                "t": (
                    master(
                        start="20260318T110000",
                        uid="040000008200E00074C5B7101A82E00800000000D0C1D6A1F9B3DC01000000000000000010000000AB",
                    ),
                ),
            },
            writes=2,
        ),
    ],
    # Calendar on macOS and caldav-recursplit: what is to come keeps UID and resource, with a new start; what is
    # past gets a new UID, and an end a second before the split.
    "split by Apple, the future keeps the UID": [
        series(master(f"{WEEKLY};COUNT=10"), instance("20260311T090000", "20260311T140000"), LATER),
        Step(
            {
                "s": (
                    master(f"{WEEKLY};COUNT=8\n{RELATED}", "20260318T110000"),
                    instance("20260401T110000", "20260401T140000"),
                ),
                "past": (
                    master(f"{UNTIL}=20260318T075959Z\n{RELATED}", uid="E3B9D6D4"),
                    instance("20260311T090000", "20260311T140000", uid="E3B9D6D4"),
                ),
            },
            writes=2,
        ),
    ],
    # Since macOS 14.5 it is the past that keeps them.
    "split by Apple, the past keeps the UID": [
        series(master(f"{WEEKLY};COUNT=10"), instance("20260311T090000", "20260311T140000"), LATER),
        Step(
            {
                "s": (
                    master(f"{UNTIL}=20260318T075959Z\n{RELATED}"),
                    instance("20260311T090000", "20260311T140000"),
                ),
                "future": (
                    master(f"{WEEKLY};COUNT=8\n{RELATED}", "20260318T110000", uid="F4"),
                    instance("20260401T110000", "20260401T140000", uid="F4"),
                ),
            },
            writes=2,
        ),
    ],
    # Of a series that was split at its first instance nothing is left.
    "split at the first instance": [
        START,
        Step({"t": (master(start="20260304T110000", uid="t"),)}, writes=2),
    ],
    # InfCloud leaves overrides behind in the series that has ended before them.
    "split with an override left behind": [
        series(master(), LATER),
        Step(
            {
                "s": (master("RRULE:FREQ=WEEKLY;COUNT=2"), LATER),
                "t": (master(start="20260318T110000", uid="t"),),
            },
            writes=2,
            google=3,
            outlook=3,
        ),
    ],
    # RFC 5545's own way, which no target can be trusted with: single copies from then on.
    "split by RANGE=THISANDFUTURE": [
        series(master(f"{WEEKLY};COUNT=5")),
        series(
            master(f"{WEEKLY};COUNT=5"),
            instance(
                THIRD, "20260318T110000", name=f"RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:{THIRD}"
            ),
            writes=6,
        ),
    ],
    "a split is undone": [
        Step(
            {"s": (master(f"{UNTIL}=20260317T225959Z"),), "t": (master(start="20260318T110000", uid="t"),)},
            writes=2,
        ),
        series(master(), writes=2),
    ],
}

ALL = STORIES | SPLITS


@pytest.fixture(params=list(Holder))
def holder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Holder:
    """Whose calendars the ones in memory are taken for, each in turn."""
    chosen: Holder = request.param
    monkeypatch.setattr(Holder, "of", lambda provider: chosen)
    return chosen


def take(at: MemoryDesk, step: Step) -> None:
    """The source calendar holds what the step says, and nothing else."""
    store = at.store("a")
    for name in [name for name in store.resources if name.removesuffix(".ics") not in step.holds]:
        store.delete(name)
    for name, components in step.holds.items():
        data = vcalendar(*components).encode()
        if store.resources.get(f"{name}.ics", ("", b""))[1] != data:
            store.put(f"{name}.ics", data)


def writes_of(report: RunReport) -> int:
    return report.events_created + report.events_updated + report.events_deleted


def assert_busy_alike(at: MemoryDesk, what: str) -> None:
    copies, sources = (at.busy(name, FIRST, LAST, copies=name == "b") for name in ("b", "a"))
    assert copies == sources, what


@pytest.mark.rule(12)
@pytest.mark.rule(13)
@pytest.mark.rule(14)
@pytest.mark.rule(15)
@pytest.mark.parametrize("story", ALL)
async def test_a_series_and_its_copy(story: str, holder: Holder, quick_folder: Path) -> None:
    async with memory_desk(quick_folder) as at:
        pair = await at.pair(direction="a_to_b", future_days=AHEAD, sync_mode="full")
        for number, step in enumerate(ALL[story]):
            what = f"step {number} of {story}"
            take(at, step)
            report = await at.app.sync(pair)
            assert_busy_alike(at, what)
            if number:
                assert writes_of(report) <= step.most(holder), what
            assert (await sync_anew(at, pair)).operations == (), what


@pytest.mark.rule(13)
async def test_an_instance_is_renamed_in_its_copy_alone(holder: Holder, quick_folder: Path) -> None:
    async with memory_desk(quick_folder) as at:
        take(at, START)
        pair = await at.pair(direction="a_to_b", sync_mode="full")
        await at.app.sync(pair)
        take(at, series(master(), instance(THIRD, title="Retrospective")))
        assert writes_of(await at.app.sync(pair)) == 1
        ((_, data),) = at.store("b").resources.values()
        assert (data.count(b"SUMMARY:Planning"), data.count(b"SUMMARY:Retrospective")) == (1, 1)
        assert_busy_alike(at, "renamed")
        assert (await sync_anew(at, pair)).operations == ()


@pytest.mark.rule(13)
async def test_a_hole_in_the_gap_of_the_clocks_is_written_as_its_series_has_it(
    holder: Holder, quick_folder: Path
) -> None:
    """Not every program matches instances by the moment: who reads 02:30 daily looks for a hole at 02:30."""
    daily = master("RRULE:FREQ=DAILY;COUNT=60", "20260304T023000")
    async with memory_desk(quick_folder) as at:
        take(at, series(daily, instance("20260329T023000", extra="STATUS:CANCELLED")))
        await at.app.sync(await at.pair(direction="a_to_b"))
        ((_, data),) = at.store("b").resources.values()
        assert b"EXDATE;TZID=Europe/Berlin:20260329T023000" in data


SINGLY = "RRULE:FREQ=WEEKLY\nEXRULE:FREQ=YEARLY;BYMONTH=7;COUNT=1"
"""Every Wednesday but one in July, in a way that no target can hold."""


@pytest.mark.rule(7)
@pytest.mark.rule(12)
@pytest.mark.rule(14)
async def test_single_copies_follow_the_window_until_the_series_can_be_held_again(
    holder: Holder, quick_folder: Path
) -> None:
    async with memory_desk(quick_folder) as at:
        take(at, series(master(SINGLY)))
        pair = await at.pair(direction="a_to_b", future_days=20)
        assert writes_of(await at.app.sync(pair)) == 3
        for _ in range(4):
            at.app.clock.advance(days=7)
            report = await at.app.sync(pair)
            assert (report.events_created, writes_of(report)) == (1, 1), "the one that comes into the window"
            assert_in_window(at)
            assert (await sync_anew(at, pair)).operations == ()
        past = len(at.store("b").resources) - 3
        assert past == 4, "those behind the window stay"
        take(at, series(master()))
        report = await at.app.sync(pair)
        assert (report.events_created, report.events_deleted) == (1, 3)
        assert_in_window(at)
        assert len(at.store("b").resources) == past + 1
        assert (await sync_anew(at, pair)).operations == ()
        take(at, Step({}))
        await at.app.sync(pair)
        assert at.store("b").resources == {}, "with the source goes all that stood for it"


def assert_in_window(at: MemoryDesk) -> None:
    first, last = at.app.clock.now - timedelta(days=1), at.app.clock.now + timedelta(days=20)
    copies, sources = (at.busy(name, first, last, copies=name == "b") for name in ("b", "a"))
    assert copies == sources


@pytest.mark.rule(7)
@pytest.mark.rule(13)
async def test_an_instance_moved_beyond_the_window_is_copied_when_its_time_comes(
    holder: Holder, quick_folder: Path
) -> None:
    async with memory_desk(quick_folder) as at:
        far = instance(THIRD, "20260420T140000")
        take(at, series(master("RRULE:FREQ=WEEKLY;COUNT=4"), far))
        pair = await at.pair(direction="a_to_b", future_days=20)
        for _ in range(8):
            await at.app.sync(pair)
            assert_in_window(at)
            assert (await sync_anew(at, pair)).operations == ()
            at.app.clock.advance(days=7)
        assert "2026-04-20 12:00" in [f"{start:%Y-%m-%d %H:%M}" for start, _ in at.busy("b", FIRST, LAST)]


@pytest.mark.rule(17)
async def test_an_instance_that_a_person_deleted_is_gone_from_its_half_alone(
    holder: Holder, quick_folder: Path
) -> None:
    """The half with the new id is another series: what was deleted from the old copy comes back there."""
    async with memory_desk(quick_folder) as at:
        take(at, START)
        pair = await at.pair(direction="a_to_b")
        await at.app.sync(pair)
        for day in ("20260311T090000", "20260401T090000"):
            name, data = only(at)
            at.store("b").put(name, delete_instance(data, day))
            await at.app.sync(pair)
        assert not {"03-11 08:00", "04-01 07:00"} & set(starts(at))
        new = (master(start=THIRD, uid="t"),)
        take(at, Step({"s": (master(f"{UNTIL}=20260317T225959Z"),), "t": new}))
        await at.app.sync(pair)
        assert starts(at)[:4] == ["03-04 08:00", "03-18 08:00", "03-25 08:00", "04-01 07:00"]
        assert (await sync_anew(at, pair)).operations == ()
