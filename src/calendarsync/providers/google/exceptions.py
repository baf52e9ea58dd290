"""What has to be done to a series' exceptions so that they are those of a copy. Pure.

Google has no call that makes an exception an ordinary instance again: one that is not wanted any more is given what
its series says of it, or is cancelled where the series has no such instance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from calendarsync.domain.copy import Copy, CopyComponent
from calendarsync.domain.event import Component, EventTime, RecurrenceDate
from calendarsync.domain.recurrence import RecurrenceError, expand
from calendarsync.domain.times import moment_key
from calendarsync.providers.google.event import Event
from calendarsync.providers.google.fields import Row, is_cancelled, private_of, text
from calendarsync.providers.google.reading import originals, read_component, read_content
from calendarsync.providers.google.recurrence import in_form, with_holes
from calendarsync.providers.google.times import end_of
from calendarsync.providers.google.wholeness import PART, part_of
from calendarsync.providers.google.writing import instance_id, says
from calendarsync.providers.icalendar.values import UnusableError

_UTC = "UTC"


@dataclass(frozen=True, slots=True)
class Change:
    """`component` is None where the instance is to be cancelled; `part` is what it says of itself (`wholeness`).

    `known` is False where its id is a guess; `revives` is True where it is cancelled now.
    """

    event_id: str
    original: EventTime
    component: CopyComponent | None
    part: str | None = None
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
            event_id = instance_id(copy.id, original)
            yield Change(event_id, original, override, part_of(override), known=False)
        elif is_cancelled(row) or not _says(row, override, part_of(override)):
            yield _to(row, override.recurrence_id, override, part_of(override))


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
        elif is_cancelled(row) or not _says(row, usual, None):
            yield _to(row, original, usual)


def _to(row: Row, original: EventTime, component: CopyComponent | None, part: str | None = None) -> Change:
    etag = text(row, "etag") or None
    return Change(text(row, "id"), original, component, part, etag, revives=is_cancelled(row))


def _says(row: Row, component: CopyComponent, part: str | None) -> bool:
    try:
        return private_of(row).get(PART) == part and says(
            component, read_component(row, "", frozenset()), read_content(row)
        )
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


def _key(original: EventTime) -> str:
    return moment_key(original, _UTC)
