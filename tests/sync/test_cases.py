"""The planner's table of cases, as the docstring of sync/plan.py shows it: each row is planned and comes out so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from calendarsync.domain.entry import Entry
from calendarsync.domain.event import Component, Content, Duration, EventTime, Problem, Recurrence
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.link import Direction, Link, LinkState
from calendarsync.domain.origin import Mark, MarkKind, copy_id
from calendarsync.domain.rules import Rules
from calendarsync.sync import plan as module
from calendarsync.sync.actions import Create, Failure, FlowInput, FlowPlan
from calendarsync.sync.board import tried_hash
from calendarsync.sync.fields import Fields
from calendarsync.sync.plan import plan
from calendarsync.sync.reasons import REASONS
from calendarsync.sync.shape import Scene, Wanted
from calendarsync.sync.wanted import decide

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=2)
FINGERPRINTER = Fingerprinter(b"k" * 32)
WIDTHS = (4, 12, 23, 34, 66, 77, 200)
TABLE = [
    tuple(line[start:end].strip() for start, end in pairwise(WIDTHS))
    for line in (module.__doc__ or "").splitlines()
    if line.startswith(("    yes ", "    no "))
]


def component(day: int, rule: str | None = None, **given: Any) -> Component:
    start = EventTime(datetime(2026, 3, day, 9), "Europe/Berlin")
    recurrence = Recurrence((rule,)) if rule else None
    return Component("uid", start, duration=Duration(seconds=3600), recurrence=recurrence, **given)


def source(day: int = 4, rule: str | None = None, **given: Any) -> Entry:
    return Entry("one.ics", "1", "uid", (component(day, rule, **given),), {"": "texts"}, {"": "people"})


def scene(mode: str = "blocker", **options: Any) -> Scene:
    rules = Rules.from_options(mode, options)
    return Scene("a", rules, rules.window(NOW), "Europe/Berlin", FINGERPRINTER)


@dataclass
class Stage:
    """What stands where before the planner looks. What is `written` is what the copy was written from."""

    at: Scene = field(default_factory=scene)
    entry: Entry | None = field(default_factory=source)
    written_from: Entry = field(default_factory=source)
    written_at: Scene | None = None
    link: Mapping[str, Any] | None = None
    copies: list[Entry] = field(default_factory=list)
    flow: dict[str, Any] = field(default_factory=dict)

    @property
    def written(self) -> Wanted:
        return decide(self.written_from, self.written_at or self.at).wanted[0]

    def copy(self, generation: int = 0, *, fingerprint: str | None = None, **given: Any) -> Stage:
        """One more copy in the target, as it was written unless something else is said."""
        wanted = self.written
        uid = copy_id(wanted.origin, "b", generation)
        marked = Mark(MarkKind.OWN, wanted.origin, generation, fingerprint or wanted.written_hash)
        shown = tuple(replace(each, uid=uid) for each in self.written_from.components)
        entry = Entry(f"{uid}.ics", "1", uid, shown, {"": "texts"}, {"": ""}, mark=marked)
        self.copies.append(replace(entry, **given))
        return self

    def linked(self, state: LinkState, **given: Any) -> Stage:
        wanted = self.written
        plain = Stage(self.at, self.entry, self.written_from, self.written_at).copy().copies[0]
        rules = (self.written_at or self.at).rules
        self.link = {
            "direction": Direction.A_TO_B,
            "source_resource": wanted.entry.id,
            "source_original": wanted.original,
            "source_uid": wanted.entry.uid,
            "origin": wanted.origin,
            "target_calendar": "b",
            "copy_id": copy_id(wanted.origin, "b", 0),
            "generation": 0,
            "state": state,
            "written_hash": wanted.written_hash,
            "copy_hash": plain.meaning(FINGERPRINTER),
            "times_hash": wanted.times_hash,
            "rules_version": rules.version(FINGERPRINTER),
            "holes": wanted.holes,
            "id": 1,
        } | given
        return self

    def input(self) -> FlowInput:
        flow: dict[str, Any] = {
            "direction": Direction.A_TO_B,
            "scene": self.at,
            "target_calendar": "b",
            "target_floating": "Europe/Berlin",
            "source": {self.entry.id: self.entry} if self.entry else {},
            "target": {copy.id: copy for copy in self.copies},
            "links": (Link(**self.link),) if self.link else (),
            "other_links": frozenset(),
            "source_copies": frozenset(),
            "kept": frozenset(),
            "failures": {},
            "looked_at_version": -1,
            "now": NOW,
            "program": "1",
        }
        return FlowInput(**(flow | self.flow))

    def planned(self) -> FlowPlan:
        return plan(self.input())


LIVE, PENDING, RESPECTED = LinkState.LIVE, LinkState.PENDING, LinkState.RESPECTED
EDITED = (replace(component(5), uid="edited"),)
ID = copy_id(Stage().written.origin, "b", 0)
OTHERS = {"other_links": frozenset({ID})}
FOREIGN = Mark(MarkKind.FOREIGN, Stage().written.origin, 0, "0" * 32)
RESTORING = scene(on_copy_deleted="restore")
BROKEN = Problem.UNREADABLE
HIDDEN = source(transparent=True)
SERIES = source(rule="FREQ=WEEKLY;COUNT=4")
HOURLY = source(rule="FREQ=HOURLY;COUNT=3")


def without_instance() -> Stage:
    stage = Stage(entry=SERIES, written_from=SERIES).linked(LIVE)
    (shown,) = SERIES.components
    out = EventTime(datetime(2026, 3, 11, 9), "Europe/Berlin")
    recurrence = replace(shown.recurrence or Recurrence(), exdates=(out,))
    return stage.copy(components=(replace(shown, recurrence=recurrence),))


def propagating(entry: Entry | None = None) -> Stage:
    own = source(organized_by_owner=True)
    stage = Stage(scene("full", on_copy_edited="propagate"), entry or own, own, flow={"amendable": True})
    written = [part.skeleton for part in stage.written.parts]
    fields = Fields(FINGERPRINTER, "Europe/Berlin", stage.written.origin)
    noted = fields.noted(written, own.components, {"": Content()})
    return stage.linked(LIVE, copy_fields=noted).copy(components=EDITED)


def held_back() -> Stage:
    stage = Stage(entry=HOURLY, written_from=SERIES).linked(LIVE).copy()
    creates = [write for write in stage.planned().writes if type(write) is Create]
    stage.flow["failures"] = {
        (write.event_id, write.original): Failure(
            "refused_by_provider", tried_hash(write, stage.input()), NOW + timedelta(days=1)
        )
        for write in creates
    }
    return stage


def behind_the_window() -> Stage:
    later = replace(scene(), window=scene().rules.window(NOW + timedelta(days=9)))
    return Stage(later, written_at=scene()).linked(LIVE).copy()


def renamed(**options: Any) -> Stage:
    return Stage(scene(title="Away", **options), written_at=scene(**options))


SCENES: dict[tuple[str, str, str, str], Callable[[], Stage]] = {
    ("yes", "none", "none", ""): Stage,
    ("yes", "none", "ours", "current"): lambda: Stage().copy(),
    ("yes", "none", "ours", "out of date"): lambda: Stage().copy(fingerprint="0" * 32),
    ("yes", "none", "others'", ""): lambda: Stage(flow=OTHERS).copy(),
    ("yes", "none", "foreign", ""): lambda: Stage().copy(mark=FOREIGN),
    ("yes", "none", "foreign", "confirmed (rule 4)"): lambda: Stage(flow={"adopt_foreign": True}).copy(
        mark=FOREIGN
    ),
    ("yes", "none", "unmarked", "at our id"): lambda: Stage().copy(mark=None),
    ("yes", "pending", "none", ""): lambda: Stage().linked(PENDING),
    ("yes", "pending", "ours", "current"): lambda: Stage().linked(PENDING).copy(),
    ("yes", "live", "none", ""): lambda: Stage().linked(LIVE),
    ("yes", "live", "none", "on_copy_deleted: restore"): lambda: Stage(RESTORING).linked(LIVE),
    ("yes", "respected", "none", "times as they were"): lambda: Stage().linked(RESPECTED),
    ("yes", "respected", "none", "times changed"): lambda: Stage(entry=source(6)).linked(RESPECTED),
    ("yes", "respected", "none", "given up for another form"): lambda: Stage().linked(
        RESPECTED, times_hash=None
    ),
    ("yes", "respected", "none", "on_copy_deleted: restore"): lambda: Stage(RESTORING).linked(RESPECTED),
    ("yes", "respected", "ours", "all equal"): lambda: Stage().linked(RESPECTED).copy(),
    ("yes", "live", "broken", ""): lambda: Stage().linked(LIVE).copy(problem=BROKEN),
    ("yes", "live", "broken", "restored twice"): lambda: (
        Stage().linked(LIVE, restores=2).copy(problem=BROKEN)
    ),
    ("yes", "live", "ours", "all equal"): lambda: Stage().linked(LIVE).copy(),
    ("yes", "live", "ours", "written ≠ wanted"): lambda: Stage(entry=source(5)).linked(LIVE).copy(),
    ("yes", "live", "ours", "written ≠ wanted, other rules"): lambda: renamed().linked(LIVE).copy(),
    ("yes", "live", "ours", "written ≠ wanted = mark"): lambda: (
        Stage().linked(LIVE, written_hash="0" * 32).copy()
    ),
    ("yes", "live", "ours", "written = wanted ≠ mark"): lambda: (
        Stage().linked(LIVE).copy(fingerprint="0" * 32)
    ),
    ("yes", "live", "ours", "as read ≠ copy"): lambda: Stage().linked(LIVE).copy(components=EDITED),
    ("yes", "live", "ours", "as read ≠ copy, instance out"): without_instance,
    ("yes", "live", "ours", "as read ≠ copy, restored twice"): lambda: (
        Stage().linked(LIVE, restores=2).copy(components=EDITED)
    ),
    ("yes", "live", "ours", "as read ≠ copy, keep"): lambda: (
        Stage(scene(on_copy_edited="keep")).linked(LIVE).copy(components=EDITED)
    ),
    ("yes", "live", "ours", "as read ≠ copy, propagate"): propagating,
    ("yes", "live", "ours", "both changed, propagate"): lambda: propagating(
        source(6, organized_by_owner=True)
    ),
    ("yes", "live", "ours", "another event at its source id"): lambda: (
        Stage().linked(LIVE, origin="another").copy()
    ),
    ("yes", "any", "two ours", "of one origin: the higher id"): lambda: Stage().copy().copy(generation=1),
    ("no", "live", "none", ""): lambda: Stage(entry=None).linked(LIVE),
    ("no", "pending", "none", ""): lambda: Stage(entry=HIDDEN).linked(PENDING, pending_since=LONG_AGO),
    ("no", "pending", "none", "its write may have arrived"): lambda: Stage(entry=HIDDEN).linked(
        PENDING, pending_since=NOW
    ),
    ("no", "live", "others'", ""): lambda: Stage(entry=HIDDEN, flow=OTHERS).linked(LIVE).copy(),
    ("no", "pending", "unmarked", ""): lambda: Stage(entry=HIDDEN).linked(PENDING).copy(mark=None),
    ("no", "live", "ours", "source gone"): lambda: Stage(entry=None).linked(LIVE).copy(),
    ("no", "live", "ours", "source not copied"): lambda: Stage(entry=HIDDEN).linked(LIVE).copy(),
    ("no", "live", "ours", "copied in another form now"): lambda: (
        Stage(entry=HOURLY, written_from=SERIES).linked(LIVE).copy()
    ),
    ("no", "live", "ours", "its new form is held back"): held_back,
    ("no", "live", "ours", "the pair goes the other way"): lambda: (
        Stage(flow={"withdrawn": True}).linked(LIVE).copy()
    ),
    ("no", "live", "ours", "source unreadable"): lambda: (
        Stage(entry=replace(source(), problem=BROKEN)).linked(LIVE).copy()
    ),
    ("no", "live", "ours", "wholly behind the window"): behind_the_window,
}


def told(planned: FlowPlan) -> set[tuple[str, str]]:
    """What came out: the decisions with their reasons, and whether a link was forgotten."""
    cases = {(case.decision, case.reason) for case in planned.cases}
    return cases | ({("forget", "")} if planned.forgets else set())


def test_the_table_is_read_whole_and_every_scene_is_in_it() -> None:
    lines = (module.__doc__ or "").splitlines()
    assert len(TABLE) == sum(line.startswith(("    yes ", "    no ")) for line in lines)
    assert {row[:4] for row in TABLE} == SCENES.keys()


def test_the_page_shows_the_table() -> None:
    lines = [line for line in (module.__doc__ or "").splitlines() if line.startswith("    ")]
    page = Path(__file__).resolve().parents[2] / "docs/reference/planner.md"
    assert "\n".join(line[4:] for line in lines) in page.read_text("utf-8")


@pytest.mark.parametrize("row", TABLE, ids=lambda row: " ".join(filter(None, row)))
def test_each_case_comes_out_as_the_table_says(row: tuple[str, ...]) -> None:
    wanted, link, copy, detail, action, reason = row
    planned = SCENES[wanted, link, copy, detail]().planned()
    assert (action, reason) in told(planned)
    done = {write.action for write in planned.writes}
    if action in {"skip", "none", "forget", "adopt"}:
        assert done == set(), "nothing is written"
    else:
        assert action in done
    assert all(case.reason in REASONS for case in planned.cases), "each reason can be explained"
