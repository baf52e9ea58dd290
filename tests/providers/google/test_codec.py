"""Property tests: a copy comes back as it was written, and no answer, however odd, is an error."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from calendarsync.domain.copy import Copy, CopyComponent
from calendarsync.domain.event import (
    Component,
    Content,
    Duration,
    EventTime,
    Problem,
    Recurrence,
    Resource,
    Status,
    Visibility,
)
from calendarsync.providers.google.event import Event, put_together
from calendarsync.providers.google.exceptions import changes, complete, usual_instance
from calendarsync.providers.google.fields import EVENT
from calendarsync.providers.google.reading import read_event
from calendarsync.providers.google.times import end_of
from calendarsync.providers.google.wholeness import DRAFT, part_of
from calendarsync.providers.google.writing import inserted, instance, instance_id, patched
from tests.providers.contract import MARK, id_of

NOBODY = frozenset[str]()
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]
BEGIN = datetime(2019, 6, 1)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
moments = st.one_of(
    st.integers(0, 3 * 366 * 24 * 4).map(lambda number: BEGIN + timedelta(minutes=15 * number)),
    st.sampled_from([datetime(2021, 3, 28, 2, 30), datetime(2021, 10, 31, 2, 30), datetime(1890, 1, 1, 12)]),
)


@st.composite
def components(
    draw: st.DrawFn, *, all_day: bool, zone: str, recurrence: Recurrence | None = None
) -> CopyComponent:
    moment = draw(moments)
    start = EventTime(moment.date()) if all_day else EventTime(moment, zone)
    length = Duration(draw(st.integers(0, 3)), 0 if all_day else draw(st.sampled_from([0, 900, 90_000])))
    whole = CopyComponent(start, duration=length, recurrence=recurrence)
    end = end_of(whole) if draw(st.booleans()) else None
    return CopyComponent(
        start=start,
        end=end,
        duration=length if end is None else None,
        recurrence=recurrence,
        transparent=draw(st.booleans()),
        tentative=draw(st.booleans()),
        visibility=draw(st.sampled_from(Visibility)),
        title=draw(texts),
        description=draw(texts),
        location=draw(texts),
    )


@st.composite
def copies(draw: st.DrawFn) -> Copy:
    """Single events, and daily series with holes and overrides at other instances."""
    kind: dict[str, Any] = {"all_day": draw(st.booleans()), "zone": draw(st.sampled_from(ZONES))}
    colour = draw(st.sampled_from([None, "tomato", "darkslategrey", "none"]))
    reminders = draw(st.lists(st.integers(-5, 50_000), max_size=7).map(tuple))
    recurs = draw(st.booleans())
    master = draw(components(**kind, recurrence=Recurrence(("FREQ=DAILY;COUNT=9",)) if recurs else None))
    copy = Copy(id_of("copy"), MARK, master, reminders=reminders, color=colour)
    if not recurs:
        return copy
    places = draw(st.lists(st.integers(0, 8), max_size=4, unique=True))
    originals = [_daily(master.start, place) for place in places]
    holes = draw(st.integers(0, len(places)))
    recurrence = Recurrence(("FREQ=DAILY;COUNT=9",), exdates=tuple(sorted(originals[:holes], key=str)))
    overrides = [_at(draw(components(**kind)), original) for original in sorted(originals[holes:], key=str)]
    whole = Copy(copy.id, MARK, _with(master, recurrence), tuple(overrides), reminders, colour)
    return complete(whole)


def _daily(start: EventTime, place: int) -> EventTime:
    later = start.local + timedelta(days=place)
    return EventTime(later.date()) if start.all_day else EventTime(later, start.zone)


def _at(component: CopyComponent, original: EventTime) -> CopyComponent:
    return CopyComponent(**{name: getattr(component, name) for name in _NAMES} | {"recurrence_id": original})


def _with(component: CopyComponent, recurrence: Recurrence) -> CopyComponent:
    return CopyComponent(**{name: getattr(component, name) for name in _NAMES} | {"recurrence": recurrence})


_NAMES = CopyComponent.__slots__


def patch(there: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Objects merge, null deletes, all else replaces (guide "Performance", "Patch")."""
    merged = dict(there)
    for name, value in change.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            merged[name] = patch(merged.get(name) or {}, value)
        else:
            merged[name] = value
    return merged


def shelved(body: dict[str, Any]) -> dict[str, Any]:
    """As Google would answer it: JSON, with an ETag, without what it leaves out."""
    kept = {
        name: value for name, value in json.loads(json.dumps(body)).items() if value not in ("", "default")
    }
    return {**kept, "etag": '"1"', "iCalUID": f"{body['id']}@google.com"}


def google(copy: Copy) -> Event:
    """What stands there once a copy is written."""
    master = shelved(inserted(copy))
    exceptions = []
    for override in copy.overrides:
        assert override.recurrence_id is not None
        event_id = instance_id(copy.id, override.recurrence_id)
        usual = usual_instance(copy.master, override.recurrence_id)
        assert usual is not None, "an override always has a place"
        made = patch(
            {**instance(usual, None), "visibility": master.get("visibility")},
            instance(override, part_of(override)),
        )
        named = {"recurringEventId": copy.id, "originalStartTime": instance(usual, None)["start"]}
        exceptions.append(shelved({**made, **named, "id": event_id}))
    return Event(copy.id, master, exceptions)


def facts(start: EventTime, end: EventTime, tentative: bool, transparent: bool, content: Content) -> object:
    zone = start.zone
    return (
        (start.all_day, start.instant("UTC"), end.instant("UTC"), zone),
        (tentative, transparent),
        (content.title, content.description, content.location),
    )


def written(copy: Copy) -> dict[str, object]:
    found = {}
    for part in (copy.master, *copy.overrides):
        key = "" if part.recurrence_id is None else str(part.recurrence_id.instant("UTC"))
        content = Content(part.title, part.description, part.location)
        end = end_of(part)
        found[key] = facts(part.start, end, part.tentative, part.transparent, content)
    return found


def read(resource: Resource) -> dict[str, object]:
    found = {}
    for part in resource.components:
        key = "" if part.recurrence_id is None else str(part.recurrence_id.instant("UTC"))
        assert part.end is not None
        tentative = part.status is Status.TENTATIVE
        content = resource.contents[part.original]
        found[key] = facts(part.start, part.end, tentative, part.transparent, content)
    return found


@given(copies())
def test_a_copy_is_read_as_it_was_written(copy: Copy) -> None:
    resource = read_event(google(copy), NOBODY)
    assert resource.problem is None
    assert (resource.id, resource.uid, resource.mark) == (copy.id, copy.id, MARK)
    assert read(resource) == written(copy)
    most_private = _most_private(copy)
    assert resource.components[0].visibility is most_private
    before = copy.master.recurrence
    after = resource.components[0].recurrence
    assert (before is None) is (after is None)
    if before is not None and after is not None:
        assert after.rrules == before.rrules
        assert _instants(after.exdates) == _instants(before.exdates)


def _most_private(copy: Copy) -> Visibility:
    order = [Visibility.PUBLIC, Visibility.PRIVATE, Visibility.CONFIDENTIAL]
    return max((part.visibility for part in (copy.master, *copy.overrides)), key=order.index)


def _instants(times: tuple[EventTime, ...]) -> list[datetime]:
    return sorted(time.instant("UTC") for time in times)


@given(copies(), copies())
def test_a_copy_over_another_leaves_nothing_of_it(first: Copy, second: Copy) -> None:
    there = inserted(first)
    body = patched(second, there)
    over = shelved(patch(there, json.loads(json.dumps(body))))
    if second.master.recurrence is None and first.master.recurrence is not None:
        assert over.pop("recurrence") == []
        assert over["extendedProperties"]["private"].pop(DRAFT) == MARK, "until no exception is left"
    assert over == shelved(inserted(second))


@given(copies())
def test_what_was_written_needs_no_second_writing(copy: Copy) -> None:
    assert changes(copy, google(copy)) == []


@given(copies())
def test_what_is_cancelled_is_brought_back_whatever_it_still_says(copy: Copy) -> None:
    event = google(copy)
    cancelled = [{**row, "status": "cancelled"} for row in event.exceptions]
    todo = changes(copy, Event(event.id, event.master, cancelled))
    assert [change.revives for change in todo] == [True] * len(copy.overrides)


@given(copies())
def test_what_google_takes_is_kept_to(copy: Copy) -> None:
    body = inserted(copy)
    overrides = body["reminders"]["overrides"]
    assert body["reminders"]["useDefault"] is False
    assert len(overrides) <= 5
    assert all(0 <= each["minutes"] <= 40_320 for each in overrides)
    assert "attendees" not in body
    assert "iCalUID" not in body
    assert None not in body.values()


json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_PLAUSIBLE: dict[str, list[Any]] = {
    "id": ["event1", "event2"],
    "status": ["confirmed", "cancelled"],
    "recurringEventId": ["event1", "event2"],
    "recurrence": [["RRULE:FREQ=DAILY"], ["EXDATE:20260302T090000Z"], ["RRULE:FREQ=DAILY;COUNT=0"], ["\n"]],
}
_TIMES = [
    {"date": "2026-03-02"},
    {"dateTime": "2026-03-02T09:00:00Z"},
    {"dateTime": "9999-12-31T23:59:59-12:00", "timeZone": "Asia/Tokyo"},
    {"dateTime": "2026-03-02T09:00:00+01:00", "timeZone": 3},
    {"date": 20260302},
]


def field_values(name: str) -> st.SearchStrategy[Any]:
    likely = _TIMES if "start" in name.lower() or name == "end" else _PLAUSIBLE.get(name, [{}, [{}], ""])
    return st.one_of(json_values, st.sampled_from(likely))


FIELDS = ["id", "etag", "iCalUID", "status", "start", "end", "recurrence", "recurringEventId", "originalStartTime",
          "attendees", "organizer", "extendedProperties", "summary", "visibility", "eventType"]  # fmt: skip
odd_rows = st.fixed_dictionaries({}, optional={name: field_values(name) for name in FIELDS})


@given(st.lists(odd_rows, max_size=6), copies())
def test_no_row_is_an_error(rows: list[dict[str, Any]], copy: Copy) -> None:
    for event in put_together(rows):
        resource = read_event(event, NOBODY)
        assert resource.version is None or isinstance(resource.version, str)
        assert resource.problem is not None or all(
            isinstance(part, Component) and part.original in resource.contents for part in resource.components
        )
        changes(copy, event)


def test_an_event_without_readable_times_is_told_of() -> None:
    assert read_event(Event("x", {"id": "x", "summary": "?"}), NOBODY).problem is Problem.NO_START


def test_all_fields_that_are_read_are_asked_for() -> None:
    assert {name for name in FIELDS if name not in EVENT} == set()
