"""What single servers do otherwise than the RFCs say, each with the place where it is met.

Quirks that cost nothing where they are absent have no switch: they are handled where they occur, with a
comment that names the server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from calendarsync.domain.copy import Copy, CopyComponent
from calendarsync.domain.event import Duration, EventTime
from calendarsync.domain.timezones import zone_info

# Radicale, sabre/dav (Nextcloud, ownCloud, Baikal) and Cyrus (UIDVALIDITY and a counter; Fastmail is Cyrus)
# answer 403, Xandikos (its tokens are git hashes) 412 to a token that they do not know. DAViCal, SOGo, Stalwart
# and Purelymail answer 207 with all that there is and name no deletion: nothing tells such an answer from a
# long list of changes.
_HONEST_TOKEN = re.compile(
    r"http://radicale\.org/ns/sync/|http://sabre\.io/ns/sync/|data:,\d+-\d+\Z|[0-9a-f]{40}\Z"
)
_GIT_TREE = re.compile(r"[0-9a-f]{40}")
_UNIX_SECONDS = re.compile(r"[1-9]\d{9}")
_SETTLED = timedelta(seconds=2)


def rejects_unknown_tokens(token: str) -> bool:
    """Whether the server that made this token is known to answer an error to one that it has forgotten."""
    return _HONEST_TOKEN.match(token) is not None


def names_a_state(token: str | None) -> bool:
    """Whether a calendar that comes back to an earlier state gets its earlier sync token back, as in Xandikos.

    What such a server lists is the difference between two states. A copy that we wrote after the first and a
    person deleted before the second is in neither, and nothing would ever tell of its end.
    """
    return token is not None and _GIT_TREE.fullmatch(token) is not None


def is_clock(token: str) -> bool:
    """Whether a sync token or ctag is a time in seconds, as SOGo's are: it never becomes unknown."""
    return _UNIX_SECONDS.fullmatch(token) is not None


def overlapping(token: str) -> str:
    """The token to send so that nothing is missed.

    SOGo lists what changed *after* the token's second; what changed in that very second, but after the token
    was made, would never be listed. Asked from one second earlier, it repeats a few rows, whose ETags are
    known.
    """
    return str(int(token) - 1) if is_clock(token) else token


def settled_ctag(ctag: str | None, date_header: str | None) -> str | None:
    """The ctag if it can be relied on, else None.

    SOGo's ctag is the second of the last change: while that second lasts, a further change leaves it as it
    is. The server's own clock (its Date header) tells whether it is over.
    """
    if ctag is None or not is_clock(ctag):
        return ctag
    try:
        now = parsedate_to_datetime(date_header or "")
    except ValueError:
        return None
    return ctag if now.timestamp() - int(ctag) >= _SETTLED.total_seconds() else None


def ignores_preconditions(url: str) -> bool:
    """SOGo lets `If-None-Match: *` overwrite and lets DELETE pass whatever If-Match says."""
    return "/SOGo/" in urlsplit(url).path


def spellings(copy: Copy, url: str) -> Iterator[Copy]:
    """The copy as this server takes it; after that, how else it might where it finds the first one invalid.

    iCloud refuses events without a DTEND. Cyrus 3.6 (that of Debian 12) refuses those that take no time,
    however they are written; with a second's length it takes them, and nobody is busy any longer for it.
    """
    host = urlsplit(url).hostname or ""
    whole = _each(copy, _with_end) if host.endswith("icloud.com") else copy
    yield whole
    longer = _each(whole, _with_length)
    if longer != whole:
        yield longer


def _each(copy: Copy, change: Callable[[CopyComponent], CopyComponent]) -> Copy:
    return replace(copy, master=change(copy.master), overrides=tuple(map(change, copy.overrides)))


def _with_length(component: CopyComponent) -> CopyComponent:
    end = component.end or _end_of(component.start, component.duration or Duration())
    if component.start.all_day or end.instant("UTC") > component.start.instant("UTC"):
        return component
    return replace(component, end=_end_of(component.start, Duration(seconds=1)), duration=None)


def _with_end(component: CopyComponent) -> CopyComponent:
    if component.duration is None:
        return component
    return replace(component, end=_end_of(component.start, component.duration), duration=None)


def _end_of(start: EventTime, duration: Duration) -> EventTime:
    """RFC 5545 section 3.3.6: days by the wall clock, then seconds by the exact one."""
    if start.all_day:
        days = timedelta(days=duration.days + duration.seconds // 86_400)
        return EventTime((start.local + days).date())
    local = start.local + timedelta(days=duration.days)
    if start.zone is None:
        return EventTime(local + timedelta(seconds=duration.seconds))
    zone = zone_info(start.zone)
    instant = EventTime(local, start.zone).instant("UTC") + timedelta(seconds=duration.seconds)
    end: datetime = instant.astimezone(zone).replace(tzinfo=None)
    return EventTime(end, start.zone)
