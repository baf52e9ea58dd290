"""A year of events around the changes of many clocks, kept in step day by day (rules 11 and 14 to 16).

What is expected comes from `zoneinfo` alone: no instance is laid out by the code under test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from calendarsync.domain.event import Component
from calendarsync.domain.holding import Holder
from calendarsync.domain.recurrence import expand
from calendarsync.domain.rules import is_busy
from calendarsync.providers.icalendar import read_resource
from tests.testbed.events import vcalendar, vevent
from tests.testbed.installation import Clock
from tests.testbed.memory_desk import MemoryDesk, Slot, memory_desk

ZONES = {
    # Samoa leaves out 30 December; Brazil's clocks change at midnight, Norfolk's once, by half an hour, in 2015.
    2011: (
        "Pacific/Apia",
        "America/Sao_Paulo",
        "America/Santiago",
        "Asia/Tehran",
        "Europe/Istanbul",
        "Pacific/Auckland",
        "America/New_York",
    ),
    # Morocco's clocks go back for Ramadan, Troll's by two hours, Lord Howe's by half of one, Ireland's in summer.
    2024: (
        "Africa/Casablanca",
        "Antarctica/Troll",
        "Australia/Lord_Howe",
        "Europe/Dublin",
        "Africa/Cairo",
        "Asia/Kathmandu",
        "America/St_Johns",
        "Europe/Berlin",
        "Pacific/Chatham",
    ),
}
FURTHER = (
    "Africa/El_Aaiun",
    "America/Asuncion",
    "America/Nuuk",
    "Asia/Beirut",
    "Asia/Gaza",
    "Europe/Chisinau",
    "Pacific/Easter",
    "Pacific/Norfolk",
)
AHEAD = 30
"""Days that the pair's window reaches ahead."""

NEAR, FAR = 3, 5
"""Days around a change of clocks and where the window first holds it; days between two runs elsewhere."""

_DAY = timedelta(days=1)
_Change = tuple[datetime, timedelta]
"""The local time before a change of the clocks, and by how much they go forward."""


@dataclass
class Year:
    """What somebody who lives by the clocks of `zone` has in a calendar."""

    year: int
    zone: str
    resources: dict[str, str] = field(default_factory=dict)
    slots: set[Slot] = field(default_factory=set)

    def __post_init__(self) -> None:
        changes = list(_changes(self.year, self.zone))
        gap = next((local for local, by in changes if by > timedelta()), datetime(self.year, 1, 1, 2))
        in_gap = (gap + timedelta(minutes=15)).time()
        everyday = [date(self.year, 1, 1) + number * _DAY for number in range(-20, 420)]
        self._series("daily", everyday, in_gap, 45, "DAILY")
        self._series("weekly", everyday[::7], time(9), 60, "WEEKLY")
        ends = [day for day in everyday if (day + _DAY).day == 1]
        self._series("monthly", ends, time(23, 30), 90, "MONTHLY;BYMONTHDAY=-1")
        self._days("days", everyday[::7], 1, "WEEKLY")
        self._days("dates", [day for day in everyday if day.day == 15], 2, "MONTHLY")
        self._moved("moved", everyday, changes)
        for number, (local, by) in enumerate(changes):
            self._single(f"change-{number}", local + (timedelta(minutes=10) if by > timedelta() else by / 2))

    def _series(self, name: str, days: list[date], at: time, minutes: int, rule: str) -> None:
        length = timedelta(minutes=minutes)
        for day in days:
            self._busy(datetime.combine(day, at), length)
        start = datetime.combine(days[0], at)
        self._put(name, start, start + length, f"RRULE:FREQ={rule}")

    def _moved(self, name: str, days: list[date], changes: list[_Change]) -> None:
        """At noon every day, but on days of a change at the very time that is left out or comes twice."""
        length = timedelta(minutes=30)
        there = {
            local.date(): local + (by / 2 if by < timedelta() else timedelta(minutes=5))
            for local, by in changes
        }
        for day in days:
            self._busy(there.get(day, datetime.combine(day, time(12))), length)
        start = datetime.combine(days[0], time(12))
        overrides = [
            self._vevent(name, local, local + length, f"RECURRENCE-ID;TZID={self.zone}:{day:%Y%m%d}T120000")
            for day, local in there.items()
        ]
        master = self._vevent(name, start, start + length, "RRULE:FREQ=DAILY")
        self.resources[self._id(name)] = vcalendar(master, *overrides)

    def _days(self, name: str, days: list[date], length: int, rule: str) -> None:
        for day in days:
            first, last = (_in_berlin(each) for each in (day, day + length * _DAY))
            self.slots.add((first, last))
        times = [f"{each:%Y%m%d}" for each in (days[0], days[0] + length * _DAY)]
        self.resources[self._id(name)] = vcalendar(vevent(self._id(name), *times, extra=f"RRULE:FREQ={rule}"))

    def _single(self, name: str, local: datetime) -> None:
        self._busy(local, timedelta(hours=1))
        self._put(name, local, local + timedelta(hours=1))

    def _busy(self, local: datetime, length: timedelta) -> None:
        begin = local.replace(tzinfo=ZoneInfo(self.zone)).astimezone(UTC)
        self.slots.add((begin, begin + length))

    def _put(self, name: str, start: datetime, end: datetime, extra: str = "") -> None:
        self.resources[self._id(name)] = vcalendar(self._vevent(name, start, end, extra))

    def _vevent(self, name: str, start: datetime, end: datetime, extra: str) -> str:
        """Its length is exact, and said as one: an end on the clock may be one that no clock shows."""
        stamp = f"{start:%Y%m%dT%H%M%S}"
        minutes = int((end - start).total_seconds()) // 60
        return vevent(self._id(name), stamp, None, zone=self.zone, extra=f"DURATION:PT{minutes}M\n{extra}")

    def _id(self, name: str) -> str:
        return f"{self.zone.replace('/', '-')}-{name}"


def _changes(year: int, zone: str) -> Iterator[_Change]:
    """Found by looking at every quarter of an hour of the days on which the offset from UTC changes."""
    info, quarter = ZoneInfo(zone), timedelta(minutes=15)

    def by(moment: datetime, step: timedelta) -> timedelta:
        before, after = (each.astimezone(info).utcoffset() for each in (moment, moment + step))
        assert before is not None
        assert after is not None
        return after - before

    begin = datetime(year, 1, 1, tzinfo=UTC)
    for day in (begin + number * _DAY for number in range(366)):
        for moment in (day + number * quarter for number in range(96) if by(day, _DAY)):
            if change := by(moment, quarter):
                yield moment.astimezone(info).replace(tzinfo=None) + quarter, change


def _in_berlin(day: date) -> datetime:
    """Where a desk in memory reads dates."""
    return datetime.combine(day, time(), ZoneInfo("Europe/Berlin")).astimezone(UTC)


def eventful(year: int, zones: tuple[str, ...]) -> list[int]:
    """The days of the year on which a run may meet something new, and a few others."""
    days = {0, 365, *range(0, 366, FAR)}
    for zone in zones:
        for local, _ in _changes(year, zone):
            on = (local.date() - date(year, 1, 1)).days
            days |= {day + by for day in (on - AHEAD, on) for by in range(-NEAR, NEAR + 1)}
    return sorted(days & set(range(366)))


@dataclass
class Reader:
    """Reads each version of a copy once."""

    at: MemoryDesk
    read: dict[str, tuple[Component, ...]] = field(default_factory=dict)

    def busy(self, first: datetime, last: datetime) -> list[Slot]:
        slots = set()
        for name, (etag, data) in self.at.store("b").resources.items():
            if etag not in self.read:
                self.read[etag] = read_resource(name, etag, data).components
            slots |= {
                (one.start.instant("Europe/Berlin"), one.end.instant("Europe/Berlin"))
                for one in expand(self.read[etag], first, last, "Europe/Berlin")
                if is_busy(one.component)
            }
        return sorted(slots)


async def live_through(
    year: int, zones: tuple[str, ...], folder: Path, *, days: Sequence[int] = range(366), singly: bool = False
) -> None:
    """A run on each of `days`. `singly`: some series cannot be held as one."""
    lives = [Year(year, zone) for zone in zones]
    slots = sorted(slot for life in lives for slot in life.slots)
    clock = Clock(datetime(year, 1, 1, 5, tzinfo=UTC))
    created: set[tuple[str, str]] = set()
    async with memory_desk(folder, clock=clock) as at:
        for life in lives:
            for name, text in life.resources.items():
                at.store("a").put(f"{name}.ics", text)
        sources = dict(at.store("a").resources)
        pair = await at.pair(direction="a_to_b", future_days=AHEAD)
        reader = Reader(at)
        for number in days:
            clock.now = datetime(year, 1, 1, 5, tzinfo=UTC) + number * _DAY
            report = await at.app.sync(pair)
            now = clock.now
            made = [(one.event_id, one.original_start) for one in report.operations]
            assert {one.action for one in report.operations} <= {"create"}, f"it flickers at {now}"
            assert created.isdisjoint(made), f"it is copied again at {now}"
            created.update(made)
            if made:
                assert (await at.app.sync(pair)).operations == ()
            if made or number % 10 == 0:  # in between, both calendars are what they were to the byte
                first, last = now, now + (AHEAD - 1) * _DAY
                expected = sorted({slot for slot in slots if slot[1] > first and slot[0] < last})
                assert reader.busy(first, last) == expected, f"it drifts at {now}"
        assert at.store("a").resources == sources
        assert len(created) == len(at.store("b").resources)
        if not singly:
            assert len(created) == len(sources), "one copy for each, series included"


@pytest.mark.rule(11)
@pytest.mark.rule(14)
@pytest.mark.rule(15)
@pytest.mark.parametrize("year", ZONES)
async def test_a_year_of_clock_changes(year: int, quick_folder: Path) -> None:
    await live_through(year, ZONES[year], quick_folder, days=eventful(year, ZONES[year]))


@pytest.mark.long
@pytest.mark.parametrize("holder", list(Holder))
@pytest.mark.parametrize("year", [2011, 2018, 2024, 2026])
async def test_many_years_of_clock_changes_in_every_kind_of_calendar(
    year: int, holder: Holder, quick_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outlook has no name for some of the zones: series there are copied singly, each instance as it comes up."""
    monkeypatch.setattr(Holder, "of", lambda provider: holder)
    zones = (*ZONES[2011], *ZONES[2024], *FURTHER)
    await live_through(year, zones, quick_folder, singly=holder is not Holder.ICALENDAR)
