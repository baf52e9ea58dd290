"""Time zones: IANA keys, the names that other systems use, and custom VTIMEZONEs."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo


@lru_cache(maxsize=1024)
def zone_info(key: str) -> ZoneInfo:
    """The zone of an IANA key. Raises zoneinfo.ZoneInfoNotFoundError (a KeyError)."""
    return ZoneInfo(key)
