"""Calendars on real servers that people change all the while, and what must be in them in the end."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from calendarsync.providers.icalendar import MARK_PROPERTY
from tests.testbed.dav import DavServer
from tests.testbed.events import event
from tests.testbed.radicale import radicale_server

_UNFOLD = re.compile(rb"\r?\n[ \t]")
_START = re.compile(r"^DTSTART[^:\r\n]*:(\S+)", re.MULTILINE)
_MOST = 5
"""Fewer than what makes the guards look twice (rule 21), for a person may delete many between two runs."""


@dataclass(eq=False)
class Calendar:
    """`book`: the sources that people put there, by name, with their starts. `folder` is the server's own."""

    server: DavServer
    folder: Path
    url: str
    book: dict[str, str] = field(default_factory=dict)

    def starts(self, *, copies: bool) -> Counter[str]:
        """When the events begin that stand on the server's disk, people's own or our copies."""
        found: Counter[str] = Counter()
        for path in self.folder.glob("*.ics"):
            text = _UNFOLD.sub(b"", path.read_bytes()).decode()
            if (MARK_PROPERTY in text) is copies:
                start = _START.search(text.split("BEGIN:VEVENT", 1)[1])
                assert start is not None, text
                assert not copies or "\nSUMMARY:Busy" in text, text
                found[start.group(1)] += 1
        return found


@dataclass
class Bond:
    """Two calendars to be kept in step, from a to b alone or both ways."""

    a: Calendar
    b: Calendar
    both: bool
    pair_id: str = ""

    @property
    def direction(self) -> str:
        return "bidirectional" if self.both else "a_to_b"

    @property
    def sources(self) -> Sequence[Calendar]:
        return (self.a, self.b) if self.both else (self.a,)


class Town:
    """`bonds`, of which the last ones share their targets, and people who never rest."""

    def __init__(self, servers: Sequence[DavServer], folders: Sequence[Path], chance: random.Random) -> None:
        self.servers = servers
        self._folders = folders
        self._chance = chance
        self._count = 0
        self.calendars: list[Calendar] = []
        self.bonds: list[Bond] = []
        self.changes = 0

    def build(self, bonds: int) -> None:
        """As many pairs; a fifth of them feed calendars that they share."""
        sharing, shared = bonds // 5, max(bonds // 50, 1)
        targets = [self._calendar(1) for _ in range(shared)]
        for number in range(bonds):
            a = self._calendar(0)
            if number < bonds - sharing:
                bond = Bond(a, self._calendar(1), both=number % 3 == 0)
            else:
                bond = Bond(a, targets[number % shared], both=False)
            self.bonds.append(bond)
            for source in bond.sources:
                for _ in range(self._chance.randint(1, 3)):
                    name, start = self._new_name(), self._start()
                    (source.folder / name).write_text(self._event(name, start), "utf-8", newline="")
                    source.book[name] = start

    def _calendar(self, where: int) -> Calendar:
        # Made by hand: asked for over the network, six hundred would take half a minute.
        server, root = self.servers[where % len(self.servers)], self._folders[where % len(self.servers)]
        name = f"calendar-{len(self.calendars)}"
        folder = root / "collections" / "collection-root" / server.username / name
        folder.mkdir(parents=True)
        (folder / ".Radicale.props").write_text(json.dumps({"tag": "VCALENDAR"}))
        calendar = Calendar(server, folder, f"{server.home}{name}/")
        self.calendars.append(calendar)
        return calendar

    async def keep_changing(self, pause: float, until: asyncio.Event) -> None:
        """Change something every `pause` seconds or so; a change that has begun comes to its end."""
        while not until.is_set():
            await asyncio.to_thread(self.change_something)
            with suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), self._chance.uniform(0, 2 * pause))

    def change_something(self) -> None:
        """A person adds, moves or deletes an event."""
        calendar = self._chance.choice(self._chance.choice(self.bonds).sources)
        book, action = calendar.book, self._chance.choice(("add", "move", "delete"))
        self.changes += 1
        if action == "delete" and len(book) > 1:
            name = self._chance.choice(sorted(book))
            del book[name]
            calendar.server.delete(calendar.url, name)
            return
        adds = action == "add" and len(book) < _MOST
        name = self._new_name() if adds else self._chance.choice(sorted(book))
        book[name] = start = self._start()
        calendar.server.put(calendar.url, name, self._event(name, start))

    def complaints(self) -> list[str]:
        """What is not in the calendars that should be, and what should not be and is."""
        found = [
            f"{calendar.url}: the sources are not what people left there"
            for calendar in self.calendars
            if calendar.starts(copies=False) != Counter(calendar.book.values())
        ]
        return found + [
            f"{at.url}: copies {problem}: {starts}" for at, problem, starts in self.wrong_copies()
        ]

    def wrong_copies(self) -> list[tuple[Calendar, str, list[str]]]:
        """The starts of copies that are missing or too many."""
        wanted = {id(calendar): Counter[str]() for calendar in self.calendars}
        for bond in self.bonds:
            wanted[id(bond.b)] += bond.a.starts(copies=False)
            if bond.both:
                wanted[id(bond.a)] += bond.b.starts(copies=False)
        found = []
        for calendar in self.calendars:
            copies = calendar.starts(copies=True)
            missing, many = wanted[id(calendar)] - copies, copies - wanted[id(calendar)]
            if missing:
                found.append((calendar, "missing", list(missing.elements())))
            if many:
                found.append((calendar, "too many", list(many.elements())))
        return found

    def strays(self) -> list[str]:
        """Calendars with copies too many. One written late, under a lost claim, is gone after another run."""
        return [at.url for at, problem, _ in self.wrong_copies() if problem == "too many"]

    def _new_name(self) -> str:
        self._count += 1
        return f"event-{self._count}.ics"

    def _start(self) -> str:
        soon = datetime.now(UTC).replace(second=0) + timedelta(days=3)
        return f"{soon + timedelta(minutes=self._chance.randrange(60 * 24 * 300)):%Y%m%dT%H%M%SZ}"

    @staticmethod
    def _event(name: str, start: str) -> str:
        end = datetime.strptime(start, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) + timedelta(minutes=30)
        return event(f"uid-{name}", start, f"{end:%Y%m%dT%H%M%SZ}")


@contextmanager
def town_of(folder: Path, pairs: int, chance: random.Random, *, servers: int = 2) -> Iterator[Town]:
    """On so many Radicales: one uses no more than one core."""
    folders = [folder / f"radicale-{number}" for number in range(servers)]
    with ExitStack() as stack:
        town = Town([stack.enter_context(radicale_server(each)) for each in folders], folders, chance)
        town.build(pairs)
        yield town
