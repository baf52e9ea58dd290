"""Properties of what is decided for a series, whoever's calendar the target is (rules 12 and 14)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from calendarsync.domain.copy import CopyComponent
from calendarsync.domain.entry import Entry
from calendarsync.domain.event import (
    Component,
    Duration,
    EventTime,
    Recurrence,
    RecurrenceDate,
    Status,
    Visibility,
)
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.holding import Holder, Holding, hold
from calendarsync.domain.recurrence import Instance, expand
from calendarsync.domain.rules import Rules, SyncMode, Window
from calendarsync.domain.times import moment_key
from calendarsync.sync.shape import Scene, Wanted
from calendarsync.sync.wanted import decide

ZONE = "Europe/Berlin"
WINDOW = Window(datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 5, 1, 12, tzinfo=UTC))
BEGIN = datetime(2026, 2, 20)
RULES = [
    "FREQ=DAILY;COUNT=30",
    "FREQ=WEEKLY",
    "FREQ=WEEKLY;BYDAY=TU,FR;UNTIL=20260420T120000Z",
    "FREQ=MONTHLY;BYDAY=-1FR",
    "FREQ=MONTHLY;BYMONTHDAY=3,17",
    "FREQ=WEEKLY;COUNT=3",
    "FREQ=DAILY;INTERVAL=3",
    "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=2",
    "FREQ=YEARLY;BYMONTH=3,4;BYDAY=WE",
    "FREQ=HOURLY;INTERVAL=7;COUNT=40",
]
ZONES = [
    ZONE,
    ZONE,
    "America/New_York",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Asia/Kathmandu",
    "UTC",
    None,
]
"""Outlook has no name for Troll's; None floats."""


def _all_day(time: EventTime) -> EventTime:
    return EventTime(time.local.date())


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    zone = draw(st.sampled_from(ZONES))
    start = EventTime(BEGIN + timedelta(minutes=30 * draw(st.integers(0, 600))), zone)
    length = Duration(seconds=1800 * draw(st.integers(1, 60)))
    in_days = draw(st.integers(0, 4)) == 0
    if in_days:
        start, length = _all_day(start), Duration(days=draw(st.integers(1, 3)))
    recurrence = Recurrence((draw(st.sampled_from(RULES[:-1] if in_days else RULES)),))
    master = Component("uid", start, duration=length, recurrence=recurrence)
    slots = [each.original for each in expand([master], WINDOW.first, WINDOW.last, ZONE) if each.original]
    some = st.sets(st.integers(0, max(len(slots) - 1, 0)), max_size=4)
    chosen = [slots[number] for number in sorted(draw(some)) if slots]
    overrides = [_override(draw, original, length) for original in chosen]
    extras: dict[str, Any] = {"exdates": tuple(slots[:1])} if draw(st.booleans()) else {}
    if draw(st.integers(0, 3)) == 0 and not in_days:
        period = draw(st.sampled_from([None, Duration(seconds=900)]))
        extras["rdates"] = (RecurrenceDate(EventTime(datetime(2026, 3, 12, 3), zone), duration=period),)
    if draw(st.integers(0, 5)) == 0:
        extras["exrules"] = ("FREQ=WEEKLY;INTERVAL=2",)
    master = replace(master, recurrence=replace(recurrence, **extras))
    return Entry("s", "1", "uid", (master, *overrides), {}, {})


def _override(draw: st.DrawFn, original: EventTime, length: Duration) -> Component:
    start = EventTime(original.local + timedelta(minutes=30 * draw(st.integers(-500, 500))), original.zone)
    if original.all_day or draw(st.integers(0, 9)) == 0:
        start, length = _all_day(start), Duration(days=draw(st.integers(1, 9)))
    return Component(
        "uid",
        start,
        duration=length,
        recurrence_id=original,
        this_and_future=draw(st.integers(0, 9)) == 0,
        transparent=draw(st.integers(0, 5)) == 0,
        status=draw(st.sampled_from([Status.CONFIRMED, Status.TENTATIVE, Status.CANCELLED])),
        visibility=draw(st.sampled_from([Visibility.PUBLIC, Visibility.PUBLIC, Visibility.PRIVATE])),
    )


def _scene(holder: Holder, mode: SyncMode) -> Scene:
    return Scene("calendar", Rules(mode), WINDOW, ZONE, Fingerprinter(b"k" * 32), holder=holder)


def _as_component(skeleton: CopyComponent) -> Component:
    return Component(
        "uid",
        skeleton.start,
        skeleton.end,
        skeleton.duration,
        recurrence_id=skeleton.recurrence_id,
        recurrence=skeleton.recurrence,
        visibility=skeleton.visibility,
    )


def _busy(instances: Iterable[Instance]) -> list[tuple[str, str]]:
    return sorted((moment_key(each.start, ZONE), moment_key(each.end, ZONE)) for each in instances)


def _components(wanted: Wanted) -> list[Component]:
    return [_as_component(part.skeleton) for part in wanted.parts]


def _laid_out(wanted: Wanted) -> list[Instance]:
    return expand(_components(wanted), WINDOW.first, WINDOW.last, ZONE)


@given(entries(), st.sampled_from(Holder), st.sampled_from(SyncMode), st.data())
def test_rule_14_copies_in_any_form_are_busy_when_their_source_is(
    entry: Entry, holder: Holder, mode: SyncMode, data: st.DataObject
) -> None:
    scene = _scene(holder, mode)
    eligible = [
        instance
        for instance in expand(entry.components, WINDOW.first, WINDOW.last, ZONE)
        if scene.rules.why_not(instance.component) is None
    ]
    keys = {
        f"{moment_key(each.original, ZONE)}>{moment_key(each.start, ZONE)}": each
        for each in eligible
        if each.original
    }
    respected = data.draw(st.sets(st.sampled_from(sorted(keys)), max_size=2)) if keys else set()
    wanted = decide(entry, scene, sorted(respected)).wanted
    expected = [each for key, each in keys.items() if key not in respected]
    assert _busy(each for one in wanted for each in _laid_out(one)) == _busy(expected)
    assert len({one.origin for one in wanted}) == len(wanted)


@given(entries(), st.sampled_from(Holder))
def test_rule_12_what_is_written_can_be_held(entry: Entry, holder: Holder) -> None:
    for mode in SyncMode:
        for one in decide(entry, _scene(holder, mode)).wanted:
            components = _components(one)
            if components[0].recurrence is not None:
                assert hold(components, holder, ZONE) == Holding(True)
            else:
                assert len(components) == 1
