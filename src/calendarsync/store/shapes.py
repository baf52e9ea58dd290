"""A component of an event as JSON, and back: times, rules and flags, no texts."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from calendarsync.domain.event import (
    Component,
    Duration,
    EventTime,
    EventType,
    Recurrence,
    RecurrenceDate,
    Response,
    Status,
    Visibility,
)

_TEXT_FIELDS = {
    "start": EventTime.parse,
    "end": EventTime.parse,
    "duration": Duration.parse,
    "recurrence_id": EventTime.parse,
    "status": Status,
    "response": Response,
    "event_type": EventType,
    "visibility": Visibility,
}
_DEFAULTS = {field.name: field.default for field in fields(Component)}


def shape_of(component: Component) -> dict[str, Any]:
    """A component as JSON: what differs from the defaults, without its UID, which has its own column."""
    shape: dict[str, Any] = {}
    for name, default in _DEFAULTS.items():
        value = getattr(component, name)
        if name == "uid" or value == default:
            continue
        if name == "recurrence":
            shape[name] = _recurrence_shape(value)
        else:
            shape[name] = str(value) if name in _TEXT_FIELDS else value
    return shape


def component_of(uid: str, shape: dict[str, Any]) -> Component:
    """The inverse of `shape_of`."""
    values: dict[str, Any] = {}
    for name, value in shape.items():
        if name == "recurrence":
            values[name] = _recurrence_of(value)
        else:
            values[name] = _TEXT_FIELDS[name](value) if name in _TEXT_FIELDS else value
    return Component(uid=uid, **values)


def _recurrence_shape(recurrence: Recurrence) -> dict[str, Any]:
    return {
        "rrules": list(recurrence.rrules),
        "exrules": list(recurrence.exrules),
        "exdates": [str(exdate) for exdate in recurrence.exdates],
        "rdates": [
            [
                str(rdate.start),
                None if rdate.end is None else str(rdate.end),
                None if rdate.duration is None else str(rdate.duration),
            ]
            for rdate in recurrence.rdates
        ],
    }


def _recurrence_of(shape: dict[str, Any]) -> Recurrence:
    return Recurrence(
        rrules=tuple(shape["rrules"]),
        exrules=tuple(shape["exrules"]),
        exdates=tuple(map(EventTime.parse, shape["exdates"])),
        rdates=tuple(
            RecurrenceDate(
                EventTime.parse(start),
                None if end is None else EventTime.parse(end),
                None if duration is None else Duration.parse(duration),
            )
            for start, end, duration in shape["rdates"]
        ),
    )
