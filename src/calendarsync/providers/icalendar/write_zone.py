"""VTIMEZONE components for IANA zones, exact for the years asked for (RFC 5545 section 3.6.5)."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from calendarsync.domain.timezones import zone_info
from calendarsync.providers.icalendar.values import write_local

_MARGIN = 30
"""Years laid out beyond the last one asked for: weekdays and leap years come round once in them."""

_SETTLED = 2100
"""From this year on all zones of the tz database follow rules that do not end, so that nobody need lay them out."""

_STEP = timedelta(days=5)
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of offset; `local` is the onset on the clock as it was before."""

    local: datetime
    offset_from: timedelta
    offset_to: timedelta
    name: str
    daylight: bool

    @property
    def pattern(self) -> tuple[object, ...]:
        day = (self.local.month, self.local.weekday(), self.local.time())
        return (*day, self.offset_from, self.offset_to, self.name, self.daylight)


@dataclass(slots=True)
class _Run:
    """Changes of the same pattern in consecutive years, on the same weekday within the same seven days."""

    changes: list[_Change]
    first_day: int
    last_day: int

    def takes(self, change: _Change) -> bool:
        day = change.local.day
        within = max(self.last_day, day) - min(self.first_day, day) < 7
        return change.local.year == self.changes[-1].local.year + 1 and within

    def add(self, change: _Change) -> None:
        self.changes.append(change)
        self.first_day = min(self.first_day, change.local.day)
        self.last_day = max(self.last_day, change.local.day)


@lru_cache(maxsize=512)
def write_zone(key: str, first_year: int, last_year: int) -> tuple[str, ...]:
    """The content lines of a VTIMEZONE, right from `first_year` on to at least `last_year`.

    Where the zone has settled rules that one RRULE can say, they hold for ever after. Cached by the IANA key,
    whose meaning is fixed.
    """
    end_year = min(max(first_year, min(last_year, _SETTLED)) + _MARGIN, 9900)
    zone = zone_info(key)
    begin = datetime(max(first_year - 1, 2), 1, 1, tzinfo=UTC)  # in year 1 some zones lie before the calendar
    changes = list(_changes(key, begin, datetime(end_year + 1, 1, 1, tzinfo=UTC)))
    local = begin.astimezone(zone)
    offset = local.utcoffset() or timedelta()
    lines = ["BEGIN:VTIMEZONE", f"TZID:{key}"]
    initial = _Change(local.replace(tzinfo=None), offset, offset, local.tzname() or key, bool(local.dst()))
    lines += _observance([initial], endless=False)
    for run in _runs(changes):
        endless = run[-1].local.year == end_year and len(run) > _MARGIN // 2
        lines += _observance(run, endless=endless)
    return (*lines, "END:VTIMEZONE")


def _changes(key: str, begin: datetime, end: datetime) -> Iterator[_Change]:
    zone = zone_info(key)
    moment = begin
    before = moment.astimezone(zone)
    while moment < end:
        moment += _STEP
        after = moment.astimezone(zone)
        if after.utcoffset() != before.utcoffset() or after.tzname() != before.tzname():
            low, high = moment - _STEP, moment
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                middle = middle.replace(microsecond=0)
                there = middle.astimezone(zone)
                same = there.utcoffset() == before.utcoffset() and there.tzname() == before.tzname()
                low, high = (middle, high) if same else (low, middle)
            then = high.astimezone(zone)
            offset_from, offset_to = before.utcoffset() or timedelta(), then.utcoffset() or timedelta()
            local = (high + offset_from).replace(tzinfo=None)
            yield _Change(local, offset_from, offset_to, then.tzname() or key, bool(then.dst()))
        before = after


def _runs(changes: list[_Change]) -> list[list[_Change]]:
    """The changes gathered into runs that one rule can say, in the order of their beginnings."""
    runs: list[_Run] = []
    open_runs: dict[tuple[object, ...], _Run] = {}
    for change in changes:
        run = open_runs.get(change.pattern)
        if run is not None and run.takes(change):
            run.add(change)
            continue
        day = change.local.day
        open_runs[change.pattern] = run = _Run([change], day, day)
        runs.append(run)
    return [run.changes for run in runs]


def _observance(run: list[_Change], *, endless: bool) -> list[str]:
    first = run[0]
    name = "DAYLIGHT" if first.daylight else "STANDARD"
    lines = [
        f"BEGIN:{name}",
        f"DTSTART:{write_local(first.local)}",
        f"TZOFFSETFROM:{_write_offset(first.offset_from)}",
        f"TZOFFSETTO:{_write_offset(first.offset_to)}",
        f"TZNAME:{first.name}",
    ]
    if endless or len(run) > 2:
        until = "" if endless else f";UNTIL={write_local(run[-1].local - first.offset_from)}Z"
        lines.append(f"RRULE:FREQ=YEARLY;BYMONTH={first.local.month};{_days(run)}{until}")
    elif len(run) == 2:
        lines.append(f"RDATE:{write_local(run[1].local)}")
    return [*lines, f"END:{name}"]


def _days(run: list[_Change]) -> str:
    """The days of the month in a form that every reader knows where there is one: `BYDAY=-1SU`, `BYDAY=2SU`."""
    local = run[0].local
    weekday = _WEEKDAYS[local.weekday()]
    days = [change.local.day for change in run]
    lengths = [monthrange(change.local.year, change.local.month)[1] for change in run]
    if all(length - day < 7 for day, length in zip(days, lengths, strict=True)):
        return f"BYDAY=-1{weekday}"
    nth = {(day - 1) // 7 + 1 for day in days}
    if len(nth) == 1:
        return f"BYDAY={nth.pop()}{weekday}"
    within = ",".join(str(day) for day in range(min(days), max(days) + 1))
    return f"BYDAY={weekday};BYMONTHDAY={within}"


def _write_offset(offset: timedelta) -> str:
    seconds = abs(int(offset.total_seconds()))
    sign = "-" if offset < timedelta() else "+"
    rest = f"{seconds % 60:02}" if seconds % 60 else ""
    return f"{sign}{seconds // 3600:02}{seconds // 60 % 60:02}{rest}"
