"""A pair's rules: defaults, options and what they tell apart (rules 6, 9 and 10)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from calendarsync.domain.event import Component, EventTime, EventType, Response, Status, Visibility
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.rules import Detail, PrivateEvents, Rules, SyncMode, is_busy

START = EventTime(datetime(2026, 3, 4, 9), "Europe/Berlin")
BLOCKER, FULL = Rules(SyncMode.BLOCKER), Rules(SyncMode.FULL)


def component(**given: object) -> Component:
    return Component(uid="u", start=START, end=START, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (component(), None),
        (component(response=Response.ACCEPTED), None),
        (component(response=Response.NEEDS_ACTION), None),
        (component(response=Response.TENTATIVE), None),
        (component(status=Status.TENTATIVE), None),
        (component(event_type=EventType.OUT_OF_OFFICE), None),
        (component(event_type=EventType.FOCUS_TIME), None),
        (component(status=Status.CANCELLED), "cancelled"),
        (component(response=Response.DECLINED), "declined"),
        (component(transparent=True), "free"),
        (component(event_type=EventType.WORKING_LOCATION), "working_location"),
        (component(event_type=EventType.BIRTHDAY), "birthday"),
        (component(status=Status.CANCELLED, transparent=True), "cancelled"),
    ],
)
def test_rule_6_defaults(made: Component, reason: str | None) -> None:
    assert BLOCKER.why_not(made) == reason


def test_rule_6_all_day_can_be_left_out() -> None:
    day = Component(uid="u", start=EventTime(date(2026, 3, 4)), end=EventTime(date(2026, 3, 5)))
    assert BLOCKER.why_not(day) is None
    assert Rules(SyncMode.BLOCKER, include_all_day=False).why_not(day) == "all_day"


@pytest.mark.parametrize("visibility", [Visibility.PRIVATE, Visibility.CONFIDENTIAL])
def test_rule_10_private_events(visibility: Visibility) -> None:
    private = component(visibility=visibility)
    assert FULL.detail(private) is Detail.BLOCKER
    assert FULL.detail(component()) is Detail.FULL
    assert Rules(SyncMode.FULL, private_events=PrivateEvents.FULL).detail(private) is Detail.FULL
    assert Rules(SyncMode.FULL, private_events=PrivateEvents.SKIP).why_not(private) == "private"
    assert Rules(SyncMode.BLOCKER, private_events=PrivateEvents.SKIP).why_not(private) is None


def test_rule_10_a_private_event_as_a_block_does_not_take_the_template() -> None:
    assert Rules(SyncMode.FULL, title="[Work] {title}").block_title == "Busy"
    assert Rules(SyncMode.BLOCKER, title="Away").block_title == "Away"


def test_rule_7_the_window() -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    window = Rules(SyncMode.BLOCKER, past_days=2, future_days=10).window(now)
    assert (now - window.first, window.last - now) == (timedelta(days=2), timedelta(days=10))


def test_every_option_tells_in_the_version_and_those_of_the_look_in_the_look() -> None:
    fingerprinter = Fingerprinter(b"k" * 32)
    options: dict[str, object] = {
        "past_days": 2,
        "future_days": 3,
        "include_free": True,
        "include_tentative": False,
        "include_unanswered": False,
        "include_all_day": False,
        "title": "x",
        "private_events": "skip",
        "attendees_in_description": True,
        "color": "teal",
        "reminders": [5],
        "timezone": "Asia/Tokyo",
        "on_copy_edited": "keep",
        "on_copy_deleted": "restore",
        "relay": True,
        "only_between": {"weekdays": ["MO"], "from": "09:00", "to": "17:00", "timezone": "Asia/Tokyo"},
        "title_contains": ["x"],
        "title_excludes": ["x"],
        "categories": ["x"],
        "min_minutes": 5,
    }
    assert options.keys() == BLOCKER.options().keys()
    look = {"title", "attendees_in_description", "color", "reminders"}
    for name, value in options.items():
        changed = Rules.from_options("blocker", {name: value})
        assert changed.version(fingerprinter) != BLOCKER.version(fingerprinter), name
        assert (changed.look() != BLOCKER.look()) is (name in look), name
        assert Rules.from_options("blocker", changed.options()).options() == changed.options()


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(TypeError):
        Rules.from_options("blocker", {"colour": "teal"})


def test_rule_5_what_blocks_time() -> None:
    assert is_busy(component(response=Response.NEEDS_ACTION))
    for free in (
        component(transparent=True),
        component(status=Status.CANCELLED),
        component(response=Response.DECLINED),
    ):
        assert not is_busy(free)
