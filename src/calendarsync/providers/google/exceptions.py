"""What has to be done to a series' exceptions so that they are those of a copy. Pure.

Google has no call that makes an exception an ordinary instance again: one that is not wanted any more is given what
its series says of it, or is cancelled where the series has no such instance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from calendarsync.domain.copy import Copy, CopyComponent
from calendarsync.domain.event import Component, EventTime, Problem, RecurrenceDate
from calendarsync.domain.recurrence import RecurrenceError, expand
from calendarsync.domain.times import moment_key
from calendarsync.providers.google.fields import Row, is_cancelled, text
from calendarsync.providers.google.reading import Event, originals, read_component, read_content
from calendarsync.providers.google.recurrence import in_form, read_lines, with_holes
from calendarsync.providers.google.times import as_answered, end_of, read_time
from calendarsync.providers.google.writing import instance_id, recurrence_lines, says
from calendarsync.providers.icalendar.values import UnusableError

_UTC = "UTC"


@dataclass(frozen=True, slots=True)
class Change:
    """`component` is None where the instance is to be cancelled.

    `known` is False where its id is a guess; `revives` is True where it is cancelled now.
    """

    event_id: str
    original: EventTime
    component: CopyComponent | None
    etag: str | None = None
    known: bool = True
    revives: bool = False


def changes(copy: Copy, there: Event) -> list[Change]:
    """What to do to the exceptions of the series that stands there."""
    wanted = {_key(override.recurrence_id): override for override in copy.overrides if override.recurrence_id}
    try:
        standing = originals(there)
    except UnusableError:  # somebody else's, for ours are readable; it is cancelled or written over by its id
        standing = _readable_originals(there)
    return [*_overridden(copy, wanted, standing), *_left_over(copy, wanted, standing)]


def _overridden(
    copy: Copy, wanted: Mapping[str, CopyComponent], standing: Mapping[str, Row]
) -> Iterator[Change]:
    for key, override in wanted.items():
        assert override.recurrence_id is not None
        row = standing.get(key)
        if row is None:
            original = in_form(override.recurrence_id, copy.master.start)
            yield Change(instance_id(copy.id, original), original, override, known=False)
        elif is_cancelled(row) or not _says(row, override):
            yield _to(row, override.recurrence_id, override)


def _left_over(
    copy: Copy, wanted: Mapping[str, CopyComponent], standing: Mapping[str, Row]
) -> Iterator[Change]:
    for key, row in standing.items():
        if key in wanted:
            continue
        original = EventTime.parse(key)
        usual = usual_instance(copy.master, original)
        if usual is None:
            if not is_cancelled(row):
                yield _to(row, original, None)
        elif is_cancelled(row) or not _says(row, usual):
            yield _to(row, original, usual)


def _to(row: Row, original: EventTime, component: CopyComponent | None) -> Change:
    etag = text(row, "etag") or None
    return Change(text(row, "id"), original, component, etag, revives=is_cancelled(row))


def _says(row: Row, component: CopyComponent) -> bool:
    try:
        return says(component, read_component(row, "", frozenset()), read_content(row))
    except UnusableError:
        return False


def _readable_originals(there: Event) -> Mapping[str, Row]:
    found: dict[str, Row] = {}
    for row in there.exceptions:
        try:
            found |= originals(replace(there, exceptions=(row,)))
        except UnusableError:
            continue
    return found


def complete(copy: Copy) -> Copy:
    """The copy with a place in its recurrence for each override: Google has no instance that no line gives.

    An override wins over an EXDATE at its own place, and one that matches no instance stands alone
    (`calendarsync.domain.recurrence`).
    """
    recurrence = copy.master.recurrence
    names = [each.recurrence_id for each in copy.overrides if each.recurrence_id is not None]
    if recurrence is None or not names:
        return copy
    filled = with_holes(recurrence, copy.master.start, (), names)
    master = replace(copy.master, recurrence=filled)
    named = (in_form(original, master.start) for original in names)
    alone = tuple(RecurrenceDate(each) for each in named if usual_instance(master, each) is None)
    if not alone and filled.exdates == recurrence.exdates:
        return copy
    return replace(copy, master=replace(master, recurrence=replace(filled, rdates=(*filled.rdates, *alone))))


def usual_instance(master: CopyComponent, original: EventTime) -> CopyComponent | None:
    """The instance that the series has at `original`, as the series says; None where it has none there."""
    if master.recurrence is None:
        return None
    series = Component("", master.start, end=end_of(master), recurrence=master.recurrence)
    moment = original.instant(_UTC)
    try:
        near = expand([series], moment, moment + timedelta(seconds=1), _UTC)
    except RecurrenceError:
        return None
    found = next((each for each in near if each.start.instant(_UTC) == moment), None)
    if found is None:
        return None
    return replace(master, start=found.start, end=found.end, duration=None, recurrence=None)


def is_moved(copy: Copy, master: Row) -> bool:
    """Whether the instances of the series will be elsewhere, so that its exceptions have no certain place."""
    try:
        start = read_time(master.get("start"), Problem.NO_START)
        before = read_lines(master.get("recurrence"), start)
        after = read_lines(recurrence_lines(copy.master), copy.master.start)
    except UnusableError:
        return True
    if before is None or after is None:
        return before is not after
    rules = (before.rrules, before.exrules) != (after.rrules, after.exrules)
    return start != as_answered(copy.master.start) or rules or before.rdates != after.rdates


def has_other_holes(copy: Copy, master: Row) -> bool:
    """Whether EXDATE lines come or go."""
    try:
        start = read_time(master.get("start"), Problem.NO_START)
        before = read_lines(master.get("recurrence"), start)
        after = read_lines(recurrence_lines(copy.master), copy.master.start)
    except UnusableError:
        return True
    return (before.exdates if before else ()) != (after.exdates if after else ())


def _key(original: EventTime) -> str:
    return moment_key(original, _UTC)
