"""Whether a changed resource says what was asked for, and of everything else what it said before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from calendarsync.domain.amendment import Change
from calendarsync.domain.event import Component, EventTime, Resource
from calendarsync.domain.recurrence_ends import own_end
from calendarsync.providers.icalendar.lines import unescape
from calendarsync.providers.icalendar.source_lines import NotAmendable
from calendarsync.providers.icalendar.write import escaped


def check(before: Resource, after: Resource, changes: Sequence[Change]) -> None:
    """Raises NotAmendable where the result says anything else than was asked for."""
    if before.problem is not None or after.problem is not None or before.uid != after.uid:
        raise NotAmendable
    was, now = ({each.recurrence_id: each for each in side.components} for side in (before, after))
    left = set(now)
    for change in changes:
        name = next((each for each in now if is_named(each, change.original)), None)
        if name not in left or not _is_made(change, before, after, was.get(name), now[name]):
            raise NotAmendable
        left.discard(name)
    untouched = {name for name in was if name in left}
    if untouched != left or any(
        was[name] != now[name] or before.contents[was[name].original] != after.contents[now[name].original]
        for name in untouched
    ):
        raise NotAmendable


def _is_made(
    change: Change, before: Resource, after: Resource, was: Component | None, now: Component
) -> bool:
    model = was if was is not None else next(each for each in before.components if each.recurrence_id is None)
    texts = {name: unescape(escaped(text)) for name, text in change.texts.items()}
    wanted = replace(before.contents[model.original], **texts)  # type: ignore[arg-type]
    recurrence = model.recurrence if was is not None else None
    expected = replace(model, recurrence_id=now.recurrence_id, recurrence=recurrence)
    times = change.times if was is not None else change.times or change.usual
    if times is not None:
        expected = replace(expected, start=times.start, end=now.end, duration=now.duration)
        if own_end(now, "UTC")[0] != times.end.instant("UTC"):
            return False
    return expected == now and wanted == after.contents[now.original]


def is_named(name: EventTime | None, original: EventTime | None) -> bool:
    """Whether this is the component of that instance; midnight may stand for a date."""
    if name is None or original is None:
        return name is original
    if name.all_day or original.all_day:
        return name.local == original.local
    return name.instant("UTC") == original.instant("UTC")
