"""The way back from what one run did about one event, step by step (rule 21)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from calendarsync.domain.link import LinkState
from calendarsync.domain.origin import Mark, MarkKind
from calendarsync.sync.actions import Delete, FlowPlan
from calendarsync.sync.undo import Done, plan_undo
from tests.sync.test_cases import Stage

pytestmark = pytest.mark.rule(21)


def _undone(stage: Stage, *steps: str) -> FlowPlan:
    """`steps`: actions, or `action reason`, about the copy that stands or stood there."""
    copy = Stage(stage.at, stage.entry).copy().copies[0]
    done = []
    for step in steps:
        action, _, reason = step.partition(" ")
        done.append(Done("one.ics", "", action, reason or "new", copy.uid))
    return plan_undo(stage.input(), done)


def _told(plan: FlowPlan) -> list[str]:
    written = [f"{write.action} {write.reason}" for write in plan.writes]
    return [*written, *(f"skip {skip.reason}" for skip in plan.skipped)]


def _standing() -> Stage:
    return Stage().linked(LinkState.LIVE).copy()


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param(["create"], ["delete undone"], id="created"),
        pytest.param(["create", "update"], ["delete undone"], id="created, and changed in the same run"),
        pytest.param(["update"], ["skip contents_not_held"], id="changed"),
        pytest.param(["update", "propagate", "update"], ["skip contents_not_held"], id="told once"),
        pytest.param(["propagate"], ["skip contents_not_held"], id="an edit carried into its event"),
        pytest.param(["delete", "create"], ["skip contents_not_held"], id="deleted and created"),
        pytest.param(["adopt adopted"], [], id="adopted"),
        pytest.param(["skip free"], [], id="skipped"),
        pytest.param(["delete twin"], ["skip copy_not_needed"], id="a twin"),
        pytest.param(
            ["delete twin", "create"], ["delete undone", "skip copy_not_needed"], id="a twin beside"
        ),
        pytest.param(
            ["delete origin_changed", "create"],
            ["delete undone", "skip source_gone"],
            id="of another event at the same id",
        ),
    ],
)
def test_where_the_copy_stands(steps: list[str], expected: list[str]) -> None:
    assert _told(_undone(_standing(), *steps)) == expected


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param(["create"], [], id="created, gone since"),
        pytest.param(["create", "delete"], [], id="created and deleted"),
        pytest.param(["delete"], ["create undone"], id="deleted"),
        pytest.param(["update", "delete"], ["create undone"], id="changed and deleted"),
        pytest.param(["adopt adopted", "delete"], ["create undone"], id="adopted and deleted"),
    ],
)
def test_where_no_copy_stands(steps: list[str], expected: list[str]) -> None:
    assert _told(_undone(Stage(), *steps)) == expected


def test_what_is_deleted_is_noted_beforehand_and_the_new_form_comes_first() -> None:
    plan = _undone(_standing(), "create")
    (delete,) = plan.writes
    assert isinstance(delete, Delete)
    assert (delete.after, delete.exempt) == ("one.ics", True)
    assert [keep.link.state for keep in plan.keeps] == [LinkState.PENDING]


def test_a_link_that_went_with_its_event_to_another_id_goes_too() -> None:
    """Else the copy would count as deleted by a person."""
    stage = Stage().linked(LinkState.LIVE, source_resource="moved.ics").copy()
    (delete,) = _undone(stage, "create").writes
    assert isinstance(delete, Delete)
    assert delete.link is not None
    assert delete.link.source_resource == "moved.ics"


@pytest.mark.parametrize(
    ("stage", "reason"),
    [
        pytest.param(
            Stage(flow={"other_origins": frozenset({Stage().written.origin})}),
            "copied_already",
            id="another pair",
        ),
        pytest.param(Stage().linked(LinkState.LIVE), "copy_deleted_by_person", id="a person since"),
        pytest.param(Stage().linked(LinkState.RESPECTED), "copy_deleted_by_person", id="a person before"),
        pytest.param(
            Stage().copy(mark=Mark(MarkKind.FOREIGN, Stage().written.origin, 0, "x")), "id_taken", id="its id"
        ),
        pytest.param(Stage(entry=None), "source_gone", id="the event"),
    ],
)
def test_what_is_not_brought_back(stage: Stage, reason: str) -> None:
    done = [Done("one.ics", "", "delete", "free", "copy")]
    assert _told(plan_undo(stage.input(), done)) == [f"skip {reason}"]


def test_what_waits_for_its_first_answer_is_brought_back() -> None:
    assert _told(_undone(Stage().linked(LinkState.PENDING), "delete")) == ["create undone"]


def test_one_event_that_trips_us_up_does_not_stop_the_others() -> None:
    stage = Stage()
    broken = replace(stage.input().source["one.ics"], id="broken.ics", components=(None,))  # type: ignore[arg-type]
    flow = stage.input()
    flow = replace(flow, source={**flow.source, "broken.ics": broken})
    done = [Done(name, "", "delete", "free", "copy") for name in ("broken.ics", "one.ics")]
    assert _told(plan_undo(flow, done)) == ["create undone", "skip defect"]
