"""What was decided of one instance of a series, which the plan may tell of the series alone. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from calendarsync.domain.entry import Entry
from calendarsync.domain.event import EventTime
from calendarsync.domain.recurrence import Instance, RecurrenceError, expand
from calendarsync.domain.rules import Window
from calendarsync.domain.times import moment_key
from calendarsync.sync.actions import Case, FlowInput
from calendarsync.sync.wanted import decide

_SECOND = timedelta(seconds=1)


def cases_of_instance(
    flow: FlowInput, cases: Sequence[Case], entry: Entry, instance: Instance
) -> Sequence[Case]:
    """What was decided of one instance: of itself, or of the series that shows it."""
    floating = flow.scene.floating
    if instance.original is None:
        return cases
    key = moment_key(instance.original, floating)
    whole = [case for case in cases if not case.original]
    own = [
        case
        for case in cases
        if case.original and moment_key(EventTime.parse(case.original), floating) == key
    ]
    if own:
        return own
    if reason := _why_not(flow, entry, instance):
        return [Case(entry.id, instance.component.original, "skip", reason, None)]
    shown = [case for case in whole if case.decision != "skip"] or whole
    return shown or [Case(entry.id, instance.component.original, "skip", "outside_window", None)]


def _why_not(flow: FlowInput, entry: Entry, instance: Instance) -> str | None:
    """Why one instance is not copied, as if there were no others beside it; None where it is."""
    links = [link for link in flow.links if link.source_resource == entry.id]
    respected = tuple(text for link in links for text in link.respected)
    first = instance.start.instant(flow.scene.floating)
    last = max(instance.end.instant(flow.scene.floating), first + _SECOND)
    scene = replace(flow.scene, window=Window(first, last))
    decision = decide(entry, scene, respected if scene.rules.respects_deletions else ())
    if decision.wanted or not decision.skipped:
        return None
    own = [skip for skip in decision.skipped if skip.original == instance.component.original]
    return (own or decision.skipped)[0].reason


def overlapping(entry: Entry, first: datetime, last: datetime, floating: str) -> list[Instance] | None:
    """None where its times cannot be told."""
    if entry.problem is not None or not entry.components:
        return None
    try:
        return expand(entry.components, first, last, floating)
    except (RecurrenceError, ValueError, OverflowError):
        return None


def instance_at(entry: Entry, key: str, floating: str) -> Instance | None:
    """The instance whose original start has this key, wherever it was moved."""
    named = [each for each in entry.components if each.recurrence_id is not None]
    moved = [each for each in named if each.recurrence_id and moment_key(each.recurrence_id, floating) == key]
    time = moved[0].start if moved else EventTime.parse(key)
    try:
        first = time.instant(floating)
        last = first + _SECOND
    except OverflowError:  # at the end of time
        return None
    for instance in overlapping(entry, first, last, floating) or ():
        if instance.original is not None and moment_key(instance.original, floating) == key:
            return instance
    return None


def key_of(date: str, time: str | None) -> str | None:
    """As `moment_key` writes it; None where there is no such time."""
    try:
        moment = datetime.fromisoformat(f"{date}{time or ''}")
    except ValueError:
        return None
    return str(EventTime(moment.replace(tzinfo=None), "UTC") if time else EventTime(moment.date()))
