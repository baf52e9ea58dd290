"""Time zones: IANA keys, the names that other systems use, and custom VTIMEZONEs.

No result here depends on what was resolved before: names are looked up in fixed tables, and a custom zone is
known by its rules, never by its TZID.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from calendarsync.domain.timezone_custom import (
    Observance,
    ZoneDefinition,
    fixed_zone,
    matching_zone,
    moment_of,
)
from calendarsync.domain.timezone_display import zone_of_display
from calendarsync.domain.timezone_windows import WINDOWS_ZONES

__all__ = [
    "Observance",
    "ZoneDefinition",
    "is_exact",
    "moment_of",
    "resolve_zone",
    "zone_info",
    "zone_of_name",
]

_MAX_NAME = 255
_UTC_NAMES = frozenset({
    "z", "zulu", "utc", "uct", "universal", "etc/utc", "etc/uct", "etc/universal", "etc/zulu",
    "gmt", "gmt0", "gmt+0", "gmt-0", "greenwich", "etc/gmt", "etc/gmt0", "etc/gmt+0", "etc/gmt-0",
    "etc/greenwich", "coordinated universal time",
})  # fmt: skip
_NOT_ZONES = frozenset({"factory", "localtime", "posixrules"})  # the machine's own, or no zone at all
_OFFSET = re.compile(r"\(?(?:gmt|utc)?\s*([+-])(\d{1,2})(?::?([0-5]\d))?\)?")


@lru_cache(maxsize=1024)
def zone_info(key: str) -> ZoneInfo:
    """The zone of an IANA key. Raises zoneinfo.ZoneInfoNotFoundError (a KeyError)."""
    return ZoneInfo(key)


def resolve_zone(
    tzid: str, definition: ZoneDefinition | None, first: datetime, last: datetime | None
) -> str | None:
    """The IANA key, or `"UTC"`, that a TZID stands for; None where there is no telling.

    An IANA key or a Windows name is trusted over its VTIMEZONE, if it is spelled to the letter: RFC 5545
    compares TZIDs so, and one calendar may hold `Europe/Lisbon` and a `Europe/lisbon` with other rules. Any
    other name stands for what its VTIMEZONE says: the zone whose offsets are the same from `first` to `last`
    (naive or aware, a day's precision will do; None: for some years on). Never raises.
    """
    location = definition.location or "" if definition is not None else ""
    for name in (tzid, location):
        key = zone_of_name(name)
        if key is not None and is_exact(name):
            return key
    if definition is not None:
        key = matching_zone(definition.observances, first, last)
        if key is not None:
            return key
    return zone_of_name(tzid) or zone_of_name(location) or zone_of_offset(tzid)


@lru_cache(maxsize=2048)
def zone_of_name(name: str) -> str | None:
    """What a name alone stands for: an IANA key in any case and behind any prefix, or one of Windows' names."""
    name = name.strip().strip("\"'").strip().casefold()
    if not name or len(name) > _MAX_NAME:
        return None
    known = _names()
    if name in known:
        return known[name]
    path = [part for part in name.replace(" ", "_").split("/") if part]
    for position in range(len(path)):
        tail = path[position:]
        # One word behind a prefix may be anything; only the names of UTC are safe to take there.
        if len(tail) > 1 or position == 0 or tail[0] in _UTC_NAMES:
            key = known.get("/".join(tail))
            if key is not None:
                return key
    key = zone_of_display(name)
    return "UTC" if key is not None and key.casefold() in _UTC_NAMES else key


@lru_cache(maxsize=2048)
def is_exact(name: str) -> bool:
    """Whether a name that `zone_of_name` knows is spelled as its table spells it, quotes and prefix aside."""
    name = name.strip().strip("\"'").strip()
    path = name.split("/")
    tails = {"/".join(path[position:]) for position in range(len(path))}
    return name.casefold() in _UTC_NAMES or not tails.isdisjoint(_spellings())


@lru_cache(maxsize=1)
def _spellings() -> frozenset[str]:
    return frozenset(available_timezones() | WINDOWS_ZONES.keys())


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    names = {key.casefold(): key for key in sorted(available_timezones())}
    for name in _NOT_ZONES:
        names.pop(name, None)
    names |= {name.casefold(): key for name, key in WINDOWS_ZONES.items() if key.casefold() in names}
    names |= dict.fromkeys(_UTC_NAMES, "UTC")
    return names | {name: "UTC" for name, key in names.items() if key.casefold() in _UTC_NAMES}


def zone_of_offset(name: str) -> str | None:
    """The zone of a name that says an offset and no more, east of Greenwich positive: `GMT+0100`, `UTC-3`."""
    match = _OFFSET.fullmatch(name.strip().strip("\"'").casefold())
    if match is None:
        return None
    offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
    return fixed_zone(-offset if match[1] == "-" else offset)
