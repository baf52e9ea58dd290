"""RRULE laid out as RFC 5545 section 3.3.10 says it, period by period: slow, and with no library behind it.

Every day of a period that the rule's parts leave, at every time of day that they leave, is a candidate; BYSETPOS
chooses among them. Values are read, never checked. All times are local and naive; UNTIL may be in UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_UNITS = {"HOURLY": timedelta(hours=1), "MINUTELY": timedelta(minutes=1), "SECONDLY": timedelta(seconds=1)}
_FINER = {
    "BYHOUR": ("HOURLY", "MINUTELY", "SECONDLY"),
    "BYMINUTE": ("MINUTELY", "SECONDLY"),
    "BYSECOND": ("SECONDLY",),
}
_DAY = timedelta(days=1)
_Period = tuple[Sequence[date], datetime]
"""Its days, and the moment at which it begins: the clock of it counts where it is shorter than a day."""


def starts(rule: str, start: datetime, zone: str, before: datetime) -> list[datetime]:
    """All starts before a local time. DTSTART is one and counts as one, whether the rule gives it or not."""
    parts = dict(part.split("=") for part in rule.split(";"))
    goes_on = _until(parts.get("UNTIL"), zone)
    left = int(parts.get("COUNT", 10**9)) - 1
    found = [start] if start < before else []
    for moment in _given(parts, start, before):
        if moment > start:
            left -= 1
            if left < 0 or not goes_on(moment):
                break
            found.append(moment)
    return found


def _given(parts: dict[str, str], start: datetime, before: datetime) -> Iterator[datetime]:
    for days, moment in _periods(parts, start):
        if datetime.combine(days[0], datetime.min.time()) >= before:
            return
        chosen = [day for day in days if _has_day(parts, day, start)]
        clock = _clock(parts, moment, start) if chosen else ()
        candidates = [datetime.combine(day, datetime.min.time()) + time for day in chosen for time in clock]
        if "BYSETPOS" in parts:
            places = {number if number < 0 else number - 1 for number in _numbers(parts, "BYSETPOS")}
            size = len(candidates)
            candidates = [
                candidates[place] for place in sorted({p % size for p in places if -size <= p < size})
            ]
        yield from (moment for moment in candidates if moment < before)


def _periods(parts: dict[str, str], start: datetime) -> Iterator[_Period]:
    freq, interval = parts["FREQ"], int(parts.get("INTERVAL", 1))
    day = start.date()
    for number in count(0, interval):
        if freq == "YEARLY":
            yield _until_next(date(day.year + number, 1, 1), date(day.year + number + 1, 1, 1)), start
        elif freq == "MONTHLY":
            first, after = (_month(day.year * 12 + day.month - 1 + number + more) for more in (0, 1))
            yield _until_next(first, after), start
        elif freq == "WEEKLY":
            back = (day.weekday() - DAYS.index(parts.get("WKST", "MO"))) % 7
            first = day + (number * 7 - back) * _DAY
            yield _until_next(first, first + 7 * _DAY), start
        elif freq == "DAILY":
            yield [day + number * _DAY], start
        else:
            moment = start + number * _UNITS[freq]
            yield [moment.date()], moment


def _month(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)


def _until_next(first: date, after: date) -> list[date]:
    return [first + number * _DAY for number in range((after - first).days)]


def _numbers(parts: dict[str, str], name: str) -> list[int]:
    return [int(text) for text in parts[name].split(",")]


def _has_day(parts: dict[str, str], day: date, start: datetime) -> bool:
    first, after = date(day.year, 1, 1), date(day.year + 1, 1, 1)
    month, next_month = day.replace(day=1), _month(day.year * 12 + day.month)
    limits = {
        "BYMONTH": lambda: day.month in _numbers(parts, "BYMONTH"),
        "BYWEEKNO": lambda: _in_week(parts, day),
        "BYYEARDAY": lambda: _either((day - first).days + 1, (day - after).days, parts, "BYYEARDAY"),
        "BYMONTHDAY": lambda: _either(day.day, (day - next_month).days, parts, "BYMONTHDAY"),
        "BYDAY": lambda: _on_weekday(parts, day, (first, after), (month, next_month)),
    }
    return all(limit() for name, limit in limits.items() if name in parts) and _as_start(parts, day, start)


def _either(number: int, from_end: int, parts: dict[str, str], name: str) -> bool:
    return not {number, from_end}.isdisjoint(_numbers(parts, name))


def _in_week(parts: dict[str, str], day: date) -> bool:
    """Week number one is the first with four days or more in its year; the day may lie in another."""
    wkst = DAYS.index(parts.get("WKST", "MO"))
    week = day - (day.weekday() - wkst) % 7 * _DAY
    year = (week + 3 * _DAY).year
    firsts = []
    for one in (year, year + 1):
        fourth = date(one, 1, 4)
        firsts.append(fourth - (fourth.weekday() - wkst) % 7 * _DAY)
    return _either((week - firsts[0]).days // 7 + 1, (week - firsts[1]).days // 7, parts, "BYWEEKNO")


def _on_weekday(parts: dict[str, str], day: date, year: tuple[date, date], month: tuple[date, date]) -> bool:
    """An ordinal counts within the month, or within the year where no month is named."""
    first, after = month if parts["FREQ"] == "MONTHLY" or "BYMONTH" in parts else year
    nth = (day - first).days // 7 + 1
    nth_last = -((after - day - _DAY).days // 7 + 1)
    return any(
        text[-2:] == DAYS[day.weekday()] and (len(text) == 2 or int(text[:-2]) in (nth, nth_last))
        for text in parts["BYDAY"].split(",")
    )


def _as_start(parts: dict[str, str], day: date, start: datetime) -> bool:
    """Information missing from the rule is the start's."""
    if not parts.keys().isdisjoint(("BYDAY", "BYMONTHDAY", "BYYEARDAY")):
        return True
    freq = parts["FREQ"]
    if "BYWEEKNO" in parts or freq == "WEEKLY":
        return day.weekday() == start.weekday()
    same_month = freq != "YEARLY" or "BYMONTH" in parts or day.month == start.month
    return freq not in ("YEARLY", "MONTHLY") or (day.day == start.day and same_month)


def _clock(parts: dict[str, str], moment: datetime, start: datetime) -> list[timedelta]:
    """Times of day, sorted. A part as fine as the period or coarser limits it, a finer one multiplies it."""
    fields = []
    for name, own, usual in (
        ("BYHOUR", moment.hour, start.hour),
        ("BYMINUTE", moment.minute, start.minute),
        ("BYSECOND", moment.second, start.second),
    ):
        if parts["FREQ"] in _FINER[name]:
            fields.append([own] if name not in parts or own in _numbers(parts, name) else [])
        else:
            fields.append(sorted(_numbers(parts, name)) if name in parts else [usual])
    return [timedelta(hours=h, minutes=m, seconds=s) for h in fields[0] for m in fields[1] for s in fields[2]]


def _until(text: str | None, zone: str) -> Callable[[datetime], bool]:
    if text is None:
        return lambda moment: True
    if len(text) == 8:
        last = date.fromisoformat(text)
        return lambda moment: moment.date() <= last
    until = datetime.fromisoformat(text)
    if until.tzinfo is None:
        return lambda moment: moment <= until
    return lambda moment: moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) <= until
