"""Sandbox events between JSON, what is kept, and what the engine sees: nothing is lost on the way, either way."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from calendarsync.api.errors import ApiError
from calendarsync.api.v1 import sandbox_events
from calendarsync.api.v1.sandbox_events import Reader
from calendarsync.api.v1.sandbox_models import InstanceChanges, NewSandboxEvent, SandboxEventChanges
from calendarsync.api.v1.sandbox_shown import event_out
from calendarsync.domain.copy import Copy, CopyComponent
from calendarsync.domain.event import Duration, EventTime, Recurrence
from calendarsync.domain.recurrence import expand
from calendarsync.providers.sandbox import Event

ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]
FIRST, LAST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2110, 1, 1, tzinfo=UTC)
TIMED = [
    [],
    ["RRULE:FREQ=WEEKLY;COUNT=4"],
    ["RRULE:FREQ=DAILY;INTERVAL=3;COUNT=5", "EXDATE;TZID=Asia/Tokyo:20260311T090000,20260312T090000"],
    ["RDATE:20260311T090000Z", "RDATE;VALUE=PERIOD:20260401T120000Z/PT3H"],
    ["RRULE:FREQ=MONTHLY;BYDAY=-1FR;UNTIL=20301231T000000Z"],
]
DATED = [[], ["RRULE:FREQ=YEARLY;COUNT=3"], ["RDATE;VALUE=DATE:20260401", "EXDATE;VALUE=DATE:20260402"]]
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
EMAILS = st.sampled_from(["you@work.example", "ann@work.example", "bob@home.example"])


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """What an integrator may send as a new event."""
    start = draw(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1))).replace(microsecond=0, tzinfo=UTC)
    body: dict[str, Any] = {
        "title": draw(TEXTS),
        "description": draw(TEXTS) + draw(st.sampled_from(["", "\n\ttwo lines"])),
        "location": draw(TEXTS),
        "status": draw(st.sampled_from(["confirmed", "tentative", "cancelled"])),
        "transparency": draw(st.sampled_from(["opaque", "transparent"])),
        "visibility": draw(st.sampled_from(["public", "private", "confidential"])),
        "attendees": [
            {"email": email, "name": draw(TEXTS), "response": draw(st.sampled_from(["accepted", "declined"]))}
            for email in draw(st.lists(EMAILS, unique=True))
        ],
    }
    if draw(st.booleans()):
        end = start.date() + timedelta(days=draw(st.integers(1, 5)))
        times = {"all_day": True, "start": str(start.date()), "end": str(end)}
        return {**body, **times, "recurrence": draw(st.sampled_from(DATED))}
    zone = ZoneInfo(draw(st.sampled_from(ZONES)))
    end = start + timedelta(seconds=draw(st.integers(0, 300_000)))
    times = {"start": start.astimezone(zone).isoformat(), "end": end.isoformat()}
    chosen = {"timezone": draw(st.sampled_from(ZONES)), "recurrence": draw(st.sampled_from(TIMED))}
    return {**body, **times, **chosen}


def made(body: dict[str, Any], zone: str) -> Event:
    try:
        return Reader(zone).new("sbe_1", NewSandboxEvent.model_validate(body))
    except ApiError as error:
        assume("twice" not in error.message)  # a series that begins where the clocks are set back
        raise


def shown(event: Event, zone: str) -> dict[str, Any]:
    return event_out("sbx_1", event, zone).model_dump(by_alias=True)


def sendable(out: dict[str, Any]) -> dict[str, Any]:
    """What was shown, as a new event; dates have no zone to send."""
    names = NewSandboxEvent.model_fields.keys() - {"uid"}
    return {name: out[name] for name in names if out[name] is not None}


@given(bodies(), st.sampled_from(ZONES))
def test_what_is_sent_is_kept_and_shown_and_can_be_sent_again(body: dict[str, Any], zone: str) -> None:
    event = made(body, zone)
    kept: Any = {
        "id": event.id,
        "uid": event.uid,
        "version": 0,
        "data": json.loads(json.dumps(event.to_data())),
    }
    assert Event.of_row(kept) == event
    out = shown(event, zone)
    same = ("title", "description", "location", "status", "transparency", "visibility", "attendees")
    assert {name: out[name] for name in same} == {name: body[name] for name in same}
    for field in ("start", "end"):
        assert datetime.fromisoformat(out[field]) == datetime.fromisoformat(body[field])
    again = made(sendable(out), zone)
    assert shown(again, zone) == out
    spans = [
        [(each.start.instant(zone), each.end.instant(zone)) for each in expand(components, FIRST, LAST, zone)]
        for components in (each.resource(frozenset()).components for each in (event, again))
    ]
    assert spans[0] == spans[1]


@given(bodies(), bodies(), st.sampled_from(ZONES))
def test_an_event_that_is_changed_in_everything_is_as_if_it_were_new(
    before: dict[str, Any], after: dict[str, Any], zone: str
) -> None:
    wanted = made(after, zone)
    there = made(before, zone)
    changes = {"all_day": False, "timezone": zone, **after}
    changed = Reader(zone).changed(there, SandboxEventChanges.model_validate(changes))
    assert shown(changed, zone) == shown(made(changes, zone), zone)
    assert changed.master.title == wanted.master.title
    assert Reader(zone).changed(changed, SandboxEventChanges.model_validate({})) == changed


BERLIN = "Europe/Berlin"


def copy_of(**fields: Any) -> Event:
    start = EventTime(datetime(2026, 3, 2, 9))
    component = CopyComponent(start=start, title="Busy", **fields)
    return Event.of_copy(Copy("cs1", "1;mark", component, reminders=(10,), color="tomato"))


def test_a_change_of_a_copys_title_leaves_a_form_alone_that_json_does_not_have() -> None:
    copy = copy_of(duration=Duration(days=1, seconds=3600))
    out = shown(copy, BERLIN)
    assert (out["start"], out["end"], out["timezone"]) == (
        "2026-03-02T08:00:00Z",
        "2026-03-03T09:00:00Z",
        None,
    )
    assert (out["reminders"], out["color"]) == ([10], "tomato")
    changed = Reader(BERLIN).changed(copy, SandboxEventChanges(title="Mine"))
    assert changed.master.component == copy.master.component
    assert (changed.master.title, changed.mark) == ("Mine", copy.mark)


def test_an_instance_of_a_floating_series_is_found_and_floats() -> None:
    copy = copy_of(
        end=EventTime(datetime(2026, 3, 2, 10)), recurrence=Recurrence(rrules=("FREQ=WEEKLY;COUNT=3",))
    )
    changed = Reader(BERLIN).with_instance(copy, "2026-03-09T08:00:00Z", InstanceChanges(title="Mine"))
    (override,) = changed.overrides
    assert override.component.recurrence_id == override.component.start == EventTime(datetime(2026, 3, 9, 9))
    without = Reader(BERLIN).without_instance(changed, "2026-03-09T08:00:00Z")
    assert without.overrides == ()
    components = without.resource(frozenset()).components
    assert [each.start.local.day for each in expand(components, FIRST, LAST, BERLIN)] == [2, 16]


def test_changing_all_day_of_a_series_asks_for_a_recurrence_of_the_same_kind() -> None:
    series = made(
        {
            "start": "2026-03-02T09:00:00Z",
            "end": "2026-03-02T10:00:00Z",
            "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=3", "EXDATE:20260309T090000Z"],
        },
        "UTC",
    )
    days = {"all_day": True, "start": "2026-03-02", "end": "2026-03-03"}
    with pytest.raises(ApiError) as refused:
        Reader("UTC").changed(series, SandboxEventChanges.model_validate(days))
    assert [field for field, _ in refused.value.details] == ["recurrence.1"]
    both = days | {"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=2"]}
    assert shown(Reader("UTC").changed(series, SandboxEventChanges.model_validate(both)), "UTC")["all_day"]


def test_an_instance_of_a_series_of_days_is_named_by_a_date_that_can_be() -> None:
    days = {"all_day": True, "start": "2026-03-02", "end": "2026-03-03", "recurrence": ["RRULE:FREQ=DAILY"]}
    series = made(days, "Asia/Tokyo")
    assert Reader("Asia/Tokyo").with_instance(series, "2026-03-04", InstanceChanges(title="Mine")).overrides
    for nowhere in ("0001-01-01", "9999-12-31", "20260304", "2026-W10-3", "2026-03-04T00:00:00Z"):
        with pytest.raises(ApiError) as refused:
            Reader("Asia/Tokyo").with_instance(series, nowhere, InstanceChanges(title="Mine"))
        assert refused.value.status == 404


def with_two_overrides(years: int) -> Event:
    times = {"start": "2026-03-02T09:00:00Z", "end": "2026-03-02T10:00:00Z"}
    event = made({**times, "recurrence": ["RRULE:FREQ=DAILY"]}, "UTC")
    for year in (2026, 2026 + years):
        changes = InstanceChanges(title="Mine")
        event = Reader("UTC").with_instance(event, f"{year}-03-03T09:00:00Z", changes)
    return event


def test_a_series_is_laid_out_once_to_find_which_overrides_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    event, asked = with_two_overrides(1), []

    def counting(*arguments: Any) -> Any:
        asked.append(arguments)
        return expand(*arguments)

    monkeypatch.setattr(sandbox_events, "expand", counting)
    renamed = Reader("UTC").changed(event, SandboxEventChanges(title="Mine"))
    assert (renamed.overrides, asked) == (event.overrides, [])
    longer = Reader("UTC").changed(event, SandboxEventChanges(end="2026-03-02T11:00:00Z"))
    assert (longer.overrides, len(asked)) == (event.overrides, 1)
    weekly = Reader("UTC").changed(event, SandboxEventChanges(recurrence=["RRULE:FREQ=WEEKLY;BYDAY=TU"]))
    assert weekly.overrides == event.overrides[:1]


def test_overrides_too_far_apart_are_not_looked_for_in_a_changed_series() -> None:
    event = with_two_overrides(40)
    with pytest.raises(ApiError, match="too many instances") as refused:
        Reader("UTC").changed(event, SandboxEventChanges(recurrence=["RRULE:FREQ=DAILY;INTERVAL=1"]))
    assert refused.value.status == 409
    single = Reader("UTC").changed(event, SandboxEventChanges(recurrence=[]))
    assert single.overrides == ()
