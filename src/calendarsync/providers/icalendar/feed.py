"""Reading a whole calendar from one file, as feeds publish it (RFC 7986 section 1)."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from calendarsync.domain.event import Resource
from calendarsync.domain.timezones import zone_of_name
from calendarsync.providers.icalendar.lines import MalformedError, Node, TooLargeError, parse
from calendarsync.providers.icalendar.read import Events, events_of, resource_of, uid_of
from calendarsync.providers.icalendar.zones import Definitions

FEED_MAX_BYTES = 16 * 1024 * 1024
FEED_MAX_LINES = 500_000


class FeedError(ValueError):
    """The whole cannot be read: half a calendar must not look like a whole one. The message is for people."""


class NoCalendarError(FeedError):
    """The text is something else than a calendar, or nothing at all."""


class FeedTooLargeError(FeedError):
    """It goes past `FEED_MAX_BYTES`, `FEED_MAX_LINES` or another bound of the reader."""


@dataclass(frozen=True, slots=True)
class Feed:
    """What a file holds. `timezone` is an IANA key: the zone of its floating times, where it names one.

    Each resource's id is its name within this text: its UID, with its start behind it where several events
    share the UID, and empty where it has none. VTODOs and the like are left out.
    """

    resources: Sequence[Resource] = field(repr=False)
    name: str = field(default="", repr=False)
    timezone: str | None = None


def read_feed(data: bytes, *, owner: frozenset[str] = frozenset()) -> Feed:
    """Raises FeedError."""
    root = _parsed(data)
    named: dict[str, Events] = {}
    nameless: list[Events] = []
    for found in events_of(root):
        uid = uid_of(found[1])
        if uid:
            named.setdefault(uid, []).append(found)
        else:
            nameless.append([found])
    resources = []
    for uid, events in named.items():
        resources += [resource_of(name, None, part, owner) for name, part in _told_apart(uid, events)]
    resources += [resource_of("", None, events, owner) for events in nameless]
    calendar = next((node for node in root.children if node.name == "VCALENDAR"), root)
    # NAME is RFC 7986 section 5.1; the X- properties are what everybody writes.
    name = calendar.text("NAME").strip() or calendar.text("X-WR-CALNAME").strip()
    zone = calendar.text("X-WR-TIMEZONE").strip()
    return Feed(resources, name, zone_of_name(zone) if zone else None)


def _parsed(data: bytes) -> Node:
    if not data.strip():
        raise NoCalendarError("The address answers with nothing at all.")
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        raise NoCalendarError("The address answers with a web page instead of a calendar.")
    try:
        root = parse(data, max_bytes=FEED_MAX_BYTES, max_lines=FEED_MAX_LINES)
    except TooLargeError:
        raise FeedTooLargeError("The feed is too large to be read.") from None
    except MalformedError:
        raise FeedError("The feed breaks off before its end.") from None
    if not any(node.name in {"VCALENDAR", "VEVENT"} for node in root.children):
        raise NoCalendarError("The address answers with something that is not a calendar.")
    return root


def _told_apart(uid: str, events: Events) -> list[tuple[str, Events]]:
    """The events of one UID, each with its name, where they are several events.

    Many feeds give every event the same UID, or write a series out as single events that share one; readers that
    take them for revisions of one event (RFC 5545 section 3.8.4.7) lose all but one. A feed shows what is, not
    what was: so masters are one event only where they are at the same times, single dates of a series aside,
    which come and go with its revisions. Overrides belong to the series that began last before them.
    """
    masters: dict[tuple[str, ...], Events] = {}
    overrides: Events = []
    for found in events:
        if found[1].value("RECURRENCE-ID"):
            overrides.append(found)
        else:
            masters.setdefault(_times(found[1]), []).append(found)
    if len(masters) < 2:
        return [(uid, events)]
    recurring = (times for times, part in masters.items() if any(map(_recurs, part)))
    series = sorted(recurring) or sorted(masters)
    starts = [times[0] for times in series]
    for found in overrides:
        place = bisect_right(starts, _digits(found[1].value("RECURRENCE-ID")) + "~") - 1
        masters[series[max(place, 0)]].append(found)
    names = Counter[str]()
    parts = []
    for times in sorted(masters):
        names[times[0]] += 1
        number = f" {names[times[0]]}" if names[times[0]] > 1 else ""
        parts.append((f"{uid} {times[0]}{number}", masters[times]))
    return parts


def _times(event: Node) -> tuple[str, ...]:
    ends = (found for name in ("DTSTART", "DTEND") for found in event.all(name)[:1])
    zones = (found.parameters.get("TZID", "") for found in ends)
    rules = " ".join(found.value for found in event.all("RRULE"))
    end = _digits(event.value("DTEND")) or event.value("DURATION")
    return _digits(event.value("DTSTART")), end, rules, *zones


def _recurs(found: tuple[Definitions, Node]) -> bool:
    return found[1].first("RRULE") is not None or found[1].first("RDATE") is not None


def _digits(value: str) -> str:
    """A date or time as it sorts, and nothing else that may stand there."""
    return "".join(character for character in value if character in "0123456789TZ")[:16]
