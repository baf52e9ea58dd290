"""The events that everybody is measured with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.testbed.events import event

_BERLIN = ZoneInfo("Europe/Berlin")
_DAYS = 300
_WORDS = "What was said the last time, and what is left to say. " * 4


def events(count: int) -> dict[str, bytes]:
    """iCalendar data by resource name: meetings of the coming 300 days, every tenth a weekly series."""
    tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return {f"event{number}.ics": _event(tomorrow, number, count) for number in range(count)}


def changed(data: bytes) -> bytes:
    return data.replace(b"SUMMARY:", b"SUMMARY:Changed: ")


def _event(tomorrow: datetime, number: int, count: int) -> bytes:
    start = tomorrow + timedelta(minutes=number * _DAYS * 24 * 60 // count)
    # As moments, lest one begins in the hour that the clocks leave out, and ends before that.
    begins, ends = (time.astimezone(_BERLIN) for time in (start, start + timedelta(minutes=45)))
    extra = f"LOCATION:Room {number % 40}\nDESCRIPTION:{_WORDS}\n"
    if number % 10 == 0:
        extra += "RRULE:FREQ=WEEKLY;COUNT=8\n"
    uid, title = f"{number}-{tomorrow:%Y%m%d}@work.example", f"Meeting {number}"
    return event(uid, f"{begins:%Y%m%dT%H%M%S}", f"{ends:%Y%m%dT%H%M%S}", title=title, extra=extra).encode()
