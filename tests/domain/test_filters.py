"""Rule 8: hours, words and length, each judged of one instance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendarsync.domain.event import Content, EventTime
from calendarsync.domain.filters import WEEKDAYS, Hours, TextField, TextFilter, is_shorter, verdicts
from calendarsync.domain.fingerprint import Fingerprinter

pytestmark = pytest.mark.rule(8)

FINGERPRINTER = Fingerprinter(b"k" * 32)
OFFICE = {"weekdays": ["MO", "TU", "WE", "TH", "FR"], "from": "09:00", "to": "17:00"}
NIGHT = {"weekdays": ["FR"], "from": "22:00", "to": "06:00"}
NIGHTFALL = {"weekdays": ["FR"], "from": "22:00", "to": "00:00"}
WEEKEND = {"weekdays": ["SU", "SA"]}


def at(text: str) -> EventTime:
    return EventTime.parse(text)


# 2026-03-06 is a Friday; Berlin's clocks go forward on Sunday, 29 March, and back on Sunday, 25 October.
@pytest.mark.parametrize(
    ("hours", "start", "end", "touched"),
    [
        (OFFICE, "2026-03-06T16:59:00[Europe/Berlin]", "2026-03-06T19:00:00[Europe/Berlin]", True),
        (OFFICE, "2026-03-06T17:00:00[Europe/Berlin]", "2026-03-06T19:00:00[Europe/Berlin]", False),
        (OFFICE, "2026-03-06T08:00:00[Europe/Berlin]", "2026-03-06T09:00:00[Europe/Berlin]", False),
        (OFFICE, "2026-03-06T08:00:00[Europe/Berlin]", "2026-03-06T09:01:00[Europe/Berlin]", True),
        (OFFICE, "2026-03-06T09:00:00[Europe/Berlin]", "2026-03-06T09:00:00[Europe/Berlin]", True),
        (OFFICE, "2026-03-06T17:00:00[Europe/Berlin]", "2026-03-06T17:00:00[Europe/Berlin]", False),
        (OFFICE, "2026-03-07T09:00:00[Europe/Berlin]", "2026-03-07T17:00:00[Europe/Berlin]", False),
        (OFFICE, "2026-03-06T18:00:00[Europe/Berlin]", "2026-03-09T08:00:00[Europe/Berlin]", False),
        (OFFICE, "2026-03-06T18:00:00[Europe/Berlin]", "2026-03-09T10:00:00[Europe/Berlin]", True),
        (OFFICE, "2026-03-06T07:30:00Z", "2026-03-06T08:30:00Z", True),
        (OFFICE, "2026-03-06T08:30:00[Asia/Tokyo]", "2026-03-06T09:30:00[Asia/Tokyo]", False),
        (OFFICE, "2026-03-06T09:30:00", "2026-03-06T10:00:00", True),
        (OFFICE | {"timezone": "Asia/Tokyo"}, "2026-03-06T01:30:00Z", "2026-03-06T02:00:00Z", True),
        (OFFICE, "2026-03-07", "2026-03-08", False),
        (OFFICE, "2026-03-07", "2026-03-10", True),
        (OFFICE, "2026-03-06", "2026-03-07", True),
        (NIGHT, "2026-03-06T21:00:00[Europe/Berlin]", "2026-03-06T22:30:00[Europe/Berlin]", True),
        (NIGHT, "2026-03-07T05:00:00[Europe/Berlin]", "2026-03-07T05:30:00[Europe/Berlin]", True),
        (NIGHT, "2026-03-06T05:00:00[Europe/Berlin]", "2026-03-06T05:30:00[Europe/Berlin]", False),
        (NIGHT, "2026-03-07T22:00:00[Europe/Berlin]", "2026-03-07T23:30:00[Europe/Berlin]", False),
        (NIGHTFALL, "2026-03-06T23:30:00[Europe/Berlin]", "2026-03-06T23:45:00[Europe/Berlin]", True),
        (NIGHTFALL, "2026-03-07T00:00:00[Europe/Berlin]", "2026-03-07T00:30:00[Europe/Berlin]", False),
        (WEEKEND, "2026-03-06T23:00:00[Europe/Berlin]", "2026-03-07T00:30:00[Europe/Berlin]", True),
        (WEEKEND, "2026-03-06T23:00:00[Europe/Berlin]", "2026-03-07T00:00:00[Europe/Berlin]", False),
        (WEEKEND, "2026-03-08T23:30:00[Europe/Berlin]", "2026-03-08T23:45:00[Europe/Berlin]", True),
        (WEEKEND, "2026-03-09T00:00:00[Europe/Berlin]", "2026-03-10T00:00:00[Europe/Berlin]", False),
        # The clocks show 02:30 twice.
        ({"from": "02:00", "to": "02:45"}, "2026-10-25T00:30:00Z", "2026-10-25T00:40:00Z", True),
        ({"from": "02:00", "to": "02:45"}, "2026-10-25T01:30:00Z", "2026-10-25T01:40:00Z", True),
        # The clocks leave 02:00 to 03:00 out.
        ({"from": "02:10", "to": "02:50"}, "2026-03-29T00:50:00Z", "2026-03-29T01:05:00Z", False),
        ({"from": "09:00", "to": "10:00"}, "0001-01-01T00:00:00[Asia/Tokyo]", "0001-01-01T01:00:00Z", True),
    ],
)
def test_hours(hours: dict[str, object], start: str, end: str, touched: bool) -> None:
    assert Hours.from_option(hours).touch(at(start), at(end), "Europe/Berlin") is touched


ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC"]
QUARTER = timedelta(minutes=15)


def _shows(moment: datetime, hours: Hours, zone: str) -> bool:
    """Whether the clock at one moment shows a time within the hours."""
    local = moment.astimezone(ZoneInfo(zone))
    today, yesterday = WEEKDAYS[local.weekday()], WEEKDAYS[local.weekday() - 1]
    if hours.begin is None or hours.end is None:
        return today in hours.weekdays
    reading = local.time()
    if hours.begin < hours.end:
        return today in hours.weekdays and hours.begin <= reading < hours.end
    return (today in hours.weekdays and reading >= hours.begin) or (
        yesterday in hours.weekdays and reading < hours.end
    )


@st.composite
def some_hours(draw: st.DrawFn) -> Hours:
    weekdays = draw(st.lists(st.sampled_from(WEEKDAYS), min_size=1, unique=True))
    option: dict[str, object] = {"weekdays": weekdays}
    if draw(st.booleans()):
        begin, end = draw(st.lists(st.integers(0, 95), min_size=2, max_size=2, unique=True))
        option |= {"from": f"{begin // 4:02}:{begin % 4 * 15:02}", "to": f"{end // 4:02}:{end % 4 * 15:02}"}
    return Hours.from_option(option)


@given(some_hours(), st.sampled_from(ZONES), st.integers(0, 4 * 24 * 360), st.integers(0, 4 * 24 * 9))
def test_hours_are_what_the_clock_shows(hours: Hours, zone: str, begins: int, length: int) -> None:
    """By quarters of an hour, which every clock change here falls on; not where the clocks leave a reading out."""
    first = datetime(2026, 1, 3, tzinfo=UTC) + begins * QUARTER
    quarters = [first + number * QUARTER for number in range(max(length, 1))]
    shown = any(_shows(each, hours, zone) for each in quarters)
    start, end = (EventTime(each.replace(tzinfo=None), "UTC") for each in (first, first + length * QUARTER))
    touched = hours.touch(start, end, zone)
    if _leaves_out(first, first + length * QUARTER, zone):
        assert touched or not shown
    else:
        assert touched is shown


def _leaves_out(first: datetime, last: datetime, zone: str) -> bool:
    """Whether the clocks go forward on a day that the time may touch."""
    around = (first - timedelta(days=2), last + timedelta(days=2))
    before, after = (each.astimezone(ZoneInfo(zone)).utcoffset() for each in around)
    assert before is not None
    assert after is not None
    return after > before


@given(some_hours())
def test_hours_are_shown_as_they_are_taken(hours: Hours) -> None:
    assert Hours.from_option(hours.option()) == hours


@pytest.mark.parametrize(
    ("start", "end", "shorter"),
    [
        ("2026-03-06T09:00:00[Europe/Berlin]", "2026-03-06T09:29:00[Europe/Berlin]", True),
        ("2026-03-06T09:00:00[Europe/Berlin]", "2026-03-06T09:30:00[Europe/Berlin]", False),
        ("2026-03-06T09:00:00[Europe/Berlin]", "2026-03-06T09:10:00[Europe/London]", False),
        ("2026-03-29T01:45:00[Europe/Berlin]", "2026-03-29T03:10:00[Europe/Berlin]", True),
        ("2026-03-06", "2026-03-06", False),
    ],
)
def test_length(start: str, end: str, shorter: bool) -> None:
    assert is_shorter(at(start), at(end), 30, "UTC") is shorter
    assert not is_shorter(at(start), at(end), 0, "UTC")


@pytest.mark.parametrize(
    ("words", "title", "found"),
    [
        (("stand",), "Daily STANDUP", True),
        (("stand", "lunch"), "Lunch", True),
        (("stand",), "Lunch", False),
        (("stand",), "", False),
        (("STRASSE",), "Große Straße 1", True),
        (("cafe\N{COMBINING ACUTE ACCENT}",), "CAF\N{LATIN CAPITAL LETTER E WITH ACUTE}", True),
        (("σας",), "ΜΑΖΙ ΣΑΣ", True),
        (("1:1 ",), "1:1", False),
    ],
)
def test_words_of_a_title(words: tuple[str, ...], title: str, found: bool) -> None:
    content = Content(title=title, description="stand lunch", categories=("stand", "lunch"))
    assert TextFilter.of(TextField.TITLE, words).matches(content) is found


@pytest.mark.parametrize(
    ("words", "categories", "found"),
    [
        (("work",), ("Private", "WORK"), True),
        (("work", "private"), ("Private",), True),
        (("work",), ("Working lunch",), False),
        (("work",), (), False),
    ],
)
def test_categories_are_whole(words: tuple[str, ...], categories: tuple[str, ...], found: bool) -> None:
    content = Content(title="work", categories=categories)
    assert TextFilter.of(TextField.CATEGORIES, words).matches(content) is found


def test_a_signature_tells_what_a_filter_says_and_not_its_words() -> None:
    one = TextFilter.of(TextField.TITLE, ("Lunch", "standup"))
    same = TextFilter.of(TextField.TITLE, ("STANDUP", "lunch", "LUNCH"))
    assert one.signature(FINGERPRINTER) == same.signature(FINGERPRINTER)
    others = [
        TextFilter.of(TextField.CATEGORIES, ("Lunch", "standup")),
        TextFilter.of(TextField.TITLE, ("Lunch",)),
        TextFilter.of(TextField.TITLE, ("Lunchstandup",)),
    ]
    signatures = {each.signature(FINGERPRINTER) for each in (one, *others)}
    assert len(signatures) == 4
    assert one.signature(Fingerprinter(b"x" * 32)) not in signatures
    assert "lunch" not in repr(one).lower()
    assert verdicts(Content(title="lunch"), [one, others[0]], FINGERPRINTER) == {
        one.signature(FINGERPRINTER): True,
        others[0].signature(FINGERPRINTER): False,
    }
