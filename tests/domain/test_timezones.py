"""From TZIDs and VTIMEZONEs to zones (rule 11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from time import process_time
from zoneinfo import ZoneInfo, available_timezones

import pytest
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from calendarsync.domain.timezone_windows import WINDOWS_ZONES
from calendarsync.domain.timezones import Observance, ZoneDefinition, moment_of, resolve_zone, zone_info

NOW = datetime(2026, 1, 5)
FIRST, LAST = datetime(1, 1, 1), datetime(9999, 12, 31)


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def custom(*parts: Observance, location: str | None = None) -> ZoneDefinition:
    return ZoneDefinition("Custom", parts, location)


def yearly(start: str, offset_from: float, offset_to: float, rule: str) -> Observance:
    rules = (f"FREQ=YEARLY;{rule}",) if rule else ()
    return Observance(datetime.fromisoformat(start), hours(offset_from), hours(offset_to), rules)


EUROPE = custom(
    yearly("1601-03-25T02:00", 1, 2, "BYMONTH=3;BYDAY=-1SU"),
    yearly("1601-10-28T03:00", 2, 1, "BYMONTH=10;BYDAY=-1SU"),
)
EASTERN = custom(
    yearly("1970-03-08T02:00", -5, -4, "BYMONTH=3;BYDAY=2SU"),
    yearly("1970-11-01T02:00", -4, -5, "BYMONTH=11;BYDAY=1SU"),
)
OWN = custom(
    yearly("1970-03-08T02:00", -5, -4, "BYMONTH=3;BYDAY=2SU"),
    yearly("1970-12-01T02:00", -4, -5, "BYMONTH=12;BYDAY=1SU"),
)
LATE = custom(
    yearly("1601-03-25T04:00", 1, 2, "BYMONTH=3;BYDAY=-1SU"),
    yearly("1601-10-28T05:00", 2, 1, "BYMONTH=10;BYDAY=-1SU"),
)
INDIA = custom(yearly("1970-01-01T00:00", 5.5, 5.5, ""))
FIXED = custom(yearly("1970-01-01T00:00", 3, 3, ""))


@pytest.mark.parametrize(
    ("tzid", "expected"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/BERLIN", "Europe/Berlin"),
        ('"Europe/Berlin"', "Europe/Berlin"),
        (" Europe/Berlin ", "Europe/Berlin"),
        ("/Europe/Stockholm", "Europe/Stockholm"),
        ("/freeassociation.sourceforge.net/Europe/Berlin", "Europe/Berlin"),
        (
            "/freeassociation.sourceforge.net/Tzfile/America/Argentina/Buenos_Aires",
            "America/Argentina/Buenos_Aires",
        ),
        ("/mozilla.org/20050126_1/Europe/Berlin", "Europe/Berlin"),
        ("/citadel.org/20190914_1/UTC", "UTC"),
        ("posix/Europe/Vaduz", "Europe/Vaduz"),
        ("America/Los Angeles", "America/Los_Angeles"),
        ("tzone://Microsoft/Utc", "UTC"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("w. europe standard time", "Europe/Berlin"),
        ("Eastern Standard Time", "America/New_York"),
        ("US/Eastern", "US/Eastern"),
        ("Asia/Calcutta", "Asia/Calcutta"),
        ("Z", "UTC"),
        ("GMT", "UTC"),
        ("Etc/UTC", "UTC"),
        ("Zulu", "UTC"),
        ("Etc/GMT+5", "Etc/GMT+5"),
        ("GMT+0100", "Etc/GMT-1"),
        ("UTC+11", "Etc/GMT-11"),
        ("UTC-03:00", "Etc/GMT+3"),
        ("GMT+00:00", "UTC"),
        ("+05:30", "Asia/Kolkata"),
        ("GMT+99", None),
        ("GMT+0137", None),
        ("Customized Time Zone", None),
        ("CST", None),
        ("Factory", None),
        ("localtime", None),
        ("/my/company/Cuba", None),
        ("custom_America/New_York", None),
        ("(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna", "Europe/Berlin"),
        ("(UTC+01:00) Amsterdam, Berlin", "Europe/Berlin"),
        ("(GMT-05.00) Eastern Time (US and Canada)", "America/New_York"),
        ("(UTC) Coordinated Universal Time", "UTC"),
        ("(UTC-07:00) La Paz, Mazatlan", "America/Mazatlan"),
        ("(UTC-04:00) Georgetown, La Paz, Manaus, San Juan", "America/La_Paz"),
        ("(UTC+01:00) Amsterdam, Atlantis", None),
        ("(UTC+01:00) Amsterdam, Paris", None),
        ("(UTC+02:00) Amsterdam", None),
        ("(UTC+02:00) Athens, Istanbul, Minsk", None),
        ('"Western/Central Europe"', "Europe/Berlin"),
        ("", None),
        ("/", None),
        ("../../etc/passwd", None),
        ("Europe/Berlin\0", None),
        ("x" * 100_000, None),
    ],
)
def test_names(tzid: str, expected: str | None) -> None:
    assert resolve_zone(tzid, None, NOW, None) == expected


def test_a_known_name_is_trusted_over_its_rules() -> None:
    assert resolve_zone("Europe/Berlin", EASTERN, NOW, None) == "Europe/Berlin"
    assert resolve_zone("Tokyo Standard Time", EASTERN, NOW, None) == "Asia/Tokyo"


@pytest.mark.parametrize("tzid", ["europe/berlin", "Europe/berlin", "(UTC+01:00) Amsterdam, Berlin"])
def test_a_name_that_is_not_spelled_to_the_letter_stands_for_its_rules(tzid: str) -> None:
    assert resolve_zone(tzid, EASTERN, NOW, None) == "America/New_York"
    assert resolve_zone("Custom", replace(EUROPE, location="America/new_york"), NOW, None) == "Europe/Berlin"
    assert resolve_zone(tzid, custom(), NOW, None) == "Europe/Berlin"


def test_the_windows_names_are_those_of_cldr() -> None:
    assert WINDOWS_ZONES == WINDOWS_TO_OLSON
    assert set(WINDOWS_ZONES.values()) <= available_timezones()


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        (EUROPE, "Europe/Berlin"),
        (EASTERN, "America/New_York"),
        (INDIA, "Asia/Kolkata"),
        (FIXED, "Etc/GMT-3"),
        (OWN, None),
        (LATE, None),  # two hours after Berlin, which no zone does
        (custom(location="Europe/Vienna"), "Europe/Vienna"),
        (custom(*EUROPE.observances, location="Nowhere/Special"), "Europe/Berlin"),
        (custom(), None),
        (custom(yearly("1970-01-01T00:00", 99, 99, "")), None),
        (custom(yearly("1970-01-01T00:00", 1, 1, "BYMONTH=99")), None),
        (custom(Observance(NOW, hours(1), hours(1), ("FREQ=SECONDLY",))), None),
        (custom(Observance(NOW, hours(1), hours(1), ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",))), "Etc/GMT-1"),
    ],
)
def test_custom_zones(definition: ZoneDefinition, expected: str | None) -> None:
    assert resolve_zone("Custom", definition, NOW, None) == expected


BRASILIA = custom(
    yearly("2000-02-27T00:00", -2, -3, "BYMONTH=2;BYDAY=3SU;UNTIL=20190217T020000Z"),
    yearly("2000-10-08T00:00", -3, -2, "BYMONTH=10;BYDAY=2SU;UNTIL=20181104T030000Z"),
)
TURKEY = custom(
    yearly("2007-03-25T03:00", 2, 3, "BYMONTH=3;BYDAY=-1SU;COUNT=10"),
    yearly("2007-10-28T04:00", 3, 2, "BYMONTH=10;BYDAY=-1SU;COUNT=9"),
)


@pytest.mark.parametrize(("definition", "hours_from_utc"), [(BRASILIA, -3), (TURKEY, 3)])
def test_the_last_change_of_a_rule_that_ended_long_ago_holds_on(
    definition: ZoneDefinition, hours_from_utc: int
) -> None:
    """DTSTART of one rule lies behind that of the other, and its last change before the other's."""
    now = datetime(2026, 7, 1, 12)
    key = resolve_zone("Custom", definition, now, now)
    assert key is not None
    assert now.replace(tzinfo=ZoneInfo(key)).utcoffset() == hours(hours_from_utc)
    assert moment_of(definition.observances, now) == now - hours(hours_from_utc)


@pytest.mark.parametrize("rule", ["BYMONTH=3;BYDAY=-1SU;INTERVAL=4", "BYMONTH=3;COUNT=9000", "BYYEARDAY=366"])
def test_what_no_zone_does_is_not_guessed_at(rule: str) -> None:
    assert resolve_zone("Custom", custom(yearly("1990-03-25T02:00", 1, 2, rule)), NOW, None) is None


@pytest.mark.parametrize(
    ("local", "moment"),
    [
        ("2026-01-05T09:00", "2026-01-05T14:00"),
        ("2026-03-08T01:59", "2026-03-08T06:59"),
        ("2026-03-08T02:30", "2026-03-08T07:30"),  # in the gap, read with the offset before it
        ("2026-03-08T03:00", "2026-03-08T07:00"),
        ("2026-12-06T00:59", "2026-12-06T04:59"),
        ("2026-12-06T01:30", "2026-12-06T05:30"),  # the first of two
        ("2026-12-06T02:00", "2026-12-06T07:00"),
        ("1960-01-05T09:00", "1960-01-05T14:00"),  # before all its rules
    ],
)
def test_a_moment_by_custom_rules_alone(local: str, moment: str) -> None:
    rules = (OWN.observances[0], yearly("1970-12-06T02:00", -4, -5, "BYMONTH=12;BYDAY=1SU"))
    assert moment_of(rules, datetime.fromisoformat(local)) == datetime.fromisoformat(moment)


def test_broken_rules_say_no_moment() -> None:
    assert moment_of((), NOW) is None
    assert moment_of((yearly("1970-01-01T00:00", 1, 1, "BYMONTH=99"),), NOW) is None


@pytest.mark.parametrize(
    "key", ["Europe/Lisbon", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Casablanca"]
)
def test_a_zone_laid_out_in_dates_is_found_again(key: str) -> None:
    """RDATEs alone, as libraries write them; the zone found has the same offsets, whatever its name."""
    zone = zone_info(key)
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    before = moment.astimezone(zone).utcoffset() or hours(0)
    parts = [Observance(datetime(2020, 1, 1), before, before)]
    while moment < datetime(2038, 1, 1, tzinfo=UTC):
        moment += timedelta(minutes=30)
        after = moment.astimezone(zone).utcoffset() or hours(0)
        if after != before:
            parts.append(Observance((moment + before).replace(tzinfo=None), before, after))
            before = after
    found = resolve_zone("Custom", custom(*parts), NOW, datetime(2030, 1, 1))
    assert found is not None
    for day in range(4 * 365):
        then = NOW + timedelta(days=day)
        assert zone_info(found).utcoffset(then) == zone.utcoffset(then)


def test_a_single_event_needs_only_its_own_days() -> None:
    assert resolve_zone("Custom", OWN, NOW, NOW + timedelta(hours=1)) == "Etc/GMT+5"


def test_an_old_endless_series_is_judged_by_recent_rules() -> None:
    """Generic rules seldom hold for the past: Europe ended summer time in September up to 1995."""
    assert resolve_zone("Custom", EUROPE, datetime(1990, 1, 1), None) == "Europe/Berlin"
    assert resolve_zone("Custom", EUROPE, datetime(1990, 1, 1), datetime(1992, 1, 1)) is None


def test_one_name_two_meanings_in_any_order() -> None:
    meanings: dict[str, Callable[[], str | None]] = {
        "Europe/Berlin": lambda: resolve_zone("Custom", EUROPE, NOW, None),
        "America/New_York": lambda: resolve_zone("Custom", EASTERN, NOW, None),
        "None": lambda: resolve_zone("Custom", None, NOW, None),
    }
    for order in permutations(meanings):
        for expected in order:
            assert str(meanings[expected]()) == expected


HOSTILE = [
    custom(
        *[yearly("1970-01-01T00:00", 1, 2, "BYMONTH=1,2,3,4,5,6,7,8,9,10,11,12;BYDAY=MO,TU,WE,TH,FR,SA,SU")]
        * 50
    ),
    custom(
        Observance(NOW, hours(1), hours(2), ("FREQ=YEARLY;BYHOUR=" + ",".join(map(str, range(24))),) * 100)
    ),
    custom(*[yearly("1970-01-01T00:00", 1, 2, "")] * 100_000),
    custom(Observance(NOW, hours(1), hours(2), (), (NOW,) * 1_000_000)),
    custom(Observance(FIRST, hours(1), hours(2)), Observance(LAST, hours(2), hours(1))),
    custom(Observance(NOW, timedelta.max, timedelta.min)),
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_broken_definitions_are_bounded(number: int) -> None:
    began = process_time()
    for first, last in ((NOW, None), (FIRST, LAST), (LAST, FIRST)):
        resolve_zone("Custom", HOSTILE[number], first, last)
    assert process_time() - began < 3
