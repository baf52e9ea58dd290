"""One event as somebody sees it: a single event, a master, or one of a series' instances."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any

from . import errors, recurrence
from .state import Event, Override
from .zones import Moment

_DAY = timedelta(days=1)
_GLOBAL_OBJECT = bytes.fromhex("040000008200E00074C5B7101A82E008")
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class View:
    """`day`: the day of the original start of an instance; None for a single event and for a master."""

    event: Event
    day: date | None = None

    @property
    def override(self) -> Override | None:
        return None if self.day is None else self.event.exceptions.get(self.day)

    @property
    def type(self) -> str:
        if self.day is not None:
            return "exception" if self.override else "occurrence"
        forced: str = self.event.forced.get("type", "")
        return forced or ("seriesMaster" if self.event.recurrence else "singleInstance")

    @property
    def original_start(self) -> Moment:
        return self.event.start if self.day is None else self.event.start.on(self.day)

    @property
    def start(self) -> Moment:
        return self.override.start if self.override else self.original_start

    @property
    def end(self) -> Moment:
        """An instance ends at the same wall time as its series, also where the clocks change in between: series
        hold "the number of minutes, since midnight, after which each occurrence ends" (MS-OXOCAL 2.2.1.44.5)."""
        if self.override:
            return self.override.end
        if self.day is None:
            return self.event.end
        start, end = self.event.start, self.event.end
        length = (end if end.zone == start.zone else end.within(start.zone)).local - start.local
        return Moment(self.original_start.local + length, start.zone)

    @property
    def fields(self) -> dict[str, Any]:
        return self.event.fields | (self.override.fields if self.override else {})

    @property
    def forced(self) -> dict[str, Any]:
        return self.event.forced | (self.override.forced if self.override else {})

    @property
    def properties(self) -> dict[str, str]:
        return self.event.properties | (self.override.properties if self.override else {})

    @property
    def all_day(self) -> bool:
        return bool(self.fields.get("isAllDay"))

    @property
    def change_key(self) -> str:
        if self.override:
            return self.override.change_key
        if self.day is None:
            return self.event.change_key
        digest = hashlib.sha256(f"{self.event.change_key} {self.day}".encode()).digest()
        return base64.b64encode(digest[:21]).decode() + "=="

    @property
    def uid(self) -> str:
        """Differs from instance to instance: bytes 16 to 19 hold the day (MS-OXOCAL, PidLidGlobalObjectId)."""
        named = self.event.forced.get("iCalUId")
        if self.day is None and named:
            return str(named)
        on = self.day
        stamped = bytes((on.year >> 8, on.year & 255, on.month, on.day)) if on else bytes(4)
        if named:
            data = b"vCal-Uid\x01\x00\x00\x00" + str(named).encode() + b"\x00"
            made = bytes(8)
        else:
            data = self.event.random
            made = ((self.event.created - _EPOCH) // timedelta(microseconds=1) * 10).to_bytes(8, "little")
        return (
            (_GLOBAL_OBJECT + stamped + made + bytes(8) + len(data).to_bytes(4, "little") + data)
            .hex()
            .upper()
        )

    def overlaps(self, start: datetime, end: datetime) -> bool:
        """Whether it has a moment in the span; one without length counts by its start."""
        return self.start.utc < end and (self.end.utc > start or self.start.utc == self.end.utc >= start)


def days(event: Event) -> Iterator[date]:
    """The days of a series' instances by their original start, the cancelled left out."""
    assert event.recurrence is not None
    return (day for day in recurrence.days(event.recurrence) if day not in event.cancelled)


def instance(event: Event, day: date) -> View:
    """Raises 404 where the series has none on that day."""
    if event.recurrence is not None:
        for found in days(event):
            if found == day:
                return View(event, day)
            if found > day:
                break
    raise errors.not_found()


def instances(event: Event, start: datetime, end: datetime) -> list[View]:
    """The instances of a series that overlap the span, in the order of their original days."""
    last = (end + 2 * _DAY).date()
    if event.exceptions:
        last = max(last, *event.exceptions)
    found = []
    for day in days(event):
        if day > last:
            break
        view = View(event, day)
        if view.overlaps(start, end):
            found.append(view)
    return found


def visible(event: Event, start: datetime, end: datetime) -> list[View]:
    """What a calendar view of the span shows of an event."""
    if event.recurrence is not None:
        return instances(event, start, end)
    return [View(event)] if View(event).overlaps(start, end) else []


def check_apart(event: Event) -> None:
    """Raises 400 where instances of a series overlap one another, as far as the first hundreds show."""
    before: View | None = None
    for day in islice(days(event), 400):
        view = View(event, day)
        if before is not None and before.end.utc > view.start.utc:
            message = "One occurrence of the recurring calendar item overlaps with another occurrence."
            raise errors.bad_request("ErrorOccurrenceTimeSpanTooBig", message)
        before = view


def check_neighbours(event: Event, day: date, start: Moment, end: Moment) -> None:
    """Raises 400 where an instance would move to the day of the one before or after it, past them or into them.

    Source: https://learn.microsoft.com/graph/api/event-update ("an occurrence cannot be moved to or before the day
    of the previous occurrence, and cannot be moved to or after the day of the following occurrence"). Which day
    counts for a neighbour that was itself moved, or cancelled, is not said: here the day where it stands, and a
    cancelled one does not count.
    """
    begins, ends = wall(event, start), wall(event, end)
    for other in _around(event, day):
        view = View(event, other)
        there, until = wall(event, view.start), wall(event, view.end)
        if other < day and (begins.date() <= there.date() or begins < until):
            raise _crossing()
        if other > day and (begins.date() >= there.date() or ends > there):
            raise _crossing()


def wall(event: Event, moment: Moment) -> datetime:
    """A time on the clocks of a series' zone; a day is the same day everywhere."""
    return moment.local if event.all_day else moment.within(event.start.zone).local


def _around(event: Event, day: date) -> Iterator[date]:
    """The instances next to one, by their original days."""
    before: date | None = None
    for other in days(event):
        if other > day:
            yield other
            break
        if other < day:
            before = other
    if before is not None:
        yield before


def _crossing() -> errors.ApiError:
    return errors.bad_request(
        "ErrorOccurrenceCrossingBoundary",
        "Modified occurrence is crossing or overlapping adjacent occurrence.",
    )
