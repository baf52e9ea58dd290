"""Rule 21: an undo that is broken off, at whatever moment, loses nothing and doubles nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.sync.hold import Hold
from calendarsync.sync.report import LATEST
from tests.sync.helpers import WEEKLY, done, starts, sync_anew
from tests.testbed.events import event
from tests.testbed.memory import Faults
from tests.testbed.memory_desk import MemoryDesk, memory_desk

pytestmark = pytest.mark.rule(21)


class Killed(BaseException):
    """The process is no more."""


@dataclass
class Killer(Faults):
    """Ends the process at the request, or transaction, of this number: before it is done, or just after."""

    at: int = 0
    late: bool = False
    seen: int = 0
    dead: bool = False

    @contextmanager
    def step(self) -> Iterator[None]:
        self.seen += 1
        number = self.seen
        self._live(ends=number == self.at and not self.late)
        yield
        self._live(ends=number == self.at and self.late)

    def _live(self, *, ends: bool) -> None:
        self.dead = self.dead or ends
        if self.dead:
            raise Killed

    async def around(self, action: Callable[[], object]) -> object:
        with self.step():
            return action()


async def _prepared(at: MemoryDesk) -> str:
    """A pair whose last run created two copies, deleted two, and wrote a series as single instances."""
    at.store("a").put("goes.ics", event("goes", extra="STATUS:TENTATIVE"))
    at.store("a").put(
        "goes2.ics", event("goes2", "20260305T140000", "20260305T150000", extra="STATUS:TENTATIVE")
    )
    at.store("a").put("week.ics", event("week", "20260306T140000", "20260306T150000", extra=WEEKLY))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    at.app.clock.advance(seconds=60)
    at.store("a").put("new.ics", event("new", "20260309T140000", "20260309T150000"))
    at.store("a").put("new2.ics", event("new2", "20260310T140000", "20260310T150000"))
    hourly = f"{WEEKLY}\nRDATE;VALUE=PERIOD:20260320T090000Z/PT1H"
    at.store("a").put("week.ics", event("week", "20260306T140000", "20260306T150000", extra=hourly))
    await at.app.change_pair(pair, options={"include_tentative": False})
    report = await at.app.sync(pair)
    assert (report.events_created, report.events_deleted) == (7, 3)
    at.store("a").put("week.ics", event("week", "20260306T140000", "20260306T150000", extra=WEEKLY))
    at.app.clock.advance(seconds=60)
    await at.app.change_pair(pair, status="paused")
    return pair


WITHOUT_NEWS = ["03-04 08:00", "03-05 13:00", "03-06 13:00", "03-13 13:00", "03-20 13:00", "03-27 13:00"]
AS_ASKED = [*WITHOUT_NEWS[2:3], "03-09 13:00", "03-10 13:00", *WITHOUT_NEWS[3:]]


def _holding(killer: Killer) -> Callable[..., object]:
    write = Hold.write

    @asynccontextmanager
    async def killing(hold: Hold, **given: object) -> AsyncIterator[AsyncConnection]:
        with killer.step():
            async with write(hold, **given) as db:  # type: ignore[arg-type]
                yield db

    return killing


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
async def test_killed_at_every_request_and_every_transaction(
    monkeypatch: pytest.MonkeyPatch, quick_folder: Path, *, late: bool
) -> None:
    """Whether the undo is finished then, as after every other moment, or not: all ends as the rules ask."""
    moments = 0
    while True:
        folder = quick_folder / str(moments)
        folder.mkdir()
        async with memory_desk(folder) as at:
            pair = await _prepared(at)
            killer = Killer(at=moments + 1, late=late)
            with monkeypatch.context() as patched:
                patched.setattr(Hold, "write", _holding(killer))
                for url in at.stores:
                    at.faults[url] = killer
                try:
                    await at.app.run(pair, undo=LATEST)
                except* Killed:
                    pass
            for url in at.stores:
                at.faults[url] = Faults()
            if moments % 2:
                assert (await at.app.run(pair, undo=LATEST)).status == "success"
                assert starts(at) == WITHOUT_NEWS
            await at.app.change_pair(pair, status="active", quiet_until=None)
            await at.app.sync(pair)
            assert starts(at) == AS_ASKED, moments
            assert done(await sync_anew(at, pair)) == []
        if not killer.dead:
            break
        moments += 1
    assert moments > 12


@pytest.mark.parametrize("late", [False, True], ids=["unsent", "unheard"])
async def test_an_outage_at_every_request(quick_folder: Path, *, late: bool) -> None:
    for number in range(2, 14, 2 if late else 1):
        folder = quick_folder / str(number)
        folder.mkdir()
        async with memory_desk(folder) as at:
            pair = await _prepared(at)
            faults = at.faults["http://127.0.0.1:1/b/"]
            faults.calls = 0
            faults.before, faults.after = (set(), {number}) if late else ({number}, set())
            await at.app.run(pair, undo=LATEST)
            faults.before, faults.after = set(), set()
            await at.app.change_pair(pair, status="active", quiet_until=None)
            await at.app.sync(pair)
            assert starts(at) == AS_ASKED, number
            assert done(await sync_anew(at, pair)) == []
