"""When an event was last changed, as its provider says."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime


def newest(stamps: Iterable[object]) -> datetime | None:
    """The latest of these times in UTC, of RFC 3339 or RFC 5545; what is none, or has no offset, is passed over."""
    return max((found for stamp in stamps if (found := _read(stamp)) is not None), default=None)


def _read(stamp: object) -> datetime | None:
    if not isinstance(stamp, str):
        return None
    try:
        found = datetime.fromisoformat(stamp)
        return found.astimezone(UTC) if found.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
