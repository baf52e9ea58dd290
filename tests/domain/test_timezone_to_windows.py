"""IANA zones and the names that Windows has for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import available_timezones

import pytest

from calendarsync.domain.timezone_to_windows import windows_name
from calendarsync.domain.timezone_windows import WINDOWS_ZONES
from calendarsync.domain.timezones import zone_info, zone_of_name


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("Europe/Berlin", "W. Europe Standard Time"),
        ("Europe/Vienna", "W. Europe Standard Time"),
        ("Europe/Paris", "Romance Standard Time"),
        ("America/Detroit", "Eastern Standard Time"),
        ("Asia/Kathmandu", "Nepal Standard Time"),
        ("UTC", "UTC"),
        ("Antarctica/Troll", None),
    ],
)
def test_a_zone_has_the_name_that_unicode_gives_it(key: str, name: str | None) -> None:
    assert windows_name(key) == name


def test_a_name_leads_back_to_the_same_clock() -> None:
    """Hour by hour for three years, for every zone that stands for another's name."""
    first = datetime(2026, 1, 1, tzinfo=UTC)
    hours = [first + timedelta(hours=hour) for hour in range(0, 3 * 8766, 7)]
    for key in ("America/Indiana/Vevay", "Africa/Tunis", "Australia/Lindeman", "America/Scoresbysund"):
        name = windows_name(key)
        assert name is not None
        back = zone_of_name(name)
        assert back is not None
        zone, other = zone_info(key), zone_info(back)
        assert all(hour.astimezone(zone).utcoffset() == hour.astimezone(other).utcoffset() for hour in hours)


def test_a_zone_with_another_clock_than_its_name_says_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Havana's clocks change at another hour of the same day as New York's."""
    from calendarsync.domain import timezone_to_windows

    names = {"America/Havana": "Eastern Standard Time", "Asia/Tokyo": "Korea Standard Time"}
    monkeypatch.setattr(timezone_to_windows, "_names", lambda: names)
    windows_name.cache_clear()
    try:
        assert windows_name("America/Havana") is None
        assert windows_name("Asia/Tokyo") == "Korea Standard Time"
    finally:
        windows_name.cache_clear()


def test_every_windows_name_is_given_to_its_own_zone() -> None:
    for name, key in WINDOWS_ZONES.items():
        if name != "UTC" and key in available_timezones():
            assert windows_name(key) == name
