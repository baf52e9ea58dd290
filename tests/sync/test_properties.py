"""Properties: whatever calendars hold, and whatever fails, copies stand where sources are (rules 3, 14, 15)."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calendarsync.domain.holding import Holder
from tests.testbed.events import vcalendar, vevent
from tests.testbed.installation import START
from tests.testbed.memory_desk import MemoryDesk, memory_desk, utc

FIRST, LAST = utc("2026-03-01T06:00"), utc("2026-06-10T06:00")
WINDOW = {"past_days": 1, "future_days": 100}
QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", None])
RULES = st.sampled_from(
    [
        "",
        "RRULE:FREQ=WEEKLY",
        "RRULE:FREQ=DAILY;COUNT=9",
        "RRULE:FREQ=WEEKLY;BYDAY=MO,WE;UNTIL=20260420T120000Z",
        "RRULE:FREQ=MONTHLY;BYDAY=-1FR",
        "RRULE:FREQ=WEEKLY\nEXRULE:FREQ=WEEKLY;INTERVAL=2",
        "RRULE:FREQ=DAILY;COUNT=5\nRDATE;VALUE=PERIOD:20260401T120000Z/PT3H",
    ]
)
KINDS = st.sampled_from(["", "TRANSP:TRANSPARENT", "STATUS:TENTATIVE", "STATUS:CANCELLED"])


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%S}"


@st.composite
def resources(draw: st.DrawFn, uid: str) -> str:
    """An event or a series with overrides, some of them moved, free or cancelled."""
    start = datetime(2026, 2, 20) + timedelta(minutes=15 * draw(st.integers(0, 4 * 24 * 60)))
    length = timedelta(minutes=15 * draw(st.integers(1, 96)))
    zone, rule = draw(ZONES), draw(RULES)
    master = vevent(
        uid, _stamp(start), _stamp(start + length), zone=zone, extra=f"{draw(KINDS)}\n{rule}".strip()
    )
    overrides = []
    for week in draw(st.sets(st.integers(1, 4), max_size=2)) if rule == "RRULE:FREQ=WEEKLY" else ():
        original = start + timedelta(weeks=week)
        moved = original + timedelta(minutes=15 * draw(st.integers(-300, 300)))
        name = f"RECURRENCE-ID;TZID={zone}" if zone else "RECURRENCE-ID"
        extra = f"{name}:{_stamp(original)}\n{draw(KINDS)}"
        overrides.append(vevent(uid, _stamp(moved), _stamp(moved + length), zone=zone, extra=extra.strip()))
    return vcalendar(master, *overrides)


def calendars(prefix: str) -> st.SearchStrategy[dict[str, str]]:
    names = [f"{prefix}{number}" for number in range(4)]
    return st.fixed_dictionaries({}, optional={f"{name}.ics": resources(name) for name in names})


def _in_window(desk: MemoryDesk, name: str, *, copies: bool) -> list[tuple[datetime, datetime]]:
    return desk.busy(name, FIRST, LAST, copies=copies)


async def _in_step(desk: MemoryDesk) -> None:
    assert _in_window(desk, "b", copies=True) == _in_window(desk, "a", copies=False)
    assert _in_window(desk, "a", copies=True) == _in_window(desk, "b", copies=False)


@pytest.mark.parametrize("holder", [Holder.ICALENDAR, Holder.MICROSOFT])
@QUICK
@given(calendars("a"), calendars("b"), calendars("a"))
def test_rule_14_any_calendars_come_into_step_and_stay(
    holder: Holder, first: dict[str, str], other: dict[str, str], then: dict[str, str]
) -> None:
    """`holder`: whose calendars they are taken for."""

    async def story(folder: Path) -> None:
        async with memory_desk(folder) as desk:
            for name, data in first.items():
                desk.store("a").put(name, data)
            for name, data in other.items():
                desk.store("b").put(name, data)
            pair = await desk.pair(**WINDOW)
            await desk.app.sync(pair)
            await _in_step(desk)
            again = await desk.app.sync(pair)
            assert again.operations == ()
            for name in first.keys() - then.keys():
                desk.store("a").delete(name)
            for name, data in then.items():
                desk.store("a").put(name, data)
            await desk.app.sync(pair)
            await _in_step(desk)
            journals = len(desk.store("a").journal), len(desk.store("b").journal)
            await desk.app.sync(pair)
            assert (len(desk.store("a").journal), len(desk.store("b").journal)) == journals

    with tempfile.TemporaryDirectory() as folder, patch.object(Holder, "of", lambda provider: holder):
        asyncio.run(story(Path(folder)))


@QUICK
@given(calendars("a"), calendars("b"), st.data())
def test_rule_3_a_fault_at_any_request_doubles_and_loses_nothing(
    first: dict[str, str], other: dict[str, str], data: st.DataObject
) -> None:
    """Each run may lose requests on the way there or answers on the way back; the last one is undisturbed."""
    faults = st.sets(st.integers(1, 12), max_size=3)

    async def story(folder: Path) -> None:
        async with memory_desk(folder) as desk:
            for name, text in first.items():
                desk.store("a").put(name, text)
            for name, text in other.items():
                desk.store("b").put(name, text)
            pair = await desk.pair(**WINDOW)
            for _ in range(3):
                for fault in desk.faults.values():
                    fault.calls, fault.before, fault.after = 0, data.draw(faults), data.draw(faults)
                await desk.app.run(pair)
                changed = data.draw(st.sampled_from([*first, None])) if first else None
                if changed is not None and changed in desk.store("a").resources:
                    desk.store("a").delete(changed)
            for fault in desk.faults.values():
                fault.before, fault.after = set(), set()
            await desk.app.sync(pair)
            await _in_step(desk)
            assert (await desk.app.sync(pair)).operations == ()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(story(Path(folder)))


def test_the_clock_of_these_tests_stands_in_their_window() -> None:
    assert FIRST <= START < LAST
