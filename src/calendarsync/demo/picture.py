"""A week in the terminal: two calendars side by side, half hours as rows.

Colour helps, and nothing depends on it: sources, copies and what blocks no time differ by their sign too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from rich.text import Text

from calendarsync.demo.data import BERLIN
from calendarsync.demo.server import Shown

DAYS = 7
_DAY = 24 * 60
_ROW = 30
_GUTTER = 8
_NARROWEST, _WIDEST = 4, 16
_STYLES = {"source": "bold blue", "copy": "yellow", "free": "dim"}


@dataclass(frozen=True)
class Signs:
    """How each kind of entry is drawn, and the line between the calendars."""

    source: str
    copy: str
    free: str
    line: str


FANCY = Signs("█", "░", "·", "│")
PLAIN = Signs("#", ":", ".", "|")


@dataclass(frozen=True)
class Block:
    """The part of an occurrence that falls on one day, in minutes of the clock; all of it where all-day."""

    day: date
    first: int
    last: int
    kind: str
    title: str
    all_day: bool

    def covers(self, row: int | None) -> bool:
        """Whether it shows in the row that starts at that minute; None is the row for whole days."""
        if row is None or self.all_day:
            return row is None and self.all_day
        return self.first < row + _ROW and self.last > row


def week(calendars: Mapping[str, Sequence[Shown]], first: date, width: int, signs: Signs = FANCY) -> Text:
    """The picture in at most `width` columns; one calendar below the other where they are too few."""
    column = (width - _GUTTER - 2 * (len(calendars) - 1)) // (len(calendars) * DAYS)
    if column < _NARROWEST and len(calendars) > 1:
        return Text("\n").join(week({name: calendars[name]}, first, width, signs) for name in calendars)
    column = min(max(column, _NARROWEST), _WIDEST)
    days = [first + timedelta(days=number) for number in range(DAYS)]
    blocks = [[block for event in events for block in _blocks(event)] for events in calendars.values()]
    picture = Text(no_wrap=True, overflow="crop")
    half = column * DAYS
    _line(picture, "", [Text(f"{name.upper():^{half - 1}} ", "bold") for name in calendars], signs)
    form = "%a %d" if column > len("Mon 24") else "%a"
    names = "".join(f"{format(day, form):<{column}}" for day in days)
    _line(picture, "", [Text(names, "dim")] * len(calendars), signs)
    for row in [None, *_rows([block for half in blocks for block in half if block.day in days])]:
        label = "all day" if row is None else "" if row % 60 else f"{row // 60:02}:00"
        _line(picture, label, [_half(half, days, row, column, signs) for half in blocks], signs)
    return picture


def legend(signs: Signs = FANCY) -> Text:
    text = Text(" " * _GUTTER)
    for sign, kind, meaning in (
        (signs.source, "source", "the calendar's own"),
        (signs.copy, "copy", "a copy of the other's"),
        (signs.free, "free", "blocks no time"),
    ):
        text.append(sign * 3, _STYLES[kind]).append(f" {meaning}   ")
    return text


def _blocks(event: Shown) -> Iterator[Block]:
    kind = "copy" if event.copy else "source" if event.busy else "free"
    if not isinstance(event.start, datetime) or not isinstance(event.end, datetime):
        for ordinal in range(event.start.toordinal(), event.end.toordinal()):
            yield Block(date.fromordinal(ordinal), 0, _DAY, kind, event.title, all_day=True)
        return
    start, end = event.start.astimezone(BERLIN), event.end.astimezone(BERLIN)
    for number in range((end.date() - start.date()).days + 1):
        day = start.date() + timedelta(days=number)
        first = start.hour * 60 + start.minute if day == start.date() else 0
        last = end.hour * 60 + end.minute if day == end.date() else _DAY
        if last > first:
            yield Block(day, first, last, kind, event.title, all_day=False)


def _rows(blocks: Iterable[Block]) -> range:
    """Minutes at which the rows start: whole hours around all that is shown."""
    timed = [block for block in blocks if not block.all_day]
    first = min((block.first for block in timed), default=9 * 60) // 60 * 60
    last = max((block.last for block in timed), default=17 * 60)
    return range(first, last, _ROW)


def _line(picture: Text, label: str, halves: Sequence[Text], signs: Signs) -> None:
    picture.append(f"{label:<{_GUTTER}}", "dim")
    picture.append_text(Text(f"{signs.line} ", "dim").join(halves))
    picture.rstrip()
    picture.append("\n")


def _half(blocks: Sequence[Block], days: Sequence[date], row: int | None, column: int, signs: Signs) -> Text:
    text = Text()
    for day in days:
        here = [block for block in blocks if block.day == day and block.covers(row)]
        # Entries at the same time share the cell.
        width = (column - 1) // max(len(here), 1)
        for block in here:
            text.append(_cell(block, row, width, signs), _STYLES[block.kind])
        text.append(" " * (column - width * len(here)))
    return text


def _cell(block: Block, row: int | None, width: int, signs: Signs) -> str:
    sign: str = getattr(signs, block.kind)
    starts_here = row is None or row <= block.first < row + _ROW
    return f"{sign}{block.title}"[:width].ljust(width, sign) if starts_here else sign * width
