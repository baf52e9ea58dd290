"""What the sandbox keeps of an event, and what the engine sees of it.

Times, rules and flags are kept as the index keeps them (`store.shapes.shape_of`), so that nothing is lost on the
way; the texts and the people stand beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping

from calendarsync.domain.amendment import Change, Times
from calendarsync.domain.copy import Copy, CopyComponent
from calendarsync.domain.event import Component, Content, EventTime, Resource, Response, Status
from calendarsync.providers.base import Refused
from calendarsync.providers.stamps import newest
from calendarsync.store.shapes import component_of, shape_of


@dataclass(frozen=True, slots=True, repr=False)
class Attendee:
    """`email` as it was given; it is compared without regard to case."""

    email: str
    name: str
    response: Response


@dataclass(frozen=True, slots=True, repr=False)
class Part:
    """An event, or one instance of a series that differs from it.

    What `component` says of people is left at its defaults: it follows from `attendees` and the calendar's owner.
    """

    component: Component
    title: str = ""
    description: str = ""
    location: str = ""
    attendees: tuple[Attendee, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Event:
    """`overrides` are in the order of their original starts. `mark`, `reminders` and `color` are a copy's.

    `modified` is when it was last changed through the API, by the account's clock.
    """

    id: str
    uid: str
    master: Part
    overrides: tuple[Part, ...] = ()
    mark: str | None = None
    reminders: tuple[int, ...] = ()
    color: str | None = None
    modified: datetime | None = None
    version: int = 0

    @property
    def parts(self) -> tuple[Part, ...]:
        return (self.master, *self.overrides)

    def to_data(self) -> dict[str, Any]:
        """What is kept beside id, UID and version."""
        return {
            "parts": [_part_data(part) for part in self.parts],
            "mark": self.mark,
            "reminders": list(self.reminders),
            "color": self.color,
            "modified": self.modified and self.modified.isoformat(),
        }

    @classmethod
    def of_row(cls, row: RowMapping) -> Event:
        """The inverse of `to_data`, with what a row of `sandbox_events` says beside it."""
        data = row["data"]
        master, *overrides = (_part_of(row["uid"], part) for part in data["parts"])
        return cls(
            row["id"],
            row["uid"],
            master,
            tuple(overrides),
            mark=data["mark"],
            reminders=tuple(data["reminders"]),
            color=data["color"],
            modified=newest([data.get("modified")]),
            version=row["version"],
        )

    @classmethod
    def of_copy(cls, copy: Copy) -> Event:
        """A copy as it is written; its id is its UID as well."""
        parts = [_copied(copy.id, component) for component in (copy.master, *copy.overrides)]
        return cls(
            copy.id,
            copy.id,
            parts[0],
            tuple(parts[1:]),
            mark=copy.mark,
            reminders=copy.reminders,
            color=copy.color,
        )

    def amended(self, changes: Sequence[Change]) -> Event:
        """With these changes; an instance that is none yet is what the series says of it."""
        master, overrides = self.master, {part.component.recurrence_id: part for part in self.overrides}
        for change in changes:
            if change.original is None:
                master = _amended(master, change)
                continue
            part = overrides.get(change.original) or _instance(self.master, change)
            overrides[change.original] = _amended(part, change)
        ordered = sorted(overrides.values(), key=lambda part: part.component.original)
        return replace(self, master=master, overrides=tuple(ordered))

    def resource(self, owner: frozenset[str]) -> Resource:
        """As the engine sees it. `owner`: lower-case addresses whose responses are the calendar owner's."""
        components = [_with_people(part, owner) for part in self.parts]
        contents = {
            part.component.original: Content(
                part.title,
                part.description,
                part.location,
                attendees=tuple(attendee.name or attendee.email for attendee in part.attendees),
            )
            for part in self.parts
        }
        return Resource(
            self.id,
            str(self.version),
            self.uid,
            tuple(components),
            contents,
            self.mark,
            modified=self.modified,
        )


def _with_people(part: Part, owner: frozenset[str]) -> Component:
    own = [attendee.response for attendee in part.attendees if attendee.email.casefold() in owner]
    return replace(
        part.component,
        response=own[0] if own else None,
        has_attendees=bool(part.attendees),
        organized_by_owner=None if part.attendees else True,
    )


def _amended(part: Part, change: Change) -> Part:
    component = part.component if change.times is None else _moved(part.component, change.times)
    texts = change.texts
    return replace(
        part,
        component=component,
        title=texts.get("title", part.title),
        description=texts.get("description", part.description),
        location=texts.get("location", part.location),
    )


def _instance(master: Part, change: Change) -> Part:
    if change.usual is None:
        raise Refused("The series has no such instance.")
    component = replace(master.component, recurrence_id=change.original, recurrence=None)
    return replace(master, component=_moved(component, change.usual))


def _moved(component: Component, times: Times) -> Component:
    return replace(component, start=written(times.start), end=written(times.end), duration=None)


def _part_data(part: Part) -> dict[str, Any]:
    return {
        "shape": shape_of(part.component),
        "title": part.title,
        "description": part.description,
        "location": part.location,
        "attendees": [[each.email, each.name, each.response.value] for each in part.attendees],
    }


def _part_of(uid: str, data: Mapping[str, Any]) -> Part:
    return Part(
        component_of(uid, data["shape"]),
        data["title"],
        data["description"],
        data["location"],
        tuple(Attendee(email, name, Response(response)) for email, name, response in data["attendees"]),
    )


def _copied(uid: str, copied: CopyComponent) -> Part:
    component = Component(
        uid=uid,
        start=written(copied.start),
        end=None if copied.end is None else written(copied.end),
        duration=copied.duration,
        recurrence_id=None if copied.recurrence_id is None else written(copied.recurrence_id),
        recurrence=copied.recurrence,
        transparent=copied.transparent,
        status=Status.TENTATIVE if copied.tentative else Status.CONFIRMED,
        visibility=copied.visibility,
    )
    return Part(component, copied.title, copied.description, copied.location)


def written(time: EventTime) -> EventTime:
    """The second of two equal readings of the clock has no local form in RFC 5545: it is kept in UTC."""
    if time.zone in (None, "UTC") or not time.local.fold:
        return time
    return EventTime(time.instant("UTC").replace(tzinfo=None), "UTC")
