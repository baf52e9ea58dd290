"""What is changed in an event that is somebody's own, whichever provider keeps it (rule 17)."""

from __future__ import annotations

from dataclasses import dataclass

from calendarsync.domain.event import EventTime


@dataclass(frozen=True, slots=True)
class Times:
    """When something is. Both are dates, or neither is."""

    start: EventTime
    end: EventTime


@dataclass(frozen=True, slots=True, repr=False)
class Change:
    """What changes in one component of a resource; None stays as it is.

    `original` names an instance of a series, in the form of the series' start; None means the event itself, or the
    series as a whole. `usual` is where the series has that instance by its rule: one that has no component of its
    own yet gets it from the series' master.
    """

    original: EventTime | None = None
    usual: Times | None = None
    times: Times | None = None
    title: str | None = None
    description: str | None = None
    location: str | None = None

    def __repr__(self) -> str:
        return f"Change({self.original}, …)"

    @property
    def texts(self) -> dict[str, str]:
        """The texts that change, by the names that they have in `Content`."""
        given = {"title": self.title, "description": self.description, "location": self.location}
        return {name: text for name, text in given.items() if text is not None}
