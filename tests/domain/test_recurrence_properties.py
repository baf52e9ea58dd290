"""What must hold of every recurrence set, whatever is in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from calendarsync.domain.event import Component, Duration, EventTime, Recurrence, RecurrenceDate
from calendarsync.domain.recurrence import (
    Instance,
    RecurrenceError,
    expand,
    holdable,
    occurs_in,
    span,
    validate,
)

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC", None]
BEGIN = datetime(2024, 1, 1)
WINDOW = (datetime(2024, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC))

moments = st.integers(0, 2 * 366 * 24 * 12).map(lambda number: BEGIN + timedelta(minutes=5 * number))
durations = st.builds(Duration, st.integers(0, 3), st.integers(0, 90_000))


@st.composite
def rules(draw: st.DrawFn) -> str:
    freq = draw(st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"]))
    parts = [
        f"FREQ={freq}",
        f"INTERVAL={draw(st.integers(1, 4))}",
        f"WKST={draw(st.sampled_from(['MO', 'SU']))}",
    ]
    day = st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"])
    if draw(st.booleans()):
        prefix = st.sampled_from(["", "1", "-1"]) if freq in {"YEARLY", "MONTHLY"} else st.just("")
        parts.append(
            "BYDAY="
            + ",".join(p + d for p, d in draw(st.lists(st.tuples(prefix, day), min_size=1, max_size=3)))
        )
    if freq != "WEEKLY" and draw(st.booleans()):
        parts.append(f"BYMONTHDAY={draw(st.sampled_from([1, 15, 29, 31, -1]))}")
    if draw(st.booleans()):
        parts.append(f"BYMONTH={draw(st.sampled_from(['1', '2,3', '3,10', '6,7,8']))}")
    end = draw(st.sampled_from(["", "COUNT=1", "COUNT=7", "UNTIL=20240701T120000Z", "UNTIL=20250301"]))
    return ";".join([*parts, end] if end else parts)


@st.composite
def times(draw: st.DrawFn, zone: str | None) -> EventTime:
    return EventTime(draw(moments), zone)


@st.composite
def series(draw: st.DrawFn) -> list[Component]:
    zone = draw(st.sampled_from(ZONES))
    start = draw(times(zone))
    master = Component(
        "uid",
        start,
        duration=draw(durations),
        recurrence=Recurrence(
            rrules=tuple(draw(st.lists(rules(), min_size=0, max_size=2))),
            rdates=tuple(RecurrenceDate(draw(times(zone))) for _ in range(draw(st.integers(0, 2)))),
            exdates=tuple(draw(times(zone)) for _ in range(draw(st.integers(0, 2)))),
        ),
    )
    overrides = [
        Component("uid", draw(times(zone)), duration=draw(durations), recurrence_id=draw(times(zone)))
        for _ in range(draw(st.integers(0, 2)))
    ]
    return [master, *overrides]


def expanded(components: Sequence[Component], first: datetime, last: datetime) -> list[Instance]:
    try:
        return expand(components, first, last, "Europe/Berlin", limit=20_000)
    except RecurrenceError:
        assert validate(components) is not None
        return []


@given(series(), st.integers(1, 390))
@settings(max_examples=300, deadline=None)
def test_windows_add_up(components: list[Component], days: int) -> None:
    """What a window shows does not depend on where it begins: a series is entered near its window."""
    middle = WINDOW[0] + timedelta(days=days)
    whole = expanded(components, *WINDOW)
    late = expanded(components, middle, WINDOW[1])
    assert late == [
        one
        for one in whole
        if one.end.instant("Europe/Berlin") > middle or one.start.instant("Europe/Berlin") >= middle
    ]


@given(series())
@settings(max_examples=200, deadline=None)
def test_one_answer_in_every_form(components: list[Component]) -> None:
    found = expanded(components, *WINDOW)
    if validate(components) is not None:
        return
    assert occurs_in(components, *WINDOW, "Europe/Berlin") is bool(found)
    instants = [one.start.instant("Europe/Berlin") for one in found]
    assert instants == sorted(instants)
    originals = [(str(one.original), one.component.recurrence_id is None) for one in found if one.original]
    assert len(set(originals)) == len(originals) or len({o for o, m in originals if m}) == sum(
        m for _, m in originals
    )
    first, last = span(components, "Europe/Berlin")
    assert all(first <= instant for instant in instants)
    assert last is None or all(one.end.instant("Europe/Berlin") <= last for one in found)
    holdable(components)


@given(st.text(alphabet="FREQ=DAILYWKMONTHSCUNB;,+-0123456789", max_size=60))
@settings(max_examples=500, deadline=None)
def test_any_text_is_a_rule_or_a_problem(text: str) -> None:
    component = Component(
        "uid", EventTime(BEGIN, "UTC"), duration=Duration(), recurrence=Recurrence(rrules=(text,))
    )
    if validate([component]) is None:
        expanded([component], *WINDOW)
