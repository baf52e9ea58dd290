"""A single event, or a series with its exceptions, put together from the rows of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain

from calendarsync.providers.google.fields import Row, is_cancelled, text


@dataclass(frozen=True, slots=True, repr=False)
class Event:
    """A single event, or a series with its exceptions. `master` is None where only instances are known."""

    id: str
    master: Row | None
    exceptions: Sequence[Row] = field(default=())

    @property
    def recurs(self) -> bool:
        return self.master is not None and bool(self.master.get("recurrence"))

    @property
    def live(self) -> Sequence[Row]:
        return [row for row in self.exceptions if not is_cancelled(row)]

    @property
    def parts(self) -> Sequence[Row]:
        """What stands in the resource beside holes."""
        return [*([] if self.master is None else [self.master]), *self.live]

    @property
    def version(self) -> str | None:
        """The ETag; of a series beside a digest of its exceptions, which says whether one of them changed.

        Cancelled exceptions count by their ids alone: they need not have an ETag.
        """
        etag = text(self.master or {}, "etag")
        if not (self.recurs or self.live):
            return etag or None
        holes = self.exceptions if self.recurs else self.live
        states = (f"{text(row, 'id')} {'' if is_cancelled(row) else text(row, 'etag')}" for row in holes)
        return f"{etag} {sha256(repr(sorted(states)).encode()).hexdigest()[:32]}"


def is_of_series(version: str | None) -> bool:
    """Whether a version may be that of a series; that of a single event is its ETag."""
    return version is None or " " in version


def etag_of(version: str | None) -> str | None:
    return version.partition(" ")[0] if version else None


def put_together(found: Sequence[Row]) -> list[Event]:
    """Each event with what was said of it in any row; one that was deleted may have no parts."""
    masters = {text(row, "id"): row for row in found if not row.get("recurringEventId")}
    exceptions: dict[str, list[Row]] = {}
    for row in found:
        series = text(row, "recurringEventId")
        if series:
            exceptions.setdefault(series, []).append(row)
    return [
        Event(
            name, None if is_cancelled(masters.get(name, {})) else masters.get(name), exceptions.get(name, ())
        )
        for name in dict.fromkeys(chain(masters, exceptions))
    ]
