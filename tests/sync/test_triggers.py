"""A run that somebody asked for does what a dry run shows, but for what time alone has brought in within the last
quarter of an hour; for polls that may be longer (rules 7 and 27)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from calendarsync.store.tables import accounts, pairs
from calendarsync.sync.flows import Flows
from calendarsync.sync.report import Operation, RunReport
from tests.sync.machine import people
from tests.sync.machine.convergence import DIRECTIONS, EVENTS, MODES, OPTIONS, WINDOW
from tests.sync.machine.people import Draft
from tests.sync.machine.world import Pair, World
from tests.testbed.difficult import Temper
from tests.testbed.events import event
from tests.testbed.inline_sqlite import inline_sqlite
from tests.testbed.installation import Installation, installation
from tests.testbed.memory_desk import MemoryDesk, memory_desk

MOMENT = timedelta(seconds=1)
PERIOD = timedelta(hours=6)
"""How long a pair whose window is 25 days is not planned anew by polls."""
QUARTER = timedelta(minutes=15)
"""How long by triggers."""
FAR = event("far", "20260401T000000Z", "20260401T010000Z")
ENTERS = datetime.fromisoformat("2026-03-07T00:00:00+00:00")
"""The start of the event is the end of that window, which is not in it."""


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(database_url) as desk:
        yield desk


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pairs for which planning has loaded anything."""
    loaded: list[str] = []
    load = Flows.load

    async def noted(both: Flows, *given: Any, **named: Any) -> Any:
        loaded.append(both.pair.id)
        return await load(both, *given, **named)

    monkeypatch.setattr(Flows, "load", noted)
    return loaded


async def in_step(at: MemoryDesk, **given: Any) -> str:
    """A pair that a plan has just found in step."""
    pair = await at.pair(**given)
    for _ in range(3):
        await at.app.sync(pair)
    return pair


async def quiet_until(at: MemoryDesk, pair: str) -> datetime:
    moment = (await at.app.row(pairs, pair)).quiet_until
    assert isinstance(moment, datetime)
    return moment


@pytest.mark.rule(7)
@pytest.mark.parametrize("trigger", ["api", "web"])
async def test_what_has_just_come_into_the_window_is_copied_by_whoever_asks(
    at: MemoryDesk, trigger: str
) -> None:
    at.store("a").put("1.ics", FAR)
    pair = await in_step(at, direction="a_to_b", future_days=25)
    at.app.clock.now = ENTERS
    assert (await at.app.sync(pair, dry_run=True)).operations == ()
    at.app.clock.now = ENTERS + MOMENT
    (shown,) = (await at.app.sync(pair, dry_run=True)).operations
    (done,) = (await at.app.sync(pair, trigger=trigger)).operations
    assert (shown.action, shown.reason) == (done.action, done.reason) == ("create", "new")
    assert len(at.store("b").resources) == 1


@pytest.mark.rule(7)
@pytest.mark.parametrize("trigger", ["api", "web"])
async def test_whoever_asks_again_at_once_waits_for_no_plan(
    at: MemoryDesk, planned: list[str], trigger: str
) -> None:
    at.store("a").put("1.ics", FAR)
    pair = await in_step(at, direction="a_to_b", future_days=25)
    at.app.clock.now = ENTERS
    await at.app.sync(pair, trigger=trigger)
    planned.clear()
    for now in (ENTERS + MOMENT, ENTERS + QUARTER - MOMENT):
        at.app.clock.now = now
        assert (await at.app.sync(pair, trigger=trigger)).operations == ()
        assert planned == []
    at.app.clock.now = ENTERS + QUARTER
    assert (await at.app.sync(pair, trigger=trigger)).events_created == 1


@pytest.mark.rule(7)
async def test_a_plan_by_a_clock_that_ran_ahead_is_no_recent_one(at: MemoryDesk, planned: list[str]) -> None:
    pair = await in_step(at)
    at.app.clock.now -= QUARTER
    planned.clear()
    await at.app.sync(pair, trigger="api")
    assert planned == [pair]


@pytest.mark.rule(7, 27)
@pytest.mark.parametrize("trigger", ["schedule", "push"])
async def test_a_run_that_nobody_asked_for_is_not_planned_before_its_time(
    at: MemoryDesk, planned: list[str], trigger: str
) -> None:
    at.store("a").put("1.ics", FAR)
    pair = await in_step(at, direction="a_to_b", future_days=25)
    at.app.clock.now = ENTERS
    await at.app.sync(pair, trigger="api")
    until = await quiet_until(at, pair)
    assert until == ENTERS + PERIOD, "a plan that somebody asked for puts off the next one as any other does"
    planned.clear()
    for now in (ENTERS + MOMENT, until - MOMENT):
        at.app.clock.now = now
        assert (await at.app.sync(pair, trigger=trigger)).operations == ()
        assert (planned, await quiet_until(at, pair)) == ([], until)
    at.app.clock.now = until
    assert (await at.app.sync(pair, trigger=trigger)).events_created == 1


@pytest.mark.rule(7)
async def test_a_trigger_goes_by_the_clock_of_test_mode(at: MemoryDesk) -> None:
    at.store("a").put("1.ics", FAR)
    pair = await at.pair(direction="a_to_b", future_days=25)
    await at.app.change_pair(pair, mode="test")
    for _ in range(3):
        await at.app.sync(pair)
    at.app.clock.now = ENTERS - timedelta(days=1)
    for ahead, operations in ((86_400, 0), (86_401 - QUARTER.seconds, 1)):
        async with at.app.db.write() as db:
            await db.execute(update(accounts).values(test_clock_seconds=ahead))
        shown = await at.app.sync(pair, dry_run=True)
        done = await at.app.sync(pair, trigger="api")
        assert len(shown.operations) == len(done.operations) == operations
        at.app.clock.now += QUARTER


@pytest.fixture
def stage(quick_folder: Path) -> Iterator[tuple[Installation, asyncio.Runner]]:
    """An installation for all examples, and the loop that they are played in."""

    async def at_once(function: Any, *args: object) -> Any:
        return function(*args)

    with inline_sqlite(), patch("asyncio.to_thread", at_once), asyncio.Runner() as runner:
        opened = installation(quick_folder, secret=b"a secret that makes the same ids in every example")
        yield runner.run(opened.__aenter__()), runner
        runner.run(opened.__aexit__(None, None, None))


HAPPENINGS = st.one_of(
    st.just("far"), st.sampled_from(["far", "none", "copy deleted", "copy edited"]), people.TWEAKS
)
MINUTES = st.one_of(st.integers(15, 120), st.integers(15, 3 * 24 * 60))
STEPS = st.lists(st.tuples(HAPPENINGS, st.integers(0, 7), st.integers(0, 2), MINUTES), min_size=2, max_size=5)
"""What happens, to which, how many polls see it, and what time goes by until the trigger."""


@pytest.mark.rule(7)
def test_a_trigger_does_what_a_dry_run_shows(stage: tuple[Installation, asyncio.Runner]) -> None:
    app, runner = stage

    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        drafts=st.lists(EVENTS, min_size=1, max_size=5),
        options=OPTIONS,
        future_days=st.integers(10, 40),
        mode=MODES,
        direction=DIRECTIONS,
        steps=STEPS,
    )
    def compare(
        drafts: list[tuple[str, int, Draft, bool]],
        options: dict[str, Any],
        future_days: int,
        mode: str,
        direction: str,
        steps: list[tuple[Any, int, int, int]],
    ) -> None:
        options = {**WINDOW, "future_days": future_days, **options}
        runner.run(_compare(World(app), drafts, mode, direction, options, steps))

    compare()


async def _compare(
    world: World,
    drafts: list[tuple[str, int, Draft, bool]],
    mode: str,
    direction: str,
    options: dict[str, Any],
    steps: list[tuple[Any, int, int, int]],
) -> None:
    await world.begin({"a": Temper(), "b": Temper()})
    pair = await world.make_pair("a", "b", mode, direction, options)
    for name, number, draft, _ in drafts:
        world.put(name, f"{name}{number}.ics", draft.render(f"uid-{name}{number}"), draft)
    for happening, index, polls, minutes in steps:
        happen(world, pair, happening, index)
        for _ in range(polls):
            await world.run(pair)
        world.app.clock.advance(minutes=minutes)
        shown = await world.run(pair, dry_run=True)
        done = await world.run(pair, trigger="api")
        assert shown is not None
        assert done is not None
        assert told(done) == told(shown)


def happen(world: World, pair: Pair, happening: Any, index: int) -> None:
    """`far`: somebody writes an event that soon comes into the window."""
    copies = [(name, copy) for name, store in world.stores.items() for copy in sorted(store.ours)]
    if happening == "far":
        start = pair.window(world.app.clock()).last.astimezone(ZoneInfo("Europe/Berlin")).replace(tzinfo=None)
        draft = Draft(start + timedelta(minutes=10 * index), timedelta(hours=1))
        name, resource = pair.a if index % 2 else pair.b, f"far{len(world.drafts)}.ics"
        world.put(name, resource, draft.render(f"uid-{resource[:-4]}"), draft)
    elif happening in ("copy deleted", "copy edited") and copies:
        name, copy = copies[index % len(copies)]
        if happening == "copy deleted":
            world.delete_copy(name, copy)
        else:
            world.edit(name, copy, people.shifted(world.stores[name].resources[copy][1], hours=1))
    elif isinstance(happening, tuple) and happening[0] not in {"break", "split"} and world.drafts:
        name, resource = list(world.drafts)[index % len(world.drafts)]
        changed = people.tweaked(world.drafts[name, resource], happening)
        if changed.holds():
            world.put(name, resource, changed.render(f"uid-{resource[:-4]}"), changed)


def told(report: RunReport) -> object:
    """What is done, and what is not, of which events."""
    counts = (report.events_created, report.events_updated, report.events_deleted)
    return (
        report.status,
        report.error,
        report.events_processed,
        counts,
        sorted(map(_named, report.operations)),
    )


def _named(operation: Operation) -> tuple[str, ...]:
    return (
        operation.direction,
        operation.event_id,
        operation.original_start,
        operation.action,
        operation.reason,
    )
