"""A copy without its texts: what is written of a source in each form, and the fingerprints of that. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from calendarsync.domain.copy import CopyComponent
from calendarsync.domain.entry import Entry
from calendarsync.domain.event import (
    ORIGINAL_OF_MASTER,
    Component,
    EventTime,
    Recurrence,
    Response,
    Status,
    Visibility,
)
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.holding import Holder
from calendarsync.domain.origin import instance_origin, origin_of
from calendarsync.domain.recurrence import Instance
from calendarsync.domain.relay import Root
from calendarsync.domain.rules import Detail, Rules, Window
from calendarsync.domain.times import in_form_of, moment_key, zoned, zoned_rule
from calendarsync.sync.meetings import Meetings

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
    hops: int
    holes: tuple[str, ...] = ()
    instance_key: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """What all events of one flow have in common.

    `floating` is the zone of the source's floating times, `holder` whose calendar the target is. `roots` are what
    the copies stand for that travel on, by resource id.
    """

    source_calendar: str
    rules: Rules
    window: Window
    floating: str
    fingerprinter: Fingerprinter
    meetings: Meetings = field(default_factory=Meetings)
    holder: Holder = Holder.ICALENDAR
    roots: Mapping[str, Root] = field(default_factory=dict)

    def root(self, entry: Entry) -> Root:
        """What a source stands for: itself, unless it is a copy."""
        return self.roots.get(entry.id) or Root(origin_of(self.source_calendar, entry.id), entry.uid)


def components_of(wanted: Wanted) -> list[Component]:
    """When a copy is and what it blocks, in the form in which it will be read."""
    return [
        Component(
            uid="",
            start=part.skeleton.start,
            end=part.skeleton.end,
            duration=part.skeleton.duration,
            recurrence_id=part.skeleton.recurrence_id,
            recurrence=part.skeleton.recurrence,
            transparent=part.skeleton.transparent,
        )
        for part in wanted.parts
    ]


def override_key(component: Component, scene: Scene) -> str | None:
    """The key of the instance that a component overrides; None of a master."""
    name = component.recurrence_id
    return None if name is None else moment_key(name, scene.floating)


def single_copy(entry: Entry, component: Component, scene: Scene) -> Wanted:
    """The copy of an event that does not recur."""
    part = Part(_skeleton(component, scene), ORIGINAL_OF_MASTER, scene.rules.detail(component))
    return _wanted(entry, ORIGINAL_OF_MASTER, (part,), scene)


def series_copy(entry: Entry, master: Component, away: frozenset[str], scene: Scene) -> Wanted:
    """The copy as a series: instances in `away` become holes."""
    overrides: list[Part] = []
    for component in sorted(entry.components, key=lambda component: component.original):
        key = override_key(component, scene)
        if key is None or component.recurrence_id is None or key in away:
            continue
        skeleton = _skeleton(
            component, scene, in_form_of(component.recurrence_id, master.start, scene.floating)
        )
        overrides.append(Part(skeleton, component.original, scene.rules.detail(component)))
    recurrence = _recurrence(master, away, scene)
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


def instance_copy(entry: Entry, instance: Instance, scene: Scene) -> Wanted:
    component = instance.component
    skeleton = CopyComponent(
        start=zoned(instance.start, scene.floating),
        end=zoned(instance.end, scene.floating),
        transparent=component.transparent,
        tentative=_tentative(component),
        visibility=shown_visibility(component, scene.rules),
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
        visibility=shown_visibility(component, scene.rules),
    )


def _tentative(component: Component) -> bool:
    """An invitation that is not answered yet, or answered with maybe, blocks time tentatively."""
    return component.status is Status.TENTATIVE or component.response in {
        Response.TENTATIVE,
        Response.NEEDS_ACTION,
    }


def shown_visibility(component: Component, rules: Rules) -> Visibility:
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
    root = scene.root(entry)
    origin = root.origin
    if original:
        origin = instance_origin(origin, moment_key(EventTime.parse(original), scene.floating))
    return Wanted(
        entry=entry,
        original=original,
        origin=origin,
        parts=parts,
        written_hash=scene.fingerprinter.of("copy", *signature),
        times_hash=(
            scene.fingerprinter.of("times", _times(parts[0].skeleton)) if original else times_of(entry, scene)
        ),
        hops=root.hops + 1,
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
