"""Which copies a source event should have in the target calendar, and in which form. Pure.

A series is copied in one of three forms (rule 12): as a series with its overrides, where instances that are not
copied are left out by EXDATE; as such a series, with stand-alone copies of the overrides that the target cannot
hold in it; or, where its rule cannot be held, as single instances within the window.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from calendarsync.domain.copy import CopyComponent
from calendarsync.domain.entry import Entry
from calendarsync.domain.event import (
    ORIGINAL_OF_MASTER,
    Component,
    EventTime,
    Problem,
    Recurrence,
    Response,
    Status,
    Visibility,
)
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.holding import Holder, hold
from calendarsync.domain.origin import origin_of
from calendarsync.domain.recurrence import Instance, RecurrenceError, expand, occurs_in, span
from calendarsync.domain.rules import Detail, Rules, Window
from calendarsync.domain.times import in_form_of, moment_key, zoned, zoned_rule
from calendarsync.sync.meetings import Coverage, Meetings

COPY_FORMAT = "1"
"""Moves on when the same source and rules begin to give another copy, so that every copy is rewritten."""


@dataclass(frozen=True, slots=True)
class Part:
    """One component of a copy without its texts, and the key of the source component that gives them."""

    skeleton: CopyComponent
    original: str
    detail: Detail


@dataclass(frozen=True, slots=True)
class Wanted:
    """One copy that should be there. `original` is empty where it stands for the whole resource.

    `holes` are the keys of the instances that a series leaves out. `instance_key` names a single instance and
    its place, as `Link.respected` does.
    """

    entry: Entry
    original: str
    origin: str
    parts: tuple[Part, ...]
    written_hash: str
    times_hash: str
    holes: tuple[str, ...] = ()
    instance_key: str = ""


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


@dataclass(frozen=True, slots=True)
class Scene:
    """What all events of one flow have in common.

    `floating` is the zone of the source's floating times, `holder` whose calendar the target is.
    """

    source_calendar: str
    rules: Rules
    window: Window
    floating: str
    fingerprinter: Fingerprinter
    meetings: Meetings = field(default_factory=Meetings)
    holder: Holder = Holder.ICALENDAR


def decide(entry: Entry, scene: Scene, respected: Collection[str] = ()) -> Decision:
    """The copies of one source resource. `respected` names instances that stay away, as `Link` does (rule 17)."""
    if entry.problem is not None:
        # A task or a journal entry in the calendar is nothing that went wrong.
        return _nothing(entry, entry.problem.value, failed=entry.problem is not Problem.NO_EVENT)
    try:
        master = entry.master
        if len(entry.components) == 1 and master is not None and master.recurrence is None:
            return _single(entry, master, scene)
        return _recurring(entry, scene, respected)
    except RecurrenceError as error:
        return _nothing(entry, error.problem.value, failed=True)


def _nothing(entry: Entry, reason: str, *, failed: bool = False) -> Decision:
    return Decision(skipped=(Skipped(entry.id, ORIGINAL_OF_MASTER, reason, failed),))


def _single(entry: Entry, component: Component, scene: Scene) -> Decision:
    if reason := scene.rules.why_not(component):
        return _nothing(entry, reason)
    instances = expand(entry.components, scene.window.first, scene.window.last, scene.floating)
    if not instances:
        return _nothing(entry, "outside_window")
    coverage = scene.meetings.coverage(entry, instances, scene.floating, scene.window)
    for key in coverage.keys:
        return _nothing(entry, coverage.reason(key))
    part = Part(_skeleton(component, scene), ORIGINAL_OF_MASTER, scene.rules.detail(component))
    return Decision(wanted=(_wanted(entry, ORIGINAL_OF_MASTER, (part,), scene),))


def _recurring(entry: Entry, scene: Scene, respected: Collection[str]) -> Decision:
    master = entry.master
    plain = len(entry.components) == 1 and not respected and not scene.meetings.knows(entry)
    if master is not None and plain:
        if reason := scene.rules.why_not(master):
            return _nothing(entry, reason)
        if not occurs_in(entry.components, scene.window.first, scene.window.last, scene.floating):
            return _nothing(entry, "outside_window")
        if hold(entry.components, scene.holder, scene.floating).series:
            return Decision(wanted=(_series(entry, master, frozenset(), scene),))

    instances = expand(entry.components, scene.window.first, scene.window.last, scene.floating)
    coverage = scene.meetings.coverage(entry, instances, scene.floating, scene.window)
    away = coverage.keys | _still_respected(entry, respected, scene)
    chosen, skipped = _choose(entry, instances, away, coverage, scene)
    if not chosen:
        return Decision(skipped=skipped or (Skipped(entry.id, ORIGINAL_OF_MASTER, "outside_window"),))
    # Where an endless series of the target covers a part of ours, holes would have to follow the window; the few
    # instances that it leaves open are copied singly instead.
    if (
        master is not None
        and scene.rules.why_not(master) is None
        and not (coverage.endless and coverage.keys)
    ):
        wanted = _in_series(entry, master, chosen, away, scene)
        if wanted:
            return Decision(wanted, skipped)
    return Decision(wanted=tuple(_instance(entry, instance, scene) for instance in chosen), skipped=skipped)


def _in_series(
    entry: Entry, master: Component, chosen: Sequence[Instance], away: frozenset[str], scene: Scene
) -> tuple[Wanted, ...]:
    """The copy as a series, after those of the instances that it cannot hold; none where it cannot be held."""
    left_out = {
        key
        for component in entry.components
        if (key := _override_key(component, scene)) and scene.rules.why_not(component) is not None
    }
    as_shown = [
        replace(component, visibility=_visibility(component, scene.rules)) for component in entry.components
    ]
    holding = hold(as_shown, scene.holder, scene.floating, away | left_out)
    if not holding.series:
        return ()
    alone = [each for each in chosen if _override_key(each.component, scene) in holding.apart]
    series = _series(entry, master, away | holding.apart, scene)
    if len(alone) == len(chosen) and not _has_instances(series, scene):
        return ()
    return (*(_instance(entry, instance, scene) for instance in alone), series)


def _override_key(component: Component, scene: Scene) -> str | None:
    name = component.recurrence_id
    return None if name is None else moment_key(name, scene.floating)


def _has_instances(series: Wanted, scene: Scene) -> bool:
    """Whether anything is left of a series that has none in the window."""
    components = [_as_component(part.skeleton) for part in series.parts]
    first, last = span(components, scene.floating)
    return last is None or occurs_in(components, first, last + timedelta(seconds=1), scene.floating)


def _as_component(skeleton: CopyComponent) -> Component:
    return Component(
        uid="",
        start=skeleton.start,
        end=skeleton.end,
        duration=skeleton.duration,
        recurrence_id=skeleton.recurrence_id,
        recurrence=skeleton.recurrence,
    )


def _choose(
    entry: Entry, instances: Iterable[Instance], away: frozenset[str], coverage: Coverage, scene: Scene
) -> tuple[list[Instance], tuple[Skipped, ...]]:
    """Which instances in the window are copied, and why the overridden ones among the others are not."""
    chosen: list[Instance] = []
    skipped: dict[str, Skipped] = {}
    for instance in instances:
        key = moment_key(instance.original or instance.start, scene.floating)
        reason = scene.rules.why_not(instance.component)
        if reason is None and key in away:
            reason = coverage.reason(key) if key in coverage.keys else "copy_deleted_by_person"
        if reason is None:
            chosen.append(instance)
        else:
            original = instance.component.original
            skipped.setdefault(original, Skipped(entry.id, original, reason))
    return chosen, tuple(skipped.values())


def _still_respected(entry: Entry, respected: Collection[str], scene: Scene) -> frozenset[str]:
    """The keys of instances that a person deleted, less those that the source has moved since."""
    starts = {
        moment_key(component.recurrence_id, scene.floating): moment_key(component.start, scene.floating)
        for component in entry.components
        if component.recurrence_id is not None
    }
    named = (text.partition(">") for text in respected)
    return frozenset(key for key, _, start in named if starts.get(key, key) == start)


def _series(entry: Entry, master: Component, away: frozenset[str], scene: Scene) -> Wanted:
    """The copy as a series: instances in `away`, and overrides that are not copied, become holes."""
    holes = dict.fromkeys(sorted(away))
    overrides: list[Part] = []
    for component in sorted(entry.components, key=lambda component: component.original):
        key = _override_key(component, scene)
        if key is None or component.recurrence_id is None:
            continue
        if key in holes or scene.rules.why_not(component) is not None:
            holes[key] = None
            continue
        skeleton = _skeleton(
            component, scene, in_form_of(component.recurrence_id, master.start, scene.floating)
        )
        overrides.append(Part(skeleton, component.original, scene.rules.detail(component)))
    recurrence = _recurrence(master, holes, scene)
    skeleton = _skeleton(master, scene, recurrence=recurrence)
    part = Part(skeleton, ORIGINAL_OF_MASTER, scene.rules.detail(master))
    return _wanted(entry, ORIGINAL_OF_MASTER, (part, *overrides), scene)


def _recurrence(master: Component, holes: Iterable[str], scene: Scene) -> Recurrence:
    """The master's recurrence set with holes, written in the form of its start."""
    given = master.recurrence or Recurrence()
    exdates = {moment_key(exdate, scene.floating): exdate for exdate in given.exdates}
    exdates.update({key: _from_key(key) for key in holes if key not in exdates})
    return Recurrence(
        rrules=tuple(zoned_rule(rule, master.start, scene.floating) for rule in given.rrules),
        rdates=tuple(
            type(rdate)(start=zoned(in_form_of(rdate.start, master.start, scene.floating), scene.floating))
            for rdate in given.rdates
        ),
        exdates=tuple(
            zoned(in_form_of(exdates[key], master.start, scene.floating), scene.floating)
            for key in sorted(exdates)
        ),
    )


def _from_key(key: str) -> EventTime:
    return EventTime.parse(key)


def _instance(entry: Entry, instance: Instance, scene: Scene) -> Wanted:
    component = instance.component
    skeleton = CopyComponent(
        start=zoned(instance.start, scene.floating),
        end=zoned(instance.end, scene.floating),
        transparent=component.transparent,
        tentative=_tentative(component),
        visibility=_visibility(component, scene.rules),
    )
    part = Part(skeleton, component.original, scene.rules.detail(component))
    if instance.original is None:
        return _wanted(entry, ORIGINAL_OF_MASTER, (part,), scene)
    wanted = _wanted(entry, str(instance.original), (part,), scene)
    key, start = (moment_key(time, scene.floating) for time in (instance.original, instance.start))
    return replace(wanted, instance_key=f"{key}>{start}")


def _skeleton(
    component: Component,
    scene: Scene,
    recurrence_id: EventTime | None = None,
    recurrence: Recurrence | None = None,
) -> CopyComponent:
    return CopyComponent(
        start=zoned(component.start, scene.floating),
        end=None if component.end is None else zoned(component.end, scene.floating),
        duration=component.duration,
        recurrence_id=None if recurrence_id is None else zoned(recurrence_id, scene.floating),
        recurrence=recurrence,
        transparent=component.transparent,
        tentative=_tentative(component),
        visibility=_visibility(component, scene.rules),
    )


def _tentative(component: Component) -> bool:
    """An invitation that is not answered yet, or answered with maybe, blocks time tentatively."""
    return component.status is Status.TENTATIVE or component.response in {
        Response.TENTATIVE,
        Response.NEEDS_ACTION,
    }


def _visibility(component: Component, rules: Rules) -> Visibility:
    return Visibility.PRIVATE if rules.detail(component) is Detail.BLOCKER else component.visibility


def _wanted(entry: Entry, original: str, parts: tuple[Part, ...], scene: Scene) -> Wanted:
    rules = scene.rules
    signature = [COPY_FORMAT, rules.look()]
    for part in parts:
        texts = ""
        if part.detail is Detail.FULL:
            texts = entry.content_hashes.get(part.original, "")
            if rules.attendees_in_description:
                texts += entry.people_hashes.get(part.original, "")
        signature += [_shape(part.skeleton), part.detail.value, texts]
    recurrence = parts[0].skeleton.recurrence or Recurrence()
    return Wanted(
        entry=entry,
        original=original,
        origin=origin_of(scene.source_calendar, entry.id, original),
        parts=parts,
        written_hash=scene.fingerprinter.of("copy", *signature),
        times_hash=(
            scene.fingerprinter.of("times", _times(parts[0].skeleton)) if original else times_of(entry, scene)
        ),
        holes=tuple(moment_key(exdate, scene.floating) for exdate in recurrence.exdates),
    )


def times_of(entry: Entry, scene: Scene) -> str:
    """A fingerprint of when a resource is as a whole, whichever form it is copied in (rule 17)."""
    master = entry.master
    if master is None:
        return scene.fingerprinter.of("times", *(str(component.start) for component in entry.components))
    recurrence = master.recurrence or Recurrence()
    when = (master.start, master.end, master.duration)
    rdates = [str(rdate.start) for rdate in recurrence.rdates]
    rules = (*recurrence.rrules, *recurrence.exrules)
    return scene.fingerprinter.of("times", *map(str, when), repr(rules), repr(rdates))


def _shape(skeleton: CopyComponent) -> str:
    return repr(
        (
            _times(skeleton),
            str(skeleton.recurrence_id),
            [str(exdate) for exdate in skeleton.recurrence.exdates] if skeleton.recurrence else None,
            skeleton.transparent,
            skeleton.tentative,
            skeleton.visibility.value,
        )
    )


def _times(skeleton: CopyComponent) -> str:
    recurrence = skeleton.recurrence
    rule = (recurrence.rrules, [str(rdate.start) for rdate in recurrence.rdates]) if recurrence else None
    return repr((str(skeleton.start), str(skeleton.end), str(skeleton.duration), rule))
