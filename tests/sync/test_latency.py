"""How long a change took to be copied: from its own calendar's stamp to the answer to the write."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from calendarsync.domain.event import EventTime
from calendarsync.providers.sandbox import Part
from calendarsync.store.clock import advance
from calendarsync.store.operations import list_latencies
from calendarsync.store.tables import operations
from calendarsync.store.tenancy import Tenant
from calendarsync.sync.report import RunReport
from tests.sync.explaining import ask
from tests.sync.helpers import only
from tests.testbed.events import event
from tests.testbed.memory_desk import MemoryDesk, memory_desk
from tests.testbed.sandbox import meeting, sandbox_desk

NINE, TEN, ELEVEN = "20260304T090000", "20260304T100000", "20260304T110000"


@pytest.fixture
async def at(quick_folder: Path) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(quick_folder) as made:
        yield made


def stamped(at: MemoryDesk, ago: timedelta, start: str = NINE, end: str = TEN) -> str:
    """An event that was changed so long ago."""
    return event("one", start, end, extra=f"LAST-MODIFIED:{at.app.clock() - ago:%Y%m%dT%H%M%SZ}")


def latencies(report: RunReport) -> list[tuple[str, int | None]]:
    return [(operation.action, operation.latency_ms) for operation in report.operations]


async def test_it_is_measured_from_the_stamp_to_the_answer(at: MemoryDesk) -> None:
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    at.store("a").put("one.ics", stamped(at, timedelta(seconds=42)))
    assert latencies(await at.app.sync(pair)) == [("create", 42_000)]
    at.app.clock.advance(minutes=5)
    at.store("a").put("one.ics", stamped(at, timedelta(seconds=7), TEN, ELEVEN))
    assert latencies(await at.app.sync(pair)) == [("update", 7_000)]
    at.store("a").delete("one.ics")
    assert latencies(await at.app.sync(pair)) == [("delete", None)]
    async with at.app.db.read() as db:
        stored = await db.execute(select(operations.c.latency_ms).order_by(operations.c.latency_ms))
        assert sorted(stored.scalars(), key=lambda each: each or 0) == [None, 7_000, 42_000]
        of_pair = await list_latencies(
            db, Tenant(at.account, "live"), pair, at.app.clock() - timedelta(days=1)
        )
    assert [row["latency_ms"] for row in of_pair] == [7_000, 42_000]


async def test_what_was_there_before_the_first_run_is_not_late(at: MemoryDesk) -> None:
    at.store("a").put("one.ics", stamped(at, timedelta(days=3)))
    assert latencies(await at.app.sync(await at.pair(direction="a_to_b"))) == [("create", None)]


@pytest.mark.parametrize(
    ("ago", "measured"),
    [(timedelta(seconds=-30), 0), (timedelta(days=400), 2**31 - 1), (timedelta(0), 0)],
    ids=["a clock that is ahead", "longer than a column holds", "at once"],
)
async def test_the_ends_of_the_scale(at: MemoryDesk, ago: timedelta, measured: int) -> None:
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    at.store("a").put("one.ics", stamped(at, ago))
    assert latencies(await at.app.sync(pair)) == [("create", measured)]


async def test_without_a_stamp_nothing_is_measured(at: MemoryDesk) -> None:
    """With a METHOD, DTSTAMP says when the text was made (RFC 5545 section 3.8.7.2)."""
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    at.store("a").put("one.ics", event("one").replace("VERSION:2.0", "VERSION:2.0\r\nMETHOD:PUBLISH"))
    assert latencies(await at.app.sync(pair)) == [("create", None)]


@pytest.mark.rule(15)
async def test_a_stamp_alone_is_no_change(at: MemoryDesk) -> None:
    at.store("a").put("one.ics", stamped(at, timedelta(hours=2)))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    before = only(at)
    at.store("a").put("one.ics", stamped(at, timedelta(hours=1)))
    assert latencies(await at.app.sync(pair)) == []
    assert only(at) == before


async def test_what_the_change_did_not_ask_for_is_not_measured(at: MemoryDesk) -> None:
    at.store("a").put("one.ics", stamped(at, timedelta(hours=2)))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    await at.app.change_pair(pair, options={"title": "Away"})
    assert latencies(await at.app.sync(pair)) == [("update", None)]
    resource, data = only(at)
    at.store("b").put(resource, data.replace(b"SUMMARY:Away", b"SUMMARY:Mine"))
    at.store("a").put("one.ics", stamped(at, timedelta(hours=1)))
    assert latencies(await at.app.sync(pair)) == [("update", None)]


async def test_a_resource_is_seen_since_it_came(at: MemoryDesk) -> None:
    first = at.app.clock()
    at.store("a").put("one.ics", stamped(at, timedelta(hours=2)))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    at.app.clock.advance(hours=1)
    at.store("a").put("one.ics", stamped(at, timedelta(0), TEN, ELEVEN))
    at.store("a").put("two.ics", event("two"))
    await at.app.sync(pair)
    (one,) = (await ask(at, pair, "one.ics")).explanations
    (two,) = (await ask(at, pair, "two.ics")).explanations
    assert one.since is not None
    assert two.since is not None
    assert timedelta(0) < one.since - first < timedelta(minutes=1)
    assert two.since - one.since == timedelta(hours=1)


async def test_the_sandbox_goes_by_the_accounts_clock(quick_folder: Path) -> None:
    async with sandbox_desk(quick_folder) as at:
        pair = await at.pair(direction="a_to_b")
        await at.app.sync(pair)
        person, ahead = at.people["a"], timedelta(days=3)
        async with at.app.db.write_as(person.tenant) as db:
            await advance(db, person.tenant, int(ahead.total_seconds()), most=10**9)
        stamp = at.app.clock() + ahead - timedelta(seconds=5)
        await person.put(replace(meeting("one", "Planning"), modified=stamp))
        assert latencies(await at.app.sync(pair)) == []  # its hour has passed by that clock
        later = EventTime.parse("2026-03-09T09:00:00[Europe/Berlin]")
        master = replace(meeting("two", "Planning").master.component, start=later, end=later)
        moved = replace(meeting("two", "Planning"), master=Part(master), modified=stamp)
        await person.put(moved)
        assert latencies(await at.app.sync(pair)) == [("create", 5_000)]
