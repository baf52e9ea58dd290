"""What becomes of series while people and their programs change them: rules 11 to 14, step by step.

After each step the copies are busy as their sources are, the next run writes nothing, and one edit of a series has
cost one write or two, whoever's calendar the target is. How programs write a 'this and following' is told at each.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from calendarsync.domain.holding import Holder
from calendarsync.sync.report import RunReport
from tests.sync.helpers import sync_anew
from tests.testbed.events import vcalendar, vevent
from tests.testbed.memory_desk import OWNER, MemoryDesk, memory_desk, utc

WEEKLY = "RRULE:FREQ=WEEKLY"
FIRST, LAST = utc("2026-03-01"), utc("2026-06-01")
AHEAD = 90
"""Days that the windows of the pairs reach ahead: to 31 May."""


def master(extra: str = WEEKLY, start: str = "20260304T090000", uid: str = "s", **given: str) -> str:
    """A meeting of an hour on Wednesdays, at nine in Berlin."""
    end = f"{start[:9]}{int(start[9:11]) + 1:02}{start[11:]}"
    return vevent(uid, start, end, extra=extra, **given)  # type: ignore[arg-type]


def instance(
    original: str,
    start: str = "",
    end: str = "",
    extra: str = "",
    uid: str = "s",
    name: str = "",
    **given: str,
) -> str:
    """An override. `original` is a local time in Berlin; `name` stands for the whole RECURRENCE-ID."""
    start = start or original
    end = end or f"{start[:9]}{int(start[9:11]) + 1:02}{start[11:]}"
    name = name or f"RECURRENCE-ID;TZID=Europe/Berlin:{original}"
    return vevent(uid, start, end, extra=f"{name}\n{extra}", **given)  # type: ignore[arg-type]


THIRD, FOURTH = "20260318T090000", "20260325T090000"
DECLINED = f"ATTENDEE;PARTSTAT=DECLINED:mailto:{OWNER}"


@dataclass(frozen=True)
class Step:
    """What the source calendar holds from now on, by name, and how many writes that may cost at most.

    `google` and `outlook` say so where calendars there hold other forms than CalDAV does.
    """

    holds: dict[str, tuple[str, ...]]
    writes: int = 1
    google: int | None = None
    outlook: int | None = None

    def most(self, holder: Holder) -> int:
        own = {Holder.GOOGLE: self.google, Holder.MICROSOFT: self.outlook}.get(holder)
        return self.writes if own is None else own


def series(*components: str, writes: int = 1, google: int | None = None, outlook: int | None = None) -> Step:
    return Step({"s": components}, writes, google, outlook)


START = series(master())
NOTHING = 0

STORIES: dict[str, list[Step]] = {
    "an instance is moved, moved on and back": [
        START,
        series(master(), instance(THIRD, "20260318T140000")),
        series(master(), instance(THIRD, "20260319T140000")),
        series(master(), instance(THIRD)),
        START,
    ],
    "an instance is moved past the next one and comes back": [
        START,
        series(master(), instance(THIRD, "20260326T140000"), outlook=2),
        series(master(), instance(THIRD, "20260318T140000"), outlook=2),
    ],
    "an instance is made free, and busy again": [
        START,
        series(master(), instance(THIRD, extra="TRANSP:TRANSPARENT")),
        series(master(), instance(THIRD)),
    ],
    "an instance is declined, and accepted": [
        START,
        series(master(), instance(THIRD, extra=DECLINED)),
        series(master(), instance(THIRD, extra=DECLINED.replace("DECLINED", "ACCEPTED"))),
    ],
    "an instance is cancelled, and then left out": [
        START,
        series(master(), instance(THIRD, extra="STATUS:CANCELLED")),
        series(master(f"{WEEKLY}\nEXDATE;TZID=Europe/Berlin:{THIRD}"), writes=NOTHING),
        series(master(f"{WEEKLY}\nEXDATE:20260318T080000Z"), writes=NOTHING),
        START,
    ],
    "an instance is left out twice over, and by its date": [
        START,
        series(master(f"{WEEKLY}\nEXDATE;TZID=Europe/Berlin:{THIRD}\nEXDATE:20260318T080000Z")),
        series(master(f"{WEEKLY}\nEXDATE;VALUE=DATE:20260318"), writes=NOTHING),
    ],
    "a moved instance is left out, and its override dropped": [
        series(master(), instance(THIRD, "20260318T140000")),
        series(master(f"{WEEKLY}\nEXDATE;TZID=Europe/Berlin:{THIRD}")),
    ],
    "a whole series is moved by an hour, its overrides stay where they are": [
        series(master(), instance(THIRD, "20260318T140000")),
        series(master(start="20260304T100000"), instance("20260318T100000", "20260318T140000")),
    ],
    "an instance is moved across midnight, and its series to another day": [
        START,
        series(master(), instance(THIRD, "20260317T233000", "20260318T010000")),
        series(
            master(start="20260303T090000"), instance("20260317T090000", "20260318T233000", "20260319T003000")
        ),
    ],
    "an instance is moved into the gap of the clocks, over it, and behind it": [
        START,
        series(master(), instance(FOURTH, "20260329T023000", "20260329T040000")),
        series(master(), instance(FOURTH, "20260328T230000", "20260329T050000")),
        series(master(), instance(FOURTH, "20260329T030000", "20260329T040000")),
    ],
    "the instance in the gap of the clocks is cancelled, and comes back": [
        series(master("RRULE:FREQ=DAILY;COUNT=60", "20260304T023000")),
        series(
            master("RRULE:FREQ=DAILY;COUNT=60", "20260304T023000"),
            instance("20260329T023000", extra="STATUS:CANCELLED"),
        ),
        series(
            master("RRULE:FREQ=DAILY;COUNT=60\nEXDATE:20260329T013000Z", "20260304T023000"), writes=NOTHING
        ),
        series(master("RRULE:FREQ=DAILY;COUNT=60", "20260304T023000")),
    ],
    "an instance becomes an all-day one": [
        START,
        series(master(), instance(THIRD, "20260318", "20260319"), outlook=2),
        series(master(), instance(THIRD), outlook=2),
    ],
    "overrides are named in UTC, and in the zone of somebody else": [
        series(master(), instance(THIRD, "20260318T140000", name="RECURRENCE-ID:20260318T080000Z")),
        series(
            master(),
            instance(THIRD, "20260318T140000", name="RECURRENCE-ID;TZID=America/New_York:20260318T040000"),
            writes=NOTHING,
        ),
    ],
    "a series gains an end, another one, and loses it": [
        START,
        series(master("RRULE:FREQ=WEEKLY;UNTIL=20260408T070000Z")),
        series(master("RRULE:FREQ=WEEKLY;COUNT=4")),
        series(master("RRULE:FREQ=WEEKLY;UNTIL=20260401")),
        START,
    ],
    "a series ends before an override of it, which stays": [
        series(master(), instance(FOURTH, "20260325T140000")),
        series(master("RRULE:FREQ=WEEKLY;COUNT=2"), instance(FOURTH, "20260325T140000"), google=2, outlook=2),
    ],
    "a series becomes one event, and a series again": [
        START,
        series(master("")),
        START,
    ],
    "a series that its rule cannot say is copied singly, and as a series again": [
        series(master("RRULE:FREQ=WEEKLY;COUNT=5")),
        series(master("RRULE:FREQ=WEEKLY;COUNT=5\nEXRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=2"), writes=4),
        series(master("RRULE:FREQ=WEEKLY;COUNT=5"), writes=4),
    ],
    "an added date with a length of its own makes a series come apart, and it comes together again": [
        series(master("RRULE:FREQ=WEEKLY;COUNT=4")),
        series(
            master("RRULE:FREQ=WEEKLY;COUNT=4\nRDATE;VALUE=PERIOD:20260320T080000Z/20260320T110000Z"),
            writes=6,
        ),
        series(master("RRULE:FREQ=WEEKLY;COUNT=4\nRDATE;VALUE=PERIOD:20260320T080000Z/PT30M"), writes=1),
        series(master("RRULE:FREQ=WEEKLY;COUNT=4"), writes=6),
    ],
    "a date is added and taken away": [
        series(master("RRULE:FREQ=WEEKLY;COUNT=4")),
        series(master("RRULE:FREQ=WEEKLY;COUNT=4\nRDATE;TZID=Europe/Berlin:20260320T090000"), outlook=6),
        series(master("RRULE:FREQ=WEEKLY;COUNT=4"), outlook=6),
    ],
    "an invitation to one instance, to another, and to the series": [
        series(instance(THIRD, "20260318T140000")),
        series(instance(THIRD, "20260318T140000"), instance(FOURTH)),
        series(instance(THIRD, "20260318T140000"), instance(FOURTH, extra="STATUS:CANCELLED")),
        series(master(), instance(THIRD, "20260318T140000"), writes=2),
        series(instance(THIRD, "20260318T140000"), writes=2),
    ],
    "a series from before the window, with an instance that comes into it and one that leaves it": [
        series(master(start="20240103T090000")),
        series(master(start="20240103T090000"), instance("20250108T090000", "20260305T140000"), outlook=2),
        series(
            master(start="20240103T090000"),
            instance("20250108T090000", "20260305T140000"),
            instance(THIRD, "20270318T090000"),
            outlook=2,
        ),
        series(master(start="20240103T090000"), outlook=2),
    ],
    "of a series that is over, an instance comes into the window and goes": [
        series(master(f"{WEEKLY};COUNT=3", "20250101T090000"), writes=NOTHING),
        series(
            master(f"{WEEKLY};COUNT=3", "20250101T090000"),
            instance("20250108T090000", "20260305T140000"),
            outlook=2,
        ),
        series(master(f"{WEEKLY};COUNT=3", "20250101T090000"), outlook=2),
    ],
}

# 'This and following', as it comes to stand in calendars.

UNTIL = "RRULE:FREQ=WEEKLY;UNTIL"
LATER = instance("20260401T090000", "20260401T140000")
RELATED = "RELATED-TO;RELTYPE=X-CALENDARSERVER-RECURRENCE-SET:E3B9D6D4"

STORIES |= {
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
@pytest.mark.parametrize("story", STORIES)
async def test_a_series_and_its_copy(story: str, holder: Holder, quick_folder: Path) -> None:
    async with memory_desk(quick_folder) as at:
        pair = await at.pair(direction="a_to_b", future_days=AHEAD, sync_mode="full")
        for number, step in enumerate(STORIES[story]):
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
