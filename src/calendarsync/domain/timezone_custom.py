"""Custom VTIMEZONEs: their rules laid out, and the IANA zone found that has the same offsets.

RFC 5545 section 3.6.5. Everything is bounded: observances, rules, years, zones tried; and cached by the rules
themselves, so that two calendars that use one TZID for different rules cannot get in each other's way.
"""

from __future__ import annotations

from bisect import bisect_right
from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

from calendarsync.domain.occurrences import occurrences
from calendarsync.domain.recurrence_rule import YEARLY, Rule, parse_rule

_MAX_OBSERVANCES = 400
_MAX_ONSETS = 2000
_MAX_RULES = 100
_MAX_COUNT = 200
_BY = frozenset({"bymonth", "byweekday", "bymonthday"})
_MAX_YEARS = 100
_YEARS_OF_ENDLESS = 10
_RECENT = 2010
"""From here on most zones have kept the rules that generic definitions give."""
_STEP = timedelta(days=14)
_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)

# In the order in which they are preferred, where several have the same offsets.
_WELL_KNOWN = (
    "Europe/Berlin", "Europe/Paris", "Europe/London", "Europe/Lisbon", "Europe/Helsinki", "Europe/Athens",
    "Europe/Bucharest", "Europe/Istanbul", "Europe/Moscow", "Europe/Dublin", "Europe/Chisinau",
    "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Anchorage",
    "America/Phoenix", "America/Halifax", "America/St_Johns", "America/Toronto", "America/Mexico_City",
    "America/Bogota", "America/Lima", "America/Caracas", "America/Santiago", "America/Asuncion",
    "America/Sao_Paulo", "America/Argentina/Buenos_Aires", "America/Havana", "America/Nuuk",
    "Pacific/Honolulu", "Atlantic/Azores", "Atlantic/Reykjavik",
    "Africa/Cairo", "Africa/Casablanca", "Africa/Lagos", "Africa/Johannesburg", "Africa/Nairobi",
    "Asia/Jerusalem", "Asia/Beirut", "Asia/Amman", "Asia/Riyadh", "Asia/Tehran", "Asia/Dubai", "Asia/Kabul",
    "Asia/Karachi", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Dhaka", "Asia/Yangon", "Asia/Bangkok",
    "Asia/Shanghai", "Asia/Singapore", "Asia/Tokyo", "Asia/Seoul", "Asia/Yekaterinburg", "Asia/Vladivostok",
    "Australia/Perth", "Australia/Eucla", "Australia/Darwin", "Australia/Adelaide", "Australia/Brisbane",
    "Australia/Sydney", "Australia/Lord_Howe", "Pacific/Auckland", "Pacific/Chatham", "Pacific/Fiji",
    "Pacific/Tongatapu", "Pacific/Apia", "Pacific/Marquesas",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Observance:
    """A STANDARD or DAYLIGHT part. `start` and `rdates` are onsets on the clock as it was before (naive)."""

    start: datetime
    offset_from: timedelta
    offset_to: timedelta
    rrules: tuple[str, ...] = ()
    rdates: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class ZoneDefinition:
    """A VTIMEZONE; `location` is its X-LIC-LOCATION."""

    tzid: str
    observances: tuple[Observance, ...]
    location: str | None = None


def fixed_zone(offset: timedelta) -> str | None:
    """The zone that always has this offset: Etc/GMT where there is one, else one that has it now."""
    if offset % _HOUR or not timedelta(hours=-12) <= offset <= timedelta(hours=14):
        start = datetime(_RECENT, 1, 1)  # noqa: DTZ001 - local time
        return matching_zone((Observance(start, offset, offset),), start.replace(year=2025), None)
    hours = offset // _HOUR
    return f"Etc/GMT{-hours:+d}" if hours else "UTC"


def matching_zone(observances: Sequence[Observance], first: datetime, last: datetime | None) -> str | None:
    """The preferred zone with the same offsets from `first` to `last`; None where there is none.

    Whole years are compared where that finds a zone, else the span itself; of a series that is long or has no
    end, at least its recent years, for generic definitions seldom hold for the past.
    """
    observances = tuple(observances)
    if not _sound(observances):
        return None
    begin = _naive(first)
    end = max(_naive(last), begin) if last is not None else None
    tries = [(begin.year, end.year + 1 if end is not None else begin.year + _YEARS_OF_ENDLESS)]
    if end is None or end.year - begin.year > _YEARS_OF_ENDLESS:
        recent = max(begin.year, _RECENT)
        tries.append((recent, recent + _YEARS_OF_ENDLESS))
    for year, next_year in tries:
        key = _search(observances, _new_year(year), _new_year(min(next_year, year + _MAX_YEARS)))
        if key is not None:
            return key
    if end is not None and end - begin < 366 * _DAY:
        return _search(
            observances, begin.replace(hour=0, minute=0, second=0, microsecond=0) - _DAY, end + _DAY
        )
    return None


def moment_of(observances: Sequence[Observance], local: datetime) -> datetime | None:
    """The moment (UTC, naive) of a reading of the clock by these rules alone; None where they are broken.

    In a gap it is read with the offset before it, of two equal readings it is the first (RFC 5545 section 3.3.5).
    """
    if not _sound(observances):
        return None
    try:
        onsets = _onsets_about(tuple(observances), local.year)
    except (ValueError, KeyError, OverflowError):
        return None
    _, offset = onsets[0]
    for instant, next_offset in onsets[1:]:
        if local - offset < instant:
            break
        if local - next_offset < instant:  # the gap that this change makes
            break
        offset = next_offset
    return local - offset


@lru_cache(maxsize=256)
def _onsets_about(observances: tuple[Observance, ...], year: int) -> list[tuple[datetime, timedelta]]:
    """The changes of offset that say what the clocks of a year mean. Raises ValueError."""
    return _onsets(observances, _new_year(max(year - 1, 2)), _new_year(year + 2))


def _naive(value: datetime) -> datetime:
    value = value.replace(tzinfo=None)
    return min(max(value, _new_year(1000)), _new_year(9800))


def _new_year(year: int) -> datetime:
    return datetime(min(year, 9900), 1, 1)  # noqa: DTZ001 - UTC, kept naive for speed


def _sound(observances: Sequence[Observance]) -> bool:
    offsets = [offset for part in observances for offset in (part.offset_from, part.offset_to)]
    dates = sum(len(part.rdates) for part in observances)
    rules = sum(len(part.rrules) for part in observances)
    return (
        0 < len(observances) <= _MAX_OBSERVANCES
        and dates <= _MAX_ONSETS
        and rules <= _MAX_RULES
        and all(abs(offset) < _DAY for offset in offsets)
    )


@lru_cache(maxsize=512)
def _search(observances: tuple[Observance, ...], begin: datetime, end: datetime) -> str | None:
    """The zone equal to the definition in [begin, end), both in UTC."""
    try:
        onsets = _onsets(observances, begin, end)
    except (ValueError, KeyError, OverflowError):
        return None
    samples = _samples(onsets, begin, end)
    offsets = {offset for _, offset in samples}
    if len(offsets) == 1:
        (offset,) = offsets
        if offset % _HOUR == timedelta() and timedelta(hours=-12) <= offset <= timedelta(hours=14):
            return fixed_zone(offset)
    return next((key for key in _candidates() if _equal(key, samples)), None)


def _onsets(
    observances: Sequence[Observance], begin: datetime, end: datetime
) -> list[tuple[datetime, timedelta]]:
    """Every change of offset in UTC up to `end`, after one entry for the time before; ascending."""
    changes: list[tuple[datetime, timedelta, timedelta]] = []
    for part in observances:
        for local in _local_onsets(part, begin - 800 * _DAY, end + 2 * _DAY):
            changes.append((local - part.offset_from, part.offset_to, part.offset_from))
            if len(changes) > _MAX_ONSETS:
                raise ValueError("too many onsets")
    changes.sort(key=lambda change: change[0])
    return [(datetime.min, changes[0][2]), *((instant, offset) for instant, offset, _ in changes)]  # noqa: DTZ901


def _local_onsets(part: Observance, after: datetime, before: datetime) -> Iterator[datetime]:
    yield part.start
    yield from part.rdates
    for text in part.rrules:
        rule = _zone_rule(text)
        if rule is None:
            continue
        for local in islice(occurrences(rule, part.start, _since(rule, part, after), before), _MAX_ONSETS):
            if _past_until(rule, local, part.offset_from):
                break
            yield local


@lru_cache(maxsize=512)
def _zone_rule(text: str) -> Rule | None:
    """A rule as zones have them: once a year, on a day of a month; None where there is no such day.

    Raises ValueError for any other.
    """
    rule = parse_rule(text)
    days = rule.by.get("bymonthday", ())
    exists = not days or any(
        abs(day) <= monthrange(2000, month)[1]
        for day in days
        for month in rule.by.get("bymonth", range(1, 13))
    )
    yearly = rule.freq == YEARLY and rule.interval == 1 and (rule.count or 0) <= _MAX_COUNT
    if not (yearly and rule.by.keys() <= _BY):
        raise ValueError("no zone changes like that")
    return rule if exists else None


def _since(rule: Rule, part: Observance, after: datetime) -> datetime:
    """From when on a rule is laid out: what it did last holds on, however long it has ended."""
    if rule.count is not None:
        return part.start
    if rule.until is None:
        return after
    return min(after, datetime(rule.until.year, 1, 1) - 800 * _DAY)  # noqa: DTZ001 - local time


def _past_until(rule: Rule, local: datetime, offset_from: timedelta) -> bool:
    until = rule.until
    if until is None:
        return False
    if not isinstance(until, datetime):
        return local.date() > until
    if until.tzinfo is None:
        return local > until
    return local - offset_from > until.replace(tzinfo=None)


def _samples(
    onsets: Sequence[tuple[datetime, timedelta]], begin: datetime, end: datetime
) -> list[tuple[datetime, timedelta]]:
    """Moments in UTC with the definition's offset: around every onset, and every other week between."""
    instants = [instant for instant, _ in onsets]
    moments = {begin, end - _SECOND}
    for instant in instants[1:]:
        moments |= {moment for moment in (instant - _SECOND, instant) if begin <= moment < end}
    moments |= {begin + number * _STEP for number in range((end - begin) // _STEP)}
    # A year's halves first: they tell most zones apart.
    ordered = sorted(moments, key=lambda moment: (moment.day != 1 and moment != begin, moment))
    return [(moment.replace(tzinfo=UTC), onsets[bisect_right(instants, moment) - 1][1]) for moment in ordered]


def _equal(key: str, samples: Sequence[tuple[datetime, timedelta]]) -> bool:
    zone = ZoneInfo(key)
    return all(moment.astimezone(zone).utcoffset() == offset for moment, offset in samples)


@lru_cache(maxsize=1)
def _candidates() -> tuple[str, ...]:
    available = available_timezones()
    known = [key for key in _WELL_KNOWN if key in available]
    others = sorted(key for key in available if "/" in key and not key.startswith("Etc/"))
    return tuple(dict.fromkeys([*known, *others]))
