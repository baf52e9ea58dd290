"""What a copy looks like, whichever provider it is written to (rules 9 to 11)."""

from __future__ import annotations

from dataclasses import dataclass

from calendarsync.domain.event import Duration, EventTime, Recurrence, Visibility


@dataclass(frozen=True, slots=True, repr=False)
class CopyComponent:
    """One VEVENT of a copy. Exactly one of `end` and `duration` is set; times are as in `Component`."""

    start: EventTime
    end: EventTime | None = None
    duration: Duration | None = None
    recurrence_id: EventTime | None = None
    recurrence: Recurrence | None = None
    transparent: bool = False
    tentative: bool = False
    visibility: Visibility = Visibility.PRIVATE
    title: str = ""
    description: str = ""
    location: str = ""

    def __repr__(self) -> str:
        return f"CopyComponent({self.start}, …)"


@dataclass(frozen=True, slots=True, repr=False)
class Copy:
    """A whole copy: a single event, or a series' master with its overrides.

    `id` is the derived id (iCalendar UID and resource name); `mark` the value of our property; `reminders`
    are minutes before the start; `color` is a CSS3 colour name (RFC 7986 section 5.9). `draft` is the mark to
    write while only a part of the copy is there, where one write cannot hold all of it: it is ours, and says
    of no source that it was written from it, so that whoever meets it writes the copy again.
    """

    id: str
    mark: str
    master: CopyComponent
    overrides: tuple[CopyComponent, ...] = ()
    reminders: tuple[int, ...] = ()
    color: str | None = None
    draft: str = ""

    def __repr__(self) -> str:
        return f"Copy({self.id})"
