"""Whether a series is whole, or was left half-way between the calls that it takes to write it.

A series with exceptions takes a call for itself and one for each of them, and they are not carried out as one. So
the series says which exceptions it is to have, and what each says of itself once it is written; only where the two
agree does the copy's mark count. Otherwise its draft does: ours, but of no source, so that whoever finds the copy
writes it again (rule 3). What people do afterwards changes neither: an exception that they edit keeps what it says
of itself, and one that they delete is cancelled, not absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from calendarsync.domain.copy import Copy, CopyComponent
from calendarsync.domain.event import Problem
from calendarsync.providers.base import Refused
from calendarsync.providers.google.event import Event
from calendarsync.providers.google.fields import MARK, Row, is_cancelled, mark_of, private_of
from calendarsync.providers.google.times import end_of, original_suffix, read_time, write_time
from calendarsync.providers.icalendar.values import UnusableError

DRAFT = "calendarsyncDraft"
PARTS = "calendarsyncParts"
"""Exceptions that are to be there, `<original start>.<part>` each, in as many numbered properties as it takes."""
PART = "calendarsyncPart"

_IN_ONE = 36  # of 26 characters each; a value may have 1,024 characters (guide "Extended properties")
MOST = 1000
"""More exceptions than this are not told of: an event's properties may have 32 kB together."""


def part_of(component: CopyComponent) -> str:
    """What an exception says of itself: a digest of what was written."""
    said = (
        write_time(component.start),
        write_time(end_of(component)),
        (component.tentative, component.transparent),
        (component.title, component.description, component.location),
    )
    return sha256(repr(said).encode("utf-8", "surrogatepass")).hexdigest()[:8]


def properties(copy: Copy, *, was_series: bool) -> dict[str, str]:
    """What an event says of its exceptions, if it has any or had some. Raises Refused for too many."""
    parts = [
        f"{original_suffix(override.recurrence_id)}.{part_of(override)}"
        for override in copy.overrides
        if override.recurrence_id is not None
    ]
    if len(parts) > MOST:
        raise Refused("This series has more exceptions than are copied.")
    chunks = [parts[start : start + _IN_ONE] for start in range(0, len(parts), _IN_ONE)]
    named = {f"{PARTS}{number}": " ".join(chunk) for number, chunk in enumerate(chunks)}
    matters = was_series or copy.master.recurrence is not None
    return {DRAFT: copy.draft or copy.mark, **named} if matters else {}


def mark_that_counts(event: Event) -> str | None:
    """The mark, unverified; of a series that is not whole its draft."""
    if event.master is None:
        return next((mark for mark in map(mark_of, event.parts) if mark is not None), None)
    draft = private_of(event.master).get(DRAFT)
    if isinstance(draft, str) and not _is_whole(event):
        return draft
    return mark_of(event.master)


def _is_whole(event: Event) -> bool:
    assert event.master is not None
    wanted = dict(_told(event.master)) if event.recurs else {}
    there = {suffix: row for row in event.exceptions if (suffix := _suffix(row))}
    written = all(
        suffix in there and (is_cancelled(there[suffix]) or private_of(there[suffix]).get(PART) == part)
        for suffix, part in wanted.items()
    )
    left_over = (row for suffix, row in there.items() if suffix not in wanted and not is_cancelled(row))
    return written and not any(PART in private_of(row) for row in left_over)


def _told(master: Row) -> Iterator[tuple[str, str]]:
    for name, value in private_of(master).items():
        if name.startswith(PARTS) and isinstance(value, str):
            for each in value.split():
                suffix, _, part = each.partition(".")
                yield suffix, part


def _suffix(row: Row) -> str:
    try:
        return original_suffix(read_time(row.get("originalStartTime"), Problem.BAD_RECURRENCE))
    except UnusableError:
        return ""


def ours(row: Row) -> list[str]:
    """The names of our properties that an event has."""
    return [name for name in private_of(row) if name.startswith(MARK)]
