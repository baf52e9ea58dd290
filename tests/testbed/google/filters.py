"""Which events a listing asks for (reference of events.list)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from . import times
from .calls import Call
from .errors import ApiError
from .instances import spans
from .state import Calendar, Entry

_SEARCHED = ("summary", "description", "location")


@dataclass(frozen=True)
class Filter:
    time_min: datetime | None
    time_max: datetime | None
    updated_min: datetime | None
    uid: str | None
    words: tuple[str, ...]
    types: frozenset[str]
    private: tuple[tuple[str, str], ...]
    shared: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, call: Call) -> Filter:
        """Raises 400 for times without an offset, and for a range that is empty."""

        def moment(name: str) -> datetime | None:
            text = call.text(name)
            return None if text is None else times.parse_timestamp(text, name)

        made = cls(
            moment("timeMin"),
            moment("timeMax"),
            moment("updatedMin"),
            call.text("iCalUID"),
            tuple((call.text("q") or "").lower().split()),
            frozenset(call.query.get("eventTypes", [])),
            _pairs(call, "privateExtendedProperty"),
            _pairs(call, "sharedExtendedProperty"),
        )
        if made.time_min and made.time_max and made.time_min >= made.time_max:
            raise ApiError(
                400, "timeRangeEmpty", "The specified time range is empty.", domain="calendar",
                location=("parameter", "timeMax"),
            )  # fmt: skip
        return made

    def admits(self, calendar: Calendar, entry: Entry) -> bool:
        event = entry.event
        return (
            self._in_range(calendar, entry)
            and (self.updated_min is None or datetime.fromisoformat(event["updated"]) >= self.updated_min)
            and self.uid in (None, event["iCalUID"])
            and (not self.types or event["eventType"] in self.types)
            and _holds(event, "private", self.private)
            and _holds(event, "shared", self.shared)
            and self._mentions(event)
        )

    def _in_range(self, calendar: Calendar, entry: Entry) -> bool:
        """Starts before `timeMax`, ends after `timeMin`; a series if any of its instances does."""
        if self.time_min is None and self.time_max is None:
            return True
        return any(
            (self.time_max is None or start < self.time_max)
            and (self.time_min is None or end > self.time_min)
            for start, end in spans(calendar, entry)
        )

    def _mentions(self, event: dict[str, Any]) -> bool:
        text = " ".join(str(event.get(name, "")) for name in _SEARCHED)
        people = [*event.get("attendees", ()), event["organizer"]]
        text += " ".join(f" {each.get('displayName', '')} {each.get('email', '')}" for each in people)
        return all(word in text.lower() for word in self.words)


def _pairs(call: Call, name: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for given in call.query.get(name, []):
        key, found, value = given.partition("=")
        if not found:
            raise ApiError(400, "invalid", "Invalid value.", location=("parameter", name))
        pairs.append((key, value))
    return tuple(pairs)


def _holds(event: dict[str, Any], audience: str, pairs: tuple[tuple[str, str], ...]) -> bool:
    held = event.get("extendedProperties", {}).get(audience, {})
    return all(held.get(name) == value for name, value in pairs)
