"""Properties of filters: copies are busy when the instances are that pass, in a form that stays (rule 8)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calendarsync.domain.entry import Entry
from calendarsync.domain.event import Component, Duration, EventTime, Recurrence
from calendarsync.domain.filters import WEEKDAYS, TextField, TextFilter
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.holding import Holder
from calendarsync.domain.recurrence import Instance, expand
from calendarsync.domain.rules import Rules, SyncMode, Window
from calendarsync.sync.actions import FlowInput
from calendarsync.sync.shape import Scene, Wanted
from calendarsync.sync.unjudged import unjudged
from calendarsync.sync.wanted import decide
from tests.sync.test_forms_properties import WINDOW, ZONE, _busy, _laid_out, entries

pytestmark = [pytest.mark.rule(8), pytest.mark.rule(14)]

FINGERPRINTER = Fingerprinter(b"k" * 32)
ZONES = [ZONE, "America/New_York", "Asia/Kathmandu", None]
WANTED, UNWANTED = TextFilter.of(TextField.TITLE, ("a",)), TextFilter.of(TextField.TITLE, ("b",))
CATEGORY = TextFilter.of(TextField.CATEGORIES, ("c",))


@st.composite
def hours(draw: st.DrawFn) -> dict[str, object]:
    option: dict[str, object] = {
        "weekdays": draw(st.lists(st.sampled_from(WEEKDAYS), min_size=3, unique=True)),
        "timezone": draw(st.sampled_from(ZONES)),
    }
    if draw(st.booleans()):
        begin, end = draw(st.lists(st.integers(0, 23), min_size=2, max_size=2, unique=True))
        option |= {"from": f"{begin:02}:00", "to": f"{end:02}:00"}
    return option


def around(entry: Entry) -> dict[str, object]:
    """Hours that a whole series is within, but for instances that were moved."""
    start = entry.components[0].start.local
    return {"from": f"{start:%H:%M}", "to": f"{start + timedelta(hours=3):%H:%M}"}


@st.composite
def filters(draw: st.DrawFn, entry: Entry) -> Rules:
    options: dict[str, object] = {"min_minutes": draw(st.sampled_from([0, 0, 0, 60, 600]))}
    if draw(st.booleans()):
        options["only_between"] = draw(hours() | st.just(around(entry)))
    some = [("title_contains", "a"), ("title_excludes", "b"), ("categories", "c")]
    options |= {name: [word] for name, word in some if draw(st.integers(0, 3)) == 0}
    return Rules.from_options(draw(st.sampled_from(SyncMode)), options)


@st.composite
def judged_entries(draw: st.DrawFn) -> Entry:
    """A series with overrides, each with texts of its own, and what every filter says of them."""
    entry = draw(entries())
    signatures = [each.signature(FINGERPRINTER) for each in (WANTED, UNWANTED, CATEGORY)]
    likely = st.integers(0, 3).map(bool)
    says = st.tuples(likely, likely.map(lambda yes: not yes), likely)
    verdicts = {each.original: dict(zip(signatures, draw(says), strict=True)) for each in entry.components}
    return replace(entry, verdicts=verdicts)


def scene(rules: Rules, holder: Holder = Holder.ICALENDAR, window: Window = WINDOW) -> Scene:
    return Scene("calendar", rules, window, ZONE, FINGERPRINTER, holder=holder)


def passes(entry: Entry, instance: Instance, rules: Rules) -> bool:
    """The filters by the letter of the rule, but for what is said of hours, which has its own proof."""
    says = entry.verdicts[instance.component.original]
    start, end = instance.start.instant(ZONE), instance.end.instant(ZONE)
    return (
        rules.why_not(instance.component) is None
        and (not rules.title_contains or says[WANTED.signature(FINGERPRINTER)])
        and not (rules.title_excludes and says[UNWANTED.signature(FINGERPRINTER)])
        and (not rules.categories or says[CATEGORY.signature(FINGERPRINTER)])
        and (instance.start.all_day or end - start >= timedelta(minutes=rules.min_minutes))
        and (rules.only_between is None or rules.only_between.touch(instance.start, instance.end, ZONE))
    )


@given(judged_entries(), st.sampled_from(Holder), st.data())
def test_copies_in_any_form_are_busy_when_the_instances_are_that_pass(
    entry: Entry, holder: Holder, data: st.DataObject
) -> None:
    rules = data.draw(filters(entry))
    eligible = [
        instance
        for instance in expand(entry.components, WINDOW.first, WINDOW.last, ZONE)
        if passes(entry, instance, rules)
    ]
    decision = decide(entry, scene(rules, holder))
    assert _busy(each for one in decision.wanted for each in _laid_out(one)) == _busy(eligible)
    assert len({one.origin for one in decision.wanted}) == len(decision.wanted)
    assert not any(skip.failed for skip in decision.skipped)


def is_series(wanted: tuple[Wanted, ...]) -> bool:
    return any(one.parts[0].skeleton.recurrence for one in wanted)


@pytest.mark.rule(12)
@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["FREQ=WEEKLY", "FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO,SA", "FREQ=MONTHLY;BYMONTHDAY=13"]),
    st.integers(0, 47),
    st.sampled_from([ZONE, "America/New_York", "Asia/Kolkata"]),
    hours(),
    st.integers(5, 40),
)
def test_the_form_stays_while_the_window_slides(
    rule: str, half_hours: int, zone: str, only_between: dict[str, object], future_days: int
) -> None:
    """Over a year with all its changes of the clocks, of which the window shows a small part at a time."""
    start = EventTime(datetime(2026, 2, 2) + timedelta(minutes=30 * half_hours), zone)
    master = Component("u", start, duration=Duration(seconds=1800), recurrence=Recurrence((rule,)))
    entry = Entry("s", "1", "u", (master,), {}, {})
    rules = Rules.from_options("blocker", {"only_between": only_between, "future_days": future_days})
    forms = set()
    for day in range(0, 400, 26):
        window = rules.window(datetime(2026, 2, 10, tzinfo=UTC) + timedelta(days=day))
        wanted = decide(entry, scene(rules, window=window)).wanted
        forms |= {is_series(wanted)} if wanted else set()
    assert len(forms) <= 1


def test_what_nobody_has_judged_is_asked_for_and_its_copy_left() -> None:
    start = EventTime.parse("2026-03-04T09:00:00[Europe/Berlin]")
    entry = Entry("s", "1", "u", (Component("u", start, duration=Duration(seconds=1800)),), {}, {})
    rules = Rules.from_options("blocker", {"title_contains": ["a"], "title_excludes": ["b"]})
    half = replace(entry, id="half", verdicts={"": {WANTED.signature(FINGERPRINTER): True}})
    whole = replace(
        half, id="whole", verdicts={"": {**half.verdicts[""], UNWANTED.signature(FINGERPRINTER): False}}
    )
    past = replace(
        entry, id="past", components=(replace(entry.components[0], start=EventTime.parse("2024-01-01")),)
    )
    flow = FlowInput(
        direction="a_to_b",  # type: ignore[arg-type]
        scene=scene(rules),
        target_calendar="b",
        target_floating="UTC",
        source={each.id: each for each in (entry, half, whole, past)},
        target={},
        links=(),
        other_links=frozenset(),
        source_copies=frozenset(),
        kept=frozenset(),
        failures={},
        looked_at_version=-1,
        now=WINDOW.first,
        program="1",
    )
    assert unjudged(flow) == ["s", "half"]
    assert unjudged(replace(flow, withdrawn=True)) == []
    assert unjudged(replace(flow, scene=scene(Rules(SyncMode.BLOCKER, min_minutes=5)))) == []
    for each in (entry, half):
        (skip,) = decide(each, flow.scene).skipped
        assert (skip.reason, skip.failed) == ("texts_unknown", True)
    assert len(decide(whole, flow.scene).wanted) == 1
    assert decide(past, flow.scene).skipped[0].reason == "outside_window"
