"""Reading a whole calendar from one file, as feeds publish it (RFC 7986 section 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from calendarsync.domain.event import Resource
from calendarsync.domain.timezones import zone_of_name
from calendarsync.providers.icalendar.lines import MalformedError, Node, TooLargeError, parse
from calendarsync.providers.icalendar.read import Events, events_of, resource_of, uid_of

FEED_MAX_BYTES = 16 * 1024 * 1024
FEED_MAX_LINES = 500_000


class FeedError(ValueError):
    """The whole cannot be read: half a calendar must not look like a whole one. The message is for people."""


class NoCalendarError(FeedError):
    """The text is something else than a calendar, or nothing at all."""


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
        parts = _told_apart(events)
        for start, part in parts.items():
            resources.append(resource_of(uid if len(parts) == 1 else f"{uid} {start}", None, part, owner))
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
        raise FeedError("The feed is too large to be read.") from None
    except MalformedError:
        raise FeedError("The feed breaks off before its end, or is damaged.") from None
    if not any(node.name in {"VCALENDAR", "VEVENT"} for node in root.children):
        raise NoCalendarError("The address answers with something that is not a calendar.")
    return root


def _told_apart(events: Events) -> dict[str, Events]:
    """The events of one UID by their start, where they are several events.

    Many feeds give every event the same UID, or write a series out as single events that share one; calendar
    programs that take them for revisions of one event (RFC 5545 section 3.8.4.7) lose all but one. So a master
    is an older revision only where another one has a higher SEQUENCE, or the same start. Overrides belong to
    the master that recurs.
    """
    masters = [event for _, event in events if not event.value("RECURRENCE-ID")]
    newest = max((_sequence(event) for event in masters), default=0)
    starts = {_start(event): event for event in masters if _sequence(event) == newest}
    if len(starts) < 2:
        return {"": events}
    recurring = (start for start, event in starts.items() if event.value("RRULE") or event.value("RDATE"))
    home = next(recurring, next(iter(starts)))
    parts: dict[str, Events] = {start: [] for start in starts}
    for found in events:
        _, event = found
        if event.value("RECURRENCE-ID"):
            parts[home].append(found)
        elif _sequence(event) == newest:
            parts[_start(event)].append(found)
    return parts


def _start(event: Node) -> str:
    found = event.first("DTSTART")
    return f"{found.raw_parameters}:{found.value.strip()}" if found else ""


def _sequence(event: Node) -> int:
    text = event.value("SEQUENCE")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0
