"""What a run costs: counts of requests and bytes, which hold on every machine. Seconds are for `make bench`."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import UTC, datetime, timedelta
from math import ceil

import pytest
from sqlalchemy.event import listen

from calendarsync.sync import refresh
from tests.testbed.desk import Desk
from tests.testbed.events import event
from tests.testbed.memory_desk import MemoryDesk

FIRST_DAY = datetime(2026, 3, 3, 8, tzinfo=UTC)
MANY = 150
BYTES_PER_EVENT = 10_000


def meeting(number: int, title: str = "Planning", text: str = "What is left to say.") -> str:
    start = FIRST_DAY + timedelta(hours=5 * number)
    end = start + timedelta(hours=1)
    return event(
        f"meeting{number}@work.example",
        f"{start:%Y%m%dT%H%M%SZ}",
        f"{end:%Y%m%dT%H%M%SZ}",
        title=f"{title} {number}",
        extra=f"DESCRIPTION:{text}",
    )


async def test_requests_of_a_first_run_a_quiet_one_and_one_with_one_change(beside: Desk) -> None:
    """Rule 15."""
    for number in range(MANY):
        beside.put_a(f"meeting{number}", meeting(number))
    pair = await beside.pair(sync_mode="full", direction="a_to_b")
    first = await beside.app.sync(pair)
    assert first.events_created == MANY
    # A listing of each calendar, a second look at one that seems empty, and batches of 64.
    assert first.provider_requests <= MANY + 3 + ceil(MANY / 64)
    await beside.app.sync(pair)  # hears of the copies
    assert (await beside.app.sync(pair)).provider_requests == 2

    beside.put_a("meeting7", meeting(7, title="Changed"))
    report = await beside.app.sync(pair)
    assert (report.events_processed, report.events_updated) == (1, 1)
    assert report.provider_requests <= 5


async def test_a_run_without_a_change_asks_the_database_little_and_the_index_nothing(
    at_memory: MemoryDesk,
) -> None:
    at = at_memory
    at.store("a").put("meeting.ics", meeting(1))
    pair = await at.pair(sync_mode="full", direction="a_to_b")
    await at.app.sync(pair)
    await at.app.sync(pair)
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    for engine in at.app.db._engine.engines:
        listen(engine.sync_engine, "before_cursor_execute", note)
    await at.app.sync(pair)
    assert 0 < len(statements) <= 10, statements
    assert not any("event_index" in statement or "links" in statement for statement in statements)


async def test_texts_that_find_no_room_are_fetched_in_few_requests(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    source = at.store("a")
    for number in range(MANY):
        source.put(f"meeting{number}.ics", meeting(number))
    pair = await at.pair(sync_mode="full", direction="a_to_b")
    enough = (await at.app.sync(pair)).provider_requests

    monkeypatch.setattr(refresh, "CONTENTS_MAX_CHARACTERS", 20 * len("Planning 1What is left to say."))
    for number in range(MANY):
        source.put(f"meeting{number}.ics", meeting(number, title="Changed"))
    report = await at.app.sync(pair)
    assert report.events_updated == MANY
    copies = [data for _, data in at.store("b").resources.values()]
    assert sum(b"SUMMARY:Changed" in data for data in copies) == MANY
    assert enough < report.provider_requests <= enough + ceil(MANY / 100)


async def test_a_round_keeps_no_more_text_than_it_may(
    at_memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "CONTENTS_MAX_CHARACTERS", 100_000)
    source = at_memory.store("a")
    for number in range(60):
        source.put(f"meeting{number}.ics", meeting(number, text="x" * 50_000))
    pair = await at_memory.pair(sync_mode="full", direction="a_to_b")
    hold = await at_memory.app.hold(pair)
    round_ = at_memory.app.engine.new_round()
    gc.collect()
    tracemalloc.start()
    try:
        for connection in await round_.admit(at_memory.connections["a"]):
            await round_.read(connection, hold)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000


async def test_a_first_sync_takes_memory_for_what_it_keeps_of_each_event(at_memory: MemoryDesk) -> None:
    """Half of this is what the calendar in memory stores of the copies, and what SQLAlchemy keeps of its own."""
    source = at_memory.store("a")
    for number in range(500):
        source.put(f"meeting{number}.ics", meeting(number))
    pair = await at_memory.pair(sync_mode="full", direction="a_to_b")
    gc.collect()
    tracemalloc.start()
    try:
        await at_memory.app.sync(pair)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 500 * BYTES_PER_EVENT, peak
