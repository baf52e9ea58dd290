"""The Google model's expansion of series agrees with an implementation by others."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import recurring_ical_events
from hypothesis import given
from hypothesis import strategies as st

from tests.testbed.google.recurrence import occurrences
from tests.testbed.google_calling import at

_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_FIRST, _LAST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 12, 31, tzinfo=UTC)
_STARTS = st.builds(
    datetime.combine,
    st.dates(date(2026, 1, 5), date(2026, 11, 30)),
    st.times().map(lambda clock: clock.replace(second=0, microsecond=0)),
)
_ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC", "Australia/Lord_Howe"])


@st.composite
def series(draw: st.DrawFn) -> dict[str, Any]:
    """A timed series whose rule names its start, now and then with dates taken out."""
    start, zone = draw(_STARTS), draw(_ZONES)
    interval = f";INTERVAL={draw(st.integers(1, 3))}"
    days = ",".join(sorted({_DAYS[start.weekday()], *draw(st.sets(st.sampled_from(_DAYS)))}, key=_DAYS.index))
    ordinal = (start.day - 1) // 7 + 1
    rule = draw(
        st.sampled_from(
            [
                "FREQ=DAILY",
                f"FREQ=WEEKLY;BYDAY={days}",
                f"FREQ=MONTHLY;BYMONTHDAY={start.day}",
                f"FREQ=MONTHLY;BYDAY={ordinal}{_DAYS[start.weekday()]}",
                "FREQ=YEARLY",
            ]
        )
    )
    last = start + timedelta(days=draw(st.integers(2, 300)))
    end = draw(st.sampled_from([f";COUNT={draw(st.integers(1, 20))}", f";UNTIL={last:%Y%m%dT%H%M%S}Z"]))
    holes = [start + timedelta(days=each) for each in draw(st.lists(st.integers(1, 60), max_size=3))]
    lines = [f"RRULE:{rule}{interval}{end}"]
    lines += [f"EXDATE;TZID={zone}:{each:%Y%m%dT%H%M%S}" for each in holes]
    return {"start": at(f"{start:%Y-%m-%d %H:%M}", zone), "recurrence": lines}


@given(series())
def test_a_series_has_the_instances_that_another_library_finds(event: dict[str, Any]) -> None:
    zone = event["start"]["timeZone"]
    local = datetime.fromisoformat(event["start"]["dateTime"])
    lines = [f"DTSTART;TZID={zone}:{local:%Y%m%dT%H%M%S}", *event["recurrence"]]
    text = "\r\n".join(
        ["BEGIN:VCALENDAR", "BEGIN:VEVENT", "UID:1", *lines, "END:VEVENT", "END:VCALENDAR", ""]
    )
    calendar = icalendar.Calendar.from_ical(text)
    found = recurring_ical_events.of(calendar).between(_FIRST, _LAST)
    expected = sorted(each.start.astimezone(UTC) for each in found)
    kept = {**event, "start": {"dateTime": _aware(local, zone), "timeZone": zone}}
    moments = [datetime.fromisoformat(each["dateTime"]).astimezone(UTC) for each in occurrences(kept)]
    assert [each for each in moments if _FIRST <= each < _LAST] == expected


def _aware(local: datetime, zone: str) -> str:
    return local.replace(tzinfo=ZoneInfo(zone)).isoformat()
