"""The corpus put onto a server, as far as it takes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.corpus.files import corpus_files
from tests.testbed.dav import DavServer

MOST_PARTS = 12
"""How many resources one file is divided into at most: one of them holds thousands of events."""

_LARGEST = 1_000_000
"""How many octets are put as they are: over a larger file some servers think for half a minute."""

_ROOM = 60
"""How many resources one calendar is given: servers look through all of them at every PUT."""

_COMPONENT = re.compile(rb"^BEGIN:(VEVENT|VTIMEZONE)\s*?$.*?^END:\1\s*?$\r?\n?", re.MULTILINE | re.DOTALL)
_UID = re.compile(rb"^UID[^:\n]*:(.*(?:\r?\n[ \t].*)*)", re.MULTILINE)
_FOLD = re.compile(rb"\r?\n[ \t]")


@dataclass
class SourceCalendar:
    """`files` names the file that each resource comes from."""

    url: str
    uids: set[bytes] = field(default_factory=set)
    files: dict[str, str] = field(default_factory=dict)


@dataclass
class Shelf:
    """As many calendars as it takes for no UID to come twice in one.

    Where the server refuses a file as it is, its events are put one by one, each with the VTIMEZONEs.
    """

    server: DavServer
    calendars: list[SourceCalendar] = field(default_factory=list)
    whole: int = 0
    refused: int = 0
    divided: int = 0
    parts: int = 0
    refused_parts: int = 0

    def fill(self) -> None:
        for number, path in enumerate(corpus_files()):
            data = path.read_bytes()
            uids = set(uids_of(data))
            if len(data) < _LARGEST and self._put(f"{number}.ics", path.name, data, uids):
                self.whole += 1
                continue
            taken = 0
            for part, (uid, text) in enumerate(parts_of(data)):
                if self._put(f"{number}-{part}.ics", path.name, text, {uid}):
                    taken += 1
                else:
                    self.refused_parts += 1
            self.parts += taken
            self.divided += bool(taken)
            self.refused += not taken

    def _put(self, name: str, file: str, data: bytes, uids: set[bytes]) -> bool:
        calendar = next(
            (one for one in self.calendars if len(one.files) < _ROOM and not uids & one.uids), None
        )
        if calendar is None:
            calendar = SourceCalendar(self.server.make_calendar())
            self.calendars.append(calendar)
        headers = {"Content-Type": "text/calendar; charset=utf-8"}
        answer = self.server.request("PUT", f"{calendar.url}{name}", data, headers)
        assert answer.status < 500 or answer.status in {500, 501, 507}, answer
        if answer.status not in {201, 204}:
            return False
        calendar.uids |= uids
        calendar.files[name] = file
        return True

    def rows(self) -> list[str]:
        return [
            "| the server | files | resources |",
            "|---|---|---|",
            f"| takes it as it is | {self.whole} | {self.whole} |",
            f"| takes its events one by one | {self.divided} | {self.parts} |",
            f"| refuses it | {self.refused} | {self.refused_parts or '—'} |",
        ]


def uids_of(data: bytes) -> list[bytes]:
    """In the order of the text. Alarms have some too (RFC 9074)."""
    return [_FOLD.sub(b"", uid).strip() for uid in _UID.findall(data)]


def parts_of(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The first events of a file by UID, each with all its VTIMEZONEs; of a file with one UID, nothing."""
    zones = b""
    events: dict[bytes, bytes] = {}
    for match in _COMPONENT.finditer(data):
        uid = next(iter(uids_of(match[0])), None)
        if match[1] == b"VTIMEZONE":
            zones += match[0]
        elif uid:
            events[uid] = events.get(uid, b"") + match[0]
    if len(events) > 1:
        head = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n"
        for uid, text in list(events.items())[:MOST_PARTS]:
            yield uid, head + zones + text + b"END:VCALENDAR\r\n"
