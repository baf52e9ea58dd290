"""Rule 17: an edit that is being carried back is neither lost nor carried twice, whatever fails on the way."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.domain.amendment import Change
from calendarsync.domain.event import Resource
from calendarsync.providers.base import (
    Calendar,
    Changed,
    ProviderError,
    RateLimited,
    Refused,
    ResourceGone,
    Unavailable,
)
from calendarsync.providers.icalendar import read_resource
from calendarsync.store.schedule import ConnectionRecord
from calendarsync.sync.report import RunReport
from tests.sync.helpers import done, only, starts, sync_anew
from tests.testbed.events import event
from tests.testbed.memory import Faults, MemoryCalendar
from tests.testbed.memory_desk import OWNER, MemoryDesk, memory_desk

pytestmark = pytest.mark.rule(17)

CARRIED = [("propagate", "copy_edited"), ("update", "source_changed")]
WEEKLY = "RRULE:FREQ=WEEKLY;COUNT=4"


class Killed(Exception):  # noqa: N818 - it tells what happened
    """The process has ended: nothing that it does later has any effect."""


@dataclass
class Moments(Faults):
    """Requests, answers and transactions, counted; at one of them something happens. None: never.

    `kind`: the process is `killed`, or a request is `lost`, or its answer is not `heard`.
    """

    at: int | None = None
    kind: str = "killed"
    passed: int = 0
    happened: bool = False

    def step(self, kind: str) -> None:
        self.passed += 1
        if self.kind == "killed" and self.at is not None and self.passed > self.at:
            self.happened = True
            raise Killed
        if self.kind == kind and self.passed - 1 == self.at:
            self.happened = True
            raise Unavailable("the network failed")

    async def around(self, action: Callable[[], object]) -> object:
        self.step("lost")
        result = action()
        self.step("heard")
        return result

    def begin(self, at: int | None, kind: str = "killed") -> None:
        self.at, self.kind, self.passed, self.happened = at, kind, 0, False


@dataclass
class Piecemeal(MemoryCalendar):
    """A calendar that takes each component in a request of its own, as Google and Graph do with a series."""

    async def amend(self, resource_id: str, version: str | None, changes: Sequence[Change]) -> Resource:
        if resource_id not in self.store.resources:
            raise ResourceGone("gone")
        there = self._resource(resource_id)
        if there.version != version:
            raise Changed("changed")
        for change in sorted(changes, key=lambda change: change.original is None):
            there = await super().amend(resource_id, there.version, [change])
        return there


@dataclass
class Desk:
    at: MemoryDesk
    moments: Moments
    happened: bool = False

    async def paired(self, source: str, **given: Any) -> str:
        self.at.store("a").put("one.ics", source)
        pair = await self.at.pair(sync_mode="full", direction="a_to_b", on_copy_edited="propagate", **given)
        await self.at.app.sync(pair)
        return pair

    async def run(self, pair: str, at: int, kind: str) -> RunReport | None:
        """One run in which that happens; None where it was killed."""
        self.moments.begin(at, kind)
        try:
            return await self.at.app.run(pair)
        except Killed:
            return None
        finally:
            # A request that is not lost, or an answer that is heard, is no end of the row: the next one may be.
            self.happened = self.moments.happened or self.moments.passed > at
            self.moments.begin(None)
            self.at.app.__post_init__()  # a new process

    async def come_to_rest(self, pair: str) -> None:
        for _ in range(3):
            if (await self.at.app.run(pair)).status == "success":
                break
        assert done(await sync_anew(self.at, pair)) == []

    def edit(self, *changes: tuple[str, str]) -> None:
        resource, data = only(self.at)
        text = data.decode().replace("\r\n ", "")
        for old, new in changes:
            assert re.search(old, text), text
            text = re.sub(old, new, text)
        self.at.store("b").put(resource, text)

    @property
    def source(self) -> str:
        return only(self.at, "a")[1].decode()


@pytest.fixture
async def desk(request: pytest.FixtureRequest, quick_folder: Path) -> AsyncIterator[Desk]:
    async with memory_desk(quick_folder) as at:
        moments = Moments()

        def opened(connection: ConnectionRecord, _: Calendar) -> Calendar:
            made: Calendar = request.param(at.stores[connection.calendar_id], frozenset({OWNER}), moments)
            return made

        at.app.wrap = opened
        engine: Any = at.app.db._engine
        engine.write = _counted(type(engine).write.__get__(engine), moments)
        yield Desk(at, moments)


def _counted(
    write: Callable[[object], AbstractAsyncContextManager[AsyncConnection]], moments: Moments
) -> object:
    @asynccontextmanager
    async def counted(tenant: object) -> AsyncIterator[AsyncConnection]:
        async with write(tenant) as connection:
            yield connection
            moments.step("commit")

    return counted


KINDS = ["killed", "lost", "heard"]
whole = pytest.mark.parametrize("desk", [MemoryCalendar], indirect=True, ids=["whole"])
piecemeal = pytest.mark.parametrize("desk", [Piecemeal], indirect=True, ids=["piecemeal"])


@whole
@pytest.mark.parametrize("kind", KINDS)
async def test_an_edit_arrives_once_whatever_fails(desk: Desk, kind: str) -> None:
    pair = await desk.paired(event("one", "20260304T090000", "20260304T100000"))
    for moment in count():
        day = f"202603{5 + moment % 20:02}T"
        desk.edit(("SUMMARY:.*", f"SUMMARY:Edit {moment}\r"), (r"202603\d\dT", day))
        await desk.run(pair, moment, kind)
        happened = desk.happened
        await desk.come_to_rest(pair)
        for text in (desk.source, only(desk.at)[1].decode()):
            assert f"SUMMARY:Edit {moment}\r\n" in text
            assert f"DTSTART;TZID=Europe/Berlin:{day}090000\r\n" in text
        # Each edit moves it: whatever is carried twice would count twice.
        assert f"SEQUENCE:{moment + 1}\r\n" in desk.source
        if not happened:
            return


@piecemeal
@pytest.mark.parametrize("kind", KINDS)
async def test_edits_of_a_series_and_an_instance_arrive_once(desk: Desk, kind: str) -> None:
    pair = await desk.paired(event("one", "20260304T090000", "20260304T100000", extra=WEEKLY))
    text = only(desk.at)[1].decode().replace("\r\n ", "")
    series = text[text.index("BEGIN:VEVENT") : text.index("END:VCALENDAR")]
    own = series.replace(WEEKLY, "RECURRENCE-ID;TZID=Europe/Berlin:20260311T090000")
    own = own.replace("20260304T", "20260311T").replace(
        "SUMMARY:Planning", "LOCATION:Room\r\nSUMMARY:Planning"
    )
    desk.at.store("b").put(only(desk.at)[0], text.replace("END:VCALENDAR", f"{own}END:VCALENDAR"))
    await desk.come_to_rest(pair)
    assert desk.source.count("BEGIN:VEVENT") == 2
    for moment in count():
        hour, minute = 11 + moment % 8, moment % 60
        to = f"DTEND;TZID=Europe/Berlin:20260311T{hour:02}{minute:02}00"
        title, place = f"SUMMARY:Edit {moment}", f"LOCATION:Room {moment}"
        ends = ("DTEND;TZID=Europe/Berlin:20260311T.*", f"{to}\r")
        desk.edit(("SUMMARY:.*", f"{title}\r"), ("LOCATION:.*", f"{place}\r"), ends)
        await desk.run(pair, moment, kind)
        happened = desk.happened
        await desk.come_to_rest(pair)
        for text in (desk.source, only(desk.at)[1].decode()):
            assert text.count(f"{title}\r\n") == 2, moment
            assert f"{place}\r\n" in text
            assert f"{to}\r\n" in text
        assert starts(desk.at, "a", copies=False) == starts(desk.at)
        assert f"SEQUENCE:{moment + 1}\r\n" in desk.source
        if not happened:
            return


@whole
async def test_whoever_changed_the_source_meanwhile_wins(desk: Desk) -> None:
    """Whatever of it was changed: an event is not mixed from two sides."""
    pair = await desk.paired(event("one"))
    desk.edit(("SUMMARY:.*", "SUMMARY:Mine\r"))
    _at_amend(desk, lambda: desk.at.store("a").put("one.ics", event("one", extra="LOCATION:Theirs")))
    assert done(await desk.at.app.sync(pair)) == [("update", "both_changed")]
    assert "SUMMARY:Planning\r\nLOCATION:Theirs\r\n" in desk.source
    assert b"SUMMARY:Planning\r\nLOCATION:Theirs\r\n" in only(desk.at)[1]
    assert done(await sync_anew(desk.at, pair)) == []


@whole
async def test_a_source_that_went_meanwhile_takes_its_copy_along(desk: Desk) -> None:
    pair = await desk.paired(event("one"))
    desk.edit(("SUMMARY:.*", "SUMMARY:Mine\r"))
    _at_amend(desk, lambda: desk.at.store("a").delete("one.ics"))
    assert done(await desk.at.app.sync(pair)) == [("delete", "source_deleted")]


@whole
async def test_what_the_provider_refuses_is_put_right(desk: Desk) -> None:
    pair = await desk.paired(event("one"))
    desk.edit(("SUMMARY:.*", "SUMMARY:Mine\r"))
    _at_amend(desk, Refused("not this one"))
    assert done(await desk.at.app.sync(pair)) == [("update", "edit_refused")]
    assert b"SUMMARY:Planning\r\n" in only(desk.at)[1]
    assert done(await sync_anew(desk.at, pair)) == []


@whole
async def test_rule_24_a_source_that_asks_to_slow_down_is_left_alone(desk: Desk) -> None:
    pair = await desk.paired(event("one"))
    desk.edit(("SUMMARY:.*", "SUMMARY:Mine\r"))
    _at_amend(desk, RateLimited("slow down", retry_after=60))
    report = await desk.at.app.run(pair)
    assert report.error is not None
    assert report.error.code == "provider_rate_limited"
    assert "SUMMARY:Planning\r\n" in desk.source
    assert b"SUMMARY:Mine\r\n" in only(desk.at)[1]
    desk.at.app.clock.advance(seconds=90)
    assert done(await desk.at.app.sync(pair)) == CARRIED


@whole
async def test_a_provider_that_rewrites_at_once_has_edited_nothing(desk: Desk) -> None:
    _rewriting(desk, late=False)
    pair = await desk.paired(event("one"))
    assert b"SUMMARY:(!) Planning\r\n" in only(desk.at)[1]
    assert done(await sync_anew(desk.at, pair)) == []
    desk.edit(("LOCATION:.*|TRANSP", "LOCATION:Here\r\nTRANSP"))
    await desk.at.app.sync(pair)
    assert "SUMMARY:Planning\r\n" in desk.source
    assert "LOCATION:Here\r\n" in desk.source
    assert done(await sync_anew(desk.at, pair)) == []


@whole
async def test_a_provider_that_keeps_rewriting_is_believed_four_times(desk: Desk) -> None:
    """Later than its answer, a provider's change is none that can be told from a person's."""
    pair = await desk.paired(event("one"))
    _rewriting(desk, late=True)
    desk.edit(("SUMMARY:.*", "SUMMARY:Mine\r"))
    reasons = [done(await desk.at.app.run(pair)) for _ in range(6)]
    assert reasons == [*[CARRIED] * 4, [("skip", "rewritten_by_provider")], []]
    assert "SUMMARY:(!) (!) (!) Mine\r\n" in desk.source
    assert done(await sync_anew(desk.at, pair)) == []


@whole
async def test_a_person_may_edit_a_copy_as_often_as_they_like(desk: Desk) -> None:
    """A run between two edits that finds the copy as it was written is enough, though nothing had changed."""
    pair = await desk.paired(event("one"))
    for number in range(7):
        desk.edit(("SUMMARY:.*", f"SUMMARY:Edit {number}\r"))
        assert done(await desk.at.app.sync(pair)) == CARRIED
        assert done(await desk.at.app.sync(pair)) == []


def _at_amend(desk: Desk, event: Callable[[], object] | ProviderError) -> None:
    """That happens when the source is about to be amended, once."""
    opened = desk.at.app.wrap
    left = [event]

    def wrapped(connection: ConnectionRecord, calendar: Calendar) -> Calendar:
        made = opened(connection, calendar)
        amend: Callable[..., Awaitable[Resource]] = made.amend

        async def amended(*args: Any) -> Resource:
            happens = left.pop() if left else lambda: None
            if isinstance(happens, ProviderError):
                raise happens
            happens()
            return await amend(*args)

        made.amend = amended  # type: ignore[method-assign]
        return made

    desk.at.app.wrap = wrapped


def _rewriting(desk: Desk, *, late: bool) -> None:
    """The calendar b puts a sign before each title that it is given."""
    opened = desk.at.app.wrap
    store = desk.at.store("b")

    def sign(name: str) -> None:
        store.put(name, store.resources[name][1].replace(b"SUMMARY:", b"SUMMARY:(!) "))

    def wrapped(connection: ConnectionRecord, calendar: Calendar) -> Calendar:
        made = opened(connection, calendar)
        if connection.id != desk.at.connections["b"]:
            return made
        for name in ("create", "update"):
            setattr(made, name, _signed(getattr(made, name)))
        return made

    def _signed(write: Callable[..., Awaitable[Resource]]) -> Callable[..., Awaitable[Resource]]:
        async def signed(*args: Any) -> Resource:
            written = await write(*args)
            sign(written.id)
            return written if late else read_resource(written.id, *store.resources[written.id])

        return signed

    desk.at.app.wrap = wrapped
