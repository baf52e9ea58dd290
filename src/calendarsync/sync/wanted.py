"""Which copies a source event should have in the target calendar, and in which form. Pure.

A series is copied in one of three forms (rule 12): as a series with its overrides, where instances that are not
copied are left out by EXDATE; as such a series, with stand-alone copies of the overrides that the target cannot
hold in it; or, where its rule cannot be held or filters judge its instances differently, as single instances
within the window.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from calendarsync.domain.entry import Entry
from calendarsync.domain.event import (
    ORIGINAL_OF_MASTER,
    Component,
    Problem,
)
from calendarsync.domain.holding import hold
from calendarsync.domain.recurrence import Instance, RecurrenceError, expand, occurs_in, span
from calendarsync.domain.times import moment_key
from calendarsync.sync.eligible import Judge, TextsUnknown
from calendarsync.sync.meetings import Coverage
from calendarsync.sync.shape import (
    Scene,
    Wanted,
    components_of,
    instance_copy,
    override_key,
    series_copy,
    shown_visibility,
    single_copy,
)


@dataclass(frozen=True, slots=True)
class Skipped:
    """An event, or an instance of one, that gets no copy. `failed` where that is no decision but a fault."""

    event_id: str
    original: str
    reason: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """Stand-alone copies come before the series that has holes for them."""

    wanted: tuple[Wanted, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def decide(
    entry: Entry, scene: Scene, respected: Collection[str] = (), history: frozenset[str] = frozenset()
) -> Decision:
    """The copies of one source resource. `respected` names instances that stay away, as `Link` does (rule 17).

    `history` are keys of instances whose own copies lie behind the window: no series shows them once more.
    """
    if entry.problem is not None:
        # A task or a journal entry in the calendar is nothing that went wrong.
        return _nothing(entry, entry.problem.value, failed=entry.problem is not Problem.NO_EVENT)
    try:
        master = entry.master
        if len(entry.components) == 1 and master is not None and master.recurrence is None:
            return _single(entry, master, scene)
        return _recurring(entry, scene, respected, history)
    except RecurrenceError as error:
        return _nothing(entry, error.problem.value, failed=True)
    except TextsUnknown:
        return _nothing(entry, "texts_unknown", failed=True)


def _nothing(entry: Entry, reason: str, *, failed: bool = False) -> Decision:
    return Decision(skipped=(Skipped(entry.id, ORIGINAL_OF_MASTER, reason, failed),))


def _single(entry: Entry, component: Component, scene: Scene) -> Decision:
    if reason := scene.rules.why_not(component):
        return _nothing(entry, reason)
    instances = expand(entry.components, scene.window.first, scene.window.last, scene.floating)
    if not instances:
        return _nothing(entry, "outside_window")
    if reason := Judge(entry, scene).why_not_instance(instances[0]):
        return _nothing(entry, reason)
    coverage = scene.meetings.coverage(entry, scene.root(entry), instances, scene.floating, scene.window)
    for key in coverage.keys:
        return _nothing(entry, coverage.reason(key))
    return Decision(wanted=(single_copy(entry, component, scene),))


def _recurring(entry: Entry, scene: Scene, respected: Collection[str], history: frozenset[str]) -> Decision:
    master = entry.master
    judge = Judge(entry, scene)
    plain = (
        len(entry.components) == 1
        and not (respected or history)
        and not scene.meetings.knows(scene.root(entry))
    )
    if master is not None and plain and not scene.rules.filters_times:
        decision = _all_alike(judge, master)
        if decision is not None:
            return decision

    instances = expand(entry.components, scene.window.first, scene.window.last, scene.floating)
    coverage = scene.meetings.coverage(entry, scene.root(entry), instances, scene.floating, scene.window)
    away = coverage.keys | still_respected(entry, respected, scene, instances)
    chosen, skipped = _choose(judge, instances, away, coverage)
    if not chosen:
        return Decision(skipped=skipped or (Skipped(entry.id, ORIGINAL_OF_MASTER, "outside_window"),))
    # Where an endless series of the target covers a part of ours, holes would have to follow the window; the few
    # instances that it leaves open are copied singly instead.
    if (
        master is not None
        and judge.why_not(master) is None
        and not (coverage.endless and coverage.keys)
        and judge.takes_whole_series(instances)
    ):
        here = {moment_key(each.original or each.start, scene.floating) for each in instances}
        wanted = _in_series(judge, master, chosen, away | (history - here))
        if wanted:
            return Decision(wanted, skipped)
    return Decision(
        wanted=tuple(instance_copy(entry, instance, scene) for instance in chosen), skipped=skipped
    )


def _all_alike(judge: Judge, master: Component) -> Decision | None:
    """The decision for a series whose instances are all judged as it is; None where its rule cannot be held."""
    entry, scene = judge.entry, judge.scene
    reason = scene.rules.why_not(master)
    if reason is None and not occurs_in(
        entry.components, scene.window.first, scene.window.last, scene.floating
    ):
        reason = "outside_window"
    reason = reason or judge.why_not_texts(master)
    if reason is not None:
        return _nothing(entry, reason)
    if hold(entry.components, scene.holder, scene.floating).series:
        return Decision(wanted=(series_copy(entry, master, frozenset(), scene),))
    return None


def _in_series(
    judge: Judge, master: Component, chosen: Sequence[Instance], away: frozenset[str]
) -> tuple[Wanted, ...]:
    """The copy as a series, after those of the instances that it cannot hold; none where it cannot be held."""
    entry, scene = judge.entry, judge.scene
    left_out = away | {
        key
        for component in entry.components
        if (key := override_key(component, scene)) and judge.why_not_override(component) is not None
    }
    as_shown = [
        replace(component, visibility=shown_visibility(component, scene.rules))
        for component in entry.components
    ]
    holding = hold(as_shown, scene.holder, scene.floating, left_out)
    if not holding.series:
        return ()
    alone = [each for each in chosen if override_key(each.component, scene) in holding.apart]
    series = series_copy(entry, master, left_out | holding.apart, scene)
    if len(alone) == len(chosen) and not _has_instances(series, scene):
        return ()
    return (*(instance_copy(entry, instance, scene) for instance in alone), series)


def _has_instances(series: Wanted, scene: Scene) -> bool:
    """Whether anything is left of a series that has none in the window."""
    components = components_of(series)
    first, last = span(components, scene.floating)
    return last is None or occurs_in(components, first, last + timedelta(seconds=1), scene.floating)


def _choose(
    judge: Judge, instances: Iterable[Instance], away: frozenset[str], coverage: Coverage
) -> tuple[list[Instance], tuple[Skipped, ...]]:
    """Which instances in the window are copied, and why the overridden ones among the others are not."""
    entry, scene = judge.entry, judge.scene
    chosen: list[Instance] = []
    skipped: dict[str, Skipped] = {}
    for instance in instances:
        reason = judge.why_not_instance(instance)
        if reason is None and away:
            key = moment_key(instance.original or instance.start, scene.floating)
            if key in away:
                reason = coverage.reason(key) if key in coverage.keys else "copy_deleted_by_person"
        if reason is None:
            chosen.append(instance)
        else:
            original = instance.component.original
            skipped.setdefault(original, Skipped(entry.id, original, reason))
    return chosen, tuple(skipped.values())


def still_respected(
    entry: Entry, respected: Collection[str], scene: Scene, instances: Iterable[Instance] = ()
) -> frozenset[str]:
    """The keys of instances that a person deleted, less those that the source has moved since.

    `instances` are those of the source whose starts may have been moved together.
    """
    if not respected:
        return frozenset()
    moved = [(each.original, each.start) for each in instances]
    moved += [(component.recurrence_id, component.start) for component in entry.components]
    starts = {
        moment_key(name, scene.floating): moment_key(start, scene.floating)
        for name, start in moved
        if name is not None
    }
    named = (text.partition(">") for text in respected)
    return frozenset(key for key, _, start in named if starts.get(key, key) == start)
