"""Any graph of pairs over up to eight calendars, with and without relay, comes to rest (rules 1 to 5)."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from calendarsync.domain.holding import Holder
from calendarsync.domain.origin import origin_of
from calendarsync.providers.caldav import canonical_url
from calendarsync.providers.icalendar import MARK_PROPERTY
from tests.testbed.events import vcalendar, vevent
from tests.testbed.inline_sqlite import inline_sqlite
from tests.testbed.memory_desk import NOWHERE, OWNER, MemoryDesk, memory_desk, utc

pytestmark = pytest.mark.rule(1, 2, 3, 4, 5)

NAMES = "abcdefgh"
FIRST, LAST = utc("2026-03-01T06:00"), utc("2026-06-10T06:00")
WINDOW: dict[str, Any] = {"past_days": 1, "future_days": 100}
_MARK = re.compile(re.escape(MARK_PROPERTY.encode()) + rb"[^:]*:1;([0-9a-f]{40});")
_MOST_ROUNDS = 30


@dataclass(frozen=True)
class Pair:
    """`account` 0 to 2 are this installation's, 3 is the other one's."""

    account: int
    ends: tuple[int, int]
    direction: str
    sync_mode: str
    relay: bool

    def flows(self) -> Iterator[tuple[int, int]]:
        there, back = self.ends, self.ends[::-1]
        yield from {"a_to_b": [there], "b_to_a": [back], "bidirectional": [there, back]}[self.direction]


@dataclass(frozen=True)
class Change:
    """What people do: `number` names an event, which is put into `where`, or taken out of it without an `hour`.

    `spoils`: they delete a copy there instead.
    """

    number: int
    where: tuple[int, ...]
    hour: int | None
    series: bool
    spoils: bool


@dataclass(frozen=True)
class Story:
    calendars: int
    pairs: tuple[Pair, ...]
    days: tuple[tuple[Change, ...], ...]
    order: int
    unpaired: int | None
    """The pair that is deleted in the middle of it, by its number."""


@st.composite
def stories(draw: st.DrawFn, most: int, days: int) -> Story:
    """All calendars hang together; most events stay, and have somewhere to go."""
    calendars = draw(st.integers(min(most, 3), most))
    places = st.integers(0, calendars - 1)
    once_in_four = st.sampled_from([False, False, False, True])
    two, spoils = draw(once_in_four), draw(once_in_four)
    pair = st.builds(
        Pair,
        account=st.sampled_from([0, 0, 1, 2, *([3, 3] if two else [])]),
        ends=st.permutations(range(calendars)).map(lambda order: (order[0], order[1])),
        direction=st.sampled_from(["bidirectional", "a_to_b", "b_to_a", "bidirectional"]),
        sync_mode=st.sampled_from(["blocker", "full"]),
        relay=st.sampled_from([True, True, True, False]),
    )
    tree = [
        replace(draw(pair), ends=(place, draw(st.integers(0, place - 1)))) for place in range(1, calendars)
    ]
    more = draw(st.lists(pair, max_size=4))
    pairs = {(one.account, frozenset(one.ends)): one for one in (*tree, *more)}
    change = st.builds(
        Change,
        number=st.integers(0, 4),
        where=st.sets(places, min_size=1, max_size=2).map(lambda found: tuple(sorted(found))),
        hour=st.sampled_from([0, 0, 1, 1, None]),
        series=st.booleans(),
        spoils=st.sampled_from([False, False, True]) if spoils else st.just(False),
    )
    changes = draw(st.lists(st.lists(change, min_size=2, max_size=4).map(tuple), min_size=1, max_size=days))
    unpaired = draw(st.none() | st.integers(0, len(pairs) - 1))
    return Story(calendars, tuple(pairs.values()), tuple(changes), draw(st.integers(0, 1_000)), unpaired)


def _data(change: Change) -> str:
    """Each event has hours of its own, so that two blocks at one time are a double."""
    start = datetime(2026, 3, 3, 2 * change.number + (change.hour or 0))
    uid, length = f"meeting-{change.number}@example.com", timedelta(minutes=50)
    if not change.series:
        return vcalendar(vevent(uid, _stamp(start), _stamp(start + length)))
    master = vevent(uid, _stamp(start), _stamp(start + length), extra="RRULE:FREQ=WEEKLY;COUNT=4")
    original = start + timedelta(weeks=1)
    moved = original + timedelta(days=1)
    named = f"RECURRENCE-ID;TZID=Europe/Berlin:{_stamp(original)}"
    return vcalendar(master, vevent(uid, _stamp(moved), _stamp(moved + length), extra=named))


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%S}"


@dataclass
class Mesh:
    """The calendars are the first desk's; the other installation's desk looks at the same."""

    story: Story
    desks: Sequence[MemoryDesk]
    pairs: list[tuple[MemoryDesk, str]] = field(default_factory=list)
    spoiled: bool = False
    left: list[Pair] = field(default_factory=list)
    """Those of the story's pairs that are not deleted."""

    @classmethod
    async def of(cls, story: Story, stack: AsyncExitStack, folder: Path) -> Mesh:
        names = NAMES[: story.calendars]
        first = await stack.enter_async_context(memory_desk(folder / "one", *names))
        desks = [first]
        if any(pair.account == 3 for pair in story.pairs):
            second = await stack.enter_async_context(memory_desk(folder / "two", *names))
            second.stores.update(first.stores)
            desks.append(second)
        mesh = cls(story, desks, left=list(story.pairs))
        accounts: dict[int, dict[str, str]] = {}
        for pair in story.pairs:
            desk = desks[pair.account == 3]
            if pair.account in (0, 3):
                accounts[pair.account] = desk.connections
            elif pair.account not in accounts:
                account = await desk.app.account()
                accounts[pair.account] = {
                    name: await desk.app.connect(account, NOWHERE, f"http://127.0.0.1:1/{name}/", email=OWNER)
                    for name in names
                }
            a, b = (accounts[pair.account][NAMES[end]] for end in pair.ends)
            given: dict[str, Any] = {"direction": pair.direction, "sync_mode": pair.sync_mode}
            mesh.pairs.append((desk, await desk.app.pair(a, b, relay=pair.relay, **given, **WINDOW)))
        return mesh

    def change(self, changes: Sequence[Change]) -> None:
        for change in changes:
            for place in change.where:
                store = self.desks[0].store(NAMES[place])
                name = f"event-{change.number}.ics"
                copies = [each for each in store.resources if each.startswith("cs")]
                if change.spoils:
                    for copy in copies[change.number :][:1]:
                        store.delete(copy)
                        self.spoiled = True
                elif change.hour is not None:
                    store.put(name, _data(change))
                elif name in store.resources:
                    store.delete(name)

    async def round(self, number: int) -> bool:
        """Run all pairs, each round in another order; whether anything was written."""
        journals = self._journals()
        turn = (self.story.order + number) % max(len(self.pairs), 1)
        for desk, pair in self.pairs[turn:] + self.pairs[:turn]:
            await desk.app.change_pair(pair, quiet_until=None)
            report = await desk.app.run(pair)
            if report.error is not None:
                assert report.error.code == "needs_attention", report.error
                assert len(self.desks) == 2, report.error
        return self._journals() != journals

    async def unpair(self, number: int) -> None:
        desk, pair = self.pairs.pop(number)
        del self.left[number]
        await desk.app.change_pair(pair, removal="remove")
        assert (await desk.app.run(pair)).error is None

    async def come_to_rest(self) -> None:
        for number in range(_MOST_ROUNDS):
            if not await self.round(number):
                # What is in step stays so.
                assert not await self.round(number + 1)
                event(f"rounds: {number}")
                return
        raise AssertionError("no rest")

    def _journals(self) -> list[int]:
        return [len(store.journal) for store in self.desks[0].stores.values()]

    def copies(self, name: str) -> list[str]:
        """The origins of a calendar's copies."""
        data = [text.replace(b"\r\n ", b"") for _, text in self.desks[0].store(name).resources.values()]
        return [match[1].decode() for text in data if (match := _MARK.search(text))]

    def own(self, name: str) -> list[str]:
        return [each for each in self.desks[0].store(name).resources if each.startswith("event-")]

    def check(self) -> None:
        names = NAMES[: self.story.calendars]
        events = sum(len(self.own(name)) for name in names)
        for name in names:
            copies = self.copies(name)
            assert len(set(copies)) == len(copies), f"a double in {name}"
            key = self._calendar_key(name)
            assert not {origin_of(key, each) for each in self.own(name)} & set(copies), f"its own in {name}"
            assert len(copies) <= 5 * events, "an event is copied once, or as four instances and a series"
            if len(self.desks) == 1:
                busy = Counter(self.desks[0].busy(name, FIRST, LAST))
                assert set(busy.values()) <= {1}, f"two blocks in {name}"
        if len(self.desks) == 1 and not self.spoiled:
            self._check_reach()

    def _calendar_key(self, name: str) -> str:
        return sha256(canonical_url(f"http://127.0.0.1:1/{name}/").encode()).hexdigest()

    def _check_reach(self) -> None:
        """Wherever an event gets to over a first pair, and over pairs with relay from there, it blocks time."""
        desk = self.desks[0]
        direct = [flow for pair in self.left for flow in pair.flows()]
        on = [flow for pair in self.left if pair.relay for flow in pair.flows()]
        for home in range(self.story.calendars):
            slots = set(desk.busy(NAMES[home], FIRST, LAST, copies=False))
            reached = {end for start, end in direct if start == home}
            while more := {end for start, end in on if start in reached} - reached:
                reached |= more
            for place in reached:
                missing = slots - set(desk.busy(NAMES[place], FIRST, LAST))
                assert not missing, f"{NAMES[home]} to {NAMES[place]}"


def _tell(story: Story, holder: Holder) -> None:
    async def told(folder: Path) -> None:
        async with AsyncExitStack() as stack:
            mesh = await Mesh.of(story, stack, folder)
            for number, changes in enumerate(story.days):
                mesh.change(changes)
                await mesh.round(number)
                if number == 0 and story.unpaired is not None:
                    await mesh.unpair(story.unpaired)
            await mesh.come_to_rest()
            mesh.check()
            for name in NAMES[: story.calendars]:
                for each in mesh.own(name):
                    mesh.desks[0].store(name).delete(each)
            await mesh.come_to_rest()
            left = {name: mesh.copies(name) for name in NAMES[: story.calendars]}
            assert not any(left.values()), left

    with tempfile.TemporaryDirectory() as folder, inline_sqlite():
        for each in ("one", "two"):
            (Path(folder) / each).mkdir()
        with patch.object(Holder, "of", lambda provider: holder):
            asyncio.run(told(Path(folder)))


SHORT = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


@SHORT
@given(stories(most=4, days=3), st.sampled_from([Holder.ICALENDAR, Holder.MICROSOFT]))
def test_any_mesh_comes_to_rest_without_doubles(story: Story, holder: Holder) -> None:
    _tell(story, holder)


@pytest.mark.long
@settings(SHORT, max_examples=1_000)
@given(stories(most=8, days=5), st.sampled_from([Holder.ICALENDAR, Holder.MICROSOFT]))
def test_any_larger_mesh_comes_to_rest_without_doubles(story: Story, holder: Holder) -> None:
    _tell(story, holder)
