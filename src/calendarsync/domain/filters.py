"""A pair's filters: hours, words, length. Each instance is judged on its own (SEMANTICS rule 8)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from enum import StrEnum
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from calendarsync.domain.event import Content, EventTime
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.timezones import zone_info

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
"""As RFC 5545 section 3.3.10 names them, in the order of `date.weekday()`."""

_DAY = timedelta(days=1)
_SURE = timedelta(weeks=3)
"""So long a time meets every weekday, though a change of the clocks may swallow the hours of one."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of some weekdays, as the clocks of `timezone` show them; None: those of the calendar.

    `begin` and `end` are None together for whole days. An `end` that is earlier than `begin` lies on the day after
    the weekday.
    """

    weekdays: tuple[str, ...] = WEEKDAYS
    begin: clock | None = None
    end: clock | None = None
    timezone: str | None = None

    @classmethod
    def from_option(cls, given: Mapping[str, Any]) -> Hours:
        """From a value of the option `only_between` that was validated before."""
        begin, end = (given.get(name) for name in ("from", "to"))
        weekdays = given.get("weekdays") or WEEKDAYS
        return cls(
            weekdays=tuple(day for day in WEEKDAYS if day in weekdays),
            begin=None if begin is None else clock.fromisoformat(begin),
            end=None if end is None else clock.fromisoformat(end),
            timezone=given.get("timezone"),
        )

    def option(self) -> dict[str, Any]:
        """The inverse of `from_option`."""
        begin, end = (None if each is None else f"{each:%H:%M}" for each in (self.begin, self.end))
        return {"weekdays": list(self.weekdays), "from": begin, "to": end, "timezone": self.timezone}

    def touch(self, start: EventTime, end: EventTime, floating: str) -> bool:
        """Whether [start, end) overlaps these hours; all-day dates whether they meet one of the weekdays.

        What has no length counts as the moment that it stands at.
        """
        if start.all_day:
            return self._meet(start.local.date(), end.local.date())
        try:
            return self._overlap(start.instant(floating), end.instant(floating), floating)
        except OverflowError:
            return True  # at the ends of time a day may have no instant that can be said in UTC

    def _overlap(self, first: datetime, last: datetime, floating: str) -> bool:
        if last - first >= _SURE:
            return True
        zone = zone_info(self.timezone or floating)
        start, end = first.astimezone(zone), last.astimezone(zone)
        changes = start.utcoffset() != end.utcoffset()
        begin, over = start.replace(tzinfo=None), end.replace(tzinfo=None)
        day = begin.date() - _DAY
        while day <= over.date():
            if WEEKDAYS[day.weekday()] in self.weekdays:
                opens, closes = self._on(day)
                if changes:
                    if first < _instant(closes, zone, fold=1) and last > _instant(opens, zone, fold=0):
                        return True
                elif begin < closes and (over > opens or begin == over == opens):
                    return True
            day += _DAY
        return False

    def _on(self, day: date) -> tuple[datetime, datetime]:
        if self.begin is None or self.end is None:
            return datetime.combine(day, clock.min), datetime.combine(day + _DAY, clock.min)
        crosses = self.end <= self.begin
        return datetime.combine(day, self.begin), datetime.combine(day + _DAY if crosses else day, self.end)

    def _meet(self, first: date, over: date) -> bool:
        days = max((over - first).days, 1)
        return any(
            WEEKDAYS[(first.weekday() + number) % 7] in self.weekdays for number in range(min(days, 7))
        )


def _instant(local: datetime, zone: ZoneInfo, *, fold: int) -> datetime:
    """When the clocks show this: with fold=1 the second time, if they do so twice."""
    instant = local.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != local:
        return instant
    return local.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def is_shorter(start: EventTime, end: EventTime, minutes: int, floating: str) -> bool:
    """Whether less than so many minutes pass from start to end; an all-day event is never too short."""
    if start.all_day or not minutes:
        return False
    return end.instant(floating) - start.instant(floating) < timedelta(minutes=minutes)


class TextField(StrEnum):
    """What of an event a text filter looks at."""

    TITLE = "title"
    CATEGORIES = "categories"


@dataclass(frozen=True, slots=True, repr=False)
class TextFilter:
    """Words, of which a title has to contain one, or of which one has to be a category. Case makes no difference.

    What it says of an event is kept in the index, by a keyed signature of the filter: the texts themselves are not.
    """

    field: TextField
    words: tuple[str, ...]

    @classmethod
    @lru_cache(maxsize=512)
    def of(cls, field: TextField, words: tuple[str, ...]) -> TextFilter:
        return cls(field, tuple(sorted({_folded(word) for word in words})))

    def __repr__(self) -> str:
        return f"TextFilter({self.field.value}, …)"

    def matches(self, content: Content) -> bool:
        if self.field is TextField.CATEGORIES:
            return not {_folded(name) for name in content.categories}.isdisjoint(self.words)
        title = _folded(content.title)
        return any(word in title for word in self.words)

    def signature(self, fingerprinter: Fingerprinter) -> str:
        """Equal for filters that say the same of every event."""
        return fingerprinter.of("filter", self.field.value, *self.words)


def verdicts(
    content: Content, filters: Iterable[TextFilter], fingerprinter: Fingerprinter
) -> dict[str, bool]:
    """What each filter says of these texts, by its signature."""
    return {each.signature(fingerprinter): each.matches(content) for each in filters}


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
