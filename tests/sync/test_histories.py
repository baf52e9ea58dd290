"""Any history of people's edits: originals are untouched, no origin has two copies, and it comes to rest.

People add, change and delete events and copies, in both calendars, between runs that may fail half-way.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from calendarsync.providers.icalendar import MARK_PROPERTY, read_resource
from tests.sync.test_properties import QUICK, WINDOW, resources
from tests.testbed.memory_desk import MemoryDesk, memory_desk

NAMES = st.sampled_from(["a", "b"])
OPTIONS = st.sampled_from([{}, {"include_tentative": False}, {"title": "Away"}, {"future_days": 10}])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAMES, st.integers(0, 2), resources("uid")),
        st.tuples(st.just("delete"), NAMES, st.integers(0, 5)),
        st.tuples(st.just("edit"), NAMES, st.integers(0, 5)),
        st.tuples(st.just("paste"), NAMES, st.integers(0, 5)),
        st.tuples(st.just("strip"), NAMES, st.integers(0, 5)),
        st.tuples(st.just("forget"), NAMES),
        st.tuples(st.just("options"), OPTIONS),
        st.tuples(st.just("wait"), st.integers(1, 9)),
        st.tuples(
            st.just("fail"), st.sets(st.integers(1, 8), max_size=2), st.sets(st.integers(1, 8), max_size=2)
        ),
        st.just(("sync",)),
    ),
    min_size=4,
    max_size=14,
)


class History:
    """Plays a history. `written` holds what people wrote and nobody else may change."""

    def __init__(self, desk: MemoryDesk, pair: str) -> None:
        self.desk = desk
        self.pair = pair
        self.written: dict[tuple[str, str], bytes] = {}
        self.pasted = 0

    async def play(self, step: tuple[object, ...]) -> None:
        kind, *rest = step
        await getattr(self, f"_{kind}")(*rest)

    def _copy(self, name: str, index: int) -> str | None:
        copies = [each for each in self.desk.store(name).resources if (name, each) not in self.written]
        return copies[index % len(copies)] if copies else None

    async def _put(self, name: str, number: int, data: str) -> None:
        resource = f"{name}{number}.ics"
        own = data.replace("UID:uid", f"UID:uid-{name}{number}").encode()
        self.desk.store(name).put(resource, own)
        self.written[name, resource] = own

    async def _delete(self, name: str, index: int) -> None:
        there = list(self.desk.store(name).resources)
        if there:
            gone = there[index % len(there)]
            self.desk.store(name).delete(gone)
            self.written.pop((name, gone), None)

    async def _edit(self, name: str, index: int) -> None:
        copy = self._copy(name, index)
        if copy is not None:
            data = self.desk.store(name).resources[copy][1]
            self.desk.store(name).put(copy, data.replace(b"SUMMARY:", b"SUMMARY:Mine "))

    async def _paste(self, name: str, index: int) -> None:
        copy = self._copy(name, index)
        if copy is not None:
            data = self.desk.store(name).resources[copy][1]
            uid = read_resource(copy, None, data).uid
            self.pasted += 1
            own = data.replace(f"UID:{uid}".encode(), f"UID:pasted-{self.pasted}".encode())
            self.desk.store(name).put(f"pasted{self.pasted}.ics", own)
            self.written[name, f"pasted{self.pasted}.ics"] = own

    async def _strip(self, name: str, index: int) -> None:
        copy = self._copy(name, index)
        if copy is not None:
            lines = self.desk.store(name).resources[copy][1].replace(b"\r\n ", b"").split(b"\r\n")
            kept = [line for line in lines if not line.startswith(MARK_PROPERTY.encode())]
            self.desk.store(name).put(copy, b"\r\n".join(kept))

    async def _forget(self, name: str) -> None:
        self.desk.store(name).forget_tokens()

    async def _options(self, options: dict[str, object]) -> None:
        await self.desk.app.change_pair(self.pair, options={**WINDOW, **options})

    async def _wait(self, days: int) -> None:
        self.desk.app.clock.advance(days=days)

    async def _fail(self, before: set[int], after: set[int]) -> None:
        for fault in self.desk.faults.values():
            fault.calls, fault.before, fault.after = 0, before, after
        await self.desk.app.run(self.pair)
        for fault in self.desk.faults.values():
            fault.before, fault.after = set(), set()

    async def _sync(self) -> None:
        await self.desk.app.run(self.pair, confirm=True)
        self.check()

    def check(self) -> None:
        for (name, resource), data in self.written.items():
            assert self.desk.store(name).resources[resource][1] == data, "an original was touched"
        for name in ("a", "b"):
            origins = Counter(
                read_resource(resource, None, data).mark
                for resource, (_, data) in self.desk.store(name).resources.items()
                if (name, resource) not in self.written
            )
            del origins[None]
            assert max(origins.values(), default=1) == 1, "one origin has two copies"


@QUICK
@given(STEPS)
def test_any_history_comes_to_rest(steps: list[tuple[object, ...]]) -> None:
    async def story(folder: Path) -> None:
        async with memory_desk(folder) as desk:
            history = History(desk, await desk.pair(**WINDOW))
            for step in steps:
                await history.play(step)
            for _ in range(4):
                await history._sync()
            copies = sum(len(desk.store(name).resources) for name in "ab") - len(history.written)
            assert copies <= len(history.written) * 120, "copies are made of originals alone"
            journals = [len(desk.store(name).journal) for name in "ab"]
            await desk.app.change_pair(history.pair, quiet_until=None)
            await history._sync()
            assert [len(desk.store(name).journal) for name in "ab"] == journals, "it does not come to rest"

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(story(Path(folder)))
