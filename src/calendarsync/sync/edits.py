"""What a person changed in a copy, in the terms of its source; times here, texts when they are at hand. Pure.

Nothing here decides whether the edit may travel (`propagation`), but what cannot be said of the source does not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from calendarsync.domain.amendment import Times
from calendarsync.domain.entry import Entry
from calendarsync.domain.event import ORIGINAL_OF_MASTER, Component, EventTime, Status
from calendarsync.domain.link import Link
from calendarsync.domain.recurrence import RecurrenceError, expand
from calendarsync.domain.recurrence_ends import own_end
from calendarsync.domain.recurrence_series import Series
from calendarsync.domain.rules import Detail
from calendarsync.domain.times import in_form_of, moment_key, zoned
from calendarsync.domain.timezones import zone_info
from calendarsync.sync.actions import Edited
from calendarsync.sync.fields import Fields, Known
from calendarsync.sync.shape import Part, Scene, Wanted, override_key

_SAMPLES = 24
_HALF_MONTH = timedelta(days=15)
_SECOND = timedelta(seconds=1)


class NotCarriedError(Exception):
    """The edit cannot be said of the source; `reason` is one of the planner's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Reader:
    """One copy beside its source. `known` is what the link remembers of the copy's components.

    `lost` are the keys of instances that a person took out of the copy.
    """

    wanted: Wanted
    link: Link
    copy: Entry
    known: Mapping[str, Known]
    scene: Scene
    fields: Fields
    target_floating: str
    lost: Collection[str] = ()

    def edits(self) -> tuple[Edited, ...]:
        """The components that somebody edited. Raises NotCarriedError where one of them cannot be carried."""
        master = self.copy.master
        if master is None or "" not in self.known:
            raise NotCarriedError("edit_not_carried")
        if self.fields.recurrence(self._less_lost(master)) != self.known[""].recurrence:
            raise NotCarriedError("recurrence_edited")
        found: list[Edited] = []
        reason = None
        for component, part, moved, retold in self._edited_ones(master):
            try:
                found.append(self._edited(component, part, moved=moved, retold=retold))
            except NotCarriedError as error:
                reason = error.reason
        # What of an edit cannot be carried is put right by the update that follows the rest.
        if reason is not None and not found:
            raise NotCarriedError(reason)
        return tuple(found)

    def _less_lost(self, master: Component) -> Component:
        """As if no instance had been taken out."""
        recurrence = master.recurrence
        if recurrence is None or not self.lost:
            return master
        exdates = tuple(each for each in recurrence.exdates if self.fields.key(each) not in self.lost)
        return replace(master, recurrence=replace(recurrence, exdates=exdates))

    def _edited_ones(self, master: Component) -> Iterator[tuple[Component, Part | None, bool, bool]]:
        """Components that were moved, or given other texts."""
        parts = {self.fields.key(part.skeleton.recurrence_id): part for part in self.wanted.parts}
        for component in self.copy.components:
            key = self.fields.key(component.recurrence_id)
            if component.status is Status.CANCELLED:
                continue
            known, part = self.known.get(key), parts.get(key)
            if known is None:
                moved, retold = self._differs_from_series(component, master)
            else:
                moved = self.fields.times(component) != known.times
                retold = self._content(component) != known.content
            if moved or retold:
                yield component, part, moved, retold

    def _differs_from_series(self, component: Component, master: Component) -> tuple[bool, bool]:
        """What an instance that somebody gave a component of its own says beside its series."""
        assert component.recurrence_id is not None
        usual = _instance_at(master, component.recurrence_id, self.target_floating)
        there = self._placed(component)
        moved = usual is None or self._moments(usual) != self._moments(there)
        texts = {self._content(master), self.known[""].content}
        return moved, self._content(component) not in texts

    def _content(self, component: Component) -> str:
        return Fields.cut(self.copy.content_hashes.get(component.original, ""))

    def _edited(self, component: Component, part: Part | None, *, moved: bool, retold: bool) -> Edited:
        shown = part or self.wanted.parts[0]
        if shown.detail is Detail.BLOCKER:
            raise NotCarriedError("shown_as_block")
        original, source = self._source_of(component, part)
        if source is not None and source.this_and_future:
            raise NotCarriedError("edit_not_carried")
        usual = self._usual(original) if original is not None else None
        times = None
        if moved:
            times = self._times(component, source, original, usual)
        at = source.original if source is not None else ORIGINAL_OF_MASTER
        key = self.fields.key(component.recurrence_id)
        return Edited(key, component.original, original, at, usual, times, retold)

    def _source_of(
        self, component: Component, part: Part | None
    ) -> tuple[EventTime | None, Component | None]:
        """The name of the instance, None for all of it, and the component of the source where there is one."""
        named = self.link.source_original
        if not named and component.recurrence_id is None:
            assert part is not None
            found = next(each for each in self.wanted.entry.components if each.original == part.original)
            return found.recurrence_id, found
        name = EventTime.parse(named) if named else component.recurrence_id
        assert name is not None
        key = moment_key(name, self.scene.floating)
        for each in self.wanted.entry.components:
            if override_key(each, self.scene) == key:
                return each.recurrence_id, each
        master = self.wanted.entry.master
        if master is None or any(each.this_and_future for each in self.wanted.entry.components):
            raise NotCarriedError("edit_not_carried")
        return in_form_of(name, master.start, self.scene.floating), None

    def _usual(self, original: EventTime) -> Times | None:
        """Where the source's series has this instance; None where there is no series."""
        master = self.wanted.entry.master
        if master is None:
            return None
        usual = _instance_at(master, original, self.scene.floating)
        if usual is None:
            raise NotCarriedError("edit_not_carried")
        return usual

    def _times(
        self,
        component: Component,
        source: Component | None,
        original: EventTime | None,
        usual: Times | None,
    ) -> Times | None:
        """The new times in the source's terms; None where it stands there already."""
        shown = self._placed(component)
        if source is not None:
            there = _placed(source, self.scene.floating)
        else:
            assert usual is not None
            there = usual
        alone = original is None and source is not None and source.recurrence is None
        if not alone:
            if shown.start.all_day is not there.start.all_day:
                raise NotCarriedError("edit_not_carried")
            if original is None:
                self._check_series(shown, there)
        pairs = ((shown.start, there.start), (shown.end, there.end))
        start, end = (
            _carried(new, old, self.scene.floating, self.target_floating, alone=alone) for new, old in pairs
        )
        if (start, end) == (there.start, there.end):
            return None
        return Times(start, end)

    def _check_series(self, shown: Times, there: Times) -> None:
        """A series keeps its days and its zone: otherwise its rule would mean something else."""
        entry = self.wanted.entry
        master = entry.master
        assert master is not None
        recurrence = master.recurrence
        if len(entry.components) > 1 or (recurrence and (recurrence.exdates or recurrence.rdates)):
            raise NotCarriedError("series_with_exceptions")
        old, new = zoned(there.start, self.scene.floating), zoned(shown.start, self.target_floating)
        if not _same_clock(old, new) or old.local.date() != new.local.date():
            raise NotCarriedError("recurrence_edited")
        if master.duration is not None and master.duration.days and not master.start.all_day:
            raise NotCarriedError("edit_not_carried")
        if old.zone is not None and self._last_days(master) != self._last_days(_moved(master, old, new)):
            raise NotCarriedError("recurrence_edited")

    def _last_days(self, master: Component) -> list[date]:
        """An UNTIL that stays where it is may give a series that moves an instance more or less."""
        return [start.date() for start in Series((master,), self.scene.floating).final_starts()[0]]

    def _placed(self, component: Component) -> Times:
        return _placed(component, self.target_floating)

    def _moments(self, times: Times) -> tuple[str, str]:
        return moment_key(times.start, self.target_floating), moment_key(times.end, self.target_floating)


def _placed(component: Component, floating: str) -> Times:
    """Start and end, where the length may be a duration."""
    if component.end is not None:
        return Times(component.start, component.end)
    return Times(component.start, own_end(component, floating)[1])


def _moved(master: Component, old: EventTime, new: EventTime) -> Component:
    """The series at another time of day."""
    length = timedelta() if master.end is None else new.local - old.local
    end = None if master.end is None else EventTime(master.end.local + length, master.end.zone)
    return replace(master, start=EventTime(new.local, master.start.zone), end=end)


def _instance_at(master: Component, original: EventTime, floating: str) -> Times | None:
    """The instance that the rule gives there; None where it gives none."""
    moment = original.instant(floating)
    try:
        near = expand([master], moment, moment + _SECOND, floating)
    except RecurrenceError:
        return None
    found = next((each for each in near if each.start.instant(floating) == moment), None)
    return None if found is None else Times(found.start, found.end)


def _carried(
    time: EventTime, model: EventTime, floating: str, target_floating: str, *, alone: bool
) -> EventTime:
    """A time of the copy as the source would write it (rule 11).

    It stays on the source's clock where the two show the same; an event that does not recur may go to another zone.
    """
    if time.all_day:
        return time
    if model.all_day:
        return zoned(time, target_floating)
    new, old = zoned(time, target_floating), zoned(model, floating)
    if _same_clock(old, new):
        return EventTime(new.local, model.zone)
    if new.zone != "UTC" and alone:
        return new
    assert old.zone is not None
    local = new.instant(target_floating).astimezone(zone_info(old.zone)).replace(tzinfo=None)
    return new if local.fold else EventTime(local, model.zone)


def _same_clock(one: EventTime, other: EventTime) -> bool:
    """Whether the clocks of two zones show the same, at this time and for a year."""
    if one.all_day or other.all_day or one.zone == other.zone:
        return one.all_day is other.all_day
    moments = [other.local + number * _HALF_MONTH for number in range(_SAMPLES + 1)]
    return all(_offset(one.zone, moment) == _offset(other.zone, moment) for moment in moments)


def _offset(zone: str | None, local: datetime) -> timedelta | None:
    return local.replace(tzinfo=zone_info(zone or "UTC")).utcoffset()
