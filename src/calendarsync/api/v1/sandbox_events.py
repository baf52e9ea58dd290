"""A sandbox event read from the JSON of the API.

What is not given stays as it is kept: an event of a form that the JSON does not have, such as a copy with floating
times, loses nothing when its title is changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from calendarsync.api.errors import ApiError, conflict, invalid, not_found
from calendarsync.api.v1.fields import parse_timestamp
from calendarsync.api.v1.sandbox_models import InstanceChanges, NewSandboxEvent, SandboxEventChanges
from calendarsync.api.v1.sandbox_shown import original_of, shown_times
from calendarsync.domain.event import Component, EventTime, Recurrence, Response, Status, Visibility
from calendarsync.domain.recurrence import Instance, RecurrenceError, expand
from calendarsync.domain.timezones import zone_info, zone_of_name
from calendarsync.providers.icalendar import RecurrenceLineError, read_recurrence, write_recurrence
from calendarsync.providers.sandbox import Attendee, Event, Part, written

MAX_OVERRIDES = 500
_TIMES = frozenset({"start", "end", "all_day", "timezone"})
_YEARS = range(1900, 2500)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads what is sent to a calendar, whose own zone is `zone`. Raises ApiError 422, which names the fields."""

    zone: str

    def new(self, event_id: str, given: NewSandboxEvent) -> Event:
        uid = given.uid or event_id
        nowhere = EventTime(datetime(2000, 1, 1), self.zone)  # noqa: DTZ001 - both times are given
        blank = Part(Component(uid, nowhere, nowhere))
        return self.changed(Event(event_id, uid, blank), given)

    def changed(self, event: Event, given: SandboxEventChanges) -> Event:
        """Of the instances that were changed, those stay that the series still has."""
        master = self._with_recurrence(self._changed(event.master, given), given)
        moved = given.model_fields_set & (_TIMES | {"recurrence"})
        overrides = self._still_there(master, event.overrides) if moved else event.overrides
        return replace(event, master=master, overrides=overrides)

    def with_instance(self, event: Event, original_start: str, given: InstanceChanges) -> Event:
        """The event with one instance changed. Raises ApiError 404, 409."""
        original = self._original(event, original_start)
        before = self._override(event, original)
        if before is None:
            instance = self._instance(event.master, original)
            if instance is None:
                raise _no_instance()
            alone = replace(
                event.master.component,
                start=written(instance.start),
                end=written(instance.end),
                duration=None,
                recurrence=None,
                recurrence_id=original,
            )
            before = replace(event.master, component=alone)
        others = [part for part in event.overrides if part.component.original != before.component.original]
        if len(others) >= MAX_OVERRIDES:
            raise conflict(f"an event has at most {MAX_OVERRIDES} instances that were changed")
        overrides = sorted([*others, self._changed(before, given)], key=self._moment)
        return replace(event, overrides=tuple(overrides))

    def without_instance(self, event: Event, original_start: str) -> Event:
        """The event without one instance, which becomes an EXDATE. Raises ApiError 404."""
        original = self._original(event, original_start)
        override, regular = self._override(event, original), self._instance(event.master, original)
        if override is None and regular is None:
            raise _no_instance()
        master = event.master
        if regular is not None:
            recurrence = master.component.recurrence or Recurrence()
            left = replace(recurrence, exdates=(*recurrence.exdates, original))
            master = replace(master, component=replace(master.component, recurrence=left))
        others = tuple(part for part in event.overrides if part is not override)
        return replace(event, master=master, overrides=others)

    def _changed(self, part: Part, given: InstanceChanges) -> Part:
        fields = given.model_fields_set
        component = part.component
        if fields & _TIMES:
            start, end = self._times(component, given)
            component = replace(component, start=start, end=end, duration=None)
        if "status" in fields:
            component = replace(component, status=Status(given.status))
        if "transparency" in fields:
            component = replace(component, transparent=given.transparency == "transparent")
        if "visibility" in fields:
            component = replace(component, visibility=Visibility(given.visibility))
        texts = {name: getattr(given, name) for name in fields & {"title", "description", "location"}}
        if "attendees" in fields:
            texts["attendees"] = _attendees(given)
        return replace(part, component=component, **texts)

    def _times(self, component: Component, given: InstanceChanges) -> tuple[EventTime, EventTime]:
        fields = given.model_fields_set
        all_day = given.all_day if "all_day" in fields else component.start.all_day
        if all_day is not component.start.all_day and not {"start", "end"} <= fields:
            missing = sorted({"start", "end"} - fields)
            raise invalid(*((field, "is required when all_day changes") for field in missing))
        zone = zone_of_name(given.timezone) if "timezone" in fields else component.start.zone
        shown = shown_times(component, self.zone)
        start, end = (
            _read_time(
                field, getattr(given, field) if field in fields else shown[field], all_day, zone or self.zone
            )
            for field in ("start", "end")
        )
        first, last = start.instant("UTC"), end.instant("UTC")
        if last < first or (all_day and first == last):
            least = (
                "must be after start: it is the first day that is free again"
                if all_day
                else "must not be before start"
            )
            raise invalid(("end", least))
        return start, end

    def _with_recurrence(self, part: Part, given: SandboxEventChanges) -> Part:
        component = part.component
        start, recurrence = component.start, component.recurrence
        if "recurrence" in given.model_fields_set:
            recurrence = _read_lines(given.recurrence, start)
        elif recurrence is not None and "all_day" in given.model_fields_set:
            recurrence = _read_lines(list(write_recurrence(recurrence, start)), start)
        if (
            recurrence is not None
            and start.zone == "UTC"
            and _is_repeated(start, given.timezone or self.zone)
        ):
            raise invalid(
                ("start", "the clocks of its zone read this time twice; a series cannot begin there")
            )
        return replace(part, component=replace(component, recurrence=recurrence))

    def _original(self, event: Event, text: str) -> EventTime:
        start = event.master.component.start
        try:
            moment = _read_date(text) if start.all_day else parse_timestamp(text)
            _check_year(moment.year)
        except ValueError:
            raise _no_instance() from None
        if not isinstance(moment, datetime):
            return EventTime(moment)
        zone = start.zone or self.zone
        local = moment.astimezone(zone_info(zone)).replace(tzinfo=None)
        return written(EventTime(local, start.zone))

    def _instance(self, master: Part, original: EventTime) -> Instance | None:
        """The series' own instance that starts then; None where it has none."""
        if master.component.recurrence is None:
            return None
        moment = original.instant(self.zone)
        try:
            near = expand((master.component,), moment, moment + timedelta(seconds=1), self.zone)
        except RecurrenceError:
            return None
        same = (each for each in near if each.original and each.original.instant(self.zone) == moment)
        return next((each for each in same if each.start.all_day == original.all_day), None)

    def _still_there(self, master: Part, overrides: tuple[Part, ...]) -> tuple[Part, ...]:
        """Those of which the series has the instance; it is laid out once for all. Raises ApiError 409."""
        if not overrides or master.component.recurrence is None:
            return ()
        moments = [self._moment(part) for part in overrides]
        last = max(moments) + timedelta(seconds=1)
        try:
            between = expand((master.component,), min(moments), last, self.zone)
        except RecurrenceError:
            raise conflict(
                "the series has too many instances between those that were changed; take out some of these first"
            ) from None
        there = {(each.original.instant(self.zone), each.start.all_day) for each in between if each.original}
        return tuple(part for part in overrides if (self._moment(part), original_of(part).all_day) in there)

    def _override(self, event: Event, original: EventTime) -> Part | None:
        moment = original.instant(self.zone)
        return next((part for part in event.overrides if self._moment(part) == moment), None)

    def _moment(self, part: Part) -> datetime:
        return original_of(part).instant(self.zone)


def _read_time(field: str, text: str, all_day: bool, zone: str) -> EventTime:
    try:
        if all_day:
            day = _read_date(text)
            _check_year(day.year)
            return EventTime(day)
        moment = parse_timestamp(text)
        _check_year(moment.year)
    except ValueError as error:
        raise invalid((field, str(error))) from None
    if moment.microsecond:
        raise invalid((field, "must be a whole second"))
    return written(EventTime(moment.astimezone(zone_info(zone)).replace(tzinfo=None), zone))


def _read_date(text: str) -> date:
    try:
        if str(day := date.fromisoformat(text)) == text:
            return day
    except ValueError:
        pass
    raise ValueError("must be a date such as 2026-03-28 for an event that is all_day")


def _check_year(year: int) -> None:
    if year not in _YEARS:
        raise ValueError(f"must lie in the years {_YEARS.start} to {_YEARS.stop - 1}")


def _read_lines(lines: list[str], start: EventTime) -> Recurrence | None:
    try:
        return read_recurrence(lines, start)
    except RecurrenceLineError as error:
        field = "recurrence" if error.position is None else f"recurrence.{error.position}"
        raise invalid((field, error.message)) from None


def _is_repeated(start: EventTime, zone: str) -> bool:
    """Whether a time in UTC is the second of two equal readings of the zone's clock."""
    local = start.local.replace(tzinfo=UTC).astimezone(zone_info(zone))
    return bool(local.fold)


def _attendees(given: InstanceChanges) -> tuple[Attendee, ...]:
    addresses = [each.email.casefold() for each in given.attendees]
    for position, address in enumerate(addresses):
        if address in addresses[:position]:
            raise invalid((f"attendees.{position}.email", "stands in the list already"))
    return tuple(Attendee(each.email, each.name, Response(each.response)) for each in given.attendees)


def _no_instance() -> ApiError:
    return not_found("instance of this event")
